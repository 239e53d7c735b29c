import itertools
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sparsewatch.detectors.counts.row_sample import RowSample, row_identities, stretch_identities
from sparsewatch.schemas.errors import ConfigError, SchemaError, StateError
from sparsewatch.schemas.stored import table_from_bytes, table_to_bytes

COLUMNS = ("number", "word")
ROW = st.tuples(st.none() | st.integers(-9, 9), st.none() | st.sampled_from(["", "a", "bb", "ü"]))


def sampled(rows: list[tuple[int, tuple[Any, Any]]], capacity: int) -> RowSample:
    sample = RowSample(COLUMNS, capacity)
    numbers, words = ([row[i] for _, row in rows] for i in (0, 1))
    batch = pa.record_batch({"number": pa.array(numbers, pa.int32()), "word": pa.array(words, pa.string())})
    sample.update(batch, row_identities(7, np.array([i for i, _ in rows], np.int64)))
    return sample


@settings(max_examples=80)
@given(st.lists(ROW, max_size=40), st.integers(1, 12), st.data())
def test_any_split_and_order_gives_equal_bytes(rows: list[tuple[Any, Any]], capacity: int, data: Any) -> None:
    numbered = list(enumerate(rows))
    whole = sampled(numbered, capacity)
    shuffled = data.draw(st.permutations(numbered))
    cuts = sorted(data.draw(st.lists(st.integers(0, len(rows)), max_size=5)))
    merged = RowSample(COLUMNS, capacity)
    merged.merge(sampled([], capacity))
    for a, b in itertools.pairwise([0, *cuts, len(rows)]):
        part = sampled(shuffled[a:b], capacity)
        if data.draw(st.booleans()):
            part = RowSample.from_bytes(part.to_bytes(small=data.draw(st.booleans())))
        if data.draw(st.booleans()):
            part.merge(merged)
            merged = part
        else:
            merged.merge(part)
        # What was asked for before is no reason to answer it again.
        if data.draw(st.booleans()):
            assert merged.rows().num_rows <= capacity
        # So is what was written.
        if data.draw(st.booleans()):
            assert RowSample.from_bytes(merged.to_bytes()).rows() == merged.rows()
    for small in (True, False):
        assert merged.to_bytes(small=small) == whole.to_bytes(small=small)
    assert merged.rows_seen == len(rows)
    assert merged.rows().num_rows == min(capacity, len(rows))


@given(st.lists(ROW, max_size=20), st.integers(1, 12))
def test_of_some_columns_it_is_as_if_no_others_had_come(rows: list[tuple[Any, Any]], capacity: int) -> None:
    whole = sampled(list(enumerate(rows)), capacity)
    alone = RowSample(["word"], capacity)
    words = pa.record_batch({"word": pa.array([word for _, word in rows], pa.string())})
    alone.update(words, row_identities(7, np.arange(len(rows))))
    assert whole.of_columns(["word"]).to_bytes() == alone.to_bytes()
    alone.merge(whole.of_columns(["word"]))
    assert alone.rows_seen == 2 * len(rows)


def test_a_sample_that_was_asked_for_has_a_kind_that_becomes_known_later() -> None:
    first = pa.record_batch({"x": pa.nulls(6)})
    later = pa.record_batch({"x": pa.array(list("abcdef"))})
    identities = np.sort(row_identities(np.arange(12)))
    asked, unasked = RowSample(["x"], 3), RowSample(["x"], 3)
    for sample in (asked, unasked):
        sample.update(first, identities[:6])
        if sample is asked:
            assert sample.rows().num_rows == 3
        # None of these rows is in the sample: the kind alone changes.
        sample.update(later, identities[6:])
    assert asked.to_bytes() == unasked.to_bytes()
    assert asked.rows().schema.field("x").type == pa.large_string()


def test_rows_stay_whole_and_come_by_identity() -> None:
    n = 50_000
    sample = RowSample(["i", "text", "half"], 500)
    identities = row_identities(np.arange(n))
    order = np.random.default_rng(0).permutation(n)
    for part in np.array_split(order, 30):
        columns = {"i": part, "text": pa.array([f"t{i}" for i in part]), "half": part / 2}
        sample.update(pa.record_batch(columns), identities[part])
    rows = sample.rows()
    i = rows.column("i").to_numpy()
    assert rows.column("text").to_pylist() == [f"t{x}" for x in i]
    assert np.array_equal(rows.column("half").to_numpy(), i / 2)
    assert np.all(np.diff(identities[i].astype(np.float64)) > 0)


def test_every_row_has_the_same_chance() -> None:
    n, capacity, times = 2_000, 400, 200
    hits = np.zeros(n)
    rows = pa.record_batch({"i": np.arange(n)})
    for seed in range(times):
        sample = RowSample(["i"], capacity)
        sample.update(rows, row_identities(seed, np.arange(n)))
        hits[sample.rows().column("i").to_numpy()] += 1
    share = capacity / n
    deviation = (hits - times * share) / np.sqrt(times * share * (1 - share))
    assert deviation.std() == pytest.approx(1, abs=0.1)
    assert abs(deviation).max() < 5
    assert abs(deviation[: n // 2].mean()) < 5 / np.sqrt(n)


def test_identities_hang_on_every_number_and_its_place() -> None:
    seen = np.concatenate([row_identities(partition, np.arange(10_000)) for partition in range(10)])
    assert np.unique(seen).size == seen.size
    assert row_identities(1, 2) != row_identities(2, 1)
    low_bits = np.bincount((seen & np.uint64(63)).astype(np.int64), minlength=64)
    assert low_bits.std() < 1.5 * np.sqrt(seen.size / 64)


def test_a_type_known_late_and_other_encodings_are_one_column() -> None:
    sample = RowSample(["x"], 9)
    columns = (pa.nulls(1), pa.array(["a"]), pa.array(["b"]).dictionary_encode(), pa.array(["c"], pa.large_string()))
    for i, column in enumerate(columns):
        sample.update(pa.record_batch({"x": column}), row_identities(np.array([i])))
    assert set(sample.rows().column("x").to_pylist()) == {None, "a", "b", "c"}


def test_what_does_not_fit_is_refused_whole() -> None:
    sample = sampled([(0, (1, "a"))], 5)
    before = sample.to_bytes()
    good = pa.record_batch({"number": [1], "word": ["a"]})
    with pytest.raises(SchemaError, match="expected 1 identities"):
        sample.update(good, row_identities(np.arange(2)))
    with pytest.raises(SchemaError, match=r"expected columns \['word'\]"):
        sample.update(good.select(["number"]), row_identities(1))
    with pytest.raises(SchemaError, match="kind 'str' as before, got 'int'"):
        sample.update(pa.record_batch({"number": [1], "word": [1]}), row_identities(1))
    assert sample.to_bytes() == before
    with pytest.raises(StateError, match="to merge"):
        sample.merge(RowSample(COLUMNS, 6))


def test_wrong_settings_are_refused() -> None:
    with pytest.raises(ConfigError, match="distinct names"):
        RowSample(["a", "a"], 5)
    with pytest.raises(ConfigError, match="capacity: expected a whole number of at least 1"):
        RowSample(["a"], 0)


def test_damaged_bytes_are_refused() -> None:
    data = sampled([(0, (1, "a"))], 5).to_bytes()
    for damaged in (b"", b"nonsense", data[: len(data) // 2], pa.schema([]).serialize().to_pybytes()):
        with pytest.raises(StateError, match="bytes of a row sample"):
            RowSample.from_bytes(damaged)


def test_stretches_are_sampled_whole_but_for_the_last() -> None:
    n, length, capacity = 20_000, 100, 1_050
    rows = pa.record_batch({"i": np.arange(n)})
    sample = RowSample(["i"], capacity)
    identities = stretch_identities(np.arange(n) // length, 3, np.arange(n))
    for part in np.array_split(np.random.default_rng(0).permutation(n), 9):
        sample.update(rows.take(pa.array(part)), identities[part])
    sizes = np.bincount(sample.rows().column("i").to_numpy() // length, minlength=n // length)
    assert sorted(sizes[sizes > 0]) == [50] + [length] * 10


def test_columns_of_other_names_than_the_header_states_are_refused() -> None:
    data = sampled([(0, (1, "a"))], 4).to_bytes()
    table = table_from_bytes(data)
    other = table.rename_columns([*table.column_names[:-1], "w{rd"])
    with pytest.raises(StateError, match="expected the bytes of a row sample"):
        RowSample.from_bytes(table_to_bytes(other))
