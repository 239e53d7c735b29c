"""What the headers of an Arrow IPC record's messages state: its events, for records that are not read, and its size.

A stream is a sequence of messages: `ffffffff`, the length of the header, the header (a flatbuffer `Message`, whose
`RecordBatch` states its number of rows), the body. A file begins with `ARROW1` and holds such a stream.
"""

import functools
import struct
import sys
from collections.abc import Iterator

_CONTINUED = b"\xff\xff\xff\xff"
_FILE_MAGIC = b"ARROW1\x00\x00"
#: A header of no length ends a stream; a stream that just ends is none the worse.
_ENDS = (b"", _CONTINUED + b"\x00\x00\x00\x00")
#: Types of a header, in the union of the flatbuffer schema `Message.fbs`.
_SCHEMA, _DICTIONARY_BATCH, _RECORD_BATCH = 1, 2, 3
_LENGTH = struct.Struct("<i")
#: The layout of a `Message` that has a body: its size, that of the message, places of version, type, header and body.
_LAYOUT = struct.Struct("<6H")


def count_events(value: bytes, most: int) -> int | None:
    """Rows of the record batches whose headers can be read.

    Args:
        value: A record that may be damaged anywhere.
        most: Larger numbers are not believed: a header can claim any.

    Returns:
        None if no header of a batch can be read, or they claim more than `most`.
    """
    at, rows, batches = len(_FILE_MAGIC) if value.startswith(_FILE_MAGIC) else 0, 0, 0
    try:
        while value[at : at + 4] == _CONTINUED:
            (length,) = struct.unpack_from("<i", value, at + 4)
            if length <= 0:
                break
            kind, batch_rows, body = _header(value[at + 8 : at + 8 + length])
            if kind == _RECORD_BATCH:
                rows, batches = rows + batch_rows, batches + 1
            if min(batch_rows, body) < 0:
                return None
            at += 8 + length + body
    except struct.error:
        pass
    return rows if batches and rows <= most else None


def schema_message(value: bytes) -> bytes | None:
    """The first message of a stream, if it is a schema of numbers in this machine's order of bytes."""
    try:
        (length,) = _LENGTH.unpack_from(value, len(_CONTINUED))
        first = value[: 8 + length]
        return first if length > 0 and _is_schema(first) else None
    except struct.error:
        return None


@functools.lru_cache(maxsize=16)
def _is_schema(first: bytes) -> bool:
    header = first[8:]
    message = _number("<I", header, 0)
    schema = _target(header, message, 2)
    is_little = bool(schema) and not _field("<h", header, schema, 0)
    return (
        first.startswith(_CONTINUED)
        and _field("<b", header, message, 1) == _SCHEMA
        and not _field("<q", header, message, 3)
        and is_little
        and sys.byteorder == "little"
    )


def holds_one_batch(value: bytes, at: int) -> bool:
    """Whether all that a stream holds from a position on is one record batch that is not packed.

    Only the places that all writers give their fields are looked at: a batch that is laid out otherwise is none here.
    """
    try:
        (length,) = _LENGTH.unpack_from(value, at + 4)
        header = at + 8
        message = header + _number("<I", value, header)
        size, _, _, kind, batch, body = _LAYOUT.unpack_from(value, message - _LENGTH.unpack_from(value, message)[0])
        if size < _LAYOUT.size or not (kind and batch and body) or value[message + kind] != _RECORD_BATCH:
            return False
        end = header + length + _number("<q", value, message + body)
        batch += message
        batch += _number("<I", value, batch)
        packed = _place(value, batch, 3)
    except (struct.error, IndexError):
        return False
    return (
        value.startswith(_CONTINUED, at)
        and header + length <= end <= len(value)
        and not packed
        and value[end:] in _ENDS
    )


def unpacked_bytes(value: bytes) -> int:
    """Bytes that the compressed buffers of a stream state that they unpack to, as far as its headers can be read."""
    return sum(max(0, size) for size in _sizes(value))


def _sizes(value: bytes) -> Iterator[int]:
    at = 0
    try:
        while value[at : at + 4] == _CONTINUED:
            (length,) = struct.unpack_from("<i", value, at + 4)
            if length <= 0:
                return
            header, body = value[at + 8 : at + 8 + length], at + 8 + length
            for place in _compressed(header):
                # A compressed buffer begins with its size; an empty one has none.
                yield _number("<q", value, body + place)
            at = body + max(0, _header(header)[2])
    except struct.error:
        return


def _compressed(header: bytes) -> Iterator[int]:
    """Where in the body the compressed buffers of a batch begin that are not empty."""
    message = _number("<I", header, 0)
    kind, batch = _field("<b", header, message, 1), _target(header, message, 2)
    if batch and kind == _DICTIONARY_BATCH:
        batch = _target(header, batch, 1)
    if not batch or kind not in (_DICTIONARY_BATCH, _RECORD_BATCH) or not _place(header, batch, 3):
        return
    buffers = _target(header, batch, 2)
    for i in range(_number("<I", header, buffers) if buffers else 0):
        entry = buffers + 4 + 16 * i
        if _number("<q", header, entry + 8) > 0:
            yield _number("<q", header, entry)


def _target(data: bytes, table: int, field: int) -> int:
    """Where the table or vector of a field begins; 0 where it is left out."""
    at = _place(data, table, field)
    return at + _number("<I", data, at) if at else 0


def _header(data: bytes) -> tuple[int, int, int]:
    """Type, rows and length of the body of a message.

    Raises:
        struct.error: If the header is damaged.
    """
    message = _number("<I", data, 0)
    kind = _field("<b", data, message, 1)
    batch = _place(data, message, 2)
    rows = 0
    if kind == _RECORD_BATCH and batch:
        rows = _field("<q", data, batch + _number("<I", data, batch), 0)
    return kind, rows, _field("<q", data, message, 3)


def _field(form: str, data: bytes, table: int, field: int) -> int:
    """A number of a table; 0, the default, where it is left out."""
    at = _place(data, table, field)
    return _number(form, data, at) if at else 0


def _place(data: bytes, table: int, field: int) -> int:
    """Where a field of a table lies; 0 where it is left out."""
    layout = table - _number("<i", data, table)
    entry = 4 + 2 * field
    within = _number("<H", data, layout + entry) if entry < _number("<H", data, layout) else 0
    return table + within if within else 0


def _number(form: str, data: bytes, at: int) -> int:
    if at < 0:
        raise struct.error("before the header's begin")
    number: int = struct.unpack_from(form, data, at)[0]
    return number
