"""A reader's steps: each takes a batch, adds it to the accounts and closes windows; what is ahead is kept between them.

What was fetched and decoded ahead belongs to the positions at which the last step ended. A step that begins elsewhere
(a runner took a claim back, another worker went on in between, the topic changed) drops it, and fetches anew.
"""

import logging
import time

from sparsewatch.schemas.accounts import ReaderState
from sparsewatch.schemas.errors import SourceError
from sparsewatch.transforms.codecs.decode import Decoded
from sparsewatch.transforms.codecs.events import EventSchema
from sparsewatch.transforms.kafka.ahead import Ahead
from sparsewatch.transforms.kafka.client import Reader
from sparsewatch.transforms.kafka.closing import close_bounded, close_live
from sparsewatch.transforms.kafka.feed import Feed
from sparsewatch.transforms.kafka.presence import patiently
from sparsewatch.transforms.kafka.reader_start import ReadSpec, open_spec_reader
from sparsewatch.transforms.kafka.routing import Step, route
from sparsewatch.transforms.kafka.source_changes import Change, change_of, with_last, without_lost
from sparsewatch.transforms.kafka.source_settling import settled_again, with_partitions
from sparsewatch.transforms.kafka.watching import Batch

_logger = logging.getLogger(__name__)

#: Of each partition its number, its next offset, the one up to which it was read before, and its stop.
_Places = list[tuple[int, int, int, int | None]]


class Reading:
    """Reads for one spec.

    Args:
        schema: What an event must look like.
    """

    def __init__(self, schema: EventSchema) -> None:
        self._schema = schema
        self._reader: Reader | None = None
        self._ahead: Ahead | None = None
        #: Where the batch begins that is taken next; None where that is not known.
        self._places: _Places | None = None
        self._is_there = True

    def step(self, spec: ReadSpec, state: ReaderState) -> Step:
        """What the next batch gives.

        Args:
            spec: The reader.
            state: As the step before left it, or another one; not changed.

        Raises:
            SourceError: If the topic cannot be read, or a bounded run's topic is gone.
        """
        ahead = self._positioned(spec, state)
        # Whatever goes wrong from here on, what is ahead is not what follows.
        self._places = None
        batch, decoded = ahead.take()
        self._check_there(batch, spec)
        if change := change_of(state, batch.sight, batch.fetched, spec.share):
            return Step(self._after(change, spec, state))
        # What lies behind the stops is the next run's.
        step = added(without_lost(state, decoded.fetched, batch.begin), spec, decoded)
        if state.stop:
            step.state, step.markers = close_bounded(step.state, spec, time.time_ns() // 1000)
        else:
            step.state, step.markers = close_live(step.state, spec, batch, ahead.waiting())
        self._places = _places(step.state)
        return step

    def ends(self) -> dict[int, int]:
        """Where the partitions end now, behind a step.

        Raises:
            SourceError: If the broker does not answer.
        """
        return {} if self._ahead is None else self._ahead.ends()

    def close(self) -> None:
        """End the threads, drop what is ahead and close the connection."""
        self._drop()
        if self._reader is not None:
            self._reader.close()
            self._reader = None

    def _drop(self) -> None:
        if self._ahead is not None:
            self._ahead.close()
            self._ahead = None

    def _positioned(self, spec: ReadSpec, state: ReaderState) -> Ahead:
        if self._ahead is not None and self._places == _places(state):
            return self._ahead
        self._drop()
        if self._reader is None:
            self._reader = patiently(lambda: open_spec_reader(spec))
        self._reader.assign({part.partition: part.position for part in state.partitions})
        self._ahead = Ahead(Feed(self._reader, spec, state, self._schema))
        return self._ahead

    def _check_there(self, batch: Batch, spec: ReadSpec) -> None:
        if batch.sight is None:
            return
        was_there, self._is_there = self._is_there, bool(batch.sight.partitions)
        if self._is_there:
            return
        if not spec.is_live:
            raise SourceError(f"topic {spec.topic!r} was deleted while it was read")
        if was_there:
            _logger.warning("topic %s is gone: it is read on when it is there again", spec.topic)

    def _after(self, change: Change, spec: ReadSpec, state: ReaderState) -> ReaderState:
        """The state with which reading goes on after a change of the topic; the batch is fetched again."""
        # A client that knew the topic as it was may go on asking for that.
        self.close()
        try:
            return settled_again(spec, state) if change.is_other else with_partitions(spec, state, change.added)
        except SourceError as error:
            _logger.warning("%s is looked at again: %s", spec.topic, error)
            return state


def _places(state: ReaderState) -> _Places:
    stops = state.stop or [None] * len(state.partitions)
    return [(p.partition, p.position, p.high, stop) for p, stop in zip(state.partitions, stops, strict=True)]


def added(state: ReaderState, spec: ReadSpec, decoded: Decoded) -> Step:
    """A batch in the accounts of a state."""
    positions = {run.partition: run.next_offset for run in decoded.fetched}
    state, step = route(decoded, state, spec.rules, positions)
    step.state = with_last(state, decoded.fetched)
    return step
