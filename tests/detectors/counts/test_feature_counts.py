import itertools
import subprocess
import sys
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sparsewatch.detectors.counts import feature_counts, value_counts
from sparsewatch.detectors.counts import feature_counts_codec as count_bytes
from sparsewatch.detectors.counts.feature_counts import LEAST_VALUES, FeatureCounts
from sparsewatch.detectors.counts.value_hashes import HASH_RANGE
from sparsewatch.schemas.errors import ConfigError, SchemaError, StateError
from sparsewatch.schemas.stored import Format

FEATURES = ("number", "flag", "price", "name")
SCHEMA = pa.schema(
    [
        ("number", pa.int32()),
        ("flag", pa.bool_()),
        ("price", pa.float32()),
        ("name", pa.string()),
        ("other", pa.date32()),
        ("click", pa.int8()),
    ]
)
ROW = st.tuples(
    st.none() | st.integers(-3, 3),
    st.none() | st.booleans(),
    st.none() | st.sampled_from([0.0, -0.0, 0.5, float("nan"), float("inf")]),
    st.none() | st.sampled_from(["", "a", "b", "ü", "a\x00"]),
    st.none(),
    st.integers(0, 1),
)


def batch(rows: list[tuple[Any, ...]]) -> pa.RecordBatch:
    columns = list(zip(*rows, strict=True)) if rows else [()] * len(SCHEMA)
    return pa.RecordBatch.from_arrays(
        [pa.array(column, field.type) for column, field in zip(columns, SCHEMA, strict=True)],
        schema=SCHEMA,
    )


def counted(rows: list[tuple[Any, ...]], max_values: int = 1000) -> FeatureCounts:
    counts = FeatureCounts(FEATURES, "click", max_values=max_values)
    counts.update(batch(rows))
    return counts


def clicks_frame(n: int, seed: int = 0) -> pl.DataFrame:
    rng = np.random.default_rng(seed)
    return pl.DataFrame(
        {
            "few": rng.integers(0, 3, n),
            "many": rng.integers(0, n // 4, n),
            "word": rng.integers(0, 50, n).astype(str),
            "share": rng.integers(0, 20, n) / 8,
            "click": rng.integers(0, 2, n),
        }
    ).with_columns(pl.when(pl.col("few") == 1).then(None).otherwise(pl.col("word")).alias("word"))


@settings(max_examples=60)
@given(st.lists(ROW, max_size=40), st.data())
def test_any_split_and_order_gives_equal_bytes(rows: list[tuple[Any, ...]], data: Any) -> None:
    whole = counted(rows).to_bytes()
    shuffled = data.draw(st.permutations(rows))
    cuts = sorted(data.draw(st.lists(st.integers(0, len(rows)), max_size=4)))
    pieces = [shuffled[a:b] for a, b in itertools.pairwise([0, *cuts, len(rows)])]
    merged = FeatureCounts(FEATURES, "click", max_values=1000)
    for piece in pieces:
        part = counted(piece)
        if data.draw(st.booleans()):
            part = FeatureCounts.from_bytes(part.to_bytes())
        if data.draw(st.booleans()):
            merged.merge(part)
        else:
            part.merge(merged)
            merged = part
    assert merged.to_bytes() == whole


@settings(max_examples=40)
@given(st.lists(ROW, min_size=1, max_size=60), st.integers(1, 4), st.data())
def test_above_the_cap_neither_split_nor_order_matters(rows: list[tuple[Any, ...]], max_values: int, data: Any) -> None:
    whole = counted(rows, max_values)
    merged = FeatureCounts(FEATURES, "click", max_values=max_values)
    for row in data.draw(st.permutations(rows)):
        part = counted([row], max_values)
        part.cardinality("name")
        merged.merge(part)
        merged.cardinality("number")
    assert merged.to_bytes() == whole.to_bytes()
    for name in FEATURES:
        marginals = whole.marginals(name)
        assert marginals.weights @ marginals.rows == pytest.approx(len(rows))
        assert 0 <= marginals.weights @ marginals.clicks <= len(rows) + 1e-9


def test_counts_equal_a_group_by(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(feature_counts, "BUFFER_ROWS", 700)
    monkeypatch.setattr(value_counts, "PARTS_VALUES", 500)
    frame = clicks_frame(9_000)
    counts = FeatureCounts(["few", "many", "word", "share"], "click")
    for piece in frame.to_arrow().to_batches(max_chunksize=313):
        counts.update(piece)
    assert (counts.rows, counts.clicks) == (9_000, frame["click"].sum())
    for name in counts.features:
        expected = (
            frame.group_by(pl.col(name).alias("value"))
            .agg(pl.len().cast(pl.Int64).alias("rows"), pl.col("click").sum().alias("clicks"))
            .sort("value", nulls_last=False)
        )
        assert counts.table(name).equals(expected)
        assert counts.cardinality(name) == frame[name].drop_nulls().n_unique()
        assert counts.nulls(name) == frame[name].null_count()


def test_nan_is_missing_and_zero_has_no_sign() -> None:
    rows = [(1, True, price, "a", None, 1) for price in (float("nan"), None, 0.0, -0.0)]
    table = counted(rows).table("price")
    assert table.rows() == [(None, 2, 2), (0.0, 2, 2)]
    assert not np.signbit(table["value"][1])


def test_integer_widths_and_booleans_count_alike() -> None:
    counts = FeatureCounts(["x"], "click")
    for dtype in (pa.int8(), pa.uint32(), pa.int64(), pa.bool_(), pa.null()):
        values = pa.nulls(1) if dtype == pa.null() else pa.array([1]).cast(dtype)
        counts.update(pa.record_batch({"x": values, "click": pa.array([True])}))
    assert counts.table("x").rows() == [(None, 1, 1), (1, 4, 4)]


def test_string_encodings_count_alike() -> None:
    counts = FeatureCounts(["x"], "click")
    for values in (pa.array(["a", None]), pa.array(["a", "b"]).dictionary_encode()):
        counts.update(pa.record_batch({"x": values, "click": pa.array([0, 1])}))
    counts.update(pa.record_batch({"x": pa.array(["b", "b"], pa.large_string()), "click": [0, 1]}))
    assert counts.table("x").rows() == [(None, 1, 1), ("a", 2, 0), ("b", 3, 2)]


def test_type_known_late_keeps_the_nulls_seen_before() -> None:
    early, late = (FeatureCounts(["x"], "click") for _ in range(2))
    early.update(pa.record_batch({"x": pa.nulls(3), "click": pa.array([0, 1, 1])}))
    late.update(pa.record_batch({"x": pa.array(["a"]), "click": pa.array([1])}))
    early.merge(late)
    assert early.table("x").rows() == [(None, 3, 2), ("a", 1, 1)]


def test_stored_values_above_the_cap_are_exact_and_cardinality_is_close() -> None:
    rng = np.random.default_rng(1)
    values = rng.integers(0, 20_000, 100_000)
    clicks = rng.integers(0, 2, values.size)
    counts = FeatureCounts(["x"], "click", max_values=2_000)
    for part in np.array_split(np.arange(values.size), 40):
        counts.update(pa.record_batch({"x": values[part], "click": clicks[part]}))
    exact = Counter(values.tolist())
    table = counts.table("x")
    assert table.height == 2_000
    assert all(exact[value] == rows for value, rows, _ in table.rows())
    assert table["rows"].sum() + counts.others("x").rows == values.size
    assert table["clicks"].sum() + counts.others("x").clicks == clicks.sum()
    assert counts.cardinality("x") == pytest.approx(len(exact), rel=5 / np.sqrt(2_000))


def test_merge_leaves_the_other_unchanged() -> None:
    rows = [(1, True, 0.5, "a", None, 1)]
    other, target = counted(rows), counted(rows)
    before = other.to_bytes()
    target.merge(other)
    target.update(batch(rows))
    assert other.to_bytes() == before
    assert target.rows == 3


def test_empty_counts_are_neutral_and_round_trip() -> None:
    empty = FeatureCounts(FEATURES, "click", max_values=1000)
    restored = FeatureCounts.from_bytes(empty.to_bytes())
    counts = counted([(1, True, 0.5, "a", None, 1)])
    before = counts.to_bytes()
    counts.merge(restored)
    assert counts.to_bytes() == before
    assert restored.table("name").height == 0
    assert restored.cardinality("name") == restored.nulls("name") == 0


@pytest.mark.parametrize(
    ("column", "message"),
    [
        ({"click": pa.array([0, 2])}, "expected 0 or 1, got values from 0 to 2"),
        ({"click": pa.array([0, None])}, "1 nulls"),
        ({"click": pa.array([0.0, 1.0])}, "got double"),
        ({"name": pa.array([1, 2])}, "kind 'str' as before, got 'int'"),
        ({"name": pa.array([[1], [2]])}, "got list"),
        ({"number": pa.array([1, 2], pa.uint64())}, "got uint64"),
    ],
)
def test_rows_that_do_not_fit_are_refused_whole(column: dict[str, Any], message: str) -> None:
    counts = counted([(1, True, 0.5, "a", None, 1)])
    before = counts.to_bytes()
    good = batch([(1, True, 0.5, "a", None, 1)] * 2)
    columns = {name: good.column(name) for name in SCHEMA.names} | column
    with pytest.raises(SchemaError, match=message):
        counts.update(pa.record_batch(columns))
    with pytest.raises(SchemaError, match=r"expected columns \['name'\]"):
        counts.update(good.drop_columns(["name"]))
    assert counts.to_bytes() == before
    fresh = FeatureCounts(FEATURES, "click")
    with pytest.raises(SchemaError):
        fresh.update(pa.record_batch(columns | {"click": pa.array([0, 2])}))
    assert fresh.to_bytes() == FeatureCounts(FEATURES, "click").to_bytes()


def test_counts_of_other_settings_do_not_merge() -> None:
    with pytest.raises(StateError, match="to merge"):
        FeatureCounts(["a"], "click").merge(FeatureCounts(["b"], "click"))


def test_wrong_settings_are_refused() -> None:
    for features in ([], ["a", "a"], ["a", "click"]):
        with pytest.raises(ConfigError, match="distinct names"):
            FeatureCounts(features, "click")
    with pytest.raises(ConfigError, match="at least 1"):
        FeatureCounts(["a"], "click", max_values=0)
    with pytest.raises(ConfigError, match="one of the features"):
        FeatureCounts(["a"], "click").table("b")


def test_damaged_bytes_are_refused() -> None:
    data = counted([(1, True, 0.5, "a", None, 1)]).to_bytes()
    for damaged in (b"", b"nonsense", data[: len(data) // 2], pa.schema([]).serialize().to_pybytes()):
        with pytest.raises(StateError, match="bytes of feature counts"):
            FeatureCounts.from_bytes(damaged)


@pytest.mark.long
def test_the_hash_that_picks_values_is_the_same_in_every_process() -> None:
    script = (
        "import pyarrow as pa; from sparsewatch.detectors.counts.feature_counts import FeatureCounts\n"
        "counts = FeatureCounts(['x'], 'click', max_values=20)\n"
        "counts.update(pa.record_batch({'x': pa.array(map(str, range(200))), 'click': pa.array([0] * 200)}))\n"
        "print(counts.to_bytes().hex())"
    )
    outputs = {
        subprocess.run(
            [sys.executable, "-c", script],
            capture_output=True,
            check=True,
            text=True,
            cwd=Path(__file__).parents[3],
            env={"PYTHONHASHSEED": seed},
        ).stdout
        for seed in ("1", "2")
    }
    assert len(outputs) == 1


def test_every_value_is_counted_by_hash_above_the_cap() -> None:
    rng = np.random.default_rng(2)
    values = np.concatenate([np.full(5_000, 7), np.full(3_000, 8), rng.integers(100, 30_000, 20_000)])
    clicks = rng.integers(0, 2, values.size)
    counts = FeatureCounts(["x"], "click", max_values=1_000)
    for part in np.array_split(rng.permutation(values.size), 9):
        counts.update(pa.record_batch({"x": values[part], "click": clicks[part]}))
    heavy = counts.heavy_values("x", pl.Series([7, 8, 9, 123_456, None]))
    assert heavy["value"].to_list() == [7, 8]
    for value, rows, clicked, excess in heavy.rows():
        true = np.count_nonzero(values == value)
        assert true <= rows <= true + excess
        assert clicked >= clicks[values == value].sum()
    stored = counts.table("x")["value"][:5]
    assert counts.heavy_values("x", stored)["excess"].to_list() == [0.0] * 5


@pytest.mark.parametrize("kind", [pa.string(), pa.large_string(), pa.string_view(), pa.int32(), pa.float64()])
def test_rows_counted_above_the_cap_give_the_bytes_of_rows_counted_at_once(kind: pa.DataType) -> None:
    rng = np.random.default_rng(4)
    drawn = [None if i % 11 == 0 else int(x) for i, x in enumerate(rng.integers(0, 300, 3_000))]
    values = pa.array(drawn, pa.int64()).cast(kind)
    if pa.types.is_floating(kind):
        values = pa.array([float("nan") if i % 13 == 0 else x for i, x in enumerate(values.to_pylist())], kind)
    rows = pa.record_batch({"x": values, "click": rng.integers(0, 2, 3_000)})
    once, parts = (FeatureCounts(["x"], "click", max_values=40) for _ in range(2))
    once.update(rows)
    for first in range(0, 3_000, 500):
        parts.update(rows.slice(first, 500))
        # Counted at once, instead of with the next ones; from the first time on there are more values than are stored.
        assert parts.others("x").rows > 0
    assert parts.to_bytes() == once.to_bytes()


def test_the_empty_text_alone_may_be_stored() -> None:
    counts = FeatureCounts(["x"], "click", max_values=1)
    counts.update(pa.record_batch({"x": ["", "a", "b", ""], "click": [0, 1, 1, 0]}))
    assert counts.table("x").rows() == [("", 2, 0)]
    found = counts.marginals("x")
    assert found.rows @ found.weights == 4


def test_heavy_values_below_the_cap_are_exact() -> None:
    heavy = counted([(1, True, 0.5, name, None, 1) for name in "aabcc"]).heavy_values(
        "name", pl.Series(["a", "b", "z"])
    )
    assert heavy.rows() == [("a", 2, 2, 0.0), ("b", 1, 1, 0.0)]


def test_the_same_limit_picks_the_same_values_of_any_counts() -> None:
    rng = np.random.default_rng(3)
    values = rng.integers(0, 20_000, 60_000)
    small, large = (FeatureCounts(["x"], "click", max_values=cap) for cap in (500, 100_000))
    for counts in (small, large):
        counts.update(pa.record_batch({"x": values, "click": values % 2}))
    limit = small.hash_limit("x")
    assert limit < large.hash_limit("x") == HASH_RANGE
    samples = [counts.sampled_values("x", limit) for counts in (small, large)]
    one, other = (sample.table.sort("value") for sample in samples)
    assert one.select("value", "rows", "clicks").equals(other.select("value", "rows", "clicks"))
    assert one.height == 499
    for sample in samples:
        assert sample.table["weight"].dot(sample.table["rows"]) + sample.unnamed.sum() == pytest.approx(values.size)


def test_state_of_another_version_or_hash_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    below, above = (counted([(i, True, 0.5, "a", None, 1) for i in range(4)], cap).to_bytes() for cap in (9, 2))
    monkeypatch.setattr(count_bytes, "hash_mark", lambda: 1)
    FeatureCounts.from_bytes(below)
    with pytest.raises(StateError, match="another hash"):
        FeatureCounts.from_bytes(above)
    monkeypatch.setattr(count_bytes, "FORMAT", Format("the bytes of feature counts", 3))
    with pytest.raises(StateError, match="of version 3, got 2"):
        FeatureCounts.from_bytes(below)


def test_a_thousand_features_do_not_wait_in_the_buffer(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(feature_counts, "BUFFER_CELLS", 2_000)
    names = [f"f{i}" for i in range(100)]
    counts = FeatureCounts(names, "click")
    rows = pa.record_batch({**dict.fromkeys(names, pa.array(range(5))), "click": pa.array([0] * 5)})
    for _ in range(9):
        counts.update(rows)
        assert counts._buffered < 2_000 // 100
    assert counts.table("f99")["rows"].to_list() == [9] * 5


@pytest.mark.parametrize("cells", [10_000, 900, 300, 1])
def test_thinned_counts_are_those_of_a_lower_cap(cells: int) -> None:
    rng = np.random.default_rng(3)
    columns = {"few": rng.integers(0, 5, 4_000), "many": rng.integers(0, 700, 4_000), "most": rng.permutation(4_000)}
    rows = pa.RecordBatch.from_pydict({**columns, "click": rng.integers(0, 2, 4_000)})

    def counted(max_values: int) -> FeatureCounts:
        counts = FeatureCounts(list(columns), "click", max_values=max_values)
        counts.update(rows)
        return counts

    for whole in (2_048, 1_024):
        thin = counted(whole).thinned(cells)
        assert thin.to_bytes() == counted(thin.max_values).to_bytes()
        sizes = [min(thin.cardinality(name), thin.max_values) for name in columns]
        assert sum(sizes) <= 1.1 * cells or thin.max_values == LEAST_VALUES
