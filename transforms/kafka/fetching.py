"""Fetching: small polls into one batch, all records up to the end of a topic, and which partitions are idle.

A poll returns what has arrived, often a few hundred records of one partition. A partition is idle if it has been silent
for a while and is read to its end. A broker that is away looks like silence, too: so the broker is asked for the end
before a partition counts as idle, at most once a second, and no answer means not idle.
"""

import logging
import time
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence

from sparsewatch.schemas.errors import SourceError
from sparsewatch.transforms.kafka.client import Reader
from sparsewatch.transforms.records import Fetched

_logger = logging.getLogger(__name__)
_POLL_S = 0.1
#: Bytes of values after which a batch is full: it is decoded whole, and a record may hold thousands of events.
BATCH_BYTES = 16 << 20
#: Records requested while their size is not known.
_FIRST_RECORDS = 16
#: Where a topic is read to its end: seconds and records of a poll, and empty polls in a row after which a broker that
#: has more counts as silent.
_END_POLL_S = 0.5
_END_POLL_RECORDS = 10_000
_PATIENCE = 20
#: Least time between two requests for the ends of idle partitions.
_ASK_EVERY_S = 1.0


def fetch_batch(
    reader: Reader,
    max_records: int,
    gather_s: float,
    max_bytes: int = BATCH_BYTES,
    is_enough: Callable[[Sequence[Fetched]], bool] = lambda _: False,
) -> list[Fetched]:
    """What arrives within `gather_s` seconds: runs by partition, those of one partition in order.

    Args:
        reader: Polled repeatedly.
        max_records: Records at most.
        gather_s: Seconds at most, but for the last poll.
        max_bytes: Bytes of values that fill a batch; the last poll may exceed them, by little where records are alike.
        is_enough: Whether to wait for no more than these runs; asked before each poll.
    """
    runs: list[Fetched] = []
    count, size, end = 0, 0, time.monotonic() + gather_s
    while count < max_records and size < max_bytes and (left := end - time.monotonic()) > 0 and not is_enough(runs):
        fit = (max_bytes - size) * count // size if size else _FIRST_RECORDS
        for fetched in reader.fetch(min(_POLL_S, left), max(1, min(max_records - count, fit))):
            runs.append(fetched)
            count += len(fetched)
            size += int(fetched.sizes().clip(0).sum())
    return sorted(runs, key=lambda run: run.partition)


def until_ends(reader: Reader, topic: str, positions: Mapping[int, int], ends: Mapping[int, int]) -> Iterator[Fetched]:
    """What assigned partitions hold from their positions up to these ends.

    Args:
        reader: Assigned to the partitions.
        topic: Its name, for messages.
        positions: Next offset of each.
        ends: Where to stop; a partition may be read a little further.

    Raises:
        SourceError: If the broker does not answer, or does not give all that it says it has.
    """
    begin = reader.begin_offsets() if any(end > positions[p] for p, end in ends.items()) else {}
    left = {p: end for p, end in ends.items() if end > max(positions[p], begin.get(p, 0))}
    silent = 0
    while left:
        got = reader.fetch(_END_POLL_S, _END_POLL_RECORDS)
        silent = 0 if any(fetched.partition in left for fetched in got) else silent + 1
        for fetched in got:
            if fetched.next_offset >= left.get(fetched.partition, 0):
                left.pop(fetched.partition, None)
        yield from got
        if left and silent >= _PATIENCE:
            # If the broker is away, this raises.
            now = reader.end_offsets()
            raise SourceError(
                f"topic {topic!r}: the broker sends no more records; partitions end at {now}, expected {left}"
            )


class IdleClock:
    """Remembers when each partition last gave a record. `clock` gives seconds."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._last: dict[int, float] = {}
        #: Partitions that have given records: how long they have been silent is known.
        self.seen: set[int] = set()
        self._ends: dict[int, int] = {}
        self._asked = float("-inf")

    def idle_us(
        self, positions: Mapping[int, int], reader: Reader, active: Collection[int], idle_after_us: int
    ) -> dict[int, int]:
        """Microseconds since each idle partition became idle.

        Args:
            positions: Next offset of each partition.
            reader: Asked for the ends, at most once a second.
            active: Partitions of which records were fetched just now.
            idle_after_us: Silence from which on a partition is idle.
        """
        now = self._clock()
        self.seen.update(active)
        self._last |= {p: now for p in positions if p in active or p not in self._last}
        silent = {p: round((now - last) * 1e6) - idle_after_us for p, last in self._last.items()}
        silent = {p: us for p, us in silent.items() if us >= 0}
        if not silent or not self._ends_known(reader, now):
            return {}
        return {p: us for p, us in silent.items() if p in self._ends and positions[p] >= self._ends[p]}

    def _ends_known(self, reader: Reader, now: float) -> bool:
        if now - self._asked < _ASK_EVERY_S:
            return bool(self._ends)
        self._asked = now
        try:
            self._ends = reader.end_offsets()
        except SourceError as error:
            _logger.warning("no partition counts as idle: %s", error)
            self._ends = {}
        return bool(self._ends)


def stop_before(fetched: Sequence[Fetched], stop: Mapping[int, int]) -> list[Fetched]:
    """Only records before the stop offset of their partition."""
    return [run.before(stop[run.partition]) for run in fetched]
