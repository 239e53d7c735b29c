"""How far a figure of one window may lie from the mean of a reference by chance.

Two tolerances are computed and the wider is used. *Sampling:* a bound on the sampling error of a figure of so many
rows, which holds for small counts too. *Between windows:* the spread between the windows of the reference, with
Student's quantile; the sampling error is a prior of `PRIOR_WINDOWS` windows, so that a few reference windows that agree
by luck do not make a check too sensitive (shrinkage of variances: Smyth, SAGMB 3, 2004, sec. 4).

The mean number of distinct values of a window does not hold for a window of another volume. The number expected of so
many rows follows from how often values occur in a larger sample: rarefaction (Hurlbert, Ecology 52, 1971) below the
sample's size, Chao's extrapolation above it (Chao et al., Ecological Monographs 84, 2014, eq. 9).
"""

import math
from collections.abc import Sequence
from typing import NamedTuple, Self, TypeVar

import msgspec
import numpy as np
from numpy.typing import NDArray
from scipy.special import betainc, chdtri, entr, gammaincc, gammaln, ndtr, stdtrit

from sparsewatch.detectors.counts.counts import Counts
from sparsewatch.detectors.sequential.steadiness import PRIOR_WINDOWS

Floats = NDArray[np.float64]
_Deviations = TypeVar("_Deviations", float, Floats)


class Statistic(msgspec.Struct, frozen=True, kw_only=True):
    """One figure over the windows of the reference."""

    mean: float
    #: Unbiased standard deviation; 0 for a single window.
    sd: float
    min: float
    max: float
    #: By what every tolerance is multiplied (see `sparsewatch.detectors.clicks.inflation`).
    inflation: float = 1.0

    def times(self, factor: float) -> "Statistic":
        """The figure multiplied by a factor above 0."""
        return Statistic(
            mean=factor * self.mean,
            sd=factor * self.sd,
            min=factor * self.min,
            max=factor * self.max,
            inflation=self.inflation,
        )


class SharesOver(msgspec.Struct, frozen=True, kw_only=True):
    """What shares are known from."""

    #: Windows in which the feature has a value; how many that do not depend on one another tell as much.
    windows: int
    independent: float
    #: Rows with a value that they have on average.
    rows: float
    #: By what every tolerance is multiplied (see `sparsewatch.detectors.clicks.inflation`).
    inflation: float = 1.0


def statistic(values: Sequence[float], inflation: float = 1.0) -> Statistic:
    """The figure over windows, of its value in each, and how far it falls short of windows to come."""
    x = np.asarray(values, dtype=np.float64)
    return Statistic(
        mean=float(x.mean()),
        sd=float(x.std(ddof=1)) if x.size > 1 else 0.0,
        min=float(x.min()),
        max=float(x.max()),
        inflation=inflation,
    )


def chance_bound(variance: float, rows: float, z: float) -> float:
    """Bernstein's bound on the error of a mean of `rows` values in [0, 1].

    Exceeded with a probability of at most exp(-z^2 / 2) on each side; about z standard errors if rows are many.

    Args:
        variance: Variance of a single value.
        rows: Values averaged, > 0.
        z: Strictness, in standard errors.
    """
    return float(chance_bounds(variance, rows, z))


def chance_bounds(variances: float | Floats, rows: float | Floats, z: float | Floats) -> Floats:
    """As `chance_bound`, of several means; shape (n,), and so may be rows and strictness."""
    log_p = z * z / 2
    third = log_p / (3 * rows)
    bounds: Floats = third + np.sqrt(third * third + 2 * log_p * variances / rows)
    return bounds


def between_windows(sd: float, sampling_sd: float, windows: int, z: float) -> float:
    """Bound on a deviation from a mean over windows, as unlikely as `z` standard deviations of a Gaussian.

    Args:
        sd: Standard deviation between the reference's windows; not used for a single window.
        sampling_sd: Standard error of the figure by its rows alone.
        windows: Windows of the reference.
        z: Strictness, in standard deviations.
    """
    variance, freedom = _shrunken(sd, sampling_sd, windows)
    return float(-stdtrit(freedom, ndtr(-z))) * math.sqrt(variance)


def _shrunken(sd: _Deviations, sampling_sd: _Deviations, windows: int) -> tuple[_Deviations, int]:
    """Variance between windows with the sampling error as prior, and its degrees of freedom."""
    freedom = windows - 1 + PRIOR_WINDOWS
    return (PRIOR_WINDOWS * sampling_sd**2 + (windows - 1) * sd**2) / freedom, freedom


def excluded_rows(volume: "Statistic", windows: int, z: float) -> float:
    """Rows up to which the volume of a window is no chance: less likely than below `z` standard deviations.

    A bound on a deviation that is symmetric, as `between_windows`, excludes a window of few rows only where the volume
    varies by less than a seventh or so. But rows are a count whose rate varies: negative binomial, with the parameter
    mean^2 / (variance - mean) (Johnson, Kemp and Kotz, Univariate Discrete Distributions, 2005, sec. 5.1). The variance
    is the largest that the reference's windows make likely, at 1 %.

    Args:
        volume: Rows over the reference's windows.
        windows: Their number.
        z: Strictness, in standard deviations.

    Returns:
        Fewer than any window of the reference has; negative where not even a window without rows is excluded.
    """
    mean = volume.mean
    shrunken, freedom = _shrunken(volume.sd, math.sqrt(mean), windows)
    excess = shrunken * freedom / chdtri(freedom, 0.99) - mean
    low, high = -1, math.ceil(volume.min)
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (middle, high) if chance_of_at_most(middle, mean, excess) < ndtr(-z) else (low, middle)
    return float(low)


def chance_of_at_most(rows: float, mean: float, excess: float) -> float:
    """Distribution function of a count whose variance is its mean and an excess: negative binomial, or Poisson."""
    whole = math.floor(rows)
    if excess <= 0:
        return float(gammaincc(whole + 1, mean))
    return float(betainc(mean * mean / excess, whole + 1, mean / (mean + excess)))


def widen(tolerance: float, windows: float) -> float:
    """Tolerance that also allows for the error of the reference's own mean."""
    return tolerance * math.sqrt(1 + 1 / windows)


def share_tolerance(
    reference: Statistic, windows: int, rows: float, reference_rows: float, z: float, *, backing: int | None = None
) -> float:
    """How far a share of rows may lie from its reference.

    Args:
        reference: The share over the reference's windows.
        windows: Their number.
        rows: Rows of the share that is checked, > 0.
        reference_rows: Rows a window of the reference had on average, > 0.
        z: Strictness, in standard deviations.
        backing: Windows that know the mean, where they are fewer than those that know the deviation.
    """
    tolerance = share_tolerances(reference.mean, reference.sd, windows, rows, reference_rows, z, backing=backing)
    return reference.inflation * float(tolerance)


def share_tolerances(
    means: float | Floats,
    sds: float | Floats,
    windows: int,
    rows: float | Floats,
    reference_rows: float,
    z: float,
    *,
    backing: float | None = None,
    freedom: float | None = None,
) -> Floats:
    """As `share_tolerance`, of several shares of the same rows.

    Args:
        means: Of each share over the reference's windows, shape (n,).
        sds: Its deviation between them, shape (n,).
        windows: As there, and so are the others.
        rows: Rows; shape (n_windows, 1) for several windows, and a row of tolerances each.
        reference_rows: Rows.
        z: Standard deviations.
        backing: Windows.
        freedom: Degrees of freedom of the deviation, where its windows depend on one another.
    """
    known = windows if backing is None else backing
    total = known * reference_rows
    shares = (means * total + 1) / (total + 2)
    variances = shares * (1 - shares)
    spreads: Floats = np.multiply(sds, np.sqrt(np.maximum(1.0, reference_rows / rows)))
    shrunken, most = _shrunken(spreads, np.sqrt(variances / rows), windows)
    degrees: float | Floats = most
    if freedom is not None:
        # Of a sum of two variances (Satterthwaite, Biometrics Bulletin 2, 1946); one window has no deviation.
        prior = PRIOR_WINDOWS * variances / rows / most / shrunken
        degrees = 1 / (prior**2 / PRIOR_WINDOWS + (1 - prior) ** 2 / max(freedom, 1.0))
    between = -stdtrit(degrees, ndtr(-z)) * np.sqrt(shrunken)
    widened: Floats = widen(1.0, known) * np.maximum(chance_bounds(variances, rows, z), between)
    return widened


class Information(NamedTuple):
    """What a window's information on the label is known from."""

    rows: float
    #: Clicks a row, in (0, 1).
    click_rate: float
    #: Standard deviation of the score by chance, nats.
    noise: float

    @property
    def label_entropy(self) -> float:
        """Of the label, nats."""
        return float(entr(self.click_rate) + entr(1 - self.click_rate))


def information_tolerance(
    before: Statistic,
    score: float,
    windows: int,
    reference_rows: float,
    of: Information,
    z: float,
    *,
    upwards: bool,
) -> float:
    """How far the share of the label's entropy may lie from its reference.

    The upper tail of a noncentral chi-square lies further out than a Gaussian's (Laurent and Massart, Annals of
    Statistics 28, 2000, lemma 1).

    Args:
        before: The share over the reference's windows.
        score: Its mean there, nats.
        windows: Their number.
        reference_rows: Rows a window of the reference had on average, > 0.
        of: The window.
        z: Strictness, in standard deviations.
        upwards: Whether a rise is judged.
    """
    sampling_sd = information_sd(score, of)
    sampling = z * sampling_sd + (z**2 / 2 / of.rows / of.label_entropy if upwards else 0.0)
    spread = before.sd * math.sqrt(max(1.0, reference_rows / of.rows))
    return before.inflation * widen(max(sampling, between_windows(spread, sampling_sd, windows, z)), windows)


def information_sd(score: float, of: Information) -> float:
    """Standard deviation by chance of the share of the label's entropy.

    With a signal, n times mutual information is half a noncentral chi-square: its variance is that of chance plus
    2 n times the signal.

    Args:
        score: The signal, nats.
        of: The window; its click rate neither 0 nor 1.
    """
    return math.sqrt(of.noise**2 + 2 * max(score, 0.0) / of.rows) / of.label_entropy


def distinct_tolerance(expected: float, missing: float, spread: float, windows: int, z: float) -> float:
    """How far the number of distinct values may lie from that expected, as a part of it.

    Args:
        expected: The number expected, > 0.
        missing: Number of the reference's values that are expected to be missing.
        spread: Standard deviation of the ratio between the reference's windows, as a part of its mean.
        windows: Their number.
        z: Strictness, in standard deviations.
    """
    sampling_sd = float(distinct_sds(np.float64(expected), np.float64(missing)))
    return widen(between_windows(spread, sampling_sd, windows, z), windows)


def distinct_sds(expected: Floats | np.float64, missing: Floats | np.float64) -> Floats:
    """Standard deviation of the number of distinct values by chance, at most, as a part of it.

    Args:
        expected: The number expected, > 0.
        missing: Number of the reference's values that are expected to be missing.
    """
    # The number of values seen, a sum of dependent yes and no, varies less than either part of its mean.
    sds: Floats = np.sqrt(np.minimum(expected, missing)) / expected
    return sds


def distinct_surprise(seen: float, expected: float, missing: float, known: float) -> float:
    """Bound on -ln of the probability that so many, or so few, distinct values are seen.

    Args:
        seen: Their number.
        expected: The number expected.
        missing: Number of the reference's values that are expected to be missing.
        known: Values of the reference.
    """
    if seen > expected:
        return _excess(seen, expected)
    return max((expected - seen) ** 2 / (2 * expected), _excess(known - seen, missing))


def _excess(seen: float, expected: float) -> float:
    """Chernoff's bound: -ln of the probability that a count of `expected` reaches `seen`; 0 if that is no excess."""
    if seen <= expected:
        return 0.0
    return seen * math.log(seen / expected) - seen + expected if expected > 0 else math.inf


class Expected(NamedTuple):
    """Values expected of rows drawn from the source of a sample, shape (n,) each."""

    distinct: Floats
    #: Those of the sample that are missing.
    missing: Floats


class Abundances(NamedTuple):
    """How often values occur: `times[i]` values have `sizes[i]` rows each; sizes ascend.

    A uniform sample stands for more values than can be held.
    """

    sizes: Counts
    times: Counts
    #: Number of values that each value of the sample stands for, and rows of all values.
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
        return self.values + self._extrapolated(rows - self.rows)

    def expected_of(self, rows: Counts) -> "Expected":
        """As `expected_distinct` and `expected_missing`, of several numbers of rows."""
        if not self.sizes.size:
            return Expected(np.zeros(rows.size), np.zeros(rows.size))
        absent = self._absence(np.minimum(rows, self.rows)[:, None])
        distinct: Floats = self.scale * (self.times * (1 - absent)).sum(1)
        beyond = np.flatnonzero(rows > self.rows)
        distinct[beyond] = [self.expected_distinct(one) for one in rows[beyond].tolist()]
        return Expected(distinct, self.scale * (self.times * absent).sum(1))

    def expected_missing(self, rows: int) -> float:
        """Expected number of the sample's values that `rows` rows lack."""
        return self.scale * float(self.times @ self._absence(min(rows, self.rows)))

    def _absence(self, rows: int | Counts) -> NDArray[np.float64]:
        """Probability that a value of each size is not among `rows` rows drawn without replacement.

        Args:
            rows: A number, or numbers of shape (n, 1); then the result has a row for each.
        """
        total = self.rows
        left = total - self.sizes
        possible = left >= rows
        left = np.where(possible, left, rows)
        log_p = gammaln(left + 1) - gammaln(left - rows + 1) - gammaln(total + 1) + gammaln(total - rows + 1)
        return np.where(possible, np.exp(np.minimum(log_p, 0.0)), 0.0)

    def _extrapolated(self, rows: int) -> float:
        """Expected number of new values in `rows` rows more than the sample has."""
        single, double = (self.scale * int(self.times[self.sizes == size].sum()) for size in (1, 2))
        if not single:
            return 0.0
        hidden = single * (single - 1) / (2 * (double + 1)) + 1e-12
        return hidden * -math.expm1(rows * math.log1p(-single / (self.rows * hidden + single)))
