"""Writes files that cannot be used to the rejects topic, in the format of all rejects."""

import hashlib
from collections.abc import Iterator
from pathlib import Path

from sparsewatch.schemas.errors import SinkError
from sparsewatch.schemas.side_records import SideRecord
from sparsewatch.transforms.kafka.client import Writer
from sparsewatch.transforms.kafka.side_topics import PREFIX, side_headers

#: Most bytes of a file that is sent whole, and bytes sent of a larger file, or if the topic takes no more.
WHOLE_FILE_BYTES = 15 << 20
CUT_FILE_BYTES = 1_000_000
#: A file has no partition.
_NO_PARTITION = -1


def reject_file(writer: Writer, topic: str, rejects: str, path: Path, code: str, error: Exception) -> None:
    """Write a file to the rejects topic as a side record, and wait until it is durable.

    Its value is the file's bytes; of a file that is too large for one record, or for the topic, the first
    `CUT_FILE_BYTES`, and the header `sparsewatch.value` says so.

    Args:
        writer: Sends the record.
        topic: Topic the wafers were meant for.
        rejects: The rejects topic.
        path: The file.
        code: Name of the fault.
        error: What was wrong.

    Raises:
        SinkError: If the broker refuses it.
    """
    size = path.stat().st_size if path.is_file() else 0
    value = _first_bytes(path, WHOLE_FILE_BYTES)
    record = SideRecord(
        kind="reject",
        topic=topic,
        partition=_NO_PARTITION,
        # Ids of rejects hold partition and offset; a file's id is made of its name and content.
        offset=int.from_bytes(hashlib.sha256(path.name.encode() + b"\0" + value).digest()[:6]),
        timestamp_ms=int(path.stat().st_mtime * 1000) if path.is_file() else 0,
        key=path.name.encode(),
        value=value,
        headers=(),
        code=code,
        message=str(error)[:1000],
    )
    for attempt, remark in _attempts(value, size):
        headers = [
            *side_headers(record),
            (PREFIX + "file", str(path).encode()),
            (PREFIX + "error-class", type(error).__name__.encode()),
            *remark,
        ]
        try:
            writer.send(rejects, record.key, attempt, headers)
            writer.flush()
        except SinkError:
            if remark:
                raise
        else:
            return


def _attempts(value: bytes, size: int) -> Iterator[tuple[bytes, list[tuple[str, bytes]]]]:
    if len(value) == size:
        yield value, []
    cut = value[:CUT_FILE_BYTES]
    yield cut, [(PREFIX + "value", f"the first {len(cut)} of {size} bytes".encode())]


def _first_bytes(path: Path, size: int) -> bytes:
    try:
        with path.open("rb") as stream:
            return stream.read(size)
    except OSError:
        return b""
