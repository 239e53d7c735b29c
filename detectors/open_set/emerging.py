"""Emerging patterns: clusters of novel-looking wafers in a stream that chance does not explain.

A ball grows about each novel-looking wafer of the stream. Wafers of the stream inside it are counted against those of
the *background*, wafers that are assumed known. If both come from the same distribution, each next wafer of the ball is
from the stream with the probability q = n / (n + m), for n wafers of the stream and m of the background in all; so k of
the stream come before more than c of the background with

    p = P(NegativeBinomial(k, q) <= c) = I_q(k, c + 1)

the regularised incomplete beta function, whatever the distribution is. S = -ln p, the largest over balls, is a scan
statistic with balls of nearest neighbours (Kulldorff, Communications in Statistics 26, 1997, scans likewise for
clusters of cases among controls; Schilling, JASA 81, 1986, tests by nearest neighbours whether two samples differ). Its
threshold is in `emerging_calibration`.

Distances are Euclidean after `whitening`: a known pattern then has about unit variance in all directions.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.spatial.distance import cdist
from scipy.special import betainc
from scipy.stats import chi2

Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]

#: Wafers of the stream to which a ball is grown, besides its centre.
_NEIGHBOURS = 12
#: Largest share of wafers that chance may explain: in the ball that reveals a cluster, and in the whole cluster. Known
#: wafers never have quite the distribution of the calibration data: a cluster must be many times the expected number.
_SEED_SHARE, _CHANCE_SHARE = 0.1, 1 / 3
#: Share of a known pattern's wafers in a ball as wide as the pattern.
_WIDE_SHARE = 0.9
#: Share of a pattern's wafers within its reach, if it is more compact than a known pattern.
_REACHED_SHARE = 0.99
#: Most clusters that one search finds.
_MOST_CLUSTERS = 10


@dataclass(frozen=True, slots=True)
class Sample:
    """Novel-looking wafers, and the number of wafers from which they were selected."""

    #: Whitened, float64 of shape (n, d).
    embeddings: Floats
    #: At least n.
    wafers: int


@dataclass(frozen=True, slots=True)
class Recent:
    """The stream's last wafers, one row each."""

    sample: Sample
    #: A number for each lot, int64 of shape (n,).
    lots: NDArray[np.int64]
    #: Whether the wafer came with the newest window, bool of shape (n,).
    fresh: Bools


@dataclass(frozen=True, slots=True, kw_only=True)
class ClusterRules:
    """When a cluster of wafers counts as an emerging pattern."""

    #: See `emerging_calibration.threshold`.
    threshold: float
    min_wafers: int
    min_lots: int


@dataclass(frozen=True, slots=True)
class Cluster:
    """A cluster that chance does not explain."""

    #: Indices of its wafers, rising.
    members: NDArray[np.int64]
    statistic: float
    #: Wafers expected there by chance.
    expected: float


def whitening(within: Floats) -> Floats:
    """W with |(a - b) W| the Mahalanobis distance under a covariance; both float64 of shape (d, d)."""
    return np.asarray(np.linalg.cholesky(np.linalg.inv(within)))


def widest(dimensions: int) -> float:
    """Radius about the mean within which most wafers of a known pattern lie, after whitening."""
    return float(np.sqrt(chi2.ppf(_WIDE_SHARE, dimensions)))


def find_clusters(recent: Recent, background: Sample, rules: ClusterRules) -> list[Cluster]:
    """Clusters among the stream's last wafers, the least likely first; no wafer is in two clusters.

    A cluster counts if a fresh wafer is in its ball: a ball without fresh wafers was searched before.

    Args:
        recent: Novel-looking wafers of the stream, without those of patterns found earlier.
        background: Novel-looking wafers that are assumed known.
        rules: When a cluster counts.
    """
    left = np.arange(len(recent.lots))
    found: list[Cluster] = []
    while len(left) >= rules.min_wafers and len(found) < _MOST_CLUSTERS:
        rest = Recent(
            Sample(recent.sample.embeddings[left], recent.sample.wafers), recent.lots[left], recent.fresh[left]
        )
        cluster = _most_unlikely(rest, background, rules)
        if cluster is None:
            break
        found.append(Cluster(np.sort(left[cluster.members]), cluster.statistic, cluster.expected))
        left = np.delete(left, cluster.members)
    return found


def largest_statistic(among: Floats, to_background: Floats, odds: float, fresh: Bools, min_wafers: int) -> float:
    """The largest S over balls of at least `min_wafers` wafers with a fresh wafer; 0 if there is no such ball.

    Args:
        among: Distances between wafers of the stream, of shape (s, s).
        to_background: Distances to wafers of the background, of shape (s, b).
        odds: n / m, all wafers of the stream for each wafer of the background.
        fresh: Of shape (s,).
        min_wafers: At least 2.
    """
    if len(among) < min_wafers or not fresh.any():
        return 0.0
    balls = grow_balls(among, to_background, _NEIGHBOURS)
    fits = balls.running_any(fresh)
    fits[:, : min_wafers - 2] = False
    return float(np.where(fits, balls.statistic(odds), 0.0).max())


def unlikeliness(wafers: NDArray[np.int64] | int, chance: NDArray[np.int64] | int, odds: float) -> Floats:
    """S of balls: how unlikely so many wafers are, if those of the stream come as those of the background did.

    Args:
        wafers: Of the stream inside, at least 1.
        chance: Of the background inside.
        odds: n / m, all wafers of the stream for each wafer of the background.

    Returns:
        Nats, float64 of the shape of both.
    """
    p = betainc(wafers, np.asarray(chance) + 1.0, odds / (1 + odds))
    return np.asarray(-np.log(np.maximum(p, np.finfo(np.float64).tiny)))


@dataclass(frozen=True, slots=True)
class Balls:
    """Balls about s wafers; the ball of column j ends at its (j + 1)-th neighbour of the stream."""

    #: The wafers of the stream from the centre outwards, the centre first: int64 of shape (s, k + 1).
    order: NDArray[np.int64]
    #: Wafers of the background inside, int64 of shape (s, k).
    chance: NDArray[np.int64]
    #: Float64 of shape (s, k).
    radius: Floats

    def statistic(self, odds: float) -> Floats:
        """S of each ball, float64 of shape (s, k)."""
        return unlikeliness(np.arange(1, self.chance.shape[1] + 1), self.chance, odds)

    def running_any(self, marked: Bools) -> Bools:
        """Whether a marked wafer is inside, bool of shape (s, k)."""
        return np.asarray(np.logical_or.accumulate(marked[self.order], axis=1)[:, 1:])

    def running_distinct(self, labels: NDArray[np.int64]) -> NDArray[np.int64]:
        """Number of distinct labels inside, int64 of shape (s, k)."""
        inside = labels[self.order]
        by_label = np.argsort(inside, axis=1, kind="stable")
        in_order = np.take_along_axis(inside, by_label, axis=1)
        first = np.ones(inside.shape, dtype=np.bool_)
        first[:, 1:] = in_order[:, 1:] != in_order[:, :-1]
        news = np.empty_like(first)
        np.put_along_axis(news, by_label, first, axis=1)
        return np.asarray(np.cumsum(news, axis=1)[:, 1:])


def grow_balls(among: Floats, to_background: Floats, most: int) -> Balls:
    """Balls of 1 to `most` neighbours about each wafer; for the arguments see `largest_statistic`."""
    s = len(among)
    k = min(most, s - 1)
    distances = np.concatenate([among, to_background], axis=1)
    # Sort order: the centre of a ball first; at equal distance background wafers before stream wafers, so that ties
    # never raise an alarm.
    distances[np.arange(s), np.arange(s)] = -1.0
    order = np.lexsort((np.broadcast_to(np.arange(distances.shape[1]) < s, distances.shape), distances), axis=1)
    own = order < s
    nearest = np.asarray(order[own].reshape(s, s)[:, : k + 1], dtype=np.int64)
    chance = np.asarray(np.cumsum(~own, axis=1)[own].reshape(s, s)[:, 1 : k + 1], dtype=np.int64)
    return Balls(nearest, chance, np.take_along_axis(distances, nearest[:, 1:], axis=1))


def _most_unlikely(recent: Recent, background: Sample, rules: ClusterRules) -> Cluster | None:
    points, odds = recent.sample.embeddings, recent.sample.wafers / background.wafers
    balls = grow_balls(cdist(points, points), cdist(points, background.embeddings), len(points))
    # Two wafers of the same pattern are apart by its radius times the root of 2.
    fits = balls.running_any(recent.fresh) & (balls.radius <= np.sqrt(2) * widest(points.shape[1]))
    fits &= balls.running_distinct(recent.lots) >= rules.min_lots
    fits[:, : rules.min_wafers - 2] = False
    neighbours = np.arange(1, balls.chance.shape[1] + 1)
    by_chance = odds * balls.chance / neighbours
    scanned = np.where(fits & (by_chance <= _SEED_SHARE), balls.statistic(odds), 0.0)[:, :_NEIGHBOURS]
    centre, last = divmod(int(scanned.argmax()), scanned.shape[1])
    if scanned[centre, last] <= rules.threshold:
        return None
    # From the ball that revealed it to the largest ball that chance does not explain.
    pure = fits[centre] & (by_chance[centre] <= _CHANCE_SHARE)
    last = max(last, int(np.flatnonzero(pure).max(initial=0)))
    expected = odds * float(balls.chance[centre, last])
    return Cluster(balls.order[centre, : last + 2], float(scanned[centre].max()), expected)


def compactness(members: Floats) -> float:
    """Spread of whitened embeddings about their mean, relative to that of a known pattern; below 1 is more compact.

    Args:
        members: Of shape (m, d), m at least 2.
    """
    m, d = members.shape
    squares = np.square(members - members.mean(axis=0)).sum()
    return float(np.sqrt(squares / ((m - 1) * d)))


def reach_of(members: Floats) -> float:
    """How far from their mean further wafers of the same pattern are expected, after whitening.

    The radius that holds nearly all wafers of a Gaussian with the spread of the members; at least the farthest member's
    distance, and at most a known pattern's radius.

    Args:
        members: Of shape (m, d), m at least 2.
    """
    m, d = members.shape
    farthest = np.linalg.norm(members - members.mean(axis=0), axis=1).max()
    # The mean of m wafers is off by its own spread.
    likely = compactness(members) * np.sqrt(chi2.ppf(_REACHED_SHARE, d) * (1 + 1 / m))
    return float(min(max(farthest, likely), widest(d)))


def nearest_of(points: Floats, centres: Floats, reaches: Floats) -> NDArray[np.int64]:
    """Which centre each point belongs to: int64 of shape (n,), -1 if it is in no centre's reach.

    Args:
        points: Of shape (n, d).
        centres: Of shape (c, d).
        reaches: Of shape (c,).
    """
    if not len(centres):
        return np.full(len(points), -1)
    relative = cdist(points, centres) / np.maximum(reaches, np.finfo(np.float64).tiny)
    nearest = relative.argmin(axis=1)
    return np.where(relative[np.arange(len(points)), nearest] <= 1, nearest, -1)
