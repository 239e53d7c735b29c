"""What is told of a window's columns where several checks see the same."""

import functools

import numpy as np
import pyarrow as pa

from sparsewatch.detectors.rows.model import RowModel
from sparsewatch.detectors.rows.training import train_row_model
from sparsewatch.detectors.rows.windows.column_checks import check_columns
from sparsewatch.detectors.rows.windows.thresholds import RowCheck


def linked(n: int, seed: int) -> np.ndarray:
    """Three columns that go together, shape (n, 3)."""
    rng = np.random.default_rng(seed)
    values: np.ndarray = rng.standard_normal((n, 3)) + 1.5 * rng.standard_normal((n, 1))
    return values


@functools.cache
def model() -> RowModel:
    return train_row_model(pa.table(dict(zip("abc", linked(20_000, 0).T, strict=True))), method="hbos")


def found(values: np.ndarray, check: RowCheck | None = None) -> list[tuple[str, str]]:
    window = pa.RecordBatch.from_pydict(dict(zip("abc", values.T, strict=True)))
    findings = check_columns(model(), window, window.num_rows, check or RowCheck())
    return [(finding.rule, finding.subject) for finding in findings]


def test_columns_that_moved_and_go_together_as_before_lost_no_link() -> None:
    blind = RowCheck(least_column_drift=0.99)
    assert found(linked(2_000, 1) + np.array([1.5, 0, -1.5]), blind) == []
    dealt_out = linked(2_000, 1)
    dealt_out[:, 1] = np.random.default_rng(2).permutation(dealt_out[:, 1])
    assert found(dealt_out, blind) == [("column_link_lost", "b")]


def test_of_a_column_that_moved_nothing_else_is_told() -> None:
    assert found(linked(2_000, 1) + np.array([50, 0, 0])) == [("columns_moved", "a")]


def test_two_readings_far_out_are_told_and_rows_that_repeat_only_where_nothing_else_is() -> None:
    values = linked(2_000, 1)
    assert found(values) == []
    spiked = values.copy()
    spiked[:2, 2] = 90
    assert found(spiked) == [("column_out_of_range", "c")]
    assert found(np.concatenate([values, values[:200]])) == [("rows_duplicated", "stream")]
    assert found(np.concatenate([spiked, spiked[:200]])) == [("column_out_of_range", "c")]
