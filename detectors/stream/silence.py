"""Whether a silence, windows in a row without an event, is odd for its stream, by the stream's own history.

Two things make a silence normal:

* **Chance.** Of `full` windows with rows, `silences` were followed by a window without. The probability of s such
  windows in a row is at most a^s, a = (silences + 1) / (full + 2) (Laplace's rule of succession). After 40 windows
  without a gap that is 1 in 1,764 for two in a row; in a sparse stream, of which each fifth window is empty, the fifth
  in a row is odd.
* **Habit.** Earlier silences nearly as long began at the same time of day, or at three different times of day. A stream
  that sleeps each night has raised alerts in its first two nights; after that its nights are normal, while silence
  at noon is not. A silence that raised an alert must come twice to be a habit: an incident is none.
"""

import msgspec

from sparsewatch.schemas.stream_history import Silence, StreamHistory
from sparsewatch.schemas.units import DAY_US, HOUR_US

#: A silence may last so many times as long as an earlier one that makes it normal.
_STRETCH = 1.5
#: How far apart silences of one habit may begin, in time of day.
_SAME_TIME_US = 2 * HOUR_US
#: Times of day at which silences began, from which on a stream has no hours of its own.
_ANY_TIME = 3
#: How long silences are remembered, and how many.
REACH_US = 35 * DAY_US
MOST_SILENCES = 64
#: Windows with rows from which on older ones count half.
_MOST_FULL = 4_096
#: An alert on a silence is repeated when it has grown by this factor.
REPEAT = 4


def chance_of(history: StreamHistory, windows: int) -> float:
    """Bound on the probability that chance begins a silence of so many windows."""
    begins = (history.silences + 1) / (history.full + 2)
    return float(begins**windows)


def is_habit(history: StreamHistory, start_us: int, windows: int) -> bool:
    """Whether the stream has fallen silent like this before."""
    alike = [silence for silence in history.earlier if _STRETCH * silence.windows >= windows]
    near = [silence for silence in alike if _near(silence.start_us, start_us)]
    if len(near) >= 2 or any(not silence.odd for silence in near):
        return True
    return _times_of_day(alike) >= _ANY_TIME


def is_odd(history: StreamHistory, start_us: int, windows: int, chance: float) -> bool:
    """Whether a silence is odd.

    Args:
        history: The stream so far.
        start_us: Where the silence began.
        windows: Its length.
        chance: Probability at which chance is excluded.
    """
    return chance_of(history, windows) < chance and not is_habit(history, start_us, windows)


def with_rows(history: StreamHistory, start_us: int, length_us: int) -> StreamHistory:
    """The history after a window with rows."""
    ended = broken_off(history) if history.silent_since_us is None else _ended(history, start_us, length_us)
    if ended.full >= _MOST_FULL:
        ended = msgspec.structs.replace(ended, full=ended.full // 2, silences=ended.silences // 2)
    return msgspec.structs.replace(ended, full=ended.full + 1)


def broken_off(history: StreamHistory) -> StreamHistory:
    """The history after a window in which events came and none was counted: no silence, and nothing to learn from."""
    return msgspec.structs.replace(history, silent_since_us=None, alerted_after=0)


def without_events(history: StreamHistory, start_us: int) -> StreamHistory:
    """The history after a window without an event."""
    if history.silent_since_us is not None:
        return history
    return msgspec.structs.replace(history, silent_since_us=start_us)


def silent_windows(history: StreamHistory, end_us: int, length_us: int) -> int:
    """Length of the present silence, in windows."""
    return 0 if history.silent_since_us is None else (end_us - history.silent_since_us) // length_us


def _ended(history: StreamHistory, end_us: int, length_us: int) -> StreamHistory:
    windows = silent_windows(history, end_us, length_us)
    since = history.silent_since_us or 0
    earlier = [silence for silence in history.earlier if silence.start_us > since - REACH_US]
    earlier.append(Silence(since, windows, odd=history.alerted_after > 0))
    if len(earlier) > MOST_SILENCES:
        earlier.remove(min(earlier, key=lambda silence: (silence.windows, silence.start_us)))
    return msgspec.structs.replace(
        broken_off(history),
        earlier=tuple(earlier),
        # A silence before the first row began after no window with rows.
        silences=history.silences + (history.full > 0),
    )


def _near(one_us: int, other_us: int) -> bool:
    apart = (one_us - other_us) % DAY_US
    return min(apart, DAY_US - apart) <= _SAME_TIME_US


def _times_of_day(silences: list[Silence]) -> int:
    """Number of different times of day at which they began."""
    times: list[int] = []
    for silence in silences:
        if not any(_near(silence.start_us, time) for time in times):
            times.append(silence.start_us)
    return len(times)
