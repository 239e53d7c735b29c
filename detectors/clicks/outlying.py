"""Windows of a baseline that are unlike its others in one figure.

One bad window among twenty widens the deviation between windows so far that the same fault is never found again. So a
figure's location and deviation are first taken of winsorised values, a tenth at each end (Tukey and McLaughlin, Sankhya
A 25, 1963); windows that lie further from the location than a check tolerates are left out, and the figure's mean and
deviation are the ordinary ones of the others (means with rejection: Hampel, Technometrics 27, 1985). A baseline of
clean windows keeps all of them, and with them the precision of the ordinary estimates.

What comes again is the stream's own and no fault: if more than a tenth of the windows are outlying, if they come in
more than `MOST_STRETCHES` stretches, or at the same time of day of different days, none is left out.
"""

import math
from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtri

from sparsewatch.detectors.clicks.tolerances import Statistic
from sparsewatch.schemas.units import DAY_US, HOUR_US

#: One window in so many may be left out; of fewer windows none is.
PART = 10
#: Stretches of windows in a row up to which what is outlying counts as a fault.
MOST_STRETCHES = 2
#: Strictness of the tolerance beyond which a window is left out, in standard deviations.
OUTLYING_Z = 4.0
#: The same for volumes, which scatter more widely upwards than Gaussian values.
OUTLYING_VOLUME_Z = 5.0


def outlying(
    values: Sequence[float],
    tolerance: Callable[[Statistic, int], float],
    *,
    weights: Sequence[float] | None = None,
    starts_us: Sequence[int] | None = None,
) -> tuple[int, ...]:
    """Places of the values that are to be left out of a baseline, ascending.

    Args:
        values: A figure of each window, in the order of time.
        tolerance: How far the value at a place may lie from the robust mean of all.
        weights: Rows behind each value, > 0; equal ones if absent.
        starts_us: Start of each window, if it is known.
    """
    x = np.asarray(values, dtype=np.float64)
    most = x.size // PART
    if not most:
        return ()
    robust = winsorised(x, most)
    distances = np.abs(x - robust.mean)
    order = np.argsort(-distances * np.sqrt(1.0 if weights is None else np.asarray(weights)), kind="stable")
    found: list[int] = []
    for place in order[: most + 1].tolist():
        if distances[place] <= tolerance(robust, place):
            break
        found.append(place)
    found.sort()
    return () if len(found) > most or _comes_again(found, starts_us) else tuple(found)


def winsorised(values: NDArray[np.float64], most: int) -> Statistic:
    """Mean and deviation that up to `most` values at each end cannot move far.

    The deviation is made consistent for Gaussian values.

    Args:
        values: At least 2 * most + 1 values.
        most: Values at each end that are replaced by the nearest one further in.
    """
    ordered = clipped(values, most)
    return Statistic(
        mean=float(ordered.mean()),
        sd=float(ordered.std(ddof=1)) / consistency(most / ordered.size),
        min=float(ordered[0]),
        max=float(ordered[-1]),
    )


def clipped(values: NDArray[np.float64], most: int) -> NDArray[np.float64]:
    """The values of each column, ascending, up to `most` at each end replaced by the nearest one further in."""
    ordered = np.sort(values, axis=0)
    ordered[:most], ordered[len(ordered) - most :] = ordered[most], ordered[-most - 1]
    return ordered


def consistency(part: float) -> float:
    """Deviation of a standard Gaussian variable that is winsorised by `part` at each end."""
    if not part:
        return 1.0
    end = -float(ndtri(part))
    density = math.exp(-end * end / 2) / math.sqrt(2 * math.pi)
    return math.sqrt(1 - 2 * part - 2 * end * density + 2 * part * end * end)


def _comes_again(places: Sequence[int], starts_us: Sequence[int] | None) -> bool:
    stretches = [place for place in places if place - 1 not in places]
    if len(stretches) > MOST_STRETCHES:
        return True
    if len(stretches) < 2 or starts_us is None:
        return False
    second = places.index(stretches[1])
    return any(
        _same_time(starts_us[before], starts_us[after]) for before in places[:second] for after in places[second:]
    )


def _same_time(before_us: int, after_us: int) -> bool:
    """Whether two windows of different days start within an hour of the same time of day."""
    apart = (after_us - before_us + HOUR_US) % DAY_US
    return after_us - before_us > DAY_US // 2 and apart <= 2 * HOUR_US
