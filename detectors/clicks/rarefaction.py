"""How many distinct values so many rows should have, from how often values occur in a larger sample.

Rarefaction (Hurlbert, Ecology 52, 1971) below the sample's size, Chao's extrapolation above it (Chao et al.,
Ecological Monographs 84, 2014, eq. 9). Makes cardinalities of windows of different volume comparable.
"""

import math
from typing import NamedTuple, Self

import numpy as np
from numpy.typing import NDArray
from scipy.special import gammaln

from sparsewatch.detectors.counts.counts import Counts


class Abundances(NamedTuple):
    """How often values occur: `times[i]` values have `sizes[i]` rows each; sizes ascend.

    Of more values than can be held a uniform sample will do.
    """

    sizes: Counts
    times: Counts
    #: Values that each value of the sample stands for, and rows of all.
    scale: float = 1.0
    all_rows: int | None = None

    @classmethod
    def of(cls, rows: Counts, *, scale: float = 1.0, all_rows: int | None = None) -> Self:
        """From the rows of each value."""
        sizes, times = np.unique(rows[rows > 0], return_counts=True)
        return cls(sizes.astype(np.int64), times.astype(np.int64), scale, all_rows)

    @property
    def rows(self) -> int:
        """Rows of all values."""
        return int(self.sizes @ self.times) if self.all_rows is None else self.all_rows

    @property
    def values(self) -> float:
        """Distinct values."""
        return self.scale * float(self.times.sum())

    def expected_distinct(self, rows: int) -> float:
        """Expected number of distinct values of `rows` rows drawn from the same source; 0 without a sample."""
        if not self.sizes.size:
            return 0.0
        if rows <= self.rows:
            return self.scale * float(self.times @ (1 - self._absence(rows)))
        return self.values + self._beyond(rows - self.rows)

    def expected_missing(self, rows: int) -> float:
        """Expected number of the sample's values that `rows` rows lack."""
        return self.scale * float(self.times @ self._absence(min(rows, self.rows)))

    def _absence(self, rows: int) -> NDArray[np.float64]:
        """Probability that a value of each size is not among `rows` rows drawn without replacement."""
        total = self.rows
        left = total - self.sizes
        possible = left >= rows
        left = np.where(possible, left, rows)
        log_p = gammaln(left + 1) - gammaln(left - rows + 1) - gammaln(total + 1) + gammaln(total - rows + 1)
        return np.where(possible, np.exp(np.minimum(log_p, 0.0)), 0.0)

    def _beyond(self, rows: int) -> float:
        """Expected number of new values in `rows` rows more than the sample."""
        single, double = (self.scale * int(self.times[self.sizes == size].sum()) for size in (1, 2))
        if not single:
            return 0.0
        hidden = single * (single - 1) / (2 * (double + 1)) + 1e-12
        return hidden * -math.expm1(rows * math.log1p(-single / (self.rows * hidden + single)))
