"""Conformal calibration: scores of held-out ordinary rows or wafers turn a score into a p-value.

For a new row drawn from the same distribution the p-value is uniform, whatever the score means, so at p <= q the share
of false alarms is at most q (Vovk, Gammerman and Shafer, "Algorithmic Learning in a Random World", 2005, section 2.2).
P-values of two models can be compared; their scores cannot.
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from sparsewatch.schemas.errors import ConfigError
from sparsewatch.schemas.settings import AlarmRate, check_range

Scores = NDArray[np.floating[Any]]


def p_values(scores: Scores, calibration: Scores) -> NDArray[np.float64]:
    """(1 + #{calibration >= score}) / (1 + n) of each score, in (0, 1].

    Args:
        scores: Of shape (m,); high is strange.
        calibration: Of shape (n,), rising.
    """
    below = np.searchsorted(calibration, scores, side="left")
    return (1 + len(calibration) - below) / (1 + len(calibration))


def alarm_threshold(calibration: Scores, rate: float) -> float:
    """The score above which p <= `rate`, so that at most this share of ordinary ones is called strange.

    Args:
        calibration: Of shape (n,), rising.
        rate: See `AlarmRate`.

    Raises:
        ConfigError: Rate out of range, or fewer than 1 / rate - 1 calibration scores: with so few no p-value is small
            enough.
    """
    check_range(AlarmRate, rate, "alarm rate")
    n = len(calibration)
    # The small number keeps 0.05 * 20 from falling below 1.
    rank = int(np.floor(rate * (n + 1) + 1e-9))
    if rank < 1:
        raise ConfigError(
            f"alarm rate: a rate of {rate} needs {int(np.ceil(1 / rate)) - 1} calibration scores, got {n}"
        )
    return float(calibration[n - rank]) if rank <= n else -np.inf
