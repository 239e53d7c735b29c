"""Entropy and mutual information of counts, in nats: plug-in (maximum likelihood) estimates, and what chance gives.

*Under chance*, when labels are permuted at random, mutual information has an exact mean and a spread. With both
marginals fixed a cell of the contingency table is hypergeometric, so the expectation is a sum over cells (Vinh, Epps
and Bailey, JMLR 11, 2010, eq. 24a). Cells of equal marginals have equal expectation and are computed once: a feature of
n rows has at most sqrt(2n) distinct counts, however many values it has.
"""

from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.special import entr, kl_div

from sparsewatch.detectors.counts.counts import Counts


def entropy(counts: Counts) -> float:
    """Entropy of a distribution given by its counts.

    Args:
        counts: Shape (n_values,), >= 0. Zeros add nothing.

    Returns:
        Nats, in [0, ln n_values]; 0 without any count.
    """
    total = counts.sum()
    return float(entr(counts / total).sum()) if total else 0.0


def mutual_information(joint: Counts) -> float:
    """Mutual information of two variables given by their contingency table.

    Args:
        joint: Shape (n_values, n_labels), >= 0. Rows or columns of zeros add nothing.

    Returns:
        Nats, >= 0 and at most the smaller of the two entropies; 0 without any count.
    """
    total = joint.sum()
    if not total:
        return 0.0
    expected = np.outer(joint.sum(axis=1), joint.sum(axis=0) / total)
    # Sum of k ln(k/e) - k + e: the last two cancel over the table, and keep every term >= 0.
    return float(kl_div(joint, expected).sum() / total)


def values_information(rows: Counts, clicks: Counts, rate: float) -> NDArray[np.float64]:
    """Part of each value in n times the mutual information with a binary label.

    Args:
        rows: Rows of each value, shape (n_values,), >= 0.
        clicks: Those of label 1.
        rate: Share of label 1 in all rows, inside (0, 1).

    Returns:
        Nats, >= 0, shape (n_values,).
    """
    information: NDArray[np.float64] = kl_div(clicks, rows * rate) + kl_div(rows - clicks, rows * (1 - rate))
    return information


Floats = NDArray[np.float64]

#: -ln of the probability left out on each side of a cell's distribution: 1e-18.
TAIL = 18 * np.log(10)
#: Outcomes held at a time, about 100 bytes each.
CHUNK = 1 << 19
#: Logarithms of probabilities are summed in units of its inverse, 4e-15; they wrap around beyond 32,768.
_LOG_SCALE = float(1 << 48)


class Moments(NamedTuple):
    """Mean and standard deviation of mutual information under permutation, in nats."""

    mean: float
    sd: float


class Chance(NamedTuple):
    """Mutual information with a binary label that is permuted at random, as far as ranking needs it."""

    #: Nats, and their square.
    mean: float = 0.0
    variance: float = 0.0
    #: Mean over permutations and rows of the squared information of a row, ln(p(value, label) / p(value) p(label)).
    square: float = 0.0
    #: Distinct rows of a value, ascending, and the mean part of such a value in n times mutual information.
    rows: Counts = np.zeros(0, np.int64)
    parts: Floats = np.zeros(0)

    def parts_of(self, rows: Counts) -> Floats:
        """Mean parts of values of so many rows each, which must be among those of the feature."""
        return self.parts[np.searchsorted(self.rows, rows)] if self.parts.size else np.zeros(rows.size)


class _ValueMoments(NamedTuple):
    """Moments of the parts that values have in n times mutual information, shape (n_values,) each."""

    mean: Floats
    variance: Floats
    #: Regression on the value's clicks.
    slope: Floats
    #: Standard deviation of what the square of the clicks adds to that.
    bend: Floats
    #: Mean sum of squared information of the value's rows.
    square: Floats


class Outcomes(NamedTuple):
    """Outcomes of several hypergeometric cells, one cell after the other."""

    #: First outcome of each cell.
    starts: NDArray[np.int64]
    #: Cell of each outcome.
    cell: NDArray[np.int64]
    #: Count of each outcome, and its probability.
    k: Floats
    p: Floats


def expected_mutual_information(feature: Counts, label: Counts) -> float:
    """Mean mutual information of two variables over all permutations of one of them.

    Outcomes of probability below 1e-18 a side are left out and the rest is normalised: the relative error is below
    1e-8 up to 10**7 rows, nearly all of it rounding.

    Args:
        feature: Rows of each value, shape (n_values,), >= 0.
        label: Rows of each label, shape (n_labels,), >= 0, with the same sum.

    Returns:
        Nats, >= 0; 0 without rows.

    Raises:
        ValueError: If the sums differ.
    """
    total = int(feature.sum())
    if total != label.sum():
        raise ValueError(f"expected marginals of equal sum, got {total} and {label.sum()} rows")
    a, a_times = distinct_counts(feature)
    b, b_times = distinct_counts(label)
    a, b = np.repeat(a, b.size), np.tile(b, a.size)
    times = np.outer(a_times, b_times).ravel()
    return float(times @ cell_expectations(a, b, total)) / total if total else 0.0


def cell_expectations(a: Counts, b: Counts, total: int) -> Floats:
    """Mean part of each cell in n times mutual information, given its two marginals.

    Args:
        a: Shape (n_cells,), in [1, total].
        b: Shape (n_cells,), in [1, total].
        total: Rows.
    """
    means = np.empty(a.size)
    for cells, outcomes in outcomes_of(a, b, total):
        mean = (a[cells] * (b[cells] / total))[outcomes.cell]
        means[cells] = np.add.reduceat(outcomes.p * kl_div(outcomes.k, mean), outcomes.starts)
    return means


def permutation_moments(rows: Counts, clicks: int) -> Moments:
    """Mean and spread of a feature's mutual information with a binary label that is permuted at random.

    The mean is exact. The variance sums the exact variances of the values and their pairwise covariances to second
    order in the deviations of the counts; it is within a few percent of simulation, and equals the chi-square limit
    (n_values - 1) / (2 n^2) where counts are large.

    Args:
        rows: Rows of each value, shape (n_values,), >= 0.
        clicks: Rows of label 1, between 0 and the sum of `rows`.

    Returns:
        Mean and standard deviation in nats; zeros where one label or one value is missing.
    """
    chance = permutation_chance(rows, clicks)
    return Moments(chance.mean, float(np.sqrt(chance.variance)))


class LabelChances:
    """Moments of values under permutation of one label, each number of rows worked out once for all features.

    They depend on nothing but the label and a value's rows, and features of one table have many of these in common.

    Args:
        clicks: Rows of label 1.
        total: Rows.
    """

    def __init__(self, clicks: int, total: int) -> None:
        self.clicks, self.total = clicks, total
        self._rows = np.zeros(0, np.int64)
        self._moments = _ValueMoments(*(np.zeros(0) for _ in _ValueMoments._fields))

    def of(self, rows: Counts) -> _ValueMoments:
        """Moments of values of so many rows each, ascending and distinct; zeros for a value without rows."""
        news = np.setdiff1d(rows, self._rows, assume_unique=True)
        if news.size:
            known = np.concatenate([self._rows, news])
            order = np.argsort(known)
            found = zip(self._moments, _all_moments(news, self.clicks, self.total), strict=True)
            self._rows = known[order]
            self._moments = _ValueMoments(*(np.concatenate(both)[order] for both in found))
        places = np.searchsorted(self._rows, rows)
        return _ValueMoments(*(moment[places] for moment in self._moments))


def permutation_chance(
    rows: Counts, clicks: int, weights: Floats | None = None, chances: LabelChances | None = None
) -> Chance:
    """The moments of `permutation_moments`, and those that errors of scores need.

    Args:
        rows: Rows of each value, shape (n_values,), >= 0.
        clicks: Rows of label 1, between 0 and the sum of weight times rows.
        weights: How many values each stands for, shape (n_values,); 1 by default.
        chances: Of the same label, where several features have it.
    """
    if weights is None:
        a, times = distinct_counts(rows)
    else:
        a, inverse = np.unique(rows, return_inverse=True)
        times = np.bincount(inverse, weights, a.size)
    total = round(float(times @ a))
    if total < 2 or not 0 < clicks < total or np.count_nonzero(rows) < 2:
        return Chance()
    if chances is None or (chances.clicks, chances.total) != (clicks, total):
        chances = LabelChances(clicks, total)
    moments = chances.of(a)
    rate = clicks / total
    linear = rate * (1 - rate) / (total - 1) * _off_diagonal(moments.slope * a, times)
    # Squared deviations correlate by the square of the deviations' correlation.
    quadratic = _off_diagonal(moments.bend * a / np.maximum(total - a, 1), times)
    mean = float(times @ moments.mean)
    variance = max(float(times @ moments.variance) + quadratic - linear, 0.0)
    return Chance(
        mean=mean / total,
        variance=variance / total**2,
        square=float(times @ moments.square) / total,
        rows=a,
        parts=moments.mean,
    )


def _all_moments(a: Counts, clicks: int, total: int) -> _ValueMoments:
    """Moments for values of `a` rows each, ascending and distinct; zeros for a value without rows."""
    moments = _ValueMoments(*(np.zeros(a.size) for _ in _ValueMoments._fields))
    first = int(np.searchsorted(a, 1))
    a = a[first:]
    for cells, outcomes in outcomes_of(a, np.full_like(a, clicks), total):
        for whole, part in zip(moments, _value_moments(a[cells], clicks, total, outcomes), strict=True):
            whole[first:][cells] = part
    return moments


def _value_moments(a: Counts, clicks: int, total: int, outcomes: Outcomes) -> _ValueMoments:
    rate = clicks / total
    clicked, others = outcomes.k, a[outcomes.cell] - outcomes.k
    expected = (a * rate)[outcomes.cell]
    of_click, of_other = _log_ratio(clicked, expected), _log_ratio(others, (a * (1 - rate))[outcomes.cell])
    # As the sum of the divergences k ln(k/e) - k + e, whose last terms cancel.
    clicked_part, others_part = clicked * of_click, others * of_other
    part = clicked_part + others_part

    def mean(x: Floats) -> Floats:
        return np.add.reduceat(outcomes.p * x, outcomes.starts)

    first, square = mean(part), mean(clicked_part * of_click + others_part * of_other)
    part -= first[outcomes.cell]
    deviation = clicked - expected
    squared = deviation * deviation
    spread = mean(squared)
    slope = ratio(mean(part * deviation), spread)
    skew = ratio(mean(squared * deviation), spread)
    bent = squared - skew[outcomes.cell] * deviation
    bent -= spread[outcomes.cell]
    bend = ratio(mean(part * bent), np.sqrt(mean(bent * bent)))
    return _ValueMoments(first, mean(part * part), slope, bend, square)


def _log_ratio(counts: NDArray[Any], expected: NDArray[Any]) -> Floats:
    """Logarithm of counts over what is expected, 0 where there are none."""
    ratios: Floats = np.log(np.where(counts > 0, counts, expected) / expected)
    return ratios


def squared_information(rows: Any, clicks: Any, rate: float) -> Floats:
    """Sum over a value's rows of the squared information on the label: k ln(k/e)^2 of its two cells.

    Args:
        rows: Rows of each value, shape (n_values,), >= 1.
        clicks: Those of label 1.
        rate: Share of label 1 in all rows, inside (0, 1).
    """
    squares = np.zeros(np.shape(rows))
    for count, expected in ((clicks, rows * rate), (rows - clicks, rows * (1 - rate))):
        squares += count * _log_ratio(count, expected) ** 2
    return squares


def ratio(x: Floats, y: Floats) -> Floats:
    """Quotient, or 0 where the divisor is 0 but for rounding."""
    return np.divide(x, y, out=np.zeros_like(x), where=y > 1e-9)


def _off_diagonal(x: Floats, times: Any) -> float:
    """Sum of x_i x_j over all pairs of different values, where x_i occurs `times` times."""
    return float((times @ x) ** 2 - times @ x**2)


def distinct_counts(counts: Counts) -> tuple[Counts, Counts]:
    """Distinct positive counts, ascending, and how often each occurs."""
    values, times = np.unique(counts[counts > 0], return_counts=True)
    return values.astype(np.int64), times.astype(np.int64)


def outcomes_of(a: Counts, b: Counts, total: int) -> Iterator[tuple[slice, Outcomes]]:
    """Distributions of the cells with marginals `a` and `b`, in chunks of bounded size."""
    low, high = _range(a, b, total)
    ends = np.cumsum(high - low + 1)
    first = 0
    while first < a.size:
        done = ends[first - 1] if first else 0
        last = max(int(np.searchsorted(ends, done + CHUNK, side="right")), first + 1)
        cells = slice(first, last)
        yield cells, _distribution(a[cells], b[cells], total, low[cells], high[cells])
        first = last


def _range(a: Counts, b: Counts, total: int) -> tuple[Counts, Counts]:
    """Lowest and highest outcome of each cell, up to a probability of exp(-TAIL) a side.

    Half-widths are the smaller of Hoeffding's and Bernstein's, which hold without replacement (Hoeffding 1963, sec. 6).
    """
    mean = a * (b / total)
    draws = np.minimum(np.minimum(a, total - a), np.minimum(b, total - b))
    variance = mean * (1 - np.maximum(a, b) / total)
    hoeffding = np.sqrt(TAIL * draws / 2)
    bernstein = TAIL / 3 + np.sqrt((TAIL / 3) ** 2 + 2 * TAIL * variance)
    width = np.minimum(hoeffding, bernstein)
    low = np.maximum(np.maximum(0, a + b - total), np.floor(mean - width).astype(np.int64))
    high = np.minimum(np.minimum(a, b), np.ceil(mean + width).astype(np.int64))
    return low, high


def _distribution(a: Counts, b: Counts, total: int, low: Counts, high: Counts) -> Outcomes:
    """Hypergeometric probabilities by the ratio of neighbours, which keeps digits log-gamma loses."""
    sizes = high - low + 1
    starts = np.cumsum(sizes) - sizes
    cell = np.repeat(np.arange(a.size), sizes)
    k = (np.arange(cell.size) - starts[cell] + low[cell]).astype(np.float64)
    rows, marked = a[cell].astype(np.float64), b[cell].astype(np.float64)
    # p(k) / p(k-1); the first outcome of a cell has none.
    step = np.log((rows - k + 1) * (marked - k + 1))
    first = starts
    below = k * (total - rows - marked + k)
    below[first] = step[first] = 1.0
    step -= np.log(below)
    step[first] = 0.0
    # Sums of whole numbers are exact: a cell does not depend, in its last digits, on the cells before it.
    log_p = np.cumsum(np.rint(step * _LOG_SCALE).astype(np.int64))
    log_p -= log_p[starts][cell]
    log_p -= np.maximum.reduceat(log_p, starts)[cell]
    p = np.exp(log_p / _LOG_SCALE)
    p /= np.add.reduceat(p, starts)[cell]
    return Outcomes(starts, cell, k, p)
