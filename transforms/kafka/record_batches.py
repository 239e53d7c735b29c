"""Fetched records of kafka-python as columns, without a Python object a record.

kafka-python checks a batch, looks at its transaction, skips its markers and follows its offsets; only then does it make
objects of each record. These, and ours of them, took nearly all its time (`fetch` of `make bench-stages`). Its own code
still does all the former here, with batches that hand out their records as one: `Columns`.
What is used of the library for that bears no public name, so that `column_reading.py` tries it first.
"""

from collections.abc import Iterator
from typing import Any

import numpy as np
from kafka import TopicPartition
from kafka.consumer.fetcher import Fetcher
from kafka.errors import CorruptRecordError
from kafka.record import MemoryRecords
from kafka.record.default_records import DefaultRecord, DefaultRecordBatch

from sparsewatch.transforms.kafka import record_walk as cell
from sparsewatch.transforms.kafka.record_columns import Columns, joined

_HEADER_BYTES = DefaultRecordBatch.HEADER_STRUCT.size
_FORMAT = 2


class _Batch(DefaultRecordBatch):
    """A batch as the library has it, but for its records: they are one, whose value is their columns."""

    def __init__(self, fetched: bytes, start: int, end: int) -> None:
        batch = memoryview(fetched)[start:end]
        super().__init__(batch[:_HEADER_BYTES])
        self._buffer = batch
        self._fetched, self._start, self._end = fetched, start + _HEADER_BYTES, end

    def __iter__(self) -> Iterator[DefaultRecord]:
        count = max(self.records_count, 0)
        columns, left = self._walked(count)
        if len(columns):
            offset, timestamp = columns.cells[: cell.TIMESTAMP + 1, -1].tolist()
            size = int(columns.cells[cell.SIZE].sum())
            yield DefaultRecord(size, offset, timestamp, self.timestamp_type, None, columns, [])
        if len(columns) < count or left:
            raise CorruptRecordError(
                f"batch at offset {self.base_offset}: expected {count} records and nothing behind them, "
                f"got {len(columns)} and {left} bytes"
            )

    def _walked(self, count: int) -> tuple[Columns, int]:
        data, at, end = self._records()
        # A damaged batch may claim any number of records: no more than it has bytes for, and one to fail at.
        room = min(count, (end - at) // cell.SMALLEST_RECORD + 1)
        cells = np.empty((cell.COLUMNS, room), np.int64)
        timestamp = self.max_timestamp if self.timestamp_type else self.first_timestamp
        rows, at = cell.walk(data, at, end, self.base_offset, timestamp, bool(self.timestamp_type), cells)
        return Columns(data, cells[:, :rows]), end - at

    def _records(self) -> tuple[bytes | bytearray | memoryview, int, int]:
        if self.compression_type == self.CODEC_NONE:
            return self._fetched, self._start, self._end
        self._maybe_uncompress()
        return self._buffer, self._pos, len(self._buffer)


class _Batches(MemoryRecords):
    """The batches of one partition of a fetch; those of older formats as the library has them."""

    def next_batch(self) -> Any:
        piece = self._next_slice
        if piece is None or len(piece) < _HEADER_BYTES or piece[self.MAGIC_OFFSET] != _FORMAT:
            return super().next_batch()
        end = self._pos
        self._cache_next()
        return _Batch(self._buffer, end - len(piece), end)


class _Taken:
    """What was taken of a partition: as many as it has records, but handed out as one."""

    def __init__(self) -> None:
        self._parts: list[Columns] = []
        self._records = 0

    def add(self, part: Columns) -> None:
        self._parts.append(part)
        self._records += len(part)

    def __len__(self) -> int:
        return self._records

    def __iter__(self) -> Iterator[Columns]:
        if self._parts:
            yield joined(self._parts)


class PartitionColumns(Fetcher.PartitionRecords):
    """Records of one partition of a fetch, taken as columns."""

    def __init__(self, fetch_offset: int, tp: TopicPartition, records: MemoryRecords, **options: Any) -> None:
        super().__init__(fetch_offset, tp, _Batches(records._buffer), **options)
        self._next_inline_exception: Exception | None = None
        #: Of the batch that was begun.
        self._rest: Columns | None = None
        self._has_begun = False

    def _maybe_skip_record(self, record: Any) -> bool:
        columns = _columns(record)
        if (columns.offsets >= self.fetch_offset).any():
            return False
        self._count(columns)
        return True

    def take(self, n: int | None = None) -> _Taken:
        """See the library: the next `n` records, or all that are left."""
        taken = _Taken()
        if self._next_inline_exception is None:
            try:
                self._fill(taken, n)
            except Exception as error:  # noqa: BLE001  raised below, after what was read before it
                self._next_inline_exception = error
        if self._next_inline_exception is not None and not taken:
            reason = self._next_inline_exception
            # The library would go on to take nothing from what is left, for ever.
            self.drain()
            raise reason
        return taken

    def _fill(self, taken: _Taken, n: int | None) -> None:
        while (n is None or len(taken) < n) and (part := self._part()) is not None:
            stop = len(part) if n is None else min(len(part), n - len(taken))
            taken.add(part.rows(0, stop))
            self._rest = part.rows(stop, len(part)) if stop < len(part) else None
            self.next_fetch_offset = int(part.offsets[stop - 1]) + 1

    def _part(self) -> Columns | None:
        if self._rest is not None:
            return self._rest
        record = next(self.record_iterator, None)
        if record is None:
            return None
        columns = _columns(record)
        self._count(columns)
        if self._has_begun:
            return columns
        self._has_begun = True
        return columns.rows(int(np.argmax(columns.offsets >= self.fetch_offset)), len(columns))

    def _count(self, columns: Columns) -> None:
        # The library has counted them as one.
        self.records_read += len(columns) - 1


def _columns(record: Any) -> Columns:
    return record.value if isinstance(record.value, Columns) else _column(record)


def _column(record: Any) -> Columns:
    """One record of an older format, which knows no headers."""
    key, value = record.key or b"", record.value or b""
    timestamp = -1 if record.timestamp is None else record.timestamp
    lengths = [-1 if field is None else len(field) for field in (record.key, record.value)]
    data = key + value + b"\0"
    places = [0, lengths[0], len(key), lengths[1], len(data) - 1, len(data)]
    return Columns(data, np.array([[record.offset], [timestamp], *([place] for place in places)], np.int64))
