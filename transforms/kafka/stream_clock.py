"""How far a reader's partitions have come in event time: the watermark, and the clocks that stand in for rows.

A partition's clock is the newest event time that its rows agree on (`robust_clock`). Two things stand in for it:

* **Rejects** bring no usable time, so the Kafka timestamps of their records do: a partition of which every record is a
  reject moves on. The timestamp is corrected by the lead that the partition's newest row had over its own record, and
  held back by `idle_after_us`, so that good rows that follow are not late for that. It counts once the next
  reject is no earlier: one record with a wrong clock moves nothing. It never decides what is late by the order of
  its own partition, and counts only where the partition has been read as far as an earlier run had read it: rows that
  are to be counted again still find their windows open.
* **Silence**: where all partitions are idle, the watermark moves on by the clock. A run that has read nothing yet does
  not know how long a partition has been silent; if the stream is live, the timestamp of its newest record tells.

What decides lies in the `ReaderState` and the resume points, so a replay comes to the same.
"""

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from sparsewatch.schemas.accounts import NEVER_US, PREFACE_US, PartitionState, ReaderState
from sparsewatch.transforms.kafka.robust_clock import settled_us

#: A stream is live if its newest event time lies no further from the timestamp of its own record.
_LIVE_US = 3_600_000_000
#: How far the clocks of those who write a topic may lie behind that of its reader: rows must not be late for that.
_CLOCKS_APART_US = 300_000_000


@dataclass(frozen=True, slots=True)
class WindowRules:
    """How windows are cut. All in microseconds of event time."""

    length_us: int
    disorder_us: int
    #: How far timestamps that stand in for event times are held back.
    idle_after_us: int = 0

    def window_us(self, times_us: np.ndarray) -> np.ndarray:
        """Start of the window of each event time, int64 of the same shape."""
        starts: np.ndarray = times_us // self.length_us * self.length_us
        return starts

    def start_us(self, time_us: int) -> int:
        """Start of the window of one event time."""
        return time_us // self.length_us * self.length_us


class Reject(NamedTuple):
    """A record, or rows of it, that cannot be used."""

    offset: int
    events: int = 1
    #: Kafka timestamp of the record; `NEVER_US` if it has none.
    stamp_us: int = NEVER_US


def lead_us(times_us: np.ndarray, stamps_us: np.ndarray, newest_us: int, before_us: int) -> int:
    """The lead of the newest row over its own record.

    Args:
        times_us: Event times of the rows of a partition that are not ahead of its newest, shape (n,).
        stamps_us: Kafka timestamps of their records, negative for none, shape (n,).
        newest_us: Newest event time before them.
        before_us: The lead before them, which stays if none of them is newer or the newest has no timestamp.
    """
    if not len(times_us):
        return before_us
    row = int(np.argmax(times_us))
    if times_us[row] <= newest_us or stamps_us[row] < 0:
        return before_us
    return int(times_us[row] - stamps_us[row])


def confirmed_stamps(part: PartitionState, rejects: Iterable[Reject]) -> tuple[int, int]:
    """Timestamp of the newest reject, and the newest timestamp that the reject after it confirmed."""
    newest, confirmed = part.stamp_us, part.confirmed_us
    for reject in rejects:
        if reject.stamp_us != NEVER_US:
            confirmed = max(confirmed, min(newest, reject.stamp_us))
            newest = reject.stamp_us
    return newest, confirmed


def watermark_us(state: ReaderState, rules: WindowRules, idle: Mapping[int, int], ended: Collection[int] = ()) -> int:
    """Event time up to which the reader has seen all rows it will count as on time.

    The minimum over active partitions of their clocks minus the allowance. A partition that was never read and is not
    idle holds it back. Idle partitions do not; when all are idle, it advances by the clock from the newest.

    Args:
        state: What the reader knows.
        rules: How windows are cut.
        idle: For each idle partition, microseconds since it became idle.
        ended: Partitions that this run has read to its end; they hold the watermark back.

    Returns:
        Microseconds since the epoch, or `NEVER_US` if it is held back.
    """
    clocks = partition_clocks(state, rules, {*idle, *ended})
    active = [clock for partition, clock in clocks.items() if partition not in idle]
    if active:
        slowest = min(active)
        return NEVER_US if slowest == NEVER_US else slowest - rules.disorder_us
    newest = max(clocks.values(), default=NEVER_US)
    if newest == NEVER_US:
        # A topic made anew that nobody has written to yet: time goes on from the last closed window.
        return state.closed_end_us + min(idle.values()) if idle and state.closed_end_us > PREFACE_US else NEVER_US
    return newest - rules.disorder_us + min(idle[p] for p, clock in clocks.items() if clock != NEVER_US)


def live_silences_us(state: ReaderState, rules: WindowRules, now_us: int) -> dict[int, int]:
    """Microseconds since partitions became idle, by the timestamps of their newest records; only those of live streams.

    Args:
        state: What the reader knows.
        rules: How windows are cut.
        now_us: The clock, microseconds since the epoch.
    """
    silences = {p.partition: _live_silence_us(p, rules, now_us) for p in state.partitions}
    return {partition: us for partition, us in silences.items() if us > 0}


def _live_silence_us(part: PartitionState, rules: WindowRules, now_us: int) -> int:
    if part.lead_us == NEVER_US or abs(part.lead_us) > _LIVE_US:
        return 0
    newest = max(settled_us(part.newest_us, part.recent_us) - part.lead_us, part.confirmed_us)
    return now_us - newest - rules.idle_after_us - _CLOCKS_APART_US


def partition_clocks(state: ReaderState, rules: WindowRules, settled: Collection[int]) -> dict[int, int]:
    """The clock of each partition: its newest event time, or what stands in for it; `NEVER_US` for neither.

    Args:
        state: What the reader knows.
        rules: How windows are cut.
        settled: Partitions that have no more rows now.
    """
    return {
        p.partition: max(
            settled_us(p.newest_us, p.recent_us) if p.partition in settled else p.newest_us,
            _stand_in_us(p, state.partitions, rules),
        )
        for p in state.partitions
    }


def _stand_in_us(part: PartitionState, partitions: Sequence[PartitionState], rules: WindowRules) -> int:
    if part.confirmed_us == NEVER_US or part.position < part.high:
        return NEVER_US
    lead = part.lead_us
    if lead == NEVER_US:
        # As the rows of the partition that is furthest on.
        lead = max((p.newest_us, p.lead_us) for p in partitions)[1]
    if lead == NEVER_US:
        # How far event times lie from timestamps is not known yet: a window's length is left to the rows to show it.
        return part.confirmed_us - rules.idle_after_us - rules.length_us
    return part.confirmed_us + lead - rules.idle_after_us
