"""What pictures of windows over time have in common: what is usual, and where moments are marked."""

from collections.abc import Callable, Iterator

import numpy as np
from numpy.typing import NDArray

from sparsewatch.schemas.units import DAY_US, HOUR_US, moment_text

#: Windows without an alert at the same hour of the day from which on these are a band; share that it leaves out.
_LEAST, _OUTSIDE = 8, 0.05
#: Steps between two marks of time, and most marks.
_STEPS_US = (
    *(minutes * 60_000_000 for minutes in (1, 5, 10, 30)),
    *(hours * HOUR_US for hours in (1, 3, 6, 12)),
    *(days * DAY_US for days in (1, 2, 7, 14, 28, 91, 182, 364)),
)
_MARKS = 9
#: Part of the line that the name of a moment takes.
_NAME_ROOM = 0.08

Floats = NDArray[np.float64]


def usual(starts_us: NDArray[np.int64], is_clean: NDArray[np.bool_], values: Floats) -> tuple[Floats, Floats]:
    """Between what most windows without an alert lie, those of the same hour of the day where there are enough.

    Args:
        starts_us: Start of each window, microseconds since the epoch, shape (n,).
        is_clean: Whether it is complete and without an alert, shape (n,).
        values: A figure of each, shape (n,); nan for none.

    Returns:
        Lower and upper bound for each window, shape (n,); nan where too few windows are without an alert.
    """
    hours = starts_us % DAY_US // HOUR_US
    clean = is_clean & ~np.isnan(values)
    bounds = np.full((2, len(values)), np.nan)
    if clean.sum() >= _LEAST:
        bounds[:] = np.quantile(values[clean], [_OUTSIDE, 1 - _OUTSIDE])[:, None]
    for hour in np.unique(hours).tolist():
        own = clean & (hours == hour)
        if own.sum() >= _LEAST:
            bounds[:, hours == hour] = np.quantile(values[own], [_OUTSIDE, 1 - _OUTSIDE])[:, None]
    return bounds[0], bounds[1]


def marks(start_us: int, end_us: int, x: Callable[[int], float]) -> Iterator[tuple[float, str]]:
    """Places and names of moments on a line of time; none so near its end that the name would not fit.

    Args:
        start_us: Where it begins, microseconds since the epoch.
        end_us: Where it ends, likewise.
        x: Place of a moment.
    """
    step = next((step for step in _STEPS_US if (end_us - start_us) // step <= _MARKS), _STEPS_US[-1])
    first = -(-start_us // step) * step
    for time_us in range(first, end_us - int(_NAME_ROOM * (end_us - start_us)), step):
        text = moment_text(time_us)
        yield x(time_us), text[:10] if step >= DAY_US else text[5:16]
