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
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtri

from sparsewatch.detectors.clicks.tolerances import Statistic, share_tolerance
from sparsewatch.schemas.units import DAY_US, HOUR_US

#: One window in so many may be left out; of fewer windows none is.
PART = 10
#: Stretches of windows in a row up to which what is outlying counts as a fault.
MOST_STRETCHES = 2
#: Strictness of the tolerance beyond which a window is left out, in standard deviations.
OUTLYING_Z = 4.0
#: The same for volumes, which scatter more widely upwards than Gaussian values.
OUTLYING_VOLUME_Z = 5.0

Places = NDArray[np.int64]


class Robust(NamedTuple):
    """Of several figures, what values far out cannot move far; shape (n,) each, as in `Statistic`."""

    mean: NDArray[np.float64]
    sd: NDArray[np.float64]
    min: NDArray[np.float64]
    max: NDArray[np.float64]


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

    def of_column(robust: Robust, places: Places, _: Places) -> NDArray[np.float64]:
        figure = Statistic(**{name: float(one[0]) for name, one in robust._asdict().items()})
        return np.array([tolerance(figure, place) for place in places.tolist()])

    x = np.asarray(values, dtype=np.float64)[:, None]
    weighted = np.ones_like(x) if weights is None else np.asarray(weights, dtype=np.float64)[:, None]
    starts = None if starts_us is None else np.asarray(starts_us, dtype=np.int64)[:, None]
    return tuple(np.flatnonzero(outlying_of_each(x, of_column, weighted, starts)).tolist())


def outlying_of_each(
    values: NDArray[np.float64],
    tolerance: Callable[[Robust, Places, Places], NDArray[np.float64]],
    weights: NDArray[np.float64] | Places,
    starts_us: NDArray[np.int64] | None = None,
) -> NDArray[np.bool_]:
    """As `outlying`, of several figures.

    Args:
        values: Of each figure in each of its windows, shape (n_windows, n).
        tolerance: How far the values at some places of some figures may lie from the robust means; of all these, and
            the places and the numbers of these figures, of one length.
        weights: Rows behind each value, > 0, of that shape.
        starts_us: Starts of the windows of each figure, of that shape, if they are known.

    Returns:
        Which are to be left out, of that shape.
    """
    found, most = np.zeros(values.shape, np.bool_), len(values) // PART
    if not most:
        return found
    robust = winsorised_of_each(values, most)
    distances = np.abs(values - robust.mean)
    order = np.argsort(-distances * np.sqrt(weights), axis=0, kind="stable")
    left = np.arange(values.shape[1])
    for at in range(most + 1):
        places = order[at, left]
        beyond = distances[places, left] > tolerance(robust, places, left)
        left = left[beyond]
        found[places[beyond], left] = True
    found[:, found.sum(0) > most] = False
    for figure in np.flatnonzero(found.any(0)).tolist():
        starts = None if starts_us is None else starts_us[:, figure].tolist()
        if _comes_again(np.flatnonzero(found[:, figure]).tolist(), starts):
            found[:, figure] = False
    return found


class UsualShare(NamedTuple):
    """A share over windows, the odd ones left out."""

    #: Its mean is that of all their rows together.
    share: Statistic
    windows: int
    #: Rows of a window, on average.
    rows: float


def usual_share(part: NDArray[np.float64], rows: NDArray[np.float64], starts_us: Sequence[int]) -> UsualShare:
    """The share of rows over windows but for outlying ones.

    Args:
        part: Of the rows of each window, in the order of time, shape (n_windows,).
        rows: Of each window, > 0, likewise.
        starts_us: Start of each window.
    """
    shares, mean_rows = part / rows, float(rows.mean())

    def tolerance(usual: Statistic, place: int) -> float:
        return share_tolerance(usual, shares.size, rows[place], mean_rows, OUTLYING_Z)

    odd = outlying(shares.tolist(), tolerance, weights=rows.tolist(), starts_us=starts_us)
    part, rows, shares = (np.delete(values, odd) for values in (part, rows, shares))
    share = Statistic(
        mean=float(part.sum() / rows.sum()),
        sd=float(shares.std(ddof=1)),
        min=float(shares.min()),
        max=float(shares.max()),
    )
    return UsualShare(share, shares.size, float(rows.mean()))


def winsorised(values: NDArray[np.float64], most: int) -> Statistic:
    """Mean and deviation that up to `most` values at each end cannot move far.

    The deviation is made consistent for Gaussian values.

    Args:
        values: At least 2 * most + 1 values.
        most: Values at each end that are replaced by the nearest one further in.
    """
    robust = winsorised_of_each(values[:, None], most)
    return Statistic(**{name: float(one[0]) for name, one in robust._asdict().items()})


def winsorised_of_each(values: NDArray[np.float64], most: int) -> Robust:
    """As `winsorised`, of several figures, shape (n_windows, n)."""
    ordered = clipped(values, most)
    sds = ordered.std(axis=0, ddof=1) / consistency(most / len(ordered))
    return Robust(ordered.mean(0), sds, ordered[0], ordered[-1])


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
