"""The Kafka source: a splittable DoFn whose element is a reader of many partitions.

One reader sees all its partitions, so watermark and window closing are decided in one place (docs/accounts.md).
Outputs: blocks of rows on time (main), side records (`ASIDE`) and markers (`MARKERS`), each stamped inside its window.
"""

import functools
import gc
import logging
import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import apache_beam as beam
import msgspec
from apache_beam.io.watermark_estimators import ManualWatermarkEstimator
from apache_beam.transforms.core import RestrictionProvider
from apache_beam.transforms.window import TimestampedValue
from apache_beam.utils.timestamp import Duration, Timestamp

from sparsewatch.schemas.accounts import Marker, ReaderState
from sparsewatch.schemas.block import Block
from sparsewatch.schemas.errors import SourceError
from sparsewatch.transforms.codecs.decode import decode
from sparsewatch.transforms.codecs.events import EventSchema
from sparsewatch.transforms.coders import Aside, ReaderStateCoder
from sparsewatch.transforms.kafka.accounts import close_all, close_windows
from sparsewatch.transforms.kafka.client import Reader
from sparsewatch.transforms.kafka.fetching import FetchAhead, IdleClock, fetch_batch, stop_before
from sparsewatch.transforms.kafka.presence import STOP, patiently
from sparsewatch.transforms.kafka.progress import ReaderTracker
from sparsewatch.transforms.kafka.reader_start import ReadSpec, initial_state, open_spec_reader
from sparsewatch.transforms.kafka.routing import Step, route
from sparsewatch.transforms.kafka.source_changes import Change, change_of, with_last, without_lost
from sparsewatch.transforms.kafka.source_settling import settled_again, with_partitions
from sparsewatch.transforms.kafka.stream_clock import live_silences_us, watermark_us
from sparsewatch.transforms.kafka.watching import Batch, Watcher

_logger = logging.getLogger(__name__)

ASIDE = "aside"
MARKERS = "markers"
#: Length of a bundle in continuous mode; a checkpoint waits for its end.
_BUNDLE_S = 1.0
#: How long records are gathered before a smaller block is decoded.
_GATHER_S = 0.25
_RESUME_AFTER_S = 0.05
_GC_THRESHOLD = (100_000, 50, 1000)
#: Longest time that a run until windows close goes on behind a backlog after the first of them.
_CATCH_UP_S = 10.0


#: By reader: silence outlasts the runs of a repeated job.
_idle_clocks: dict[bytes, IdleClock] = {}


class ReaderProvider(RestrictionProvider):
    """Restrictions of the source; the element is a `ReadSpec` as JSON.

    Args:
        bounded: Whether the reader ends by itself.
    """

    def __init__(self, *, bounded: bool) -> None:
        self._bounded = bounded

    def initial_restriction(self, element: bytes) -> ReaderState:
        """See `initial_state`."""
        return patiently(lambda: initial_state(decode_spec(element)))

    def create_tracker(self, restriction: ReaderState) -> ReaderTracker:
        """See `ReaderTracker`."""
        return ReaderTracker(restriction, bounded=self._bounded)

    def restriction_size(self, element: bytes, restriction: ReaderState) -> float:
        """Offsets left in bounded mode."""
        del element
        done = sum(p.position for p in restriction.partitions)
        return float(max(1, sum(restriction.stop) - done))

    def restriction_coder(self) -> ReaderStateCoder:
        """MessagePack."""
        return ReaderStateCoder()

    def truncate(self, element: bytes, restriction: ReaderState) -> None:
        """A drained pipeline stops reading; open windows are read again by the next run."""
        del element, restriction


def decode_spec(element: bytes) -> ReadSpec:
    """The spec of an element."""
    return msgspec.json.decode(element, type=ReadSpec)


class _WindowsClosed:
    """Whether a run until windows close is over: it has closed some, and read what there was then."""

    def __init__(self) -> None:
        self._ends: dict[int, int] | None = None
        self._latest = 0.0

    def over(self, step: Step, reader: Reader) -> bool:
        if self._ends is None:
            if not step.markers:
                return False
            self._latest = time.monotonic() + _CATCH_UP_S
            self._ends = _ends_now(reader)
        behind = any(p.position < self._ends.get(p.partition, 0) for p in step.state.partitions)
        return not behind or time.monotonic() >= self._latest


def _ends_now(reader: Reader) -> dict[int, int]:
    try:
        return reader.end_offsets()
    except SourceError:
        return {}


class _ReadEvents(beam.DoFn):
    """Reads until the bundle's end (continuous), until windows close, or up to the stop offsets (bounded)."""

    def __init__(self, schema: EventSchema) -> None:
        self._schema = schema
        self._reader: Reader | None = None
        self._positions: dict[int, int] = {}
        self._idle: IdleClock
        self._ahead: FetchAhead[Batch] | None = None
        self._is_there = True

    def setup(self) -> None:
        # Records are many small objects that live for one batch: a garbage collection every 700 objects, the default,
        # doubles the cost of fetching.
        gc.set_threshold(*_GC_THRESHOLD)

    def teardown(self) -> None:
        if self._ahead is not None:
            self._ahead.close()
            self._ahead = None
        self._close_reader()

    def _close_reader(self) -> None:
        if self._reader is not None:
            self._reader.close()
            self._reader = None

    def read(self, element: bytes, tracker: Any, estimator: Any) -> Iterator[Any]:
        spec = decode_spec(element)
        state: ReaderState = tracker.current_restriction()
        try:
            yield from self._read_on(spec, state, tracker, estimator)
        finally:
            if self._ahead is not None:
                self._ahead.drop()
                # The client has gone on past what was claimed.
                self._positions = {}

    def _read_on(self, spec: ReadSpec, state: ReaderState, tracker: Any, estimator: Any) -> Iterator[Any]:
        bundle_end, closed = time.monotonic() + _BUNDLE_S, _WindowsClosed()
        while not state.finished:
            reader = self._positioned(spec, state)
            step = self._step(spec, reader, state)
            if spec.until != "forever" and (STOP.is_set() or _is_over(spec, closed, step, reader)):
                step.state = msgspec.structs.replace(step.state, finished=True)
            if not tracker.try_claim(step.state):
                return
            state = step.state
            yield from _outputs(step, spec.windows.length_us)
            if state.closed_end_us > 0:
                estimator.set_watermark(Timestamp(micros=state.closed_end_us))
            if spec.until == "forever" and (step.markers or time.monotonic() >= bundle_end):
                tracker.defer_remainder(Duration(_RESUME_AFTER_S))
                return

    def _positioned(self, spec: ReadSpec, state: ReaderState) -> Reader:
        wanted = {p.partition: p.position for p in state.partitions}
        if self._reader is None:
            self._reader = patiently(lambda: open_spec_reader(spec))
            self._positions = {}
        if wanted != self._positions:
            self._reader.assign(wanted)
            self._positions = wanted
            self._watcher = Watcher(self._reader, wanted)
            self._idle = _idle_clock(spec)
        return self._reader

    def _step(self, spec: ReadSpec, reader: Reader, state: ReaderState) -> Step:
        batch = self._batch(spec, reader, bounded=bool(state.stop))
        self._check_there(batch, spec)
        if change := change_of(state, batch.sight, batch.fetched, spec.share):
            return Step(self._after(change, spec, state))
        state = without_lost(state, batch.fetched, batch.begin)
        fetched = batch.fetched
        if state.stop:
            fetched = stop_before(fetched, {p.partition: s for p, s in zip(state.partitions, state.stop, strict=True)})
        decoded = decode(spec.topic, fetched, self._schema)
        positions = {f.partition: f.next_offset for f in fetched}
        routed, step = route(decoded, state, spec.rules, positions)
        routed = with_last(routed, fetched)
        self._positions = {p.partition: p.position for p in routed.partitions}
        if state.stop:
            step.state, step.markers = _close_bounded(routed, spec, time.time_ns() // 1000)
        else:
            step.state, step.markers = self._close_live(routed, spec, reader, batch)
        return step

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
        if self._ahead is not None:
            self._ahead.drop()
        # A client that knew the topic as it was may go on asking for that.
        self._close_reader()
        try:
            state = settled_again(spec, state) if change.is_other else with_partitions(spec, state, change.added)
        except SourceError as error:
            _logger.warning("%s is looked at again: %s", spec.topic, error)
        self._positions = {}
        return state

    def _close_live(
        self, state: ReaderState, spec: ReadSpec, reader: Reader, batch: Batch
    ) -> tuple[ReaderState, list[Marker]]:
        highs = {p.partition: p.high for p in state.partitions}
        # What is read again did not arrive just now.
        arrived = {f.partition for f in batch.fetched if f.next_offset > highs[f.partition]}
        idle = self._idle.idle_us(state, reader, arrived, spec.windows.idle_after_us) if self._is_there else {}
        before = live_silences_us(state, spec.rules, time.time_ns() // 1000)
        idle |= {p: max(idle[p], us) for p, us in before.items() if p in idle and p not in self._idle.seen}
        closed, markers = close_windows(state, spec.rules, watermark_us(state, spec.rules, idle), spec.reader)
        if markers and batch.sight is None and not self._is_unchanged(state, spec):
            # What a partition holds that was added since belongs to these windows.
            return state, []
        return closed, markers

    def _is_unchanged(self, state: ReaderState, spec: ReadSpec) -> bool:
        try:
            return not change_of(state, self._watcher.look(), (), spec.share)
        except SourceError as error:
            _logger.warning("no window closes: %s", error)
            return False
        finally:
            self._watcher.look_soon()

    def _batch(self, spec: ReadSpec, reader: Reader, *, bounded: bool) -> Batch:
        fetch = functools.partial(
            self._watcher.batch, functools.partial(fetch_batch, reader, spec.block_rows, _GATHER_S)
        )
        if not bounded:
            # A live stream leaves time between batches; and its reader is also asked for ends there.
            return fetch()
        if self._ahead is None:
            self._ahead = FetchAhead()
        return self._ahead.batch(fetch)


def _idle_clock(spec: ReadSpec) -> IdleClock:
    if spec.until != "window":
        return IdleClock(time.monotonic)
    return _idle_clocks.setdefault(msgspec.json.encode(spec), IdleClock(time.monotonic))


def _is_over(spec: ReadSpec, closed: _WindowsClosed, step: Step, reader: Reader) -> bool:
    return spec.until == "window" and closed.over(step, reader)


def _close_bounded(state: ReaderState, spec: ReadSpec, now_us: int) -> tuple[ReaderState, list[Marker]]:
    until_us = spec.until * 1000 if isinstance(spec.until, int) else now_us
    # A backfill ends with its last row.
    silences = {} if spec.close_at_end else live_silences_us(state, spec.rules, min(until_us, now_us))
    done = all(p.position >= s for p, s in zip(state.partitions, state.stop, strict=True))
    # A partition that ended still holds back the watermark: the next run may bring rows of its open windows. Where
    # that has been the end for long, nothing holds it back.
    idle = [*state.silent, *silences] if done else state.silent
    ended = [p.partition for p, stop in zip(state.partitions, state.stop, strict=True) if p.position >= stop]
    watermark = watermark_us(state, spec.rules, {p: silences.get(p, 0) for p in idle}, ended)
    state, markers = close_windows(state, spec.rules, watermark, spec.reader)
    if done and spec.close_at_end:
        state, last = close_all(state, spec.rules, spec.reader)
        markers += last
    return msgspec.structs.replace(state, finished=done), markers


def _outputs(step: Step, length_us: int) -> Iterator[Any]:
    for window, block in step.blocks:
        yield TimestampedValue(block, _inside(window, length_us))
    if step.aside:
        aside = TimestampedValue(Aside(tuple(step.aside)), _inside(step.aside_window_us, length_us))
        yield beam.pvalue.TaggedOutput(ASIDE, aside)
    for marker in step.markers:
        yield beam.pvalue.TaggedOutput(MARKERS, TimestampedValue(marker, _inside(marker.window_us, length_us)))


def _inside(window_us: int, length_us: int) -> Timestamp:
    return Timestamp(micros=window_us + length_us - 1)


class _ReadBounded(_ReadEvents):
    def process(
        self,
        element: bytes,
        tracker: Any = beam.DoFn.RestrictionParam(ReaderProvider(bounded=True)),
        estimator: Any = beam.DoFn.WatermarkEstimatorParam(ManualWatermarkEstimator.default_provider()),
    ) -> Iterator[Any]:
        yield from self.read(element, tracker, estimator)


class _ReadForever(_ReadEvents):
    @beam.DoFn.unbounded_per_element()
    def process(
        self,
        element: bytes,
        tracker: Any = beam.DoFn.RestrictionParam(ReaderProvider(bounded=False)),
        estimator: Any = beam.DoFn.WatermarkEstimatorParam(ManualWatermarkEstimator.default_provider()),
    ) -> Iterator[Any]:
        yield from self.read(element, tracker, estimator)


@dataclass
class ReadKafka(beam.PTransform):
    """Blocks, side records and markers of a topic.

    Args:
        specs: One a reader; together they read each partition once.
        schema: What an event must look like.
    """

    specs: tuple[ReadSpec, ...]
    schema: EventSchema

    def __post_init__(self) -> None:
        beam.PTransform.__init__(self)

    def expand(self, pbegin: Any) -> Any:
        """Three typed collections: main `Block`, tags `ASIDE` and `MARKERS`."""
        forever = any(spec.until == "forever" for spec in self.specs)
        read = _ReadForever(self.schema) if forever else _ReadBounded(self.schema)
        outputs = (
            pbegin
            | "Readers" >> beam.Create([msgspec.json.encode(spec) for spec in self.specs])
            | "DealOut" >> beam.Reshuffle()
            | "Read" >> beam.ParDo(read).with_outputs(ASIDE, MARKERS, main="blocks")
        )
        # Tagged outputs take no type hints of their own; without a type they would be pickled between stages.
        outputs.blocks.element_type = Block
        outputs[ASIDE].element_type = Aside
        outputs[MARKERS].element_type = Marker
        return outputs
