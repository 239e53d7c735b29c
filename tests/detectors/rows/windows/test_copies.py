"""Rows that repeat others: as many as in stretches of the training data are ordinary, rows sent twice are not."""

from collections.abc import Callable

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sparsewatch.detectors.rows.windows.copies import RowCopies, check_copies, fit_copies
from sparsewatch.schemas.alerts import Finding

COLUMNS = ("a", "b")


def batch(a: np.ndarray, b: np.ndarray) -> pa.RecordBatch:
    return pa.RecordBatch.from_pydict({"a": a, "b": b})


def numbers(n: int, seed: int) -> pa.RecordBatch:
    rng = np.random.default_rng(seed)
    return batch(rng.standard_normal(n), rng.standard_normal(n))


def grades(n: int, seed: int) -> pa.RecordBatch:
    rng = np.random.default_rng(seed)
    return batch(rng.integers(0, 20, n), rng.integers(0, 20, n))


def slow_steps(n: int, seed: int) -> pa.RecordBatch:
    """Readings that stay for some ten rows: a row often repeats the one before."""
    rng = np.random.default_rng(seed)
    steps = np.cumsum(rng.random(n) < 0.1)
    levels = rng.standard_normal((2, steps[-1] + 1))
    return batch(levels[0][steps], levels[1][steps])


def fitted(rows: pa.RecordBatch, rows_each: float = 1.0) -> RowCopies:
    found = fit_copies(rows, COLUMNS, rows_each)
    assert found is not None
    return found


def check(copies: RowCopies, window: pa.RecordBatch, rows: int | None = None) -> Finding | None:
    return check_copies(copies, window, COLUMNS, rows or window.num_rows, least=0.015, level=1e-6)


def sent_twice(rows: pa.RecordBatch, share: float) -> pa.RecordBatch:
    again = rows.slice(0, int(share * rows.num_rows))
    [whole] = pa.Table.from_batches([rows, again]).combine_chunks().to_batches()
    return whole


@settings(max_examples=25)
@given(st.integers(64, 300), st.integers(1, 4), st.integers(0, 999))
def test_equal_pairs_are_counted_in_each_block(n: int, values: int, seed: int) -> None:
    rng = np.random.default_rng(seed)
    rows = batch(rng.integers(0, values, n), rng.integers(0, values, n))
    copies = fitted(rows)
    pairs = list(zip(rows.column("a").to_pylist(), rows.column("b").to_pylist(), strict=True))
    assert copies.spans.tolist() == [size for size in (16, 32, 64, 128) if n // size >= 4]
    for size, (mean, _, least, most, blocks, of_a_block) in zip(copies.spans.tolist(), copies.figures, strict=True):
        own = [pairs[first : first + size] for first in range(0, n // size * size, size)]
        equal = [sum(x == y for i, x in enumerate(part) for y in part[:i]) for part in own]
        rates = [number / (size * (size - 1) / 2) for number in equal]
        assert of_a_block == size * (size - 1) / 2
        # Outlying blocks are left out.
        assert blocks <= len(own)
        assert min(rates) <= least <= mean <= most <= max(rates)
        if blocks == len(own):
            assert (mean, least, most) == pytest.approx((np.mean(rates), min(rates), max(rates)))


@pytest.mark.parametrize("draw", [numbers, grades, slow_steps])
def test_windows_like_the_training_data_tell_nothing(draw: Callable[[int, int], pa.RecordBatch]) -> None:
    copies = fitted(draw(20_000, 0))
    for rows in (40, 100, 500, 2_000):
        assert [check(copies, draw(rows, seed)) for seed in range(1, 20)] == [None] * 19


@pytest.mark.parametrize("share", [0.05, 0.5])
def test_rows_sent_twice_are_found(share: float) -> None:
    found = check(fitted(numbers(20_000, 0)), sent_twice(numbers(2_000, 1), share))
    assert found is not None
    assert (found.rule, found.subject) == ("rows_duplicated", "stream")
    assert found.value == pytest.approx(share / (1 + share), rel=1e-3)


def test_a_share_of_the_rows_to_train_on_stands_for_the_stream() -> None:
    copies = fitted(numbers(2_000, 0), rows_each=10)
    assert copies.spans[0] == 160
    assert check(copies, sent_twice(numbers(100, 1), 1.0)) is not None
    assert check(copies, sent_twice(numbers(50, 1), 1.0)) is None


def test_few_rows_are_not_known_and_few_of_a_window_tell_nothing() -> None:
    assert fit_copies(numbers(63, 0), COLUMNS) is None
    assert check(fitted(numbers(64, 0)), sent_twice(numbers(15, 1), 1.0)) is None


def test_copies_are_the_same_once_stored() -> None:
    copies = fitted(grades(2_000, 0))
    again = RowCopies.from_arrays(copies.to_arrays())
    assert again is not None
    for rows in (16, 100, 1_000):
        assert again.of_span(rows) == copies.of_span(rows)
    assert RowCopies.from_arrays({}) is None
