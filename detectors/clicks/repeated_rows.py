"""Rows that repeat others in all columns: events that were sent twice, or a bot that sends the same again and again.

Rows of a few columns are equal by chance, so the pairs of equal rows in a window's sample are compared with those in
the sample of a reference, window by window. The share of pairs that are equal does not depend on how many rows are
sampled: it is Simpson's index of the rows (Nature 163, 1949), plus what is sent twice.
"""

import math
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import msgspec
import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from sparsewatch.detectors.budget.chance import p_value
from sparsewatch.detectors.clicks.moved_values import shown
from sparsewatch.detectors.clicks.outlying import OUTLYING_Z, outlying
from sparsewatch.detectors.clicks.thresholds import ClickThresholds
from sparsewatch.detectors.clicks.tolerances import Statistic, share_tolerance
from sparsewatch.detectors.counts.value_hashes import Hashes, combine_hashes, hash_values
from sparsewatch.schemas.alerts import Finding, counted

#: Rows of a window below which it says nothing of pairs, and windows that a reference needs.
_LEAST_ROWS, _LEAST_WINDOWS = 16, 4
#: Least rise of the share of rows that repeat another, as a part of that expected: it moves with the mix of values.
_RISE = 0.25
#: Columns of the most repeated row that an alert shows.
_SHOWN_COLUMNS = 20


class Repeats(msgspec.Struct, frozen=True, kw_only=True):
    """Equal rows over the windows of a reference."""

    #: Pairs of equal rows, divided by all pairs of a window.
    rate: Statistic
    windows: int
    #: Pairs of a window on average.
    pairs: float

    def tolerance(self, pairs: float, z: float) -> float:
        """How far the rate of so many pairs may lie from the reference's by chance.

        A window has more sampled rows than one of the reference, so its own pairs tell more than the mean does.
        """
        widened = (1 + pairs / (self.windows * self.pairs)) / (1 + 1 / self.windows)
        return share_tolerance(self.rate, self.windows, pairs, self.pairs, z) * math.sqrt(max(widened, 1.0))


class _Groups(NamedTuple):
    """Rows that are equal to one another."""

    #: Rows of each group, and the place of its first one, by ascending hash.
    sizes: NDArray[np.int64]
    places: NDArray[np.int64]

    @property
    def pairs(self) -> float:
        """Pairs of equal rows."""
        return float((self.sizes * (self.sizes - 1) // 2).sum())

    def copies(self, rows: int) -> float:
        """Rows of the sample that repeat another one of the window, as far as the sample tells.

        Two rows of a kind are rarely both sampled: each such pair stands for as many rows as a sampled row does.

        Args:
            rows: Rows of the window.
        """
        twice = float((self.sizes == 2).sum()) * rows / max(int(self.sizes.sum()), 1)
        return twice + float((self.sizes[self.sizes > 2] - 1).sum())


def fit_repeats(sample: pa.RecordBatch, columns: Sequence[str], starts_us: NDArray[np.int64]) -> Repeats | None:
    """Equal rows of a reference; None where it has too few rows to tell.

    Args:
        sample: Rows of its windows.
        columns: All that counts of a row.
        starts_us: Start of the window of each row, shape (n,).
    """
    hashes = _row_hashes(sample, columns)
    windows, counts = np.unique(starts_us, return_counts=True)
    some = windows[counts >= _LEAST_ROWS]
    if some.size < _LEAST_WINDOWS:
        return None
    groups = [_grouped(hashes[starts_us == start]) for start in some]
    equal, pairs = np.array([one.pairs for one in groups]), np.array([_pairs(int(one.sizes.sum())) for one in groups])
    rates = equal / pairs
    mean_pairs = float(pairs.mean())

    def tolerance(usual: Statistic, place: int) -> float:
        return share_tolerance(usual, rates.size, pairs[place], mean_pairs, OUTLYING_Z)

    odd = outlying(rates.tolist(), tolerance, weights=pairs.tolist(), starts_us=some.tolist())
    equal, pairs, rates = (np.delete(values, odd) for values in (equal, pairs, rates))
    rate = Statistic(
        mean=float(equal.sum() / pairs.sum()),
        sd=float(rates.std(ddof=1)),
        min=float(rates.min()),
        max=float(rates.max()),
    )
    return Repeats(rate=rate, windows=rates.size, pairs=float(pairs.mean()))


def check_repeats(
    sample: pa.RecordBatch, columns: Sequence[str], rows: int, before: Repeats, settings: ClickThresholds
) -> Finding | None:
    """Rule `rows_duplicated`: many more rows than in the reference repeat another one of their window.

    Args:
        sample: Uniform, of a window.
        columns: All that counts of a row.
        rows: Rows of the window.
        before: Of the reference.
        settings: When a deviation matters.
    """
    if rows < settings.min_rows or sample.num_rows < _LEAST_ROWS:
        return None
    groups, pairs = _grouped(_row_hashes(sample, columns)), _pairs(sample.num_rows)
    expected = min(before.rate.mean * pairs * rows / sample.num_rows**2, 1.0)
    share = min(groups.copies(rows) / sample.num_rows, 1.0)
    threshold = expected + max(settings.rows_duplicated, _RISE * expected)

    def fires(z: float) -> bool:
        return groups.pairs / pairs >= before.rate.mean + before.tolerance(pairs, z)

    if share < threshold or not fires(settings.of_features):
        return None
    most = int(np.argmax(groups.sizes))
    message = f"{share:.1%} of rows repeat another in all columns, {expected:.1%} expected"
    times = round(int(groups.sizes[most]) * rows / sample.num_rows)
    return Finding(
        rule="rows_duplicated",
        subject="stream",
        severity="warning",
        value=share,
        threshold=threshold,
        baseline=expected,
        message=f"{message}; one comes {counted(times, 'time')}",
        evidence={
            "rows": rows,
            "effect": share - expected,
            "sampled": sample.num_rows,
            "most_repeated": {"rows": times, "values": _values(sample, columns, int(groups.places[most]))},
        },
        p_value=p_value(fires, settings.of_features),
    )


def _row_hashes(rows: pa.RecordBatch, columns: Sequence[str]) -> Hashes:
    return combine_hashes([hash_values(rows.column(name), name) for name in columns])


def _grouped(hashes: Hashes) -> _Groups:
    _, places, sizes = np.unique(hashes, return_index=True, return_counts=True)
    return _Groups(sizes, places)


def _pairs(rows: int) -> float:
    return rows * (rows - 1) / 2


def _values(rows: pa.RecordBatch, columns: Sequence[str], place: int) -> Mapping[str, Any]:
    return {name: shown(rows.column(name)[place].as_py()) for name in columns[:_SHOWN_COLUMNS]}
