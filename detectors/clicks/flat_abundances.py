"""How often the values of many features occur, in arrays: what is expected of windows is computed of all at once."""

from collections.abc import Iterator, Sequence
from typing import NamedTuple, Self

import numpy as np
from scipy.special import gammaln

from sparsewatch.detectors.clicks.tolerances import Abundances, Floats
from sparsewatch.detectors.counts.counts import Counts

#: Numbers that are computed at a time: of few features in many windows, or of many in few.
_CELLS = 1 << 20


class Expected(NamedTuple):
    """Values expected of rows drawn from the source of a sample, shape (n_features, n_windows) each."""

    distinct: Floats
    #: Those of the sample that are missing.
    missing: Floats


class FlatAbundances(NamedTuple):
    """How often the values of features occur, feature after feature; see `Abundances`."""

    sizes: Floats
    times: Floats
    #: Number of the feature of each, ascending, shape (n_sizes,).
    feature: Counts
    #: Rows of the whole stretch, and values that each one stands for; shape (n_features,).
    rows: Floats
    scale: Floats

    @classmethod
    def of(cls, abundances: Sequence[Abundances]) -> Self:
        """Of features."""
        return cls(
            sizes=np.concatenate([np.zeros(0), *(one.sizes for one in abundances)]),
            times=np.concatenate([np.zeros(0), *(one.times for one in abundances)]),
            feature=np.repeat(np.arange(len(abundances)), [one.sizes.size for one in abundances]),
            rows=np.array([one.rows for one in abundances], np.float64),
            scale=np.array([one.scale for one in abundances]),
        )

    @property
    def values(self) -> Floats:
        """Distinct values, shape (n_features,)."""
        found: Floats = self.scale * np.bincount(self.feature, self.times, self.rows.size)
        return found

    def expected(self, listed: Counts) -> Expected:
        """As `Abundances.expected_distinct` and `expected_missing`, of windows of each feature.

        Args:
            listed: Rows with a value, at most `rows` of the feature; shape (n_features, n_windows).
        """
        distinct, missing = np.zeros((2, *listed.shape))
        for first, last in self._parts(listed.shape[1]):
            absent = self._absent(slice(first, last), listed)
            own, times = self.feature[first:last], self.times[first:last, None]
            begins = np.flatnonzero(np.diff(own, prepend=-1))
            some = own[begins]
            distinct[some] = np.add.reduceat(times * (1 - absent), begins)
            missing[some] = np.add.reduceat(times * absent, begins)
        return Expected(self.scale[:, None] * distinct, self.scale[:, None] * missing)

    def _absent(self, part: slice, listed: Counts) -> Floats:
        """Probability that a value of each size is not among the rows of each window; see `Abundances`."""
        feature, sizes = self.feature[part], self.sizes[part]
        first = int(feature[0])
        listed, rows = listed[first : feature[-1] + 1], self.rows[first : feature[-1] + 1]
        own = feature - first
        left = (rows[own] - sizes)[:, None] - listed[own]
        whole = gammaln(rows[:, None] - listed + 1) - gammaln(rows + 1)[:, None]
        log_p = gammaln(rows[own] - sizes + 1)[:, None] - gammaln(np.maximum(left, 0) + 1) + whole[own]
        absent: Floats = np.where(left >= 0, np.exp(np.minimum(log_p, 0.0)), 0.0)
        return absent

    def _parts(self, windows: int) -> Iterator[tuple[int, int]]:
        """Places of whole features' sizes, of about so many numbers."""
        begins = np.append(np.flatnonzero(np.diff(self.feature, prepend=-1)), self.sizes.size)
        most, first = max(_CELLS // max(windows, 1), 1), 0
        while first < self.sizes.size:
            within, beyond = np.searchsorted(begins, [first + most, first], side="right").tolist()
            last = int(begins[max(within - 1, beyond)])
            yield first, last
            first = last
