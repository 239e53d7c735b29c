"""Conformal calibration: scores of held-out ordinary rows or wafers turn a score into a p-value.

For a new row drawn from the same distribution the p-value is uniform, whatever the score means, so at p <= q the share
of false alarms is at most q (Vovk, Gammerman and Shafer, "Algorithmic Learning in a Random World", 2005, section 2.2).
P-values of two models can be compared; their scores cannot.

Rows are counted by p-value in equal bins, and in finer ones towards 0, where what is odd lies. A p-value is the rank of
a score among those of the calibration rows, so the bins are cut at scores of calibration rows and no p-value need be
computed.
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
        needed = int(np.ceil(1 / rate)) - 1
        least = np.ceil(10_000 / (n + 1)) / 10_000
        raise ConfigError(
            f"alarm rate: a rate of {rate} needs {needed} calibration scores, got {n}: "
            f"{n} allow rates from {least:g} up, more rows in training smaller ones"
        )
    return float(calibration[n - rank]) if rank <= n else -np.inf


#: Equal bins.
P_VALUE_BINS = 20
#: Upper edges of the finer bins but the last, which ends at 1.
EDGES = (0.001, 0.002, 0.005, 0.01, 0.02, *(i / P_VALUE_BINS for i in range(1, P_VALUE_BINS)))
FINE_BINS = len(EDGES) + 1

Counts = tuple[int, ...]


def p_value_bins(p_values: NDArray[np.float64]) -> NDArray[np.int64]:
    """Equal bin of each p-value, int64 of shape (n,): bin i holds i / 20 < p <= (i + 1) / 20."""
    bins: NDArray[np.int64] = np.ceil(p_values * P_VALUE_BINS).astype(np.int64) - 1
    return bins


def cuts(calibration: NDArray[np.float32]) -> NDArray[np.float32]:
    """The scores above which p-values are at most each of `EDGES`, falling; infinite where no p-value is so small.

    Args:
        calibration: Scores of calibration rows, rising, of shape (m,).
    """
    m = len(calibration)
    # The small number keeps 0.05 * 20 from falling below 1, as in `conformal.alarm_threshold`.
    ranks = np.floor(np.array(EDGES) * (m + 1) + 1e-9).astype(np.int64)
    found = np.full(len(EDGES), np.inf, dtype=np.float32)
    found[ranks > 0] = calibration[m - ranks[ranks > 0]]
    return found


def fine_counts(scores: NDArray[np.float32], calibration: NDArray[np.float32]) -> Counts:
    """Rows by p-value, `FINE_BINS` numbers: bin i holds `EDGES[i - 1]` < p <= `EDGES[i]`.

    Args:
        scores: Of shape (n,).
        calibration: Rising, of shape (m,).
    """
    edges_held = np.searchsorted(cuts(calibration)[::-1], scores, side="left")
    return tuple(np.bincount(len(EDGES) - edges_held, minlength=FINE_BINS).tolist())


def calibration_counts(calibration: NDArray[np.float32]) -> Counts:
    """The calibration rows themselves in these bins: what rows like them fall into, ties included.

    Args:
        calibration: Rising, of shape (m,).
    """
    beyond = len(calibration) - np.searchsorted(calibration, cuts(calibration), side="right")
    return tuple(np.diff([0, *beyond, len(calibration)]).tolist())


def equal_counts(fine: Counts) -> Counts:
    """The finer bins joined to the equal ones, `P_VALUE_BINS` numbers."""
    first = FINE_BINS - P_VALUE_BINS + 1
    return (sum(fine[:first]), *fine[first:])
