"""Rows of a window that repeat others in all columns: sent twice, or the same again and again.

How many rows are equal by chance depends on how long a stretch is looked at, where a stream repeats what it just said.
So the equal pairs of the training data are counted in blocks of consecutive rows, at sizes that double, and a window is
compared with the longest blocks that are not longer than itself: of shorter ones no smaller share of the pairs is
equal. The comparison is that of click-through jobs (`sparsewatch.detectors.clicks.repeated_rows`).
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from sparsewatch.detectors.budget.chance import z_of
from sparsewatch.detectors.clicks.repeated_rows import (
    Repeats,
    WindowPairs,
    alike_rows,
    check_repeats,
    fit_pairs,
    repeated_rows,
)
from sparsewatch.detectors.clicks.tolerances import Statistic
from sparsewatch.detectors.rows.windows.blocks import SMALLEST
from sparsewatch.detectors.rows.windows.stored_arrays import StoredArrays
from sparsewatch.schemas.alerts import Finding

#: Blocks without which nothing is known, and rows of a window below which nothing is told.
_LEAST_BLOCKS, _LEAST_ROWS = 4, 32


class _Thresholds(NamedTuple):
    """See `sparsewatch.detectors.clicks.repeated_rows.RepeatThresholds`."""

    min_rows: int
    rows_duplicated: float
    of_features: float


@dataclass(frozen=True, slots=True, eq=False)
class RowCopies(StoredArrays):
    """Equal rows of the training data, by length of the stretch: 56 bytes a length."""

    #: Rows of the stream that a block spans, rising; int64 of shape (s,).
    spans: NDArray[np.int64]
    #: Equal pairs of a block divided by its pairs (mean, deviation, least and greatest), blocks, and pairs of each;
    #: float64 of shape (s, 6).
    figures: NDArray[np.float64]

    def of_span(self, rows: int) -> Repeats | None:
        """What is known of the longest blocks of at most so many rows of the stream; None of no block."""
        at = int(np.searchsorted(self.spans, rows, side="right")) - 1
        if at < 0:
            return None
        mean, sd, least, most, blocks, pairs = self.figures[at].tolist()
        return Repeats(rate=Statistic(mean=mean, sd=sd, min=least, max=most), windows=int(blocks), pairs=pairs)


def fit_copies(rows: pa.RecordBatch, columns: Sequence[str], rows_each: float = 1.0) -> RowCopies | None:
    """Equal rows of the training data; None where there are too few rows to tell.

    Args:
        rows: In the order of the stream.
        columns: All that counts of a row.
        rows_each: Rows of the stream that each of them stands for, at least 1.
    """
    alike = alike_rows(rows, columns)
    spans, figures = [], []
    size = SMALLEST
    while (blocks := rows.num_rows // size) >= _LEAST_BLOCKS:
        equal = _equal_pairs(alike.places // size, alike.hashes, blocks)
        known = fit_pairs([WindowPairs(number, size, int(pairs)) for number, pairs in enumerate(equal.tolist())])
        if known is not None:
            rate = known.rate
            spans.append(round(size * rows_each))
            figures.append([rate.mean, rate.sd, rate.min, rate.max, known.windows, known.pairs])
        size *= 2
    return RowCopies(np.array(spans, dtype=np.int64), np.array(figures)) if spans else None


def check_copies(
    copies: RowCopies, sample: pa.RecordBatch, columns: Sequence[str], rows: int, *, least: float, level: float
) -> Finding | None:
    """Rule `rows_duplicated`: many more rows than in the training data repeat another one of their window.

    Args:
        copies: Of the training data.
        sample: Uniform, of a window.
        columns: All that counts of a row.
        rows: Rows of the window.
        least: Least rise of the share of rows that do.
        level: Probability of a false alarm.
    """
    before = copies.of_span(rows)
    if before is None:
        return None
    return check_repeats(repeated_rows(sample, columns), rows, before, _Thresholds(_LEAST_ROWS, least, z_of(level)))


def _equal_pairs(blocks: NDArray[np.int64], hashes: NDArray[np.uint64], number: int) -> NDArray[np.int64]:
    """Pairs of equal rows inside each of so many blocks, of the rows of some places."""
    inside = blocks < number
    blocks, hashes = blocks[inside], hashes[inside]
    order = np.lexsort((hashes, blocks))
    blocks, hashes = blocks[order], hashes[order]
    is_other = (np.diff(blocks) != 0) | (hashes[1:] != hashes[:-1])
    starts = np.concatenate([[0], np.flatnonzero(is_other) + 1]).astype(np.int64)[: len(blocks)]
    sizes = np.diff(np.append(starts, len(blocks)))
    pairs = np.bincount(blocks[starts], weights=sizes * (sizes - 1) // 2, minlength=number)
    return pairs.astype(np.int64)
