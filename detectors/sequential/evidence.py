"""Evidence that shares of rows have moved, added up over windows: a mixture of Shiryaev-Roberts statistics.

For each of a few alternatives (the share moved by 1, 2, 4 ... 32 least steps, down or up) a statistic R adds up, over
all windows in which the change may have begun, the likelihood ratio of what came since: R <- (1 + R) L with the ratio L
of each window (Shiryaev, Theory of Probability and its Applications 8, 1963; Roberts, Technometrics 8, 1966). Without a
change R less the number of windows is a martingale, so R takes on average at least `1 / alpha` windows to reach
`1 / alpha`, whatever the alternative and the volumes: an e-detector (Shin, Ramdas and Rinaldo, New England Journal of
Statistics in Data Science 2, 2024, sec. 2). For a change of known size the delay is, to the first order, that of
Page's CUSUM, which is optimal (Lorden, Annals of Mathematical Statistics 42, 1971; Moustakides, Annals of Statistics
14, 1986); an alternative within a factor of 1.4 of the change costs at most a fifth. The largest of the statistics
decides. Their mean would keep the bound, and waste what neighbours have in common: by simulation of twelve alternatives
the largest reaches 1.5 / alpha no sooner than asked for, at any rate, volume and size of baseline that was tried
(`make bench-decisions`, `slow_windows_to_false_alarm`).

The bound holds where the share expected and its deviation are known. Here they are known from a baseline:

* *Deviation between windows.* The logarithm of L is divided by the variance of the window's share over that by chance
  alone (quasi-likelihood: Wedderburn, Biometrika 61, 1974). See `sparsewatch.detectors.sequential.steadiness`.
* *Error of the share expected.* It is the same in all windows. With it as a Gaussian nuisance, the log of the ratio
  over a stretch is divided by 1 + stretch / baseline, both measured by the variance of their mean. A change that is no
  more than four standard errors of the baseline is so never told, however long it lasts.
* *Error of the deviation.* Student's likelihood takes the place of the Gaussian's.
"""

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from sparsewatch.detectors.sequential.steadiness import PRIOR_WINDOWS

Floats = NDArray[np.float64]
#: Steps of the alternatives: neighbours a factor of 2 apart.
STEPS: Floats = np.array([1.0, 2.0, 4.0, 8.0, 16.0, 32.0])
#: Shares moved furthest: to this part of the share expected, and to so much of what is left above it.
_LEAST_LEFT, _MOST_GAINED = 1 / 25, 0.5
#: Part of the evidence needed that one window may give at most: two windows must agree. The second figure is for a
#: window that is worth more than the baseline.
_ONE_WINDOW, _ALONE = 0.7, 0.9
#: Evidence needed by the largest of the statistics, times alpha.
_LARGEST = 1.5
#: Part of a step that is taken for an error of the baseline: a change of a quarter of a step is never told.
_UNIMPORTANT = 1 / 16
#: Below this logarithm a statistic is as good as none.
FORGOTTEN = -3.0
_NOTHING = -30.0


class Evidence(NamedTuple):
    """Evidence on some shares: arrays of shape (n_shares, n_alternatives); every row may begin as that of `nothing`."""

    #: Logarithms of R.
    log_r: Floats
    #: Of the stretch since the change, averaged over the windows in which it may have begun: precision of its mean
    #: deviation, in steps to the power of -2; that precision times the deviation, in steps; number of windows.
    precision: Floats
    lean: Floats
    age: Floats


@dataclass(frozen=True, slots=True, kw_only=True)
class Seen:
    """Shares in one window and what was expected of them; arrays of shape (n_shares,)."""

    #: Rows that have what is counted, and all rows, > 0.
    count: Floats
    rows: Floats
    #: Share expected, in (0, 1), and the least change of it that matters, > 0.
    expected: Floats
    step: Floats
    #: Deviation between windows besides chance, of a share.
    spread: Floats
    #: Standard error of the share expected.
    level: Floats
    #: Windows that know the deviation.
    windows: Floats
    #: Probability of a false alarm in a window.
    alpha: Floats

    @property
    def variance(self) -> Floats:
        """Of a window's share."""
        return self.chance + self.spread**2

    @property
    def chance(self) -> Floats:
        """Variance of a window's share by chance alone."""
        return self.expected * (1 - self.expected) / self.rows

    @property
    def precision(self) -> Floats:
        """Of a window's share, in steps to the power of -2."""
        return self.step * self.step / self.variance

    @property
    def deviation(self) -> Floats:
        """Of a window's share from that expected, in steps."""
        return (self.count / self.rows - self.expected) / self.step

    @property
    def error(self) -> Floats:
        """Variance of the share expected, in squared steps. What is far below one step never matters."""
        relative = self.level / self.step
        return relative * relative + _UNIMPORTANT**2

    @property
    def freedom(self) -> Floats:
        """Degrees of freedom of the deviation."""
        return self.windows - 1 + PRIOR_WINDOWS


def alternatives(*, two_sided: bool) -> Floats:
    """Steps by which the share may have moved."""
    return np.array([*-STEPS, *STEPS]) if two_sided else STEPS


def nothing(shares: int, alternatives: int) -> Evidence:
    """Where nothing was seen."""
    shape = (shares, alternatives)
    return Evidence(np.full(shape, _NOTHING), np.zeros(shape), np.zeros(shape), np.zeros(shape))


def log_ratio(seen: Seen, steps: Floats) -> Floats:
    """Logarithm of the likelihood of each share's count if it has moved so far, over that if it has not.

    Args:
        seen: The shares.
        steps: Of shape (n_shares, n) or (n,).
    """
    expected = seen.expected[:, None]
    moved = expected + seen.step[:, None] * steps
    moved = np.clip(moved, expected * _LEAST_LEFT, expected + _MOST_GAINED * (1 - expected))
    count, rows = seen.count[:, None], seen.rows[:, None]
    ratio: Floats = count * np.log(moved / expected) + (rows - count) * (np.log1p(-moved) - np.log1p(-expected))
    return ratio * (seen.chance / seen.variance)[:, None]


def with_window(evidence: Evidence, seen: Seen, steps: Floats) -> Evidence:
    """The evidence with one more window.

    Args:
        evidence: That before it.
        seen: The window.
        steps: Of the alternatives.
    """
    precision = seen.precision[:, None]
    ratio = np.minimum(log_ratio(seen, steps), _most_of_one_window(seen)[:, None])
    before = np.logaddexp(0.0, evidence.log_r)
    # Share of the windows in which the change may have begun that are earlier ones.
    earlier = np.exp(evidence.log_r - before)
    return Evidence(
        np.maximum(ratio + before, _NOTHING),
        earlier * evidence.precision + precision,
        earlier * evidence.lean + precision * seen.deviation[:, None],
        earlier * evidence.age + 1,
    )


def log_evidence(evidence: Evidence, seen: Seen) -> Floats:
    """Logarithm of the evidence on each share, to be compared with `log_needed`; of shape (n_shares,).

    Args:
        evidence: With the window.
        seen: The window.
    """
    log_r, freedom = evidence.log_r, seen.freedom[:, None]
    discounted = np.maximum(log_r, 0.0) / (1 + evidence.precision * seen.error[:, None])
    allowed: Floats = (freedom + 1) / 2 * np.log1p(2 * discounted / freedom)
    largest: Floats = allowed.max(axis=1)
    return largest


def log_needed(seen: Seen) -> Floats:
    """Logarithm of the evidence on each share from which on it has moved; of shape (n_shares,)."""
    needed: Floats = np.log(_LARGEST / seen.alpha)
    return needed


def _most_of_one_window(seen: Seen) -> Floats:
    """Logarithm of the ratio that a window may have at most."""
    needed = seen.freedom / 2 * np.expm1(2 * log_needed(seen) / (seen.freedom + 1))
    baseline = seen.precision * seen.error
    most: Floats = needed * np.minimum(_ONE_WINDOW * (1 + 2 * baseline), _ALONE * (1 + baseline))
    return most
