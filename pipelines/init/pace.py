"""How the events of a sample come: how many an hour, how far out of order, how far ahead of their records.

Out of order is what the job itself would call so: behind the newest event time of the partition that its rows agree on
(`sparsewatch.transforms.kafka.robust_clock`).
"""

from collections.abc import Iterable
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from sparsewatch.pipelines.init.event_time import TimeColumn
from sparsewatch.pipelines.init.sample import Sample
from sparsewatch.schemas.accounts import NEVER_US
from sparsewatch.schemas.jobs import SourceSettings, WindowSettings
from sparsewatch.schemas.settings import duration_text, parse_duration_us
from sparsewatch.transforms.kafka.robust_clock import Rows

_SECOND, _MINUTE, _HOUR, _DAY = 1_000_000, 60_000_000, 3_600_000_000, 86_400_000_000
#: Lengths of windows that are offered, and fewest events of one: with fewer, only gross changes are found. A kind may
#: want more.
_LENGTHS = (_MINUTE, 5 * _MINUTE, 15 * _MINUTE, _HOUR, 6 * _HOUR, _DAY)
EVENTS_A_WINDOW = 2_000
_STEPS = (
    *(n * _SECOND for n in (10, 15, 20, 30)),
    *(n * _MINUTE for n in (1, 2, 3, 5, 10, 15, 20, 30)),
    *(n * _HOUR for n in (1, 2, 3, 6, 12)),
    *(n * _DAY for n in (1, 2, 3, 7, 14, 30, 365, 3_650)),
)
_DISORDER = WindowSettings(length="1m").disorder
#: What is allowed over what was seen: the sample does not hold the worst.
_MARGIN = 1.5
#: Share of the events that may be late, or rejects, where a few are far out of order.
_LEFT = 0.001


@dataclass(frozen=True, slots=True, kw_only=True)
class Pace:
    """Settings that follow from how events come, as a job file writes them, and what was seen."""

    #: Events a second of event time, all partitions together; 0 where all of them have one time.
    rate: float
    #: Least and greatest event time, microseconds, less the few that lie far off.
    span_us: tuple[int, int]
    length: str
    #: Events that a window is to hold.
    wanted: int
    disorder: str
    #: Farthest out of order, and how many events are farther than `disorder`.
    disorder_us: int
    late: int
    #: Whether the events must be put in order first, as `sparsewatch publish --sort` does.
    unsorted: bool
    max_ahead: str
    #: Farthest ahead of its record's own timestamp, and how many events are farther than `max_ahead`.
    ahead_us: int
    too_far_ahead: int

    @property
    def events_a_window(self) -> float:
        """Events of a window, on average."""
        return self.rate * parse_duration_us(self.length) / _SECOND

    def with_windows_of(self, events: int) -> "Pace":
        """The same, with the shortest windows that hold so many events."""
        return replace(self, length=_length(self.rate, events), wanted=events)


def pace_of(sample: Sample, time: TimeColumn) -> Pace:
    """How events come; those of files as they come once they are sorted, if they are not.

    Args:
        sample: The events.
        time: Their times.
    """
    usable = time.usable
    ahead = _ahead_us(sample, time)
    allowed_ahead = _allowed(ahead, SourceSettings(topic="", time_column="").max_ahead)
    kept = usable & (ahead <= parse_duration_us(allowed_ahead))
    late = np.concatenate(
        [_late_us(sample, time, kept & (sample.partitions == p)) for p in np.unique(sample.partitions)]
    )
    disorder = _allowed(late, _DISORDER)
    unsorted = not sample.is_topic and disorder != _DISORDER
    if unsorted:
        late, disorder = np.zeros(1, np.int64), _DISORDER
    first, last = (int(at) for at in np.quantile(time.times_us[kept if kept.any() else usable], (_LEFT, 1 - _LEFT)))
    # The first events of files in order are of a part of their time.
    events = sample.of_events if sample.is_topic or unsorted else sample.events
    rate = events * _SECOND / (last - first) if last > first else 0.0
    return Pace(
        rate=rate,
        span_us=(first, last),
        length=_length(rate, EVENTS_A_WINDOW),
        wanted=EVENTS_A_WINDOW,
        disorder=disorder,
        disorder_us=int(late.max(initial=0)),
        late=int((late > parse_duration_us(disorder)).sum()),
        unsorted=unsorted,
        max_ahead=allowed_ahead,
        ahead_us=int(ahead.max(initial=0)),
        too_far_ahead=int((ahead > parse_duration_us(allowed_ahead)).sum()),
    )


def _ahead_us(sample: Sample, time: TimeColumn) -> NDArray[np.int64]:
    """How far each event is ahead of its record, 0 for those that are not, shape (n,)."""
    known = time.usable & (sample.timestamps_ms >= 0)
    ahead: NDArray[np.int64] = np.where(known, np.maximum(time.times_us - sample.timestamps_ms * 1_000, 0), 0)
    return ahead


def _late_us(sample: Sample, time: TimeColumn, rows: NDArray[np.bool_]) -> NDArray[np.int64]:
    """How far each event of a partition is out of order, shape (n,)."""
    own = time.times_us[rows]
    newest = Rows(NEVER_US, (), sample.offsets[rows], own, parse_duration_us(_DISORDER)).newest_us[:-1]
    late: NDArray[np.int64] = np.where(newest > own, newest - own, 0)
    return late


def _allowed(seen_us: NDArray[np.int64], default: str) -> str:
    """The least round duration above what was seen, at least the default; a few events may be farther."""
    few = int(len(seen_us) * _LEFT)
    most = int(np.sort(seen_us)[len(seen_us) - 1 - few]) if len(seen_us) else 0
    least = parse_duration_us(default)
    return default if most <= least / _MARGIN else duration_text(_round_up(_MARGIN * most, _STEPS))


def _length(rate: float, events: int) -> str:
    """The shortest window that holds so many events."""
    return duration_text(_round_up(events * _SECOND / rate if rate else _MINUTE, _LENGTHS))


def _round_up(us: float, steps: Iterable[int]) -> int:
    *_, longest = ordered = sorted(steps)
    return next((step for step in ordered if step >= us), longest)
