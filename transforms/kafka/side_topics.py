"""Side records, written and read back: rejects in `<topic>.rejects`, late records in `<topic>.late`.

The value is the original one. Headers of ours state where a record came from and why it was set aside; its own headers
stay.
"""

import functools
import logging
from collections.abc import Sequence

from sparsewatch.schemas.errors import SchemaError, SinkError
from sparsewatch.schemas.jobs import late_topic, rejects_topic
from sparsewatch.schemas.side_records import SideRecord
from sparsewatch.transforms.kafka.client import Writer
from sparsewatch.transforms.records import Fetched, Header

_logger = logging.getLogger(__name__)

PREFIX = "sparsewatch."
_VALUE_HEADER = PREFIX + "value"
_ID, _OFFSET, _TIMESTAMP, _MESSAGE = (PREFIX + name for name in ("id", "offset", "timestamp-ms", "message"))
#: Of headers that many records share, how many are kept.
_KNOWN = 1024


def side_headers(record: SideRecord) -> list[Header]:
    """Headers a side record is written with: its own, then ours."""
    return _headers(record, record.id.encode())


def _headers(record: SideRecord, own_id: bytes) -> list[Header]:
    return [
        *record.headers,
        (_ID, own_id),
        *_of_source(record.topic, record.partition),
        (_OFFSET, b"%d" % record.offset),
        (_TIMESTAMP, b"%d" % record.timestamp_ms),
        *_of_reason(record.row, record.events, record.code),
        (_MESSAGE, record.message.encode()),
        *_of_batch(record.retriable, record.key is None, record.era, record.topic_id),
    ]


@functools.lru_cache(maxsize=_KNOWN)
def _of_source(topic: str, partition: int) -> tuple[Header, ...]:
    return (PREFIX + "topic", topic.encode()), (PREFIX + "partition", b"%d" % partition)


@functools.lru_cache(maxsize=_KNOWN)
def _of_reason(row: int, events: int, code: str) -> tuple[Header, ...]:
    return (PREFIX + "row", b"%d" % row), (PREFIX + "events", b"%d" % events), (PREFIX + "code", code.encode())


@functools.lru_cache(maxsize=_KNOWN)
def _of_batch(retriable: bool, keyless: bool, era: str, topic_id: str) -> tuple[Header, ...]:
    ours = {
        "retriable": "true" if retriable else "false",
        "key": "none" if keyless else "kept",
        # Only where they are known: consumers need not expect them.
        **{name: text for name, text in (("era", era), ("topic-id", topic_id)) if text},
    }
    return tuple((PREFIX + name, text.encode()) for name, text in ours.items())


def read_back(records: Fetched, i: int) -> SideRecord:
    """The side record that was written as record `i`: the inverse of writing it.

    The value is None both where the original had none and where it was left out; `is_left_out` tells them apart.

    Raises:
        SchemaError: If our headers are missing or damaged.
    """
    headers = [(name, bytes(content or b"")) for name, content in records.headers_at(i)]
    # Ours come last, so they win over headers of that name which the record had itself.
    ours = {n.removeprefix(PREFIX): text.decode(errors="replace") for n, text in headers if n.startswith(PREFIX)}
    try:
        return SideRecord(
            kind="late" if ours["code"] == "late" else "reject",
            topic=ours["topic"],
            partition=int(ours["partition"]),
            offset=int(ours["offset"]),
            timestamp_ms=int(ours["timestamp-ms"]),
            key=records.keys(i) if ours["key"] == "kept" else None,
            value=records.values[i],
            headers=tuple((name, text) for name, text in headers if not name.startswith(PREFIX)),
            code=ours["code"],
            message=ours["message"],
            events=int(ours["events"]),
            row=int(ours["row"]),
            retriable=ours["retriable"] == "true",
            era=ours.get("era", ""),
            topic_id=ours.get("topic-id", ""),
        )
    except (KeyError, ValueError) as error:
        place = f"partition {records.partition}, offset {records.offsets[i]}"
        raise SchemaError(f"{place}: expected a side record with its headers {PREFIX}*, got {error!r}") from error


def is_left_out(records: Fetched, i: int) -> bool:
    """Whether record `i` of a side topic was written without its value, which the topic refused."""
    return records.values[i] is None and any(name == _VALUE_HEADER for name, _ in records.headers_at(i))


def write_aside(writer: Writer, aside: Sequence[SideRecord]) -> None:
    """Write side records and wait until they are durable.

    Raises:
        SinkError: If the broker refuses a record even without its value.
    """
    try:
        for record in aside:
            _send(writer, record, record.value)
        writer.flush()
    except SinkError as error:
        _logger.warning("a batch of side records was refused, each is written on its own: %s", error)
        for record in aside:
            _write_or_point(writer, record)


def _send(writer: Writer, record: SideRecord, value: bytes | None, extra: tuple[tuple[str, bytes], ...] = ()) -> None:
    topic = rejects_topic(record.topic) if record.kind == "reject" else late_topic(record.topic)
    own_id = record.id.encode()
    writer.send(topic, own_id if record.key is None else record.key, value, [*_headers(record, own_id), *extra])


def _write_or_point(writer: Writer, record: SideRecord) -> None:
    try:
        _send(writer, record, record.value)
        writer.flush()
    except SinkError:
        # The topic takes no record of this size: topic, partition and offset in the headers still lead to it.
        _send(writer, record, None, ((_VALUE_HEADER, b"left out: larger than the topic takes"),))
        writer.flush()
