"""Fewer values of many features at once are those that the slow way finds of each."""

from collections import Counter
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sparsewatch.detectors.counts.feature_counts import FeatureCounts
from sparsewatch.detectors.counts.thinned import smallest, thin
from sparsewatch.detectors.counts.value_hashes import counters_of, hash_values, number_of_counters

KINDS = {"int": pa.int64(), "str": pa.string(), "float": pa.float64()}
ROWS = 40
CELLS = st.lists(st.none() | st.integers(-20, 20), min_size=ROWS, max_size=ROWS)
CLICKS = np.arange(ROWS) % 2


def counted(columns: list[tuple[str, list[Any]]], cap: int) -> FeatureCounts:
    counts = FeatureCounts([f"x{i}" for i in range(len(columns))], "click", max_values=cap)
    cells = {
        f"x{i}": pa.array([cell if cell is None or kind != "str" else str(cell) for cell in own], KINDS[kind])
        for i, (kind, own) in enumerate(columns)
    }
    counts.update(pa.record_batch({**cells, "click": CLICKS}))
    return counts


def slowly(kind: str, cells: list[Any], most: int) -> tuple[list[Any], list[int], list[int]]:
    """Values of the smallest hashes, ascending, and rows by counter; none where all are stored."""
    values = [cell if kind != "str" else str(cell) for cell in cells if cell is not None]
    rows = Counter(values)
    hashes = dict(zip(rows, hash_values(pa.array(list(rows), KINDS[kind])).tolist(), strict=True))
    stored = sorted(sorted(rows, key=hashes.__getitem__)[:most])
    if len(rows) <= most:
        return stored, [rows[value] for value in stored], []
    counters = [0] * number_of_counters(most)
    for value, number in rows.items():
        counters[int(counters_of(np.array([hashes[value]], np.uint64), len(counters))[0])] += number
    return stored, [rows[value] for value in stored], counters


@given(st.lists(st.tuples(st.sampled_from(sorted(KINDS)), CELLS), min_size=1, max_size=6), st.sampled_from([10, 1_000]))
def test_columns_are_thinned_together_as_each_alone(columns: list[tuple[str, list[Any]]], cap: int) -> None:
    counts = counted(columns, cap)
    for most in (1, 4, 8):
        thinned = thin(counts.flat(), counts.hashes(), most)
        for place, (kind, cells) in enumerate(columns):
            part, hashed = thinned.part(place, thinned.starts()), thinned.counters[place]
            values, rows, counters = slowly(kind, cells, most)
            # Of more values than the cap all are counted by hash, however few are left.
            assert part.values.to_pylist() == values
            assert part.rows.tolist() == rows
            assert ([] if hashed is None else hashed.rows.tolist()) == counters
            assert thinned.header.hashed[place] == (hashed is not None)
            table = dict(
                zip(*[column.to_list() for column in counts.table(f"x{place}")[["value", "clicks"]]], strict=True)
            )
            assert part.clicks.tolist() == [table[value] for value in values]


@given(st.lists(st.integers(5, 60), max_size=5), st.integers(1, 4), st.sampled_from([1, 1 << 20, 1 << 57]))
def test_the_smallest_of_each_column_are_found_however_they_lie(sizes: list[int], most: int, step: int) -> None:
    rng = np.random.default_rng(sum(sizes) + most)
    hashes = [(rng.permutation(size) + 1).astype(np.uint64) * np.uint64(step) for size in sizes]
    # Far from where hashes are expected.
    hashes = [~own if i % 2 else own for i, own in enumerate(hashes)]
    starts = np.cumsum([0, *sizes])
    expected = {int(starts[i] + at) for i, own in enumerate(hashes) for at in np.argsort(own)[:most]}
    found = smallest(np.concatenate([np.zeros(0, np.uint64), *hashes]), np.array(sizes, np.int64), most)
    assert (set(found.tolist()), found.size) == (expected, len(expected))


WORDS = st.lists(st.text("abc", max_size=2), min_size=1, max_size=20)


def of_words(words: list[str]) -> FeatureCounts:
    counts = FeatureCounts(["word"], "click", max_values=8)
    counts.update(pa.record_batch({"word": pa.array(words, pa.string()), "click": np.zeros(len(words), np.int8)}))
    return counts


@given(WORDS, WORDS, st.booleans())
def test_what_was_read_in_order_is_in_order_after_more_is_added(
    first: list[str], second: list[str], merge: bool
) -> None:
    counts = FeatureCounts.from_bytes(of_words(first).to_bytes())
    target = counts.without_rows()
    target.merge(counts)
    if merge:
        target.merge(FeatureCounts.from_bytes(of_words(second).to_bytes()))
    assert target.to_bytes() == of_words(first + second * merge).to_bytes()


@pytest.mark.parametrize("asked", [True, False])
@given(first=WORDS, second=WORDS)
def test_what_was_read_is_counted_on_and_leaves_what_it_came_of(
    asked: bool, first: list[str], second: list[str]
) -> None:
    """Both states of one origin: rows added to one are not in the other."""
    origin = FeatureCounts.from_bytes(of_words(first).to_bytes())
    taken = FeatureCounts(["word"], "click", max_values=8)
    taken.merge(origin)
    if asked:
        assert taken.table("word").equals(origin.table("word"))
        assert taken.hashes().tolist() == origin.hashes().tolist()
    rows = pa.record_batch({"word": pa.array(second, pa.string()), "click": np.zeros(len(second), np.int8)})
    taken.update(rows)
    assert taken.to_bytes() == of_words(first + second).to_bytes()
    assert origin.to_bytes() == of_words(first).to_bytes()
    assert taken.hashes().size == taken.table("word").height
