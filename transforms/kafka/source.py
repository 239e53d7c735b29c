"""The Kafka source: a splittable DoFn whose element is a reader of many partitions.

One reader sees all its partitions, so watermark and window closing are decided in one place (docs/accounts.md).
Outputs: blocks of rows on time (main), side records (`ASIDE`) and markers (`MARKERS`), each stamped inside its window.
"""

import gc
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import apache_beam as beam
import msgspec
import pyarrow as pa
from apache_beam.io.watermark_estimators import ManualWatermarkEstimator
from apache_beam.transforms.core import RestrictionProvider
from apache_beam.transforms.window import TimestampedValue
from apache_beam.utils.timestamp import Duration, Timestamp

from sparsewatch.schemas.accounts import Marker, ReaderState
from sparsewatch.schemas.block import Block
from sparsewatch.transforms.codecs.events import EventSchema
from sparsewatch.transforms.coders import Aside, ReaderStateCoder
from sparsewatch.transforms.kafka.closing import WindowsClosed
from sparsewatch.transforms.kafka.presence import STOP, patiently
from sparsewatch.transforms.kafka.reader_start import ReadSpec, initial_state
from sparsewatch.transforms.kafka.reading import Reading
from sparsewatch.transforms.kafka.routing import Step
from sparsewatch.transforms.kafka.tracker import ReaderTracker

ASIDE = "aside"
MARKERS = "markers"
#: Length of a bundle in continuous mode; a checkpoint waits for its end.
_BUNDLE_S = 1.0
_RESUME_AFTER_S = 0.05
_GC_THRESHOLD = (100_000, 50, 1000)
#: How long a thread keeps Python's lock while others wait for it; by default 5 ms, and a job is slower.
_SWITCH_S = 0.001


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


class _ReadEvents(beam.DoFn):
    """Reads until the bundle's end (continuous), until windows close, or up to the stop offsets (bounded).

    What is ahead at the end of a bundle of a continuous run is there when the next begins where it ended; neither waits
    for it. Several readers take turns where they share a worker, and each reads ahead meanwhile. Other runs are one
    bundle, and end with it.
    """

    def __init__(self, schema: EventSchema) -> None:
        self._schema = schema
        #: By element.
        self._readings: dict[bytes, Reading] = {}

    def setup(self) -> None:
        # Records are many small objects that live for one batch: a garbage collection every 700 objects, the default,
        # doubles the cost of fetching.
        gc.set_threshold(*_GC_THRESHOLD)
        sys.setswitchinterval(_SWITCH_S)
        # Arrow's own pool keeps a tenth to a sixth more of the job's memory, at the same speed.
        pa.set_memory_pool(pa.system_memory_pool())

    def teardown(self) -> None:
        while self._readings:
            self._readings.popitem()[1].close()

    def read(self, element: bytes, tracker: Any, estimator: Any) -> Iterator[Any]:
        spec = decode_spec(element)
        state: ReaderState = tracker.current_restriction()
        reading = self._readings.setdefault(element, Reading(self._schema))
        try:
            yield from _read_on(reading, spec, state, tracker, estimator)
        finally:
            if spec.until != "forever":
                # A teardown may have come first.
                self._readings.pop(element, reading).close()


def _read_on(reading: Reading, spec: ReadSpec, state: ReaderState, tracker: Any, estimator: Any) -> Iterator[Any]:
    bundle_end, closed = time.monotonic() + _BUNDLE_S, WindowsClosed()
    while not state.finished:
        step = reading.step(spec, state)
        if spec.until != "forever" and (_is_stopped(spec) or _is_over(reading, spec, closed, step)):
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


def _is_over(reading: Reading, spec: ReadSpec, closed: WindowsClosed, step: Step) -> bool:
    return spec.until == "window" and closed.over(step, reading.ends)


def _is_stopped(spec: ReadSpec) -> bool:
    # Of several readers some have closed windows of which others have not read their rows yet: they read to their end.
    return STOP.is_set() and spec.readers == 1


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
