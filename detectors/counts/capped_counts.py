"""Counts of a column with more values than are stored: a sample, hashed counters, and estimates for all values.

Above the cap a feature is counted in two ways, both the same for any order of rows and merges:

* *sample*: the values of the smallest hash, counted exactly. A value is in it with the same probability whatever its
  rows, so the sample is uniform over all values (bottom-k: Cohen and Kaplan, PODC 2007);
* *counters*: rows and clicks of all values by other bits of the hash, several values to a counter.

Neither suffices alone: a uniform sample misses the few values with most of the rows, and a counter mixes values. Here
a counter that stands out counts as one *heavy* value, once the rows that light values give a counter on average are
subtracted. What is left is *light* and is represented by the light values of the sample. Their weights are calibrated
to the known rows and clicks of the light part (Deville and Särndal, JASA 87, 1992), which makes a feature of unique ids
exact.
"""

import math
from typing import NamedTuple, Self

import numpy as np
from numpy.typing import NDArray

from sparsewatch.detectors.counts.counts import Counts
from sparsewatch.detectors.counts.value_hashes import HASH_RANGE, Hashes, counters_of, number_of_counters

Floats = NDArray[np.float64]

#: Standard deviations by which a counter stands out of the rows that light values give it.
STANDS_OUT = 6.0
#: Largest share of counters that hold a heavy value.
HEAVY_COUNTERS = 1 / 16


class HashedCounters(NamedTuple):
    """Rows and clicks of all values by their hash, shape (n_counters,) each, a power of two."""

    rows: Counts
    clicks: Counts

    @classmethod
    def empty(cls, max_values: int) -> Self:
        """Counters of no rows, for a feature of which `max_values` values are stored."""
        size = number_of_counters(max_values)
        return cls(np.zeros(size, np.int64), np.zeros(size, np.int64))

    def add(self, hashes: Hashes, rows: Counts | int, clicks: Counts) -> None:
        """Count values, in place; where each is a row, `rows` is 1 and `clicks` 0 or 1."""
        counters = self.counters(hashes)
        np.add.at(self.rows, counters, rows)
        np.add.at(self.clicks, counters, clicks)

    def plus(self, other: "HashedCounters") -> "HashedCounters":
        """Sum of both."""
        return HashedCounters(self.rows + other.rows, self.clicks + other.clicks)

    def folded(self, max_values: int) -> "HashedCounters":
        """The same counts in as many counters as a feature of fewer stored values has, at most as many as these."""
        size = number_of_counters(max_values)
        return HashedCounters(self.rows.reshape(-1, size).sum(axis=0), self.clicks.reshape(-1, size).sum(axis=0))

    def counters(self, hashes: Hashes) -> NDArray[np.int64]:
        """Position of each value's counter."""
        return counters_of(hashes, self.rows.size)

    def less(self, hashes: Hashes, rows: Counts, clicks: Counts) -> "HashedCounters":
        """The counters without these values, which must be among those counted."""
        rest = HashedCounters(self.rows.copy(), self.clicks.copy())
        rest.add(hashes, -rows, -clicks)
        return rest


class Background(NamedTuple):
    """What light values add to one counter: moments of rows, and of clicks less `rate` times rows."""

    rows: float
    rate: float
    rows_variance: float
    covariance: float
    clicks_variance: float


class Estimate(NamedTuple):
    """All values of a feature, as weighted values of the sample and heavy counters."""

    #: Of each value of the sample: how many values it stands for, >= 0; the sum of weight times rows is exact.
    weights: Floats
    #: Values of the sample that are heavy and stand for themselves.
    heavy: NDArray[np.bool_]
    #: Counters that count as one value each, and their rows and clicks less the background's.
    counters: NDArray[np.int64]
    rows: Counts
    clicks: Counts
    background: Background


def estimate(hashed: HashedCounters, hashes: Hashes, rows: Counts, clicks: Counts, limit: int) -> Estimate:
    """Estimate all values from the sample and the counters.

    Args:
        hashed: Counts of all values.
        hashes: Hashes of the sample, shape (n_sampled,): all below `limit` that occur, and no others.
        rows: Their rows, >= 1.
        clicks: Their clicks.
        limit: In [1, `HASH_RANGE`]. A value is in the sample with probability `limit / HASH_RANGE`.
    """
    return _estimate(hashed.less(hashes, rows, clicks), hashed.rows.size, rows, clicks, limit)


def estimate_of_all(hashes: Hashes, rows: Counts, clicks: Counts, limit: int, n_counters: int) -> Estimate:
    """As `estimate`, of values that are all known: only counters that hold one are made.

    Args:
        hashes: Hashes of all values, shape (n,).
        rows: Their rows, >= 1.
        clicks: Their clicks.
        limit: As there; below it are those of the sample.
        n_counters: Number of counters, a power of two.
    """
    below, others = np.flatnonzero(hashes < np.uint64(limit)), np.flatnonzero(hashes >= np.uint64(limit))
    counters, places = np.unique(counters_of(hashes[others], n_counters), return_inverse=True)
    rest = HashedCounters(
        *(np.bincount(places, counts[others], counters.size).astype(np.int64) for counts in (rows, clicks))
    )
    found = _estimate(rest, n_counters, rows[below], clicks[below], limit)
    return found._replace(counters=counters[found.counters])


def _estimate(rest: HashedCounters, n_counters: int, rows: Counts, clicks: Counts, limit: int) -> Estimate:
    """See `estimate`; `rest` are the counters without the sample, those without rows may be left out."""
    load = rows.size * (HASH_RANGE / limit - 1) / n_counters
    border, mean, variance = _border(rows, load)
    heavy = rows >= border
    counters = np.flatnonzero(rest.rows >= max(border + mean, 1.0))
    rate = _rate(rest, counters)
    heavy_rows = _less(rest.rows[counters], mean)
    heavy_clicks = _less(rest.clicks[counters], mean * rate).clip(0, heavy_rows)
    light = ~heavy
    weights = np.ones(rows.size)
    weights[light] = _calibrated(
        rows[light],
        clicks[light],
        int(rest.rows.sum() + rows[light].sum() - heavy_rows.sum()),
        int(rest.clicks.sum() + clicks[light].sum() - heavy_clicks.sum()),
    )
    excess = clicks[light] - rate * rows[light]
    per_counter = load / max(rows.size, 1)
    background = Background(
        rows=mean,
        rate=rate,
        rows_variance=variance,
        covariance=per_counter * float(excess @ rows[light]),
        clicks_variance=per_counter * float(excess @ excess),
    )
    return Estimate(weights, heavy, counters, heavy_rows, heavy_clicks, background)


def _border(rows: Counts, load: float) -> tuple[float, float, float]:
    """Rows from which a value is heavy; mean and variance of the rows that lighter ones give a counter.

    A counter holds a Poisson number of values outside the sample, `load` on average, with rows like those of the sample
    (compound Poisson). The border is the lowest that stands out of what is below it and leaves few heavy values, so
    that they seldom share a counter. Without a sample nothing can represent light values: all counters are heavy.
    """
    if not rows.size:
        return 0.0, 0.0, 0.0
    ascending = np.sort(rows).astype(np.float64)
    mean, variance = (load / rows.size * np.append(0.0, np.cumsum(ascending**power)) for power in (1, 2))
    stands_out = mean + STANDS_OUT * np.sqrt(variance)
    fewest = math.ceil(rows.size * max(1 - HEAVY_COUNTERS / load, 0.0)) if load else 0
    found = np.flatnonzero(stands_out[fewest:-1] <= ascending[fewest:])
    light = fewest + int(found[0]) if found.size else rows.size
    above = ascending[light - 1] + 1 if light else 0.0
    return max(float(stands_out[light]), above), float(mean[light]), float(variance[light])


def _less(counts: Counts, background: float) -> Counts:
    """Counts less the background, whole numbers with the right sum.

    Rounding each on its own would put the same error on all: 300 counters with 0.4 clicks too many took 100 clicks from
    the light values, and changed the score more than all other errors.
    """
    return np.diff(np.rint(np.cumsum(counts - background)), prepend=0.0).astype(np.int64)


def _rate(rest: HashedCounters, heavy: NDArray[np.int64]) -> float:
    """Clicks a row in the counters that are not heavy; 0 without rows."""
    light_rows = int(rest.rows.sum() - rest.rows[heavy].sum())
    light_clicks = int(rest.clicks.sum() - rest.clicks[heavy].sum())
    return light_clicks / light_rows if light_rows else 0.0


def _calibrated(rows: Counts, clicks: Counts, total_rows: int, total_clicks: int) -> Floats:
    """Weights that give the totals, each the mean over a value's rows of a weight for clicks and a weight for others.

    Where no such positive weights exist all are equal and give the total of rows.
    """
    if not rows.size:
        return np.zeros(0)
    share = clicks / rows
    others = rows - clicks
    moments = np.array([[clicks @ share, others @ share], [clicks @ (1 - share), others @ (1 - share)]])
    equal = max(total_rows, 0) / int(rows.sum())
    if np.linalg.det(moments) > 1e-9 * float(rows.sum()) ** 2:
        a, b = np.linalg.solve(moments.T, [total_clicks, total_rows - total_clicks])
        if equal / 8 < min(a, b) and max(a, b) < 8 * equal:
            return np.asarray(a * share + b * (1 - share))
    return np.full(rows.size, equal)
