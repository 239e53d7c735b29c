"""Shares of a feature's most frequent values: over the windows of a reference, and what of them moved in a window.

Two categories merged, values renamed among known ones, a source that is gone, a bot on a known value: no value is new
and none is missing, but shares of rows move. A value has moved where its share lies further from its mean over the
reference's windows than chance and their spread allow. How much has moved is the share of rows that would have to have
another value for those that moved to be as before: the total variation distance, taken over these values alone, since
chance moves every value a little.

The windows of a stream depend on those before them, and the spread of some of them says too little of what comes next.
So each value's spread is also taken between blocks of the reference: how far the windows of a block lie from the mean
of all others (cross-validation of dependent data: Burman, Chow and Nolan, Biometrika 81, 1994). Where windows are
independent that is the ordinary deviation.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import polars as pl
from numpy.typing import NDArray
from scipy.special import gammaincc, ndtr, ndtri

from sparsewatch.detectors.clicks.inflation import of_shares
from sparsewatch.detectors.clicks.known_values import places_in
from sparsewatch.detectors.clicks.outlying import PART, clipped, consistency, outlying
from sparsewatch.detectors.clicks.stretch import StretchValues
from sparsewatch.detectors.clicks.tolerances import Floats, SharesOver, share_tolerances
from sparsewatch.detectors.counts.feature_counts import FeatureCounts
from sparsewatch.detectors.counts.value_hashes import HASH_RANGE, hash_values

#: Blocks of windows that are left out in turn; of few windows fewer, of two windows each.
BLOCKS, _FEWEST_BLOCKS = 4, 2
#: A value is steady whose share is below this part of its mean in none of so many windows.
STEADY, _MANY_WINDOWS = 0.2, 12
#: Share of rows that moved in a window of the reference which is left out of its shares, and how sure that is.
_ODD_MOVED, _ODD_Z = 0.05, 4.0


class ValueShares(NamedTuple):
    """Shares of the rows with a value, over the windows of a reference: 32 bytes a value, and the value."""

    #: The most frequent first, shape (n,).
    values: pl.Series
    #: Mean, deviation and minimum over the windows, shape (3, n + 1); the last column is of all other values.
    figures: Floats
    over: SharesOver

    @property
    def means(self) -> Floats:
        """Mean shares."""
        means: Floats = self.figures[0]
        return means

    @property
    def least(self) -> Floats:
        """Least shares of a window."""
        least: Floats = self.figures[2]
        return least


class Movement(NamedTuple):
    """Shares of a window's values and what they were."""

    shares: ValueShares
    #: Shape (n + 1,) as in `ValueShares`.
    now: Floats
    #: Rows with a value.
    listed: int

    @property
    def changes(self) -> Floats:
        """Share now less that before."""
        return self.now - self.shares.means

    def tolerances(self, z: float) -> Floats:
        """How far each share may lie from what it was, at a strictness for the feature as a whole."""
        over = self.shares.over
        # Each value is looked at, and chance has as many opportunities.
        strict = float(-ndtri(ndtr(-z) / self.now.size))
        return over.inflation * share_tolerances(
            self.shares.means,
            self.shares.figures[1],
            over.windows,
            self.listed,
            over.rows,
            strict,
            backing=over.independent,
            freedom=over.independent - 1,
        )

    def moved(self, z: float) -> float:
        """Share of the rows that moved to or from values whose share changed, whichever is more; in [0, 1].

        Args:
            z: Strictness for the feature as a whole, in standard deviations.
        """
        return float(_moved(self.changes, self.tolerances(z)))

    def vanished(self, share: float, left: float, z: float) -> NDArray[np.int64]:
        """Places of the known values that are gone, the most frequent first.

        Whatever the spread of its share, a value that none of many windows lacked does not vanish by chance. Of fewer,
        or of windows that depend on those before them, its change must be no chance, either.

        Args:
            share: A value is judged whose share is at least so large on average, and a fifth of that in every window.
            left: It is gone at this part of its least share.
            z: Strictness, in standard deviations.
        """
        means, least, listed = self.shares.means[:-1], self.shares.least[:-1], self.listed
        limits = left * least
        judged = (means >= share) & (least >= STEADY * means)
        gone = judged & (self.now[:-1] <= limits)
        sure = gammaincc(np.floor(limits * listed) + 1, least * listed) < ndtr(-z)
        moved = -self.changes[:-1] > self.tolerances(z)[:-1]
        over = self.shares.over
        steady = over.independent >= _MANY_WINDOWS and over.inflation <= 1
        return np.flatnonzero(gone & sure & (moved | steady))


def fit_shares(values: StretchValues) -> ValueShares:
    """Shares of a feature over the windows of a reference in which it has a value."""
    some = np.flatnonzero(values.listed)
    listed = values.listed[some].astype(np.float64)
    shares = _with_others(values.frequent_rows[some] / listed[:, None])
    kept = np.delete(np.arange(len(shares)), odd_shares(shares, listed))
    shares, listed = shares[kept], listed[kept]
    if not kept.size:
        return ValueShares(
            values.frequent, np.zeros((3, shares.shape[1])), SharesOver(windows=0, independent=0, rows=0)
        )
    sds, independent = spread(shares)
    over = SharesOver(
        windows=kept.size,
        independent=independent,
        rows=float(listed.mean()),
        inflation=of_shares(shares, listed),
    )
    return ValueShares(values.frequent, np.stack([shares.mean(0), sds, shares.min(0)]), over)


def movement(shares: ValueShares, counts: FeatureCounts, feature: str) -> Movement | None:
    """What a window's shares of a feature's values are, and were.

    Args:
        shares: Of the reference.
        counts: Of the window.
        feature: The feature.

    Returns:
        None if nothing is known: no value in the window or the reference, or a window of so many values that it does
        not count all that the reference knows.
    """
    listed = counts.rows - counts.nulls(feature)
    limit = counts.hash_limit(feature)
    if not listed or not shares.over.windows:
        return None
    if limit < HASH_RANGE and (hash_values(shares.values.to_arrow(), repeats=False) >= np.uint64(limit)).any():
        return None
    return Movement(shares, _with_others(_rows_of(counts, feature, shares.values) / listed), listed)


def spread(shares: Floats) -> tuple[Floats, float]:
    """Deviation of each value's share between windows, the larger one of two (see the module).

    Args:
        shares: Of the windows in the order of time, shape (n_windows, n_values).

    Returns:
        The deviations, and how many windows that do not depend on one another tell as much.
    """
    windows = len(shares)
    if windows < 2:
        return np.zeros(shares.shape[1]), windows
    sds: Floats = shares.std(axis=0, ddof=1)
    if windows < 2 * _FEWEST_BLOCKS:
        return sds, windows
    blocks = np.array_split(shares, min(BLOCKS, windows // 2))
    total, squares = shares.sum(0), np.zeros(shares.shape[1])
    for block in blocks:
        others = windows - len(block)
        apart = block - (total - block.sum(0)) / others
        # The mean of the other windows has an error of its own.
        squares += (apart**2).sum(0) / (1 + 1 / others)
    return np.maximum(sds, np.sqrt(squares / windows)), windows / _inflation(shares, blocks)


def _inflation(shares: Floats, blocks: Sequence[Floats]) -> float:
    """By how much more a mean of the windows varies than one of as many independent ones; 1 at least.

    The larger one of two estimates, of all values together: from the means of blocks, and from what a window has in
    common with the one before it, as an autoregression of the first order (Bayley and Hammersley, JRSS Supplement 8,
    1946).
    """
    means = np.array([block.mean(0) for block in blocks])
    within = sum(float(((block - block.mean(0)) ** 2).sum()) for block in blocks)
    within /= sum(len(block) - 1 for block in blocks)
    if not within:
        return 1.0
    between = float(means.var(axis=0, ddof=1).sum()) * len(blocks[0])
    apart = shares - shares.mean(0)
    common = float((apart[1:] * apart[:-1]).sum() / (apart**2).sum())
    return min(max(1.0, between / within, (1 + common) / (1 - common)), len(blocks[0]))


def odd_shares(shares: Floats, listed: Floats) -> tuple[int, ...]:
    """Places of the windows in which values have moved, by what is usual in most windows.

    Args:
        shares: Of each value in each window, shape (n_windows, n_values).
        listed: Rows with a value in each window, shape (n_windows,).
    """
    most = len(shares) // PART
    if not most:
        return ()
    ordered = clipped(shares, most)
    means, sds = ordered.mean(0), ordered.std(0, ddof=1) / consistency(most / len(shares))
    strict = float(-ndtri(ndtr(-_ODD_Z) / means.size))
    mean_rows = float(listed.mean())
    moved = _moved(shares - means, share_tolerances(means, sds, len(shares), listed[:, None], mean_rows, strict))
    return outlying(moved.tolist(), lambda _usual, _place: _ODD_MOVED)


def _moved(changes: Floats, tolerances: Floats) -> Floats:
    """Share of rows that moved, of changes of shares along the last axis."""
    beyond = np.where(np.abs(changes) > tolerances, changes, 0.0)
    found: Floats = np.maximum(beyond.clip(0.0, None).sum(-1), -beyond.clip(None, 0.0).sum(-1))
    return found


def _with_others(shares: Floats) -> Floats:
    """Shares of values, and at the end that of all others; along the last axis."""
    others = np.maximum(1 - shares.sum(-1, keepdims=True), 0.0)
    return np.concatenate([shares, others], axis=-1)


def _rows_of(counts: FeatureCounts, feature: str, values: pl.Series) -> Floats:
    part, rows = counts.sampled_values(feature).part, np.zeros(len(values))
    places = places_in(part, values)
    rows[places >= 0] = part.rows[places[places >= 0]]
    return rows
