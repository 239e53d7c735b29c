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

from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np
import polars as pl
from numpy.typing import NDArray
from scipy.special import gammaincc, ndtr, ndtri

from sparsewatch.detectors.clicks.inflation import of_each_share
from sparsewatch.detectors.clicks.known_values import places_in
from sparsewatch.detectors.clicks.outlying import PART, outlying_of_each, winsorised_of_each
from sparsewatch.detectors.clicks.own_windows import Alike, Yes, alike
from sparsewatch.detectors.clicks.tolerances import Floats, SharesOver, share_tolerances
from sparsewatch.detectors.clicks.values_over import ValuesOver
from sparsewatch.detectors.counts.counts import Counts
from sparsewatch.detectors.counts.feature_counts import FeatureCounts
from sparsewatch.detectors.counts.value_hashes import HASH_RANGE, hash_values

#: Blocks of windows that are left out in turn; of few windows fewer, of two windows each.
BLOCKS, _FEWEST_BLOCKS = 4, 2
#: A value is steady whose share is below this part of its mean in none of so many windows.
STEADY, _MANY_WINDOWS = 0.2, 12
#: Share of rows that moved in a window of the reference which is left out of its shares, and how sure that is.
_ODD_MOVED, _ODD_Z = 0.05, 4.0
#: Where the values of one feature begin.
ONE = np.zeros(1, np.int64)
#: Instead of the square of nothing, by which nothing is divided.
_SMALLEST = 1e-300


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


def fit_shares(values: ValuesOver, own: Yes) -> dict[int, ValueShares]:
    """Shares of features over the windows of a reference in which they have a value.

    Args:
        values: Of the features.
        own: Which windows are each feature's own; features without any are left out.

    Returns:
        By the number of the feature.
    """
    some = own & (values.listed > 0)
    shares: dict[int, ValueShares] = {}
    for group in alike(some):
        moved = np.zeros(some.shape, np.bool_)
        group.marked(odd_shares(*_shares_of(values, group)), moved)
        kept = np.zeros(some.shape, np.bool_)
        kept[group.features] = some[group.features] & ~moved[group.features]
        for rest in alike(kept):
            shares.update(_fitted(values, rest))
    for feature in np.flatnonzero(own.any(1) & ~some.any(1)).tolist():
        nothing = SharesOver(windows=0, independent=0, rows=0)
        shares[feature] = ValueShares(values.frequent_values(feature), np.zeros((3, 1)), nothing)
    return shares


def _shares_of(values: ValuesOver, group: Alike) -> tuple[Floats, Floats, Counts]:
    """Shares of the frequent values of features, behind them that of all others, as `odd_shares` takes them."""
    bounds = values.frequent.bounds
    sizes = (bounds[1:] - bounds[:-1])[group.features] + 1
    begins = np.cumsum(sizes) - sizes
    feature, others = np.repeat(np.arange(sizes.size), sizes), begins + sizes - 1
    place = np.arange(feature.size) - begins[feature] + bounds[group.features][feature]
    listed = group.of(values.listed).astype(np.float64)[:, feature]
    is_frequent = np.ones(feature.size, np.bool_)
    is_frequent[others] = False
    shares = np.zeros(listed.shape)
    shares[:, is_frequent] = values.frequent.rows[place[is_frequent], group.windows[:, feature[is_frequent]]]
    shares /= listed
    shares[:, others] = np.maximum(1 - np.add.reduceat(shares, begins, axis=1), 0.0)
    return shares, listed, begins


def _fitted(values: ValuesOver, group: Alike) -> Iterator[tuple[int, ValueShares]]:
    shares, listed, begins = _shares_of(values, group)
    sizes = np.diff(begins, append=shares.shape[1])
    sds, independent = spread(shares, begins)
    inflations = np.maximum.reduceat(of_each_share(shares, listed, np.repeat(sizes, sizes)), begins)
    figures = np.stack([shares.mean(0), sds, shares.min(0)])
    rows = listed[:, begins].mean(0)
    of_each = (group.features, begins, sizes, independent, rows, inflations)
    for feature, begin, size, alone, mean_rows, inflation in zip(*(one.tolist() for one in of_each), strict=True):
        over = SharesOver(windows=len(shares), independent=alone, rows=mean_rows, inflation=inflation)
        yield feature, ValueShares(values.frequent_values(feature), figures[:, begin : begin + size], over)


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


def spread(shares: Floats, begins: Counts = ONE) -> tuple[Floats, Floats]:
    """Deviation of each value's share between windows, the larger one of two (see the module).

    Args:
        shares: Of the windows in the order of time, feature after feature; shape (n_windows, n_values).
        begins: Where the values of each feature begin, shape (n_features,).

    Returns:
        The deviations, and of each feature how many windows that do not depend on one another tell as much.
    """
    windows = len(shares)
    if windows < 2:
        return np.zeros(shares.shape[1]), np.full(begins.size, float(windows))
    sds: Floats = shares.std(axis=0, ddof=1)
    if windows < 2 * _FEWEST_BLOCKS:
        return sds, np.full(begins.size, float(windows))
    blocks = np.array_split(shares, min(BLOCKS, windows // 2))
    total, squares = shares.sum(0), np.zeros(shares.shape[1])
    for block in blocks:
        others = windows - len(block)
        apart = block - (total - block.sum(0)) / others
        # The mean of the other windows has an error of its own.
        squares += (apart**2).sum(0) / (1 + 1 / others)
    return np.maximum(sds, np.sqrt(squares / windows)), windows / _inflation(shares, blocks, begins)


def _inflation(shares: Floats, blocks: Sequence[Floats], begins: Counts) -> Floats:
    """By how much more a mean of the windows varies than one of as many independent ones, of each feature; 1 at least.

    The larger one of two estimates, of all values together: from the means of blocks, and from what a window has in
    common with the one before it, as an autoregression of the first order (Bayley and Hammersley, JRSS Supplement 8,
    1946).
    """
    means = np.array([block.mean(0) for block in blocks])
    within = np.add.reduceat(
        sum(((block - mean) ** 2).sum(0) for block, mean in zip(blocks, means, strict=True)), begins
    )
    within /= sum(len(block) - 1 for block in blocks)
    between = np.add.reduceat(means.var(axis=0, ddof=1), begins) * len(blocks[0])
    apart = shares - shares.mean(0)
    products, own = (apart[1:] * apart[:-1]).sum(0), (apart**2).sum(0)
    common = np.add.reduceat(products, begins) / np.maximum(np.add.reduceat(own, begins), _SMALLEST)
    varies = within > 0
    by_blocks = np.divide(between, within, out=np.ones(begins.size), where=varies)
    found: Floats = np.where(varies, np.maximum(np.maximum(by_blocks, (1 + common) / (1 - common)), 1.0), 1.0)
    return np.minimum(found, len(blocks[0]))


def odd_shares(shares: Floats, listed: Floats, begins: Counts) -> Yes:
    """The windows in which values of a feature have moved, by what is usual in most windows.

    Args:
        shares: Of each value in each window, feature after feature; shape (n_windows, n_values).
        listed: Rows of the window with a value of the feature, of that shape.
        begins: Where the values of each feature begin, shape (n_features,).

    Returns:
        Shape (n_windows, n_features).
    """
    most = len(shares) // PART
    if not most:
        return np.zeros((len(shares), begins.size), np.bool_)
    robust, sizes = winsorised_of_each(shares, most), np.diff(begins, append=shares.shape[1])
    strict = np.repeat(-ndtri(ndtr(-_ODD_Z) / sizes), sizes)
    tolerances = share_tolerances(robust.mean, robust.sd, len(shares), listed, listed.mean(0), strict)
    beyond = np.where(np.abs(shares - robust.mean) > tolerances, shares - robust.mean, 0.0)
    up, down = (np.add.reduceat(np.maximum(way, 0.0), begins, axis=1) for way in (beyond, -beyond))
    moved = np.maximum(up, down)
    return outlying_of_each(moved, lambda _robust, places, _of: np.full(places.size, _ODD_MOVED), np.ones_like(moved))


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
