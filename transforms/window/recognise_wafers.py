"""Blocks of wafers to results: one record a wafer, written and acknowledged, and the window's counts."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import apache_beam as beam
import msgspec
from apache_beam.utils.windowed_value import WindowedValue

from sparsewatch.detectors.wafers.window_counts import WaferCounts
from sparsewatch.schemas.accounts import Part, ack_part, measure_part, others_parts
from sparsewatch.schemas.block import Block
from sparsewatch.schemas.jobs import KafkaSettings
from sparsewatch.schemas.other_fields import NO_OTHERS
from sparsewatch.schemas.patterns import NovelLooking
from sparsewatch.schemas.set_aside import Ack
from sparsewatch.schemas.wafers import WaferResult
from sparsewatch.transforms.kafka.client import Writer
from sparsewatch.transforms.kafka.open import open_writer
from sparsewatch.transforms.window.measure import OpenWindows


@dataclass(frozen=True, slots=True)
class Recognised:
    """The results for a block."""

    #: One for each wafer.
    results: Sequence[WaferResult]
    #: The wafers that look novel, for views over several windows.
    looking_novel: Sequence[NovelLooking] = ()


#: Makes its model when first called, once a process.
Recognise = Callable[[Block], Recognised]


class WaferParts:
    """See `sparsewatch.transforms.window.measure.BlockParts`: counts of wafers, and that each has its result.

    Args:
        recognise: Gives the results for a block.
    """

    def __init__(self, recognise: Recognise) -> None:
        self._recognise = recognise
        self._counts = WaferCounts()
        self._others = NO_OTHERS

    def add(self, block: Block) -> Sequence[WaferResult]:
        """Results for a block; what is acknowledged must be durable before `parts` is called."""
        found = self._recognise(block)
        self._counts.add(found.results, found.looking_novel, block.mistyped)
        self._others += block.others
        return found.results

    def parts(self) -> tuple[bytes, ...]:
        """See `sparsewatch.transforms.window.measure.BlockParts`."""
        acknowledged = ack_part(Ack(results=self._counts.wafers))
        return (measure_part(self._counts.to_bytes()), acknowledged, *others_parts(self._others))


class _Recognise(beam.DoFn):
    def __init__(self, job: str, kafka: KafkaSettings, topic: str, recognise: Recognise) -> None:
        self._job = job
        self._kafka = kafka
        self._topic = topic
        self._recognise = recognise
        self._writer: Writer | None = None

    def start_bundle(self) -> None:
        self._open = OpenWindows(self._job, partial(WaferParts, self._recognise))

    def process(self, block: Block, window: Any = beam.DoFn.WindowParam) -> None:
        results = self._open.of(window).add(block)
        if self._writer is None:
            self._writer = open_writer(self._kafka)
        for result in results:
            self._writer.send(self._topic, result.id.encode(), msgspec.json.encode(result))

    def finish_bundle(self) -> Iterator[WindowedValue]:
        # Flushed once a bundle: only then are the results acknowledged.
        if self._writer is not None:
            self._writer.flush()
        yield from self._open.end()

    def teardown(self) -> None:
        if self._writer is not None:
            self._writer.close()
            self._writer = None


@dataclass
class RecogniseWafers(beam.PTransform):
    """Windowed blocks of wafers in, measures and acknowledgements out; results go to `topic`."""

    job: str
    kafka: KafkaSettings
    topic: str
    recognise: Recognise

    def __post_init__(self) -> None:
        beam.PTransform.__init__(self)

    def new_parts(self) -> WaferParts:
        """See `sparsewatch.transforms.window.measure.Measuring`."""
        return WaferParts(self.recognise)

    def expand(self, blocks: Any) -> Any:
        """`Block` in, `Part` out."""
        step = _Recognise(self.job, self.kafka, self.topic, self.recognise)
        return blocks | "RecogniseWriteCount" >> beam.ParDo(step).with_output_types(Part)
