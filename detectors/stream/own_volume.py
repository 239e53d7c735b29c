"""The volume of a window against that of the job's own windows before it, where there is no reference.

Learned are complete windows with rows whose volume is not odd. A volume that stays odd for as long as the history
reaches is the stream's own now: the history begins anew. The first windows are learned before there is anything to
judge them by: some that are unlike all later ones are left out again, as are single ones (see
`sparsewatch.detectors.clicks.outlying`).
"""

from collections.abc import Sequence

import msgspec
import numpy as np

from sparsewatch.detectors.budget.chance import p_value
from sparsewatch.detectors.clicks.outlying import OUTLYING_VOLUME_Z, PART, outlying, winsorised
from sparsewatch.detectors.clicks.tolerances import statistic
from sparsewatch.detectors.clicks.volume import low_volume, volume_tolerance
from sparsewatch.detectors.stream.own_rhythm import OwnBaseline, hour_baseline, learn_hour
from sparsewatch.detectors.stream.silence import chance_of, is_habit
from sparsewatch.detectors.stream.thresholds import StreamThresholds
from sparsewatch.schemas.alerts import Finding, counted, number
from sparsewatch.schemas.stream_history import StreamHistory

#: Windows whose volume is remembered.
MOST_WINDOWS = 64
LAST_WINDOWS = "last windows"
#: One in so many windows may be a bad beginning of the job.
_BEGINNING = 4
#: Silences a window with rows, from which on a single window without rows is nothing odd.
_OFTEN_EMPTY = 0.05


def check_own_volume(rows: int, history: StreamHistory, start_us: int, thresholds: StreamThresholds) -> Finding | None:
    """Rule `volume_low` on a complete window; None where the stream's own history knows such windows, or is short.

    Args:
        rows: Rows of the window.
        history: The stream before it.
        start_us: Start of the window.
        thresholds: When a deviation matters.
    """
    if len(history.rows) < thresholds.min_windows:
        return None
    if not rows and _often_empty(history, start_us):
        return None
    baseline, limit = _judged_by(history, start_us, thresholds, thresholds.of_volume)
    if rows > limit:
        return None
    expected = number(round(baseline.figure.mean))
    before = f"on average in the last {counted(baseline.windows, 'window')}"
    if baseline.kind != LAST_WINDOWS:
        before = f"expected at this {baseline.kind}, on average over {counted(baseline.backing, 'day')}"
    return Finding(
        rule="volume_low",
        subject="stream",
        severity="critical" if rows <= baseline.figure.mean / 2 else "warning",
        value=rows,
        threshold=limit,
        baseline=baseline.figure.mean,
        message=f"{counted(rows, 'row')} in the window, {expected} {before}",
        evidence={
            "baseline_kind": baseline.kind,
            "windows": baseline.windows,
            "left_out": baseline.left_out,
            "least": baseline.figure.min,
            "most": baseline.figure.max,
        },
        p_value=p_value(lambda z: rows <= _judged_by(history, start_us, thresholds, z)[1], thresholds.of_volume),
    )


def learn_volume(history: StreamHistory, rows: int, start_us: int, length_us: int, *, odd: bool) -> StreamHistory:
    """The history after a complete window with rows."""
    if not odd:
        history = learn_hour(history, rows, start_us, length_us)
        return msgspec.structs.replace(
            history,
            rows=(*history.rows, rows)[-MOST_WINDOWS:],
            expected=history.expected[-MOST_WINDOWS:],
            odd_volumes=0,
        )
    if history.odd_volumes + 1 < MOST_WINDOWS:
        return msgspec.structs.replace(history, odd_volumes=history.odd_volumes + 1)
    return msgspec.structs.replace(
        history, rows=(rows,), odd_volumes=0, hours=(), expected=(), quarters=(), hour_error=0.0, mean_error=0.0
    )


def _judged_by(
    history: StreamHistory, start_us: int, thresholds: StreamThresholds, z: float
) -> tuple[OwnBaseline, float]:
    """What a window is compared with, and the rows at or below which its volume is low."""
    usual = _usual(history)
    last = OwnBaseline(LAST_WINDOWS, statistic(usual), len(usual), len(usual), len(history.rows) - len(usual))
    by_last = _limit(last, thresholds, z)
    hour = hour_baseline(history, start_us, thresholds.min_windows)
    if hour is None:
        return last, by_last
    by_hour = _limit(hour, thresholds, z)
    if hour.lowest_days is not None:
        return hour, by_hour if by_hour < 0 else by_hour * hour.lowest_days
    return (last, by_last) if by_last < by_hour else (hour, by_hour)


def _limit(baseline: OwnBaseline, thresholds: StreamThresholds, z: float) -> float:
    return low_volume(baseline.figure, baseline.windows, thresholds.volume_low, z, backing=baseline.backing)


def _often_empty(history: StreamHistory, start_us: int) -> bool:
    if chance_of(history, 1) >= _OFTEN_EMPTY:
        return True
    since = start_us if history.silent_since_us is None else history.silent_since_us
    return is_habit(history, since, 1)


def _usual(history: StreamHistory) -> list[int]:
    """Rows of the remembered windows, without those that are unlike the others."""
    rows = list(history.rows)
    rows = rows[_bad_beginning(rows) if history.full < 2 * MOST_WINDOWS else 0 :]
    odd = outlying(rows, lambda robust, _: volume_tolerance(robust, len(rows), OUTLYING_VOLUME_Z))
    return [number for place, number in enumerate(rows) if place not in odd]


def _bad_beginning(rows: Sequence[int]) -> int:
    """First windows that are unlike all that came after, if they are few: they were learned before any was judged."""
    most = len(rows) // _BEGINNING
    later = np.array(rows[most:], dtype=np.float64)
    robust = winsorised(later, later.size // PART)
    tolerance = volume_tolerance(robust, later.size, OUTLYING_VOLUME_Z)
    first = next((place for place, number in enumerate(rows) if abs(number - robust.mean) <= tolerance), len(rows))
    return first if first <= most else 0
