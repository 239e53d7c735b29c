"""Writes side records: rejects to `<topic>.rejects`, late ones to `<topic>.late`, with their original bytes.

Headers of ours say where a record came from and why it was set aside; the record's own headers stay.
"""

import logging
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

import apache_beam as beam

from schemas.errors import SinkError
from schemas.jobs import KafkaSettings
from schemas.side_records import SideRecord
from transforms.coders import Aside
from transforms.kafka.client import Writer, open_writer
from transforms.parts import Ack, Part, ack_part

_logger = logging.getLogger(__name__)

PREFIX = "sparsewatch."


def rejects_topic(topic: str) -> str:
    """Where rejects of `topic` go."""
    return f"{topic}.rejects"


def late_topic(topic: str) -> str:
    """Where late records of `topic` go."""
    return f"{topic}.late"


def side_headers(record: SideRecord) -> list[tuple[str, bytes]]:
    """Headers a side record is written with: its own, then ours."""
    ours = {
        "id": record.id,
        "topic": record.topic,
        "partition": str(record.partition),
        "offset": str(record.offset),
        "row": str(record.row),
        "events": str(record.events),
        "code": record.code,
        "message": record.message,
        "retriable": str(record.retriable).lower(),
        "key": "none" if record.key is None else "kept",
    }
    return [*record.headers, *((PREFIX + name, text.encode()) for name, text in ours.items())]


def write_aside(writer: Writer, records: Iterable[SideRecord]) -> Ack:
    """Write side records and wait until they are durable.

    Raises:
        SinkError: If the broker refuses a record even without its value.
    """
    kept = list(records)
    try:
        for record in kept:
            _send(writer, record, record.value)
        writer.flush()
    except SinkError as error:
        _logger.warning("side records are written one by one: %s", error)
        for record in kept:
            _write_or_point(writer, record)
    return Ack(
        late=sum(r.events for r in kept if r.kind == "late"),
        rejected=sum(r.events for r in kept if r.kind == "reject"),
    )


def _send(writer: Writer, record: SideRecord, value: bytes | None, extra: tuple[tuple[str, bytes], ...] = ()) -> None:
    topic = rejects_topic(record.topic) if record.kind == "reject" else late_topic(record.topic)
    key = record.id.encode() if record.key is None else record.key
    writer.send(topic, key, value, [*side_headers(record), *extra])


def _write_or_point(writer: Writer, record: SideRecord) -> None:
    try:
        _send(writer, record, record.value)
        writer.flush()
    except SinkError:
        # The topic takes no record of this size: topic, partition and offset in the headers still lead to it.
        _send(writer, record, None, ((PREFIX + "value", b"left out: larger than the topic takes"),))
        writer.flush()


class _WriteAside(beam.DoFn):
    def __init__(self, job: str, settings: KafkaSettings) -> None:
        self._job = job
        self._settings = settings
        self._writer: Writer | None = None

    def process(self, aside: Aside) -> Iterator[Part]:
        if self._writer is None:
            self._writer = open_writer(self._settings)
        yield self._job, ack_part(write_aside(self._writer, aside.records))

    def teardown(self) -> None:
        if self._writer is not None:
            self._writer.close()
            self._writer = None


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
