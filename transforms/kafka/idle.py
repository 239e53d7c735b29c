"""Which partitions are idle: silent for a while, read to their end, and the broker says so.

A broker that is away looks like silence; so before a partition is called idle its end is asked of the broker, and
no answer means not idle. The answer is kept for a second.
"""

import logging
from collections.abc import Callable, Mapping

from sparsewatch.schemas.accounts import ReaderState
from sparsewatch.schemas.errors import SourceError
from sparsewatch.transforms.kafka.client import Reader

_logger = logging.getLogger(__name__)

_ASK_EVERY_S = 1.0


class IdleClock:
    """Remembers when each partition last gave a record. `clock` gives seconds."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self.reset()

    def reset(self) -> None:
        """Forget all: the reader starts at other positions."""
        self._last: dict[int, float] = {}
        self._ends: dict[int, int] = {}
        self._asked = float("-inf")

    def idle_us(
        self, state: ReaderState, reader: Reader, heard: Mapping[int, int], idle_after_us: int
    ) -> dict[int, int]:
        """Microseconds since each idle partition became idle.

        Args:
            state: Positions of all partitions.
            reader: Asked for the ends, at most once a second.
            heard: Partitions that gave records just now.
            idle_after_us: Silence from which on a partition is idle.
        """
        now = self._clock()
        for part in state.partitions:
            if part.partition in heard or part.partition not in self._last:
                self._last[part.partition] = now
        silent = {p: round((now - last) * 1e6) - idle_after_us for p, last in self._last.items()}
        silent = {p: us for p, us in silent.items() if us >= 0}
        if not silent or not self._told(reader, now):
            return {}
        positions = {p.partition: p.position for p in state.partitions}
        return {p: us for p, us in silent.items() if positions[p] >= self._ends.get(p, 0)}

    def _told(self, reader: Reader, now: float) -> bool:
        if now - self._asked < _ASK_EVERY_S:
            return bool(self._ends)
        self._asked = now
        try:
            self._ends = reader.end_offsets()
        except SourceError as error:
            _logger.warning("no partition is taken as idle: %s", error)
            self._ends = {}
        return bool(self._ends)
