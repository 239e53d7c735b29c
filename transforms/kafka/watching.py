"""Fetching while the topic is watched: behind every batch the broker is asked whether it is still the same topic.

Offsets alone do not say so: a topic that was made anew and has grown again gives records at the offset asked for. The
question stands behind the fetch and before the batch is counted, so that no record of another topic is counted as one
of this. In a live stream it is also asked where nothing comes, for partitions that were added: once a second, and
whenever a partition is idle, since windows may close for that, and what a new partition holds belongs to them.

What is found out holds for the moment of the fetch, however long the batch then waits for its turn.
"""

import logging
import time
from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass, field
from typing import NamedTuple

from sparsewatch.schemas.errors import SourceError
from sparsewatch.transforms.kafka.client import Reader, Sight
from sparsewatch.transforms.kafka.fetching import IdleClock
from sparsewatch.transforms.kafka.source_changes import with_gaps
from sparsewatch.transforms.records import Fetched

_logger = logging.getLogger(__name__)
#: Longest time between two looks at a topic.
_LOOK_EVERY_S = 1.0


class Idle(NamedTuple):
    """Idle partitions of a live stream."""

    #: Microseconds since each became idle.
    us: Mapping[int, int]
    #: Those that have given no record: for how long they have been silent before is not known.
    unseen: Collection[int]


_NOT_IDLE = Idle({}, ())


@dataclass(frozen=True, slots=True)
class Batch:
    """What was fetched, and what the broker stated afterwards."""

    fetched: list[Fetched]
    #: None if the broker was not asked, or did not answer.
    sight: Sight | None = None
    #: First offsets of the partitions in which offsets were passed over.
    begin: Mapping[int, int] = field(default_factory=dict)
    idle: Idle = _NOT_IDLE
    #: When it was fetched, microseconds since the epoch.
    at_us: int = field(default_factory=lambda: time.time_ns() // 1000)


class IdleRules(NamedTuple):
    """When partitions of a live stream are idle."""

    clock: IdleClock
    #: Silence from which on a partition is idle.
    after_us: int
    #: Offsets up to which partitions were read before: what is read again did not arrive just now.
    highs: Mapping[int, int]


class Watcher:
    """Fetches from one reader; the reader is used by nobody else meanwhile.

    Args:
        reader: Assigned to `positions`.
        positions: Next offset of each partition.
        idle: None where it does not matter which partitions are idle.
        clock: Gives seconds.
    """

    def __init__(
        self,
        reader: Reader,
        positions: Mapping[int, int],
        idle: IdleRules | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._reader = reader
        self._next = dict(positions)
        self._idle_rules = idle
        self._clock = clock
        self._looked = float("-inf")
        self._is_there = True

    def after(self, fetched: Iterable[Fetched]) -> dict[int, int]:
        """Next offset of each partition once these runs are behind the batches so far."""
        return self._next | {run.partition: run.next_offset for run in fetched}

    def batch(self, fetch: Callable[[], list[Fetched]]) -> Batch:
        """A batch; an empty one if the broker no longer answers behind it, which is then fetched again."""
        fetched = fetch()
        try:
            batch = self._watched(fetched)
        except SourceError as error:
            _logger.warning("records are fetched again: %s", error)
            self._reader.assign(self._next)
            return Batch([])
        self._next = self.after(fetched)
        return batch

    def _watched(self, fetched: list[Fetched]) -> Batch:
        sight = self._look() if fetched or self._clock() - self._looked >= _LOOK_EVERY_S else None
        gaps = with_gaps(self._next, fetched)
        begin = self._reader.begin_offsets() if gaps else {}
        idle = self._idle(fetched)
        if idle.us and sight is None:
            sight = self._look()
        return Batch(fetched, sight, {p: begin[p] for p in gaps}, idle)

    def _look(self) -> Sight:
        self._looked = self._clock()
        sight = self._reader.look()
        self._is_there = self._next.keys() <= set(sight.partitions)
        return sight

    def _idle(self, fetched: list[Fetched]) -> Idle:
        if self._idle_rules is None or not self._is_there:
            return _NOT_IDLE
        clock, after_us, highs = self._idle_rules
        arrived = {run.partition for run in fetched if run.next_offset > highs[run.partition]}
        us = clock.idle_us(self.after(fetched), self._reader, arrived, after_us)
        return Idle(us, us.keys() - clock.seen)
