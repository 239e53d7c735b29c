"""Blocks of wafers to results: one record a wafer, written and acknowledged, and the window's counts."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import apache_beam as beam
import msgspec
from apache_beam.transforms.window import IntervalWindow
from apache_beam.utils.windowed_value import WindowedValue

from sparsewatch.detectors.wafers.window_counts import WaferCounts
from sparsewatch.schemas.accounts import Part, ack_part, measure_part
from sparsewatch.schemas.block import Block
from sparsewatch.schemas.jobs import KafkaSettings
from sparsewatch.schemas.patterns import NovelLooking
from sparsewatch.schemas.set_aside import Ack
from sparsewatch.schemas.wafers import WaferResult
from sparsewatch.transforms.kafka.client import Writer
from sparsewatch.transforms.kafka.open import open_writer


@dataclass(frozen=True, slots=True)
class Recognised:
    """The results for a block."""

    #: One for each wafer.
    results: Sequence[WaferResult]
    #: The wafers that look novel, for views over several windows.
    looking_novel: Sequence[NovelLooking] = ()


#: Makes its model when first called, once a process.
Recognise = Callable[[Block], Recognised]


class _Recognise(beam.DoFn):
    def __init__(self, job: str, kafka: KafkaSettings, topic: str, recognise: Recognise) -> None:
        self._job = job
        self._kafka = kafka
        self._topic = topic
        self._recognise = recognise
        self._writer: Writer | None = None

    def start_bundle(self) -> None:
        self._open: dict[IntervalWindow, WaferCounts] = {}

    def process(self, block: Block, window: Any = beam.DoFn.WindowParam) -> None:
        recognised = self._recognise(block)
        if self._writer is None:
            self._writer = open_writer(self._kafka)
        for result in recognised.results:
            self._writer.send(self._topic, result.id.encode(), msgspec.json.encode(result))
        self._open.setdefault(window, WaferCounts()).add(recognised.results, recognised.looking_novel, block.mistyped)

    def finish_bundle(self) -> Iterator[WindowedValue]:
        # Flushed once a bundle: only then are the results acknowledged.
        if self._open and self._writer is not None:
            self._writer.flush()
        for window, counts in self._open.items():
            for part in (measure_part(counts.to_bytes()), ack_part(Ack(results=counts.wafers))):
                yield WindowedValue((self._job, part), window.max_timestamp(), (window,))
        self._open = {}

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

    def expand(self, blocks: Any) -> Any:
        """`Block` in, `Part` out."""
        step = _Recognise(self.job, self.kafka, self.topic, self.recognise)
        return blocks | "RecogniseWriteCount" >> beam.ParDo(step).with_output_types(Part)
