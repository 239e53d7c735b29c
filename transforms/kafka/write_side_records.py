"""Side records of a stream on their way to their topics: what is acknowledged is durable."""

from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Any

import apache_beam as beam
from apache_beam.transforms.window import IntervalWindow
from apache_beam.utils.windowed_value import WindowedValue

from sparsewatch.schemas.accounts import Part, ack_part
from sparsewatch.schemas.jobs import KafkaSettings
from sparsewatch.schemas.set_aside import ack_of
from sparsewatch.schemas.side_records import SideRecord
from sparsewatch.transforms.coders import Aside
from sparsewatch.transforms.kafka.open import kept_writers, lent_writer
from sparsewatch.transforms.kafka.side_topics import write_aside
from sparsewatch.transforms.listening import report_aside

#: Side records, and bytes of their values, that wait to be written together; a bounded run may be one bundle.
_MOST_RECORDS = 16_384
_MOST_BYTES = 8 << 20


class _WriteAside(beam.DoFn):
    def __init__(self, job: str, settings: KafkaSettings) -> None:
        self._job = job
        self._settings = settings

    def setup(self) -> None:
        self._kept = ExitStack()
        self._kept.enter_context(kept_writers(self._settings))

    def start_bundle(self) -> None:
        self._waiting: dict[IntervalWindow, list[SideRecord]] = {}
        self._records = self._bytes = 0

    def process(self, aside: Aside, window: Any = beam.DoFn.WindowParam) -> Iterator[WindowedValue]:
        self._waiting.setdefault(window, []).extend(aside.records)
        self._records += len(aside.records)
        self._bytes += sum(len(record.value or b"") for record in aside.records)
        if self._records >= _MOST_RECORDS or self._bytes >= _MOST_BYTES:
            yield from self._write()

    def finish_bundle(self) -> Iterator[WindowedValue]:
        yield from self._write()

    def _write(self) -> Iterator[WindowedValue]:
        """Write what waits, all at once: to wait for the broker behind each batch cost a job a quarter of its rate."""
        waiting = self._waiting
        self.start_bundle()
        if not waiting:
            return
        # Between bundles the writer is anyone's: windows that close behind this one need not wait for one of their own.
        with lent_writer(self._settings) as writer:
            write_aside(writer, [record for records in waiting.values() for record in records])
        for window, records in waiting.items():
            report_aside(records)
            yield WindowedValue((self._job, ack_part(ack_of(records))), window.max_timestamp(), (window,))

    def teardown(self) -> None:
        self._kept.close()


@dataclass
class WriteSideRecords(beam.PTransform):
    """Side records in, acknowledgements out."""

    job: str
    kafka: KafkaSettings

    def __post_init__(self) -> None:
        beam.PTransform.__init__(self)

    def expand(self, aside: Any) -> Any:
        """`Aside` in, `Part` out."""
        return aside | "Write" >> beam.ParDo(_WriteAside(self.job, self.kafka)).with_output_types(Part)
