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


def statistics(values: Floats | Counts, inflations: Floats | None = None) -> list[Statistic]:
    """As `statistic`, of several figures.

    Args:
        values: Of each figure in each window, shape (n_windows, n).
        inflations: Of each figure, shape (n,); 1 if absent.
    """
    sds = values.std(axis=0, ddof=1) if len(values) > 1 else np.zeros(values.shape[1])
    figures = (
        values.mean(0),
        sds,
        values.min(0),
        values.max(0),
        np.ones(sds.size) if inflations is None else inflations,
    )
    return [
        Statistic(mean=mean, sd=sd, min=float(low), max=float(high), inflation=inflation)
        for mean, sd, low, high, inflation in zip(*(figure.tolist() for figure in figures), strict=True)
    ]


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


def between_windows(sd: _Deviations, sampling_sd: _Deviations, windows: int, z: float) -> _Deviations:
    """Bound on a deviation from a mean over windows, as unlikely as `z` standard deviations of a Gaussian.

    Args:
        sd: Standard deviation between the reference's windows, of one figure or of several; not used for a single
            window.
        sampling_sd: Standard error of the figure by its rows alone.
        windows: Windows of the reference.
        z: Strictness, in standard deviations.
    """
    variance, freedom = _shrunken(sd, sampling_sd, windows)
    # Student's quantile of few degrees of freedom overflows at the smallest probabilities.
    with np.errstate(invalid="ignore"):
        bound: _Deviations = float(-stdtrit(freedom, ndtr(-z))) * variance**0.5
        return bound


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
    reference_rows: float | Floats,
    z: float | Floats,
    *,
    backing: float | None = None,
    freedom: float | None = None,
) -> Floats:
    """As `share_tolerance`, of several shares.

    Args:
        means: Of each share over the reference's windows, shape (n,).
        sds: Its deviation between them, shape (n,).
        windows: As there, and so are the others.
        rows: Rows, of all shares or of each; shape (n_windows, 1) or (n_windows, n) for several windows, and a row of
            tolerances each.
        reference_rows: Rows, of all shares or of each.
        z: Standard deviations, of all shares or of each.
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
    between = _student(degrees, z) * np.sqrt(shrunken)
    widened: Floats = widen(1.0, known) * np.maximum(chance_bounds(variances, rows, z), between)
    return widened


def _student(degrees: float | Floats, z: float | Floats) -> Floats:
    """Student's quantiles of as many standard deviations of a Gaussian; found once for equal ones."""
    if np.ndim(z) and not np.ndim(degrees):
        some, places = np.unique(z, return_inverse=True)
        of_each: Floats = -stdtrit(degrees, ndtr(-some))[places]
        return of_each
    quantiles: Floats = -stdtrit(degrees, ndtr(-z))
    return quantiles


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


class Informations(NamedTuple):
    """As `Information`, of several features and windows; arrays of one shape."""

    rows: Floats
    click_rate: Floats
    noise: Floats

    @property
    def label_entropy(self) -> Floats:
        """Of the label, nats."""
        entropies: Floats = entr(self.click_rate) + entr(1 - self.click_rate)
        return entropies


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
    tolerance = information_tolerances(before.sd, score, windows, reference_rows, of, z, upwards=upwards)
    return before.inflation * float(tolerance)


def information_tolerances(
    sds: float | Floats,
    scores: float | Floats,
    windows: int,
    reference_rows: float | Floats,
    of: "Information | Informations",
    z: float,
    *,
    upwards: bool | NDArray[np.bool_],
) -> Floats:
    """As `information_tolerance` without a factor, of several shares; shape (n,), and so may be the others."""
    sampling_sds, entropies = information_sds(scores, of), of.label_entropy
    sampling = z * sampling_sds + np.where(upwards, z**2 / 2 / of.rows / entropies, 0.0)
    spreads: Floats = np.multiply(sds, np.sqrt(np.maximum(1.0, reference_rows / of.rows)))
    widened: Floats = widen(1.0, windows) * np.fmax(sampling, between_windows(spreads, sampling_sds, windows, z))
    return widened


def information_sds(scores: float | Floats, of: "Information | Informations") -> Floats:
    """Standard deviations by chance of shares of the label's entropy.

    With a signal, n times mutual information is half a noncentral chi-square: its variance is that of chance plus
    2 n times the signal.

    Args:
        scores: The signals, nats.
        of: The windows; their click rates neither 0 nor 1.
    """
    sds: Floats = np.sqrt(of.noise**2 + 2 * np.maximum(scores, 0.0) / of.rows) / of.label_entropy
    return sds


def distinct_tolerance(expected: float, missing: float, spread: float, windows: int, z: float) -> float:
    """How far the number of distinct values may lie from that expected, as a part of it.

    Args:
        expected: The number expected, > 0.
        missing: Number of the reference's values that are expected to be missing.
        spread: Standard deviation of the ratio between the reference's windows, as a part of its mean.
        windows: Their number.
        z: Strictness, in standard deviations.
    """
    return float(distinct_tolerances(np.float64(expected), np.float64(missing), np.float64(spread), windows, z))


def distinct_tolerances(
    expected: Floats | np.float64, missing: Floats | np.float64, spreads: Floats | np.float64, windows: int, z: float
) -> Floats:
    """As `distinct_tolerance`, of several numbers; shape (n,) each."""
    sampling_sds = distinct_sds(expected, missing)
    return widen(1.0, windows) * between_windows(np.asarray(spreads), sampling_sds, windows, z)


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
    return float(distinct_surprises(*(np.array([one], np.float64) for one in (seen, expected, missing, known)))[0])


def distinct_surprises(seen: Floats, expected: Floats, missing: Floats, known: Floats) -> Floats:
    """As `distinct_surprise`, of several numbers; shape (n,) each."""
    fewer = np.maximum((expected - seen) ** 2 / (2 * expected), _excess(known - seen, missing))
    found: Floats = np.where(seen > expected, _excess(seen, expected), fewer)
    return found


def _excess(seen: Floats, expected: Floats) -> Floats:
    """Chernoff's bound: -ln of the probability that counts of `expected` reach `seen`; 0 if that is no excess."""
    beyond = seen > expected
    with np.errstate(divide="ignore"):
        ratios = np.divide(seen, expected, out=np.ones(seen.shape), where=beyond)
    bounds: Floats = np.where(beyond, np.where(expected > 0, seen * np.log(ratios) - seen + expected, np.inf), 0.0)
    return bounds


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

    def _extrapolated(self, rows: int) -> float:
        """Expected number of new values in `rows` rows more than the sample has."""
        single, double = (self.scale * int(self.times[self.sizes == size].sum()) for size in (1, 2))
        if not single:
            return 0.0
        hidden = single * (single - 1) / (2 * (double + 1)) + 1e-12
        return hidden * -math.expm1(rows * math.log1p(-single / (self.rows * hidden + single)))
