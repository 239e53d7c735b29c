"""The volume of a window against that of the job's own windows before it, where there is no reference.

Learned are complete windows with rows whose volume is not odd. A volume that stays odd for as long as the history
reaches is the stream's own now: the history begins anew.
"""

from collections.abc import Sequence

import msgspec
import numpy as np

from sparsewatch.detectors.clicks.tolerances import Statistic
from sparsewatch.detectors.clicks.volume import low_volume
from sparsewatch.detectors.stream.silence import chance_of, is_habit
from sparsewatch.detectors.stream.thresholds import StreamThresholds
from sparsewatch.schemas.alerts import Finding, counted, number
from sparsewatch.schemas.stream_history import StreamHistory

#: Windows whose volume is remembered.
MOST_WINDOWS = 64
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
    baseline = _statistic(history.rows)
    limit = low_volume(baseline, len(history.rows), thresholds.volume_low, thresholds.volume_z)
    if rows > limit:
        return None
    before = counted(len(history.rows), "window")
    return Finding(
        rule="volume_low",
        subject="stream",
        severity="critical",
        value=rows,
        threshold=limit,
        baseline=baseline.mean,
        message=f"{counted(rows, 'row')} in the window, {number(round(baseline.mean))} on average in the last {before}",
        evidence={"windows": len(history.rows), "least": baseline.min, "most": baseline.max},
    )


def learn_volume(history: StreamHistory, rows: int, *, odd: bool) -> StreamHistory:
    """The history after a complete window with rows."""
    if not odd:
        return msgspec.structs.replace(history, rows=(*history.rows, rows)[-MOST_WINDOWS:], odd_volumes=0)
    if history.odd_volumes + 1 < MOST_WINDOWS:
        return msgspec.structs.replace(history, odd_volumes=history.odd_volumes + 1)
    return msgspec.structs.replace(history, rows=(rows,), odd_volumes=0)


def _often_empty(history: StreamHistory, start_us: int) -> bool:
    if chance_of(history, 1) >= _OFTEN_EMPTY:
        return True
    since = start_us if history.silent_since_us is None else history.silent_since_us
    return is_habit(history, since, 1)


def _statistic(rows: Sequence[int]) -> Statistic:
    values = np.array(rows, dtype=np.float64)
    return Statistic(
        mean=float(values.mean()), sd=float(values.std(ddof=1)), min=float(values.min()), max=float(values.max())
    )
