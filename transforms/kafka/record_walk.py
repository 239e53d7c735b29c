"""Where each record of a batch keeps its fields, in Kafka's message format 2.

Kafka writes the length of every field before it, as a number of varying length (a zigzag varint), so that a record's
place is known once the records before it have been read. This loop over lengths is all that has to go record by record:
in C (`_record_walk.c`), where that was built, and else here, many times slower, but faster than kafka-python's objects.
"""

from collections.abc import Callable
from contextlib import suppress
from typing import Any

import numpy as np
from kafka.record.util import decode_varint
from numpy.typing import NDArray

from sparsewatch.detectors.native import is_current

#: Rows of the cells: offset and timestamp; where key and value start and how long they are (-1: none); where the count
#: of headers is; bytes of the record after its length.
OFFSET, TIMESTAMP, KEY, KEY_LENGTH, VALUE, VALUE_LENGTH, HEADERS, SIZE = range(8)
COLUMNS = 8
#: Bytes of the smallest record: seven fields of one byte.
SMALLEST_RECORD = 7
_LIMIT = 2**63
#: Of the part in C.
_INTERFACE = 1


def walk_in_python(
    data: bytes | bytearray | memoryview,
    at: int,
    end: int,
    offset: int,
    timestamp: int,
    is_append_time: bool,
    cells: NDArray[np.int64],
) -> tuple[int, int]:
    """Read the records of a batch as far as they are whole.

    Args:
        data: Bytes that hold the batch; nothing outside `at` and `end` is read.
        at: Where its first record begins.
        end: Where the batch ends.
        offset: That records count from.
        timestamp: That records count from, milliseconds.
        is_append_time: Whether all records have that timestamp.
        cells: (COLUMNS, records of the batch), C-contiguous; filled.

    Returns:
        How many records were read, and where the next would begin. Fewer than there are cells if the batch is damaged.
    """
    batch, rows = memoryview(data)[:end], []
    with suppress(IndexError, ValueError):
        for _ in range(cells.shape[1]):
            row, at = _record(batch, at, offset, timestamp, is_append_time)
            rows.append(row)
    cells[:, : len(rows)] = np.array(rows, np.int64).reshape(-1, COLUMNS).T
    return len(rows), at


def _record(batch: memoryview, at: int, offset: int, timestamp: int, is_append_time: bool) -> tuple[list[int], int]:
    size, start = _number(batch, at)
    _, at = _number(batch, start)
    later, at = _number(batch, at)
    further, at = _number(batch, at)
    key, key_length, at = _bytes(batch, at)
    value, value_length, at = _bytes(batch, at)
    headers, at = at, _after_headers(batch, at)
    if at - start != size:
        raise ValueError(size)
    moment = timestamp if is_append_time else _int64(timestamp + later)
    return [_int64(offset + further), moment, key, key_length, value, value_length, headers, size], at


def _number(batch: memoryview, at: int) -> tuple[int, int]:
    byte: int = batch[at]
    if byte < 0x80:
        return (byte >> 1) ^ -(byte & 1), at + 1
    number, at = decode_varint(batch, at)
    return _int64(number), at


def _int64(number: int) -> int:
    if not -_LIMIT <= number < _LIMIT:
        raise ValueError(number)
    return number


def _bytes(batch: memoryview, at: int) -> tuple[int, int, int]:
    length, at = _number(batch, at)
    if length < 0:
        return at, -1, at
    if length > len(batch) - at:
        raise IndexError(length)
    return at, length, at + length


def _after_headers(batch: memoryview, at: int) -> int:
    count, at = _number(batch, at)
    if count < 0:
        raise ValueError(count)
    for _ in range(count):
        key, length, at = _bytes(batch, at)
        if length < 0:
            raise ValueError(length)
        str(batch[key : key + length], "utf-8")
        _, _, at = _bytes(batch, at)
    return at


def headers_at(data: memoryview, at: int) -> list[tuple[str, Any]]:
    """Names and values of the headers of a record that `walk` has read; None for no value.

    Args:
        data: As there.
        at: Where their count is.
    """
    count, at = _number(data, at)
    headers = []
    for _ in range(count):
        key, key_length, at = _bytes(data, at)
        value, value_length, at = _bytes(data, at)
        held = None if value_length < 0 else bytes(data[value : value + value_length])
        headers.append((str(data[key : key + key_length], "utf-8"), held))
    return headers


try:
    from sparsewatch.transforms.kafka import _record_walk
except ImportError:
    _record_walk = None  # type: ignore[assignment]

#: `walk_in_python`, or the same in C where that was built from these sources.
walk: Callable[[bytes | bytearray | memoryview, int, int, int, int, bool, NDArray[np.int64]], tuple[int, int]]
walk = _record_walk.walk if is_current(_record_walk, _INTERFACE) else walk_in_python
