"""Counts in states and estimates: their array type, counts of distinct values, and rows counted together."""

from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

#: Numbers of rows, >= 0; the shape is documented at each use.
Counts = NDArray[np.int64]


class Bucket(NamedTuple):
    """Rows and clicks that are counted together."""

    rows: int
    clicks: int

    def plus(self, other: "Bucket") -> "Bucket":
        """Sum of both."""
        return Bucket(self.rows + other.rows, self.clicks + other.clicks)


class Part(NamedTuple):
    """Counts of distinct values; none of them is null."""

    values: Any
    rows: Counts
    clicks: Counts

    def take(self, positions: NDArray[np.int64]) -> "Part":
        """Counts of some of the values."""
        return Part(self.values.take(pa.array(positions)), self.rows[positions], self.clicks[positions])
