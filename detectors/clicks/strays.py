"""How far the click rate and the shares of missing values stray in a stretch of windows, in their own order."""

from collections.abc import Sequence

import numpy as np

from sparsewatch.detectors.clicks.rhythm import Rhythm
from sparsewatch.detectors.sequential.steadiness import Steadiness, steadiness


def rate_steadiness(
    rates: Sequence[float], rows: Sequence[float], starts_us: Sequence[int] | None, rhythm: Rhythm | None
) -> Steadiness | None:
    """Of the click rate, as parts of that expected; None of too few windows.

    Args:
        rates: Of the windows, in the order of time.
        rows: Theirs.
        starts_us: Start of each, as the rhythm needs it.
        rhythm: What is usual at each hour, if anything is.
    """
    shares = np.asarray(rates, dtype=np.float64)
    expected, fitted = np.full(shares.size, shares.mean()), 1
    if rhythm is not None and starts_us is not None:
        hours = [rhythm.at(start_us) for start_us in starts_us]
        expected = np.array([shares.mean() if hour is None else hour.mean for hour in hours])
        fitted = len(rhythm.hours)
    known = (expected > 0) & (expected < 1)
    expected = expected[known]
    chance = (1 - expected) / (expected * np.asarray(rows, dtype=np.float64)[known])
    return steadiness(shares[known] / expected - 1, chance, fitted)


def null_steadiness(shares: Sequence[float], rows: Sequence[float]) -> Steadiness | None:
    """Of the share of rows without a value; None of too few windows.

    Args:
        shares: Of the windows, in the order of time.
        rows: Theirs.
    """
    observed, sizes = np.asarray(shares, dtype=np.float64), np.asarray(rows, dtype=np.float64)
    expected = smoothed(float(observed.mean()), float(sizes.sum()))
    return steadiness(observed - expected, expected * (1 - expected) / sizes)


def smoothed(share: float, rows: float) -> float:
    """A share of so many rows, in (0, 1) where none or all of them have it (Laplace's rule of succession)."""
    return (share * rows + 1) / (rows + 2)
