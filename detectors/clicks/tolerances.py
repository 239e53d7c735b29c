"""How far a figure of one window may lie from the mean of a reference by chance.

Two grounds are weighed and the wider counts. *Sampling:* a bound on the chance error of a figure made of so many
rows, which holds for small counts too. *Between windows:* the spread the reference itself had, with Student's
quantile; the sampling error stands in as a prior of `PRIOR_WINDOWS` windows, so a few reference windows that agree by
luck do not make a check nervous (shrinkage of variances: Smyth, SAGMB 3, 2004, sec. 4).
"""

import math

from scipy.special import ndtr, stdtrit

from sparsewatch.detectors.clicks.reference import Statistic

#: Windows the sampling error counts for in the spread between windows.
PRIOR_WINDOWS = 4


def chance_bound(variance: float, rows: float, z: float) -> float:
    """Bernstein's bound on the error of a mean of `rows` values in [0, 1].

    Exceeded with a probability of at most exp(-z^2 / 2) a side; about z standard errors where rows are many.

    Args:
        variance: Variance of one value.
        rows: Values averaged, > 0.
        z: Strictness, in standard errors.
    """
    log_p = z * z / 2
    third = log_p / (3 * rows)
    return third + math.sqrt(third * third + 2 * log_p * variance / rows)


def between_windows(sd: float, sampling_sd: float, windows: int, z: float) -> float:
    """Bound on a deviation from a mean over windows, as unlikely as `z` standard deviations of a Gaussian.

    Args:
        sd: Standard deviation between the reference's windows; of no account for a single one.
        sampling_sd: Standard error of the figure by its rows alone.
        windows: Windows of the reference.
        z: Strictness, in standard deviations.
    """
    freedom = windows - 1 + PRIOR_WINDOWS
    variance = (PRIOR_WINDOWS * sampling_sd**2 + (windows - 1) * sd**2) / freedom
    return float(-stdtrit(freedom, ndtr(-z))) * math.sqrt(variance)


def widen(tolerance: float, windows: int) -> float:
    """Tolerance that also allows for the error of the reference's own mean."""
    return tolerance * math.sqrt(1 + 1 / windows)


def share_tolerance(reference: Statistic, windows: int, rows: float, reference_rows: float, z: float) -> float:
    """How far a share of rows may lie from its reference.

    Args:
        reference: The share over the reference's windows.
        windows: Their number.
        rows: Rows of the share that is checked, > 0.
        reference_rows: Rows a window of the reference had on average, > 0.
        z: Strictness, in standard deviations.
    """
    total = windows * reference_rows
    share = (reference.mean * total + 1) / (total + 2)
    variance = share * (1 - share)
    spread = reference.sd * math.sqrt(max(1.0, reference_rows / rows))
    sampling = chance_bound(variance, rows, z)
    between = between_windows(spread, math.sqrt(variance / rows), windows, z)
    return widen(max(sampling, between), windows)
