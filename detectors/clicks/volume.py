"""The volume below and above which a window is odd, given that of the windows of a baseline."""

import math

from sparsewatch.detectors.clicks.tolerances import Statistic, between_windows, chance_bound, empty_excluded, widen


def low_volume(baseline: Statistic, windows: int, low: float, z: float) -> float:
    """Rows at or below which the volume of a window is low; negative for never.

    Args:
        baseline: Rows over the windows of the baseline.
        windows: Their number.
        low: Volume, divided by the baseline's mean, from which down it matters.
        z: Standard deviations above which chance is excluded.
    """
    limit = min(low * baseline.mean, baseline.mean - volume_tolerance(baseline, windows, z))
    return 0.0 if limit < 0 and empty_excluded(baseline, windows, z) else limit


def volume_tolerance(baseline: Statistic, windows: int, z: float) -> float:
    """How far the volume of a window may lie from the baseline's mean by chance."""
    # Rows are a Poisson count: a mean of `baseline.mean` values of variance 1, times their number.
    sampling = baseline.mean * chance_bound(1.0, baseline.mean, z)
    between = between_windows(baseline.sd, math.sqrt(baseline.mean), windows, z)
    return widen(max(sampling, between), windows)
