"""Offline recount of a topic, row by row: the slow and obvious version of `sparsewatch.transforms.kafka.accounts`."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

#: One record: its event times (many in one record are possible), or None for a reject.
Record = Sequence[int] | None


@dataclass
class Recount:
    """What a perfect reader would report of a topic."""

    windows: Counter[int] = field(default_factory=Counter)
    late: list[tuple[int, int, int]] = field(default_factory=list)
    rejected: list[tuple[int, int]] = field(default_factory=list)

    @property
    def read(self) -> int:
        """Events and rejects."""
        return sum(self.windows.values()) + len(self.late) + len(self.rejected)

    def reached(self, length_us: int) -> range:
        """Starts of all windows from the first with a row to the last, those without a row among them."""
        return range(min(self.windows, default=0), max(self.windows, default=-length_us) + length_us, length_us)


def recount(topic: Mapping[int, Iterable[Record]], length_us: int, disorder_us: int) -> Recount:
    """Count a topic whose partitions are never idle.

    Args:
        topic: Records of each partition in offset order.
        length_us: Window length.
        disorder_us: Allowed disorder.
    """
    result = Recount()
    for partition, records in topic.items():
        newest = -(2**62)
        for offset, record in enumerate(records):
            if record is None:
                result.rejected.append((partition, offset))
                continue
            for row, time in enumerate(record):
                newest = max(newest, time)
                window = time // length_us * length_us
                if window + length_us <= newest - disorder_us:
                    result.late.append((partition, offset, row))
                else:
                    result.windows[window] += 1
    return result
