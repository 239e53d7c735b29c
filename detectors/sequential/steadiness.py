"""How far a share strays in the windows of a baseline besides chance: between windows, and in the long run.

Windows of a real stream vary more than chance explains, neighbours alike. What adds up over many windows is the
long-run variance: what is not chance, times (1 + r) / (1 - r) for a correlation r of neighbours in it (Bartlett,
Journal of the Royal Statistical Society 98, 1935). Slower wandering shows between the quarters of the baseline; it is
an error of the share expected, since nothing says where a later window stands in it.
"""

import math

import msgspec
import numpy as np
from numpy.typing import NDArray

#: Windows that deviate by chance alone and are added to those seen, so that a few that agree by luck do not count as
#: steadier than they are (shrinkage of variances: Smyth, SAGMB 3, 2004, sec. 4).
PRIOR_WINDOWS = 4
#: Windows below which nothing is known of the long run.
LEAST_WINDOWS = 8
_QUARTERS = 4
#: Variance of the quarters, over that expected by chance, which one steady baseline in twenty exceeds: chi-square over
#: its three degrees of freedom. Less is no sign of wandering.
_BY_CHANCE = 2.6
_MOST_ALIKE = 0.95


class Steadiness(msgspec.Struct, frozen=True, kw_only=True):
    """Of a share over the windows of a baseline, in the unit of the deviations."""

    #: Standard deviation between windows besides chance, as it adds up over many of them.
    spread: float
    #: Standard error of the share expected, slow wandering included.
    level: float


def steadiness(deviations: NDArray[np.float64], chance: NDArray[np.float64], fitted: int = 1) -> Steadiness | None:
    """The steadiness of windows in their order; None if they are too few.

    Args:
        deviations: Of each window's share from that expected of it.
        chance: Variance of each by chance alone, > 0.
        fitted: Means that the shares expected are made of.
    """
    windows = deviations.size
    if windows < LEAST_WINDOWS or windows <= fitted:
        return None
    standard = deviations / np.sqrt(chance)
    squares = float(standard @ standard)
    ratio = (PRIOR_WINDOWS + squares) / (PRIOR_WINDOWS + windows - fitted)
    # Covariance of neighbours; that of deviations from their own mean falls short by their variance over their number.
    alike = float(standard[1:] @ standard[:-1]) / windows + ratio / windows
    beyond = max(0.0, ratio - 1)
    # What is not chance is known with an error of this order: little of it is not called alike by luck.
    alike = min(max(alike / (beyond + 2 / math.sqrt(windows)), 0.0), _MOST_ALIKE)
    excess = beyond * (1 + alike) / (1 - alike) / float(np.mean(1 / chance))
    return Steadiness(spread=math.sqrt(excess), level=math.sqrt(_level(deviations, 1 / (chance + excess))))


def _level(deviations: NDArray[np.float64], weights: NDArray[np.float64]) -> float:
    """Variance of the mean, and what the quarters differ by besides."""
    parts = np.array_split(np.arange(deviations.size), _QUARTERS)
    known = np.array([weights[part].sum() for part in parts])
    means = np.array([weights[part] @ deviations[part] for part in parts]) / known
    wandering = float(means.var(ddof=1)) - _BY_CHANCE * float(np.mean(1 / known))
    return 1 / float(weights.sum()) + max(0.0, wandering)
