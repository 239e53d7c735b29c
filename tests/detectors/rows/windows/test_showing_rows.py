"""The records that a finding about a column names are those that show it."""

import functools

import numpy as np
import pyarrow as pa

from sparsewatch.detectors.rows.model import RowModel
from sparsewatch.detectors.rows.training import train_row_model
from sparsewatch.detectors.rows.windows.column_checks import check_columns
from sparsewatch.detectors.rows.windows.showing_rows import with_rows
from sparsewatch.detectors.rows.windows.thresholds import RowCheck
from sparsewatch.detectors.sample_offsets import MOST_OFFSETS
from sparsewatch.schemas.block import OFFSET, PARTITION

N = 2_000


def readings(n: int, seed: int) -> dict[str, np.ndarray]:
    rng = np.random.default_rng(seed)
    some = np.where(rng.random(n) < 0.1, np.nan, rng.standard_normal(n))
    return {"a": rng.standard_normal(n), "b": some}


def table(columns: dict[str, np.ndarray]) -> pa.RecordBatch:
    return pa.RecordBatch.from_pydict({name: pa.array(values, from_pandas=True) for name, values in columns.items()})


@functools.cache
def model() -> RowModel:
    return train_row_model(pa.Table.from_batches([table(readings(20_000, 0))]), method="hbos")


def offsets(columns: dict[str, np.ndarray]) -> dict[tuple[str, str], list[int]]:
    """Rows that are named, by rule and column; row i came from offset 1,000 + i of partition 3."""
    sample = table(columns)
    for name, values in ((PARTITION, np.full(N, 3)), (OFFSET, 1_000 + np.arange(N))):
        sample = sample.append_column(name, pa.array(values))
    found = with_rows(check_columns(model(), sample, N, RowCheck()), model(), sample)
    named = {}
    for one in found:
        places = one.evidence.get("sample_offsets", [])
        assert {partition for partition, _ in places} <= {3}
        named[one.rule, one.subject] = [offset - 1_000 for _, offset in places]
    return named


def test_values_beyond_the_training_data_are_named_of_their_side_alone() -> None:
    for sign in (1, -1):
        columns = readings(N, 1)
        columns["a"] = columns["a"].clip(-2.5, 2.5)
        columns["a"][[5, 700, 1_200]] = 40 * sign
        columns["a"][9] = -4.4 * sign
        assert offsets(columns) == {("column_out_of_range", "a"): [5, 700, 1_200]}


def test_of_a_column_that_moved_the_rows_furthest_that_way_are_named() -> None:
    for shift in (3.0, -3.0):
        columns = readings(N, 2)
        columns["a"] += shift
        [rows] = offsets(columns).values()
        assert sorted(rows) == rows
        assert len(rows) == MOST_OFFSETS
        assert set(rows) == set(np.argsort(-np.sign(shift) * columns["a"])[:MOST_OFFSETS].tolist())


def test_missing_values_are_named_where_more_are_missing() -> None:
    columns = readings(N, 3)
    columns["b"][: N // 2] = np.nan
    rows = offsets(columns)["columns_moved", "b"]
    assert len(rows) == MOST_OFFSETS
    assert np.isnan(columns["b"][rows]).all()


def test_nothing_is_named_of_missing_values_that_are_no_longer_missing() -> None:
    columns = readings(N, 4)
    columns["b"] = np.random.default_rng(5).standard_normal(N)
    assert offsets(columns)["columns_moved", "b"] == []
