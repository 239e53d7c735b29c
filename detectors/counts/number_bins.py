"""Numbers counted in bins: a value's bin is a function of the value alone, and bins are grouped to be ranked.

Measured numbers hardly repeat, so counts by value say nothing of them. A bin holds the values that agree in sign,
exponent and the first `bits` binary digits behind the leading one: its width is between 2**-(bits + 1) and 2**-bits of
its values, whatever their scale (DDSketch: Masson, Rim and Lee, VLDB 2019, with the borders of its linearly
interpolated mapping, section 2.2). No data decide on a border, so bins are the same in every window, run and process,
counts of them add up, and a window compares with a reference. Zero and both infinities are bins of their own, and so is
every whole number up to 2**(bits + 1).

A bin is represented by its border nearest to zero, which is one of its values.

*Limits.* A bin is relative to zero. Values that differ by less than its width, as coordinates within a city, share one.
"""

from collections.abc import Collection, Sequence
from typing import Any, Literal, NamedTuple

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from sparsewatch.detectors.counts.counts import Counts, Part

Floats = NDArray[np.float64]

#: Binary digits by default: bins are at most 3.1 % wide, 32 of them between a number and its double.
BITS = 5
#: Groups of equally many rows that the bins of a feature are ranked in.
GROUPS = 32
_MANTISSA_BITS = 52


class NumberBins(NamedTuple):
    """Which columns are counted in bins, and how fine these are."""

    features: tuple[str, ...] = ()
    #: See `bins_of`.
    bits: int = BITS

    def upper(self, bin_: float) -> float:
        """The greater border of a bin."""
        return max(bin_, float(far_borders(np.array([bin_]), self.bits)[0]))


NO_BINS = NumberBins()
Counted = Literal["bins", "values"]


class Numbers(NamedTuple):
    """How columns of numbers are counted."""

    #: Whether float columns are counted in bins, or each of their values as a name.
    floats: Counted = "bins"
    #: Columns of integers that are amounts, not names: counted as float columns are.
    columns: tuple[str, ...] = ()
    bits: int = BITS

    def bins(self, features: Sequence[str], floats: Collection[str]) -> NumberBins:
        """Which features are counted in bins.

        Args:
            features: Those that are counted.
            floats: Columns of floats.
        """
        if self.floats == "values":
            return NO_BINS
        return NumberBins(tuple(name for name in features if name in self.columns or name in floats), self.bits)


def bins_of(numbers: Floats, bits: int) -> Floats:
    """The bin of each number, as a new array; NaN gives some number.

    Args:
        numbers: Shape (n,).
        bits: Binary digits behind the leading one, in [1, 51].
    """
    bins: Floats = (np.ascontiguousarray(numbers, np.float64).view(np.uint64) & _kept(bits)).view(np.float64)
    # Makes -0.0 equal to 0.0, as which the smallest negative numbers end.
    bins += 0.0
    return bins


def far_borders(bins: Floats, bits: int) -> Floats:
    """The border of each bin that is farther from zero, which is not in it; shape (n,)."""
    raw = np.asarray(bins, np.float64).view(np.uint64)
    borders = (raw + (~_kept(bits) + np.uint64(1))).view(np.float64)
    return np.where((bins == 0) | ~np.isfinite(bins), bins, borders)


def bin_text(number: float, bits: int) -> str:
    """The interval of a bin, as "[12.5, 12.75)"; a bin of one value is that value."""
    far = float(far_borders(np.array([number]), bits)[0])
    if far == number:
        return f"{number:g}"
    near, far_text = f"{number:.12g}", f"{far:.12g}"
    return f"[{near}, {far_text})" if number > 0 else f"({far_text}, {near}]"


def binned(column: Any, bits: int) -> Any:
    """Bins of a column of integers or floats, an Arrow array of floats; null and NaN are null."""
    numbers = column.cast(pa.float64(), safe=False)
    numbers = numbers.to_numpy() if isinstance(numbers, pa.ChunkedArray) else numbers.to_numpy(zero_copy_only=False)
    missing = np.isnan(numbers)
    return pa.array(bins_of(numbers, bits), mask=missing if missing.any() else None)


def groups_of(rows: Counts, most: int = GROUPS) -> NDArray[np.int64]:
    """Number of the group of each bin, ascending from 0 without gaps.

    A bin with more than its part of the rows is a group of its own; between such bins the others are cut where the rows
    among them reach the next part. At most `most` groups and two for each bin that stands alone.

    Args:
        rows: Rows of the bins by ascending bin, shape (n_bins,), >= 1.
        most: Parts of the rows.
    """
    total = int(rows.sum())
    alone = rows * most >= total
    light = np.where(alone, 0, rows)
    part = (2 * np.cumsum(light) - light) * most // max(2 * total, 1)
    begins = np.ones(rows.size, np.bool_)
    begins[1:] = alone[1:] | alone[:-1] | (part[1:] != part[:-1])
    return np.cumsum(begins) - 1


def grouped(bins: Part) -> tuple[Counts, Counts]:
    """Rows and clicks of each group of bins.

    The groups follow from rows alone, not from clicks, so permutations of the label have the same ones: the chance
    level of a score is exact for them, as for any values.

    Args:
        bins: By ascending bin.
    """
    if not bins.rows.size:
        return bins.rows, bins.clicks
    groups = groups_of(bins.rows)
    starts = np.flatnonzero(np.diff(groups, prepend=-1))
    return np.add.reduceat(bins.rows, starts), np.add.reduceat(bins.clicks, starts)


def is_number(arrow_type: Any) -> bool:
    """Whether a column of this type can be counted in bins."""
    return bool(pa.types.is_integer(arrow_type) or pa.types.is_floating(arrow_type))


def _kept(bits: int) -> np.uint64:
    return ~np.uint64((1 << (_MANTISSA_BITS - bits)) - 1)
