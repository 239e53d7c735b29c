"""The volume below and above which a window is odd, given that of the windows of a baseline."""

import math

from scipy.special import ndtr

from sparsewatch.detectors.clicks.tolerances import (
    Statistic,
    between_windows,
    chance_bound,
    chance_of_at_most,
    excluded_rows,
    widen,
)

#: A loss that leaves less than this part is one of nearly everything: to be found wherever chance is excluded.
NEARLY_NOTHING = 0.1
#: Of fewer windows only a window without rows is excluded: they tell too little of how much a stream varies.
_FEW_WINDOWS = 12
#: A volume of which no window of so many is below this part of the mean never loses all but this part of its least.
#: Were windows exponentially distributed, which is burstier than any such stream, 1 in 12,000 would be a false alarm.
_MANY_WINDOWS, _STEADY, _PART_OF_LEAST = 24, 0.2, 0.05


def low_volume(baseline: Statistic, windows: int, low: float, z: float, *, backing: int | None = None) -> float:
    """Rows at or below which the volume of a window is low; negative for never.

    Args:
        baseline: Rows over the windows of the baseline.
        windows: Their number.
        low: Volume, divided by the baseline's mean, from which down it matters.
        z: Standard deviations above which chance is excluded.
        backing: See `volume_tolerance`.
    """
    limit = min(low * baseline.mean, baseline.mean - volume_tolerance(baseline, windows, z, backing=backing))
    nearly_nothing = min(low, NEARLY_NOTHING) * baseline.mean
    if limit >= nearly_nothing:
        return limit
    excluded = excluded_rows(baseline, windows, z)
    if windows < _FEW_WINDOWS:
        return max(limit, min(0.0, excluded))
    return max(limit, min(nearly_nothing, max(excluded, _never(baseline, windows, z))))


def _never(baseline: Statistic, windows: int, z: float) -> float:
    """Rows that a window of such a volume never has, whatever its distribution; negative where it may have none."""
    rows = _PART_OF_LEAST * baseline.min
    steady = windows >= _MANY_WINDOWS and baseline.min >= _STEADY * baseline.mean
    return rows if steady and chance_of_at_most(rows, baseline.min, 0.0) < ndtr(-z) else -1.0


def volume_tolerance(baseline: Statistic, windows: int, z: float, *, backing: int | None = None) -> float:
    """How far the volume of a window may lie from the baseline's mean by chance.

    Args:
        baseline: Rows over the windows of the baseline.
        windows: Their number.
        z: Standard deviations above which chance is excluded.
        backing: Windows that know the mean, where they are fewer than those that know the deviation.
    """
    # Rows are a Poisson count: a mean of `baseline.mean` values of variance 1, times their number.
    sampling = baseline.mean * chance_bound(1.0, baseline.mean, z)
    between = between_windows(baseline.sd, math.sqrt(baseline.mean), windows, z)
    return baseline.inflation * widen(max(sampling, between), windows if backing is None else backing)
