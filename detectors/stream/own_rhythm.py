"""The volume that a job's own windows lead to expect at an hour of the day.

Before a window is learned its rows are predicted twice: by the mean of its hour on the days before, and by the mean of
the last windows. The hours are used once they know two days and have predicted better for a while (forecasts are judged
by what comes next: Dawid, Journal of the Royal Statistical Society A 147, 1984). While they do not know a week, of
which some days may have other hours, they excuse a volume that is low by the last windows and raise nothing themselves.
"""

from typing import NamedTuple

import msgspec
import numpy as np

from sparsewatch.detectors.clicks.outlying import OUTLYING_VOLUME_Z, outlying
from sparsewatch.detectors.clicks.tolerances import Statistic, statistic
from sparsewatch.detectors.clicks.volume import volume_tolerance
from sparsewatch.schemas.stream_history import HourVolume, StreamHistory
from sparsewatch.schemas.units import DAY_US, HOUR_US

#: Days that an hour's mean reaches back, about.
_REACH_DAYS = 8
#: Days of which an hour must know the volume to be compared with.
_LEAST_DAYS = 2
#: Days that hours must have predicted before they raise anything: a week. Rows are summed by quarters of these.
_WEEK_DAYS = 7
_QUARTERS = 4
#: How long errors of predictions count: a share of 1/e after so long.
_ERRORS_US = 2 * DAY_US
#: The error of hours must be below this part of that of the last windows.
_BETTER = 0.9


class OwnBaseline(NamedTuple):
    """Rows as a job's own windows lead to expect them in one window."""

    kind: str
    figure: Statistic
    #: Windows that know its deviation, and windows or days that know its mean.
    windows: int
    backing: int
    #: Remembered windows that are unlike the others.
    left_out: int
    #: Part of what is expected that the stream has on some days of the week; None while no week is known.
    lowest_days: float | None = None


def hour_baseline(history: StreamHistory, start_us: int, least_windows: int) -> OwnBaseline | None:
    """What is expected at the hour of a window; None if the hours know too little or predict no better.

    Args:
        history: The stream before the window.
        start_us: Its start.
        least_windows: Windows that must have been predicted.
    """
    known = _known(history, start_us)
    if known is None or known.days < _LEAST_DAYS or history.hour_error >= _BETTER * history.mean_error:
        return None
    pairs = [(rows, mean) for rows, mean in zip(history.rows[::-1], history.expected[::-1], strict=False) if mean]
    if len(pairs) < least_windows:
        return None
    ratios, means = [rows / mean for rows, mean in pairs], [mean for _, mean in pairs]

    def tolerance(robust: Statistic, place: int) -> float:
        return volume_tolerance(robust.times(means[place]), len(ratios), OUTLYING_VOLUME_Z) / means[place]

    odd = outlying(ratios, tolerance, weights=means)
    kept = [place for place in range(len(ratios)) if place not in odd]
    ratio = statistic([ratios[place] for place in kept])
    # The rows of an hour may be fewer than those of the others, so that chance is a larger part of them.
    excess = max(0.0, ratio.sd**2 - float(np.mean([1 / means[place] for place in kept])))
    figure = msgspec.structs.replace(
        ratio.times(known.mean), mean=known.mean, sd=float(np.sqrt(known.mean + excess * known.mean**2))
    )
    return OwnBaseline("hour of day", figure, len(kept), known.days, len(odd), _lowest_days(history, start_us))


def _lowest_days(history: StreamHistory, start_us: int) -> float | None:
    """By the lowest quarters of the days of a week: a single day may have been a bad one, two are a weekend."""
    today, lowest = start_us // DAY_US, dict[int, float]()
    for quarter, rows, expected in history.quarters:
        if (day := quarter // _QUARTERS) < today and expected:
            lowest[day] = min(rows / expected, lowest.get(day, 1.0))
    return sorted(lowest.values())[1] if len(lowest) >= _WEEK_DAYS else None


def learn_hour(history: StreamHistory, rows: int, start_us: int, length_us: int) -> StreamHistory:
    """The history with a window's rows by hour; before `rows` itself is learned.

    Args:
        history: The stream before it.
        rows: Rows of the window.
        start_us: Its start.
        length_us: Its length: windows of half a day or more have no hours.
    """
    if 2 * length_us >= DAY_US:
        return history
    known = _known(history, start_us)
    expected = 0.0 if known is None else round(known.mean, 1)
    hour_error, mean_error, quarters = history.hour_error, history.mean_error, history.quarters
    if expected and history.rows:
        kept = float(np.exp(-length_us / _ERRORS_US))
        hour_error = kept * hour_error + abs(rows - expected)
        mean_error = kept * mean_error + abs(rows - sum(history.rows) / len(history.rows))
        quarters = _with_quarter(quarters, start_us // (DAY_US // _QUARTERS), rows, expected)
    return msgspec.structs.replace(
        history,
        hours=_with(history.hours, rows, start_us),
        expected=(*history.expected, expected),
        quarters=quarters,
        hour_error=hour_error,
        mean_error=mean_error,
    )


def _with_quarter(
    quarters: tuple[tuple[int, int, float], ...], now: int, rows: int, expected: float
) -> tuple[tuple[int, int, float], ...]:
    before = next(((sum_, by_hours) for quarter, sum_, by_hours in quarters if quarter == now), (0, 0.0))
    earlier = tuple(one for one in quarters if now - _QUARTERS * (_WEEK_DAYS + 1) < one[0] < now)
    return (*earlier, (now, before[0] + rows, before[1] + expected))


def _known(history: StreamHistory, start_us: int) -> HourVolume | None:
    """What the days before that of a window tell of its hour."""
    hour, day = start_us // HOUR_US % 24, start_us // DAY_US
    found = next((one for one in history.hours if one.hour == hour), None)
    if found is None:
        return None
    known = _folded(found) if found.day < day else found
    return known if known.days else None


def _with(hours: tuple[HourVolume, ...], rows: int, start_us: int) -> tuple[HourVolume, ...]:
    hour, day = start_us // HOUR_US % 24, start_us // DAY_US
    before = next((one for one in hours if one.hour == hour), HourVolume(hour, day))
    if before.day < day:
        before = msgspec.structs.replace(_folded(before), day=day)
    now = msgspec.structs.replace(before, rows=before.rows + rows, windows=before.windows + 1)
    return tuple(sorted((*(one for one in hours if one.hour != hour), now), key=lambda one: one.hour))


def _folded(hour: HourVolume) -> HourVolume:
    """With its last day among the days before."""
    if not hour.windows:
        return hour
    days = min(hour.days + 1, _REACH_DAYS)
    mean = hour.mean + (hour.rows / hour.windows - hour.mean) / days
    return HourVolume(hour.hour, hour.day, days=days, mean=mean)
