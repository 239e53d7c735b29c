"""Fetching while the topic is watched: behind every batch the broker is asked whether it is still the same topic.

Offsets alone do not say so: a topic that was made anew and has grown again gives records at the offset asked for. The
question stands behind the fetch and before the batch is counted, so that no record of another topic is counted as one
of this; and in a live stream once a second where nothing comes, for partitions that were added.
"""

import logging
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from sparsewatch.schemas.errors import SourceError
from sparsewatch.transforms.kafka.client import Reader, Sight
from sparsewatch.transforms.kafka.source_changes import with_gaps
from sparsewatch.transforms.records import Fetched

_logger = logging.getLogger(__name__)
#: Longest time between two looks at a topic.
_LOOK_EVERY_S = 1.0


@dataclass(frozen=True, slots=True)
class Batch:
    """What was fetched, and what the broker stated afterwards."""

    fetched: list[Fetched]
    #: None if the broker was not asked, or did not answer.
    sight: Sight | None = None
    #: First offsets of the partitions in which offsets were passed over.
    begin: Mapping[int, int] = field(default_factory=dict)


class Watcher:
    """Fetches from one reader; the reader is used by nobody else meanwhile.

    Args:
        reader: Assigned to `positions`.
        positions: Next offset of each partition.
        clock: Gives seconds.
    """

    def __init__(
        self, reader: Reader, positions: Mapping[int, int], clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._reader = reader
        self._next = dict(positions)
        self._clock = clock
        self._looked = float("-inf")

    def batch(self, fetch: Callable[[], list[Fetched]]) -> Batch:
        """A batch; an empty one if the broker no longer answers behind it, which is then fetched again."""
        fetched = fetch()
        try:
            batch = self._watched(fetched)
        except SourceError as error:
            _logger.warning("records are fetched again: %s", error)
            self._reader.assign(self._next)
            return Batch([])
        self._next.update({run.partition: run.next_offset for run in fetched})
        return batch

    def _watched(self, fetched: list[Fetched]) -> Batch:
        if not fetched and self._clock() - self._looked < _LOOK_EVERY_S:
            return Batch([])
        sight = self.look()
        gaps = with_gaps(self._next, fetched)
        begin = self._reader.begin_offsets() if gaps else {}
        return Batch(fetched, sight, {p: begin[p] for p in gaps})

    def look(self) -> Sight:
        """The topic now.

        Raises:
            SourceError: If the broker does not answer.
        """
        self._looked = self._clock()
        return self._reader.look()

    def look_soon(self) -> None:
        """Look again behind the next batch, also an empty one."""
        self._looked = float("-inf")
