"""Where the numbers of a feature lie: shares of rows up to borders, over a reference's windows and in a window.

A shift of a number by a third moves each of its bins a little and none much. What it moves is the share of rows up to a
border, and the largest such change is the distance of Kolmogorov and Smirnov, here over borders between groups of
equally many rows of the reference. Each share has its mean and spread over the reference's windows, blocks of which are
left out in turn, as the shares of values do (`sparsewatch.detectors.clicks.value_shares`).
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from scipy.special import ndtr, ndtri

from sparsewatch.detectors.clicks.inflation import of_shares
from sparsewatch.detectors.clicks.tolerances import Floats, SharesOver, share_tolerances
from sparsewatch.detectors.clicks.value_shares import ONE, odd_shares, spread
from sparsewatch.detectors.counts.feature_counts import FeatureCounts
from sparsewatch.detectors.counts.number_bins import groups_of
from sparsewatch.detectors.counts.value_hashes import HASH_RANGE


class NumberShares(NamedTuple):
    """Shares of the rows with a value that lie up to borders, over the windows of a reference."""

    #: The last bin of each group, ascending, shape (n,).
    borders: Floats
    #: Mean and deviation over the windows of the share of rows whose bin is at most the border, shape (2, n).
    figures: Floats
    over: SharesOver

    @property
    def median(self) -> float:
        """The first border up to which half of the rows lie."""
        return float(self.borders[np.argmax(self.figures[0] >= 0.5)])


class NumberMovement(NamedTuple):
    """Where a window's numbers lie and where they did."""

    shares: NumberShares
    #: Share of rows up to each border, shape (n,).
    now: Floats
    #: Rows with a value, and their median bin.
    listed: int
    median: float

    @property
    def changes(self) -> Floats:
        """Share up to each border now less that before: positive where numbers fell."""
        changes: Floats = self.now - self.shares.figures[0]
        return changes

    def distance(self, z: float) -> float:
        """The largest change that is no chance, in [0, 1]; 0 if none is.

        Args:
            z: Strictness for the feature as a whole, in standard deviations.
        """
        over, (means, sds) = self.shares.over, self.shares.figures
        # Each border is looked at, and chance has as many opportunities.
        strict = float(-ndtri(ndtr(-z) / means.size))
        tolerances = over.inflation * share_tolerances(
            means,
            sds,
            over.windows,
            self.listed,
            over.rows,
            strict,
            backing=over.independent,
            freedom=over.independent - 1,
        )
        beyond = np.abs(self.changes)
        return float(np.max(beyond[beyond > tolerances], initial=0.0))

    @property
    def border(self) -> float:
        """The border at which most changed: the last bin below it."""
        return float(self.shares.borders[self.place])

    @property
    def place(self) -> int:
        """The border at which most changed."""
        return int(np.argmax(np.abs(self.changes)))


def fit_numbers(windows: Sequence[FeatureCounts], feature: str) -> NumberShares | None:
    """Shares of a feature that is counted in bins over the windows of a reference in which it has a value.

    Returns:
        None where no window has one, or one has more bins than it counts exactly.
    """
    some = [window for window in windows if window.rows > window.nulls(feature)]
    if not some or any(window.hash_limit(feature) < HASH_RANGE for window in some):
        return None
    held = [_bins(window, feature) for window in some]
    bins, places = np.unique(np.concatenate([bins for bins, _ in held]), return_inverse=True)
    groups = groups_of(np.bincount(places, np.concatenate([rows for _, rows in held])).astype(np.int64))
    borders = bins[np.append(np.flatnonzero(np.diff(groups)), bins.size - 1)]
    listed = np.array([rows.sum() for _, rows in held], np.float64)
    below = np.stack([_below(*one, borders) for one in held])
    shares = np.diff(below, axis=1, prepend=0.0)
    odd = odd_shares(shares, np.broadcast_to(listed[:, None], shares.shape), ONE)
    kept = np.flatnonzero(~odd[:, 0])
    if not kept.size:
        return None
    sds, (independent,) = spread(below[kept])
    over = SharesOver(
        windows=kept.size,
        independent=float(independent),
        rows=float(listed[kept].mean()),
        inflation=of_shares(below[kept], listed[kept]),
    )
    return NumberShares(borders, np.stack([below[kept].mean(0), sds]), over)


def numbers_now(shares: NumberShares, counts: FeatureCounts, feature: str) -> NumberMovement | None:
    """Where a window's numbers lie; None without a value, or with more bins than are counted exactly."""
    if counts.rows == counts.nulls(feature) or counts.hash_limit(feature) < HASH_RANGE:
        return None
    bins, rows = _bins(counts, feature)
    median = bins[np.searchsorted(np.cumsum(rows), rows.sum() / 2)]
    return NumberMovement(shares, _below(bins, rows, shares.borders), int(rows.sum()), float(median))


def _bins(counts: FeatureCounts, feature: str) -> tuple[Floats, Floats]:
    """Bins of a window, ascending, and their rows."""
    part = counts.ascending(feature)
    return part.values.to_numpy(), part.rows.astype(np.float64)


def _below(bins: Floats, rows: Floats, borders: Floats) -> Floats:
    shares = np.append(0.0, np.cumsum(rows)) / rows.sum()
    below: Floats = shares[np.searchsorted(bins, borders, side="right")]
    return below
