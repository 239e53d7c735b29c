import numpy as np
import pyarrow as pa
import pytest

from sparsewatch.detectors.counts.column_sketches import ColumnSketches
from sparsewatch.schemas.errors import ConfigError, SchemaError, StateError


def sketched(values: np.ndarray) -> ColumnSketches:
    sketches = ColumnSketches(["x"])
    for part in np.array_split(values, 7):
        sketches.update(pa.record_batch({"x": part}))
    return sketches


def test_quantiles_are_within_their_error() -> None:
    values = np.random.default_rng(0).lognormal(size=200_000)
    summary = sketched(values).summary("x")
    assert summary is not None
    assert (summary.rows, summary.min, summary.max) == (values.size, values.min(), values.max())
    assert summary.mean == pytest.approx(values.mean())
    for share, value in summary.quantiles.items():
        assert np.mean(values <= value) == pytest.approx(share, abs=0.015)


def test_merged_and_restored_sketches_say_the_same() -> None:
    values = np.random.default_rng(1).normal(size=100_000)
    merged = sketched(values[:30_000])
    merged.merge(ColumnSketches.from_bytes(sketched(values[30_000:]).to_bytes()))
    summary = merged.summary("x")
    assert summary is not None
    assert (summary.rows, summary.min, summary.max) == (values.size, values.min(), values.max())
    assert np.mean(values <= summary.quantiles[0.5]) == pytest.approx(0.5, abs=0.015)


def test_missing_and_infinite_values_are_in_no_figure() -> None:
    sketches = ColumnSketches(["x", "text"])
    x = pa.array([1.0, None, float("nan"), float("inf"), 3.0])
    sketches.update(pa.record_batch({"x": x, "text": ["a"] * 5}))
    sketches.update(pa.record_batch({"x": pa.nulls(2), "text": pa.nulls(2)}))
    summary = sketches.summary("x")
    assert summary is not None
    assert (summary.rows, summary.infinite, summary.min, summary.max, summary.mean) == (2, 1, 1.0, 3.0, 2.0)
    assert sketches.summary("text") is None


def test_what_does_not_fit_is_refused() -> None:
    with pytest.raises(ConfigError, match="distinct names"):
        ColumnSketches([])
    with pytest.raises(SchemaError, match=r"expected columns \['x'\]"):
        ColumnSketches(["x"]).update(pa.record_batch({"y": [1]}))
    with pytest.raises(StateError, match="to merge"):
        ColumnSketches(["x"]).merge(ColumnSketches(["y"]))
    with pytest.raises(ConfigError, match="one of the columns"):
        ColumnSketches(["x"]).summary("y")


def test_damaged_bytes_are_refused() -> None:
    data = sketched(np.arange(1_000.0)).to_bytes()
    for damaged in (b"", b"nonsense", data[: len(data) // 2]):
        with pytest.raises(StateError, match="bytes of sketches"):
            ColumnSketches.from_bytes(damaged)
