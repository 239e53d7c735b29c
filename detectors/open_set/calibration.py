"""Conformal calibration: scores of held-out known wafers turn a score into a p-value.

For a fresh wafer like the calibration ones the p-value is uniform, whatever the score means (Vovk, Gammerman
and Shafer, "Algorithmic Learning in a Random World", 2005): at p <= q the share of false alarms is at most q.
"""

import numpy as np
from numpy.typing import NDArray

from schemas.errors import ConfigError


def p_values(scores: NDArray[np.float64], calibration: NDArray[np.float64]) -> NDArray[np.float64]:
    """(1 + #{calibration >= score}) / (1 + n) of each score.

    Args:
        scores: of shape (m,); high is novel.
        calibration: of shape (n,), rising.
    """
    below = np.searchsorted(calibration, scores, side="left")
    return (1 + len(calibration) - below) / (1 + len(calibration))


def novelty_threshold(calibration: NDArray[np.float64], rate: float) -> float:
    """The score above which p <= `rate`, so that at most this share of known wafers is called novel.

    Args:
        calibration: of shape (n,), rising.
        rate: false-novel rate. Range is (0, 1).

    Raises:
        ConfigError: rate out of range, or fewer than 1 / rate - 1 calibration wafers: with so few no
            p-value is small enough.
    """
    if not 0 < rate < 1:
        raise ConfigError(f"expected a false-novel rate in (0, 1), got {rate}")
    n = len(calibration)
    # The small number keeps 0.05 * 20 from falling below 1.
    allowed = int(np.floor(rate * (n + 1) + 1e-9)) - 1
    if allowed < 0:
        needed = int(np.ceil(1 / rate)) - 1
        raise ConfigError(f"a false-novel rate of {rate} needs {needed} calibration wafers, got {n}")
    return float(calibration[n - 1 - allowed]) if allowed < n else -np.inf
