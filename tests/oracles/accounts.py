"""Offline recount of a topic, row by row: the slow and obvious version of `sparsewatch.transforms.kafka.accounts`."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from tests.kit.slow_clock import SlowClock

#: One record: its event times (many in one record are possible), or None for a reject.
Record = Sequence[int] | None


@dataclass
class Recount:
    """What a perfect reader would report of a topic."""

    windows: Counter[int] = field(default_factory=Counter)
    late: list[tuple[int, int, int]] = field(default_factory=list)
    rejected: list[tuple[int, int]] = field(default_factory=list)
    #: Newest event time of any partition at the end of the topic; None without a row.
    newest_us: int | None = None

    @property
    def read(self) -> int:
        """Events and rejects."""
        return sum(self.windows.values()) + len(self.late) + len(self.rejected)

    def reached(self, length_us: int) -> list[int]:
        """Starts of all windows with a row, and of those without one that the stream's clock has gone through."""
        if self.newest_us is None:
            return []
        first, last = min(self.windows), max(self.windows)
        through = range(first, min(last, self.newest_us // length_us * length_us) + length_us, length_us)
        return sorted({*self.windows, *through})


def recount(topic: Mapping[int, Iterable[Record]], length_us: int, disorder_us: int) -> Recount:
    """Count a topic whose partitions are never idle.

    Args:
        topic: Records of each partition in offset order.
        length_us: Window length.
        disorder_us: Allowed disorder.
    """
    result = Recount()
    ends: list[int | None] = []
    for partition, records in topic.items():
        clock = SlowClock(disorder_us)
        for offset, record in enumerate(records):
            if record is None:
                result.rejected.append((partition, offset))
                continue
            for row, (time, newest) in enumerate(zip(record, clock.record(record), strict=True)):
                window = time // length_us * length_us
                if newest is not None and window + length_us <= newest - disorder_us:
                    result.late.append((partition, offset, row))
                else:
                    result.windows[window] += 1
        ends.append(clock.settled_us())
    result.newest_us = max((end for end in ends if end is not None), default=None)
    return result
