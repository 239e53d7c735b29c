"""Statistics of a column for the encoder: mergeable, bounded, and exact while there is only one part.

Numbers: moments about the mean, merged by Chan's formula (Chan, Golub and LeVeque, "Updating formulae and a pairwise
algorithm for computing sample variances", 1979), and quantiles by a KLL sketch (see
`sparsewatch.detectors.counts.column_sketches`), whose rank is right to 0.7 % of the rows with 99 % confidence;
sketches draw random bits, so these quantiles differ a little from run to run. The numbers of the first part are held
as they are, so its quantiles are exact.

Categories: rows of each value, exact up to a cap. Above the cap the least frequent values are dropped, and the largest
of their counts is subtracted from the others (Misra and Gries, 1982, as merged by Agarwal et al., "Mergeable
summaries", PODS 2012): a count is at most rows / (cap + 1) too low, whatever the order of parts.
"""

import math

import msgspec
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from datasketches import kll_doubles_sketch
from numpy.typing import NDArray

from sparsewatch.detectors.counts.column_sketches import SKETCH_SIZE
from sparsewatch.detectors.rows.encoding.columns import LARGEST, CategoricalColumn, one_array

#: Interquartile range of a standard normal.
_NORMAL_IQR = 1.3489795003921634
_QUARTILES = (0.25, 0.5, 0.75)

Floats = NDArray[np.float64]
#: Centre and spread of a feature.
Scale = tuple[float, float]


class Moments(msgspec.Struct, frozen=True, array_like=True):
    """Moments of finite numbers in [-1e100, 1e100]."""

    n: int = 0
    mean: float = 0.0
    #: Sum of squared differences from the mean.
    m2: float = 0.0
    least: float = math.inf
    greatest: float = -math.inf

    @classmethod
    def of(cls, values: Floats) -> "Moments":
        """Moments of numbers, shape (n,)."""
        if not values.size:
            return cls()
        mean = float(values.mean())
        centred = values - mean
        return cls(values.size, mean, float(centred @ centred), float(values.min()), float(values.max()))

    def plus(self, other: "Moments") -> "Moments":
        """Moments of both sets of numbers."""
        if not self.n or not other.n:
            return self if self.n else other
        n, step = self.n + other.n, other.mean - self.mean
        return Moments(
            n,
            self.mean + step * (other.n / n),
            self.m2 + other.m2 + step * step * (self.n * (other.n / n)),
            min(self.least, other.least),
            max(self.greatest, other.greatest),
        )

    @property
    def deviation(self) -> float:
        """Unbiased standard deviation; 0 of fewer than two numbers or of equal numbers."""
        return math.sqrt(self.m2 / (self.n - 1)) if self.least < self.greatest else 0.0


class NumericStatistics:
    """Statistics of a column of numbers. State: about 9 KiB, besides the numbers of the first part."""

    def __init__(self) -> None:
        self.moments = Moments()
        #: Rows with null or NaN, and with a number above `LARGEST` in size; neither is in any other figure.
        self.nulls = 0
        self.infinite = 0
        #: Finite numbers of the first part, until a second part comes.
        self._first: Floats | None = None
        self._sketch = kll_doubles_sketch(SKETCH_SIZE)

    def add(self, numbers: NDArray[np.generic]) -> None:
        """Add rows: numbers of shape (n,), NaN for null."""
        values = numbers.astype(np.float64, copy=False)
        finite = values[np.abs(values) <= LARGEST]
        nulls = np.count_nonzero(np.isnan(values)) if finite.size < values.size else 0
        self.nulls += int(nulls)
        self.infinite += values.size - finite.size - int(nulls)
        if self.moments.n:
            self._sketched().update(finite)
        else:
            self._first = finite
        self.moments = self.moments.plus(Moments.of(finite))

    def merge(self, other: "NumericStatistics") -> None:
        """Add the rows of `other`, which is not changed."""
        sketch = self._sketched()
        if other._first is None:
            sketch.merge(other._sketch)
        else:
            sketch.update(other._first)
        self.moments = self.moments.plus(other.moments)
        self.nulls += other.nulls
        self.infinite += other.infinite

    def scale(self, scaling: str) -> Scale:
        """Centre and spread, see `encode.EncoderConfig.scaling`; spread 0 of equal numbers, both 0 of none."""
        moments = self.moments
        if moments.least >= moments.greatest:
            return (moments.least if moments.n else 0.0), 0.0
        if scaling == "plain":
            return moments.mean, moments.deviation
        low, middle, high = self._quartiles()
        return middle, (high - low) / _NORMAL_IQR or moments.deviation

    def null_scale(self) -> Scale:
        """Mean and deviation of the indicator of nulls, whatever the scaling: quartiles do not show rare nulls."""
        total = self.nulls + self.moments.n + self.infinite
        share = self.nulls / total
        return share, math.sqrt(share * (1 - share) * total / max(total - 1, 1))

    def sketch_bytes(self) -> bytes:
        """The sketch of all numbers."""
        sketch = self._sketch
        if self._first is not None:
            sketch = kll_doubles_sketch(SKETCH_SIZE)
            sketch.update(self._first)
        return bytes(sketch.serialize())

    @classmethod
    def restored(cls, moments: Moments, nulls: int, infinite: int, sketch: bytes) -> "NumericStatistics":
        """Statistics from their parts; ValueError or RuntimeError if `sketch` is not a sketch."""
        statistics = cls()
        statistics.moments, statistics.nulls, statistics.infinite = moments, nulls, infinite
        statistics._sketch = kll_doubles_sketch.deserialize(sketch)
        if statistics._sketch.n != moments.n:
            raise ValueError(f"expected a sketch of {moments.n} numbers, got a sketch of {statistics._sketch.n}")
        return statistics

    def _sketched(self) -> kll_doubles_sketch:
        """The sketch, with the numbers of the first part in it."""
        if self._first is not None:
            self._sketch.update(self._first)
            self._first = None
        return self._sketch

    def _quartiles(self) -> tuple[float, float, float]:
        found = self._sketch.get_quantiles(list(_QUARTILES)) if self._first is None else _quantiles(self._first)
        low, middle, high = map(float, found)
        return low, middle, high


class CategoryStatistics:
    """Statistics of a column of categories. State: `most` values, besides all distinct values of the latest part.

    Args:
        kind: Type in which categories are compared.
        most: Most distinct values that are counted.
    """

    def __init__(self, kind: pa.DataType, most: int) -> None:
        self.kind = kind
        self.most = most
        self.nulls = 0
        #: Rows by which a count may be too low.
        self.error = 0
        #: Values dropped (a value dropped twice counts twice), and their rows when they were dropped.
        self.lost_values = 0
        self.lost_rows = 0
        #: Rows counted, without nulls.
        self.rows = 0
        self.values = pa.array([], kind)
        self.counts: NDArray[np.int64] = np.zeros(0, np.int64)

    def add(self, column: pa.Array) -> None:
        """Add rows: a column of type `kind`."""
        counted = pa.Table.from_struct_array(pc.value_counts(column.drop_null()))
        self._join(one_array(counted.column("values")), counted.column("counts").to_numpy())
        self.nulls += column.null_count
        self.rows += len(column) - column.null_count

    def merge(self, other: "CategoryStatistics") -> None:
        """Add the rows of `other`, which is not changed."""
        self._join(other.values, other.counts)
        for what in ("nulls", "error", "lost_values", "lost_rows", "rows"):
            setattr(self, what, getattr(self, what) + getattr(other, what))

    def bound(self) -> None:
        """Drop the least frequent values above `most`."""
        if len(self.counts) <= self.most:
            return
        border = int(np.partition(self.counts, -self.most - 1)[-self.most - 1])
        stay = self.counts > border
        self.error += border
        self.lost_values += int(np.count_nonzero(~stay))
        self.lost_rows += int(self.counts[~stay].sum())
        self.values = self.values.filter(pa.array(stay))
        self.counts = self.counts[stay] - border

    def column(self, name: str, max_values: int) -> CategoricalColumn:
        """The column to encode with: the most frequent values, ties by value.

        Above the cap the mean rows of the others are a lower bound, since a value may have been dropped twice.
        """
        counted = pa.table({"values": self.values, "counts": self.counts})
        counted = counted.sort_by([("counts", "descending"), ("values", "ascending")])
        frequent, tail = counted.slice(0, max_values), counted.column("counts").slice(max_values).to_numpy()
        others = len(tail) + self.lost_values
        return CategoricalColumn(
            name=name,
            categories=one_array(frequent.column("values")),
            counts=frequent.column("counts").to_numpy(),
            null_rows=self.nulls,
            tail_rows=(int(tail.sum()) + self.lost_rows) / others if others else 0.0,
            total_rows=self.rows + self.nulls,
        )

    def scale(self, column: CategoricalColumn, scaling: str) -> Scale:
        """Centre and spread of the feature of `column`, which comes from these statistics."""
        rows = np.concatenate([column.counts, [self.rows - int(column.counts.sum()), self.nulls]])
        values, rows = column.log_frequencies()[rows > 0], rows[rows > 0]
        if values.size == 0 or values.min() == values.max():
            return (float(values[0]) if values.size else 0.0), 0.0
        mean = float(values @ rows) / int(rows.sum())
        deviation = math.sqrt(float(np.square(values - mean) @ rows) / (int(rows.sum()) - 1))
        if scaling == "plain":
            return mean, deviation
        low, middle, high = np.quantile(values, _QUARTILES, weights=rows, method="inverted_cdf")
        return float(middle), float(high - low) / _NORMAL_IQR or deviation

    def _join(self, values: pa.Array, counts: NDArray[np.int64]) -> None:
        self.bound()
        encoded = pa.concat_arrays([self.values, values]).dictionary_encode()
        rows = np.concatenate([self.counts, counts])
        self.values = encoded.dictionary
        # bincount sums floats, which is exact below 2**53.
        self.counts = np.bincount(encoded.indices.to_numpy(), rows, len(encoded.dictionary)).astype(np.int64)


def _quantiles(values: Floats) -> Floats:
    """Quartiles as `numpy.quantile` gives them, which is slower for a column of some thousand rows."""
    places = np.array(_QUARTILES) * (values.size - 1)
    below = places.astype(np.int64)
    above = np.minimum(below + 1, values.size - 1)
    ordered = np.partition(values, np.union1d(below, above))
    low, high = ordered[below], ordered[above]
    between: Floats = low + (high - low) * (places - below)
    return between
