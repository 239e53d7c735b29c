"""Record batches as a broker sends them, built with kafka-python's own builders."""

import struct
from collections.abc import Sequence
from typing import NamedTuple

from kafka.record.default_records import ControlRecord, DefaultRecordBatch, DefaultRecordBatchBuilder
from kafka.record.legacy_records import LegacyRecordBatchBuilder
from kafka.record.util import calc_crc32c

_HEADER = DefaultRecordBatch.HEADER_STRUCT
_BASE_OFFSET, _LEADER_EPOCH, _ATTRIBUTES, _LAST_DELTA, _COUNT = 0, 2, 5, 6, 12


class Record(NamedTuple):
    """What a producer sends, and how many offsets after the one before it stands."""

    key: bytes | None
    value: bytes | None
    headers: Sequence[tuple[str, bytes | None]] = ()
    timestamp_ms: int = 0
    gap: int = 0


def batch(
    records: Sequence[Record],
    base_offset: int = 0,
    *,
    codec: int = 0,
    is_append_time: bool = False,
    producer_id: int = -1,
    is_transactional: bool = False,
    is_control: bool = False,
    gap_behind: int = 0,
) -> bytes:
    """A batch of format 2.

    Args:
        records: Any number of them.
        base_offset: Of the first, before its gap.
        codec: 0 to 4: none, gzip, snappy, lz4, zstd.
        is_append_time: Whether the broker has set the times.
        producer_id: -1 for none.
        is_transactional: Whether it belongs to a transaction.
        is_control: Whether it is the marker at the end of one.
        gap_behind: Offsets of records behind the last that compaction has removed.
    """
    builder = DefaultRecordBatchBuilder(2, codec, is_transactional, producer_id, max(producer_id, -1), 0, 1 << 30)
    offset = -1
    for record in records:
        offset += 1 + record.gap
        builder.append(offset, record.timestamp_ms, record.key, record.value, list(record.headers))
    data = bytearray(builder.build())
    fields = list(_HEADER.unpack_from(data))
    fields[_BASE_OFFSET] = base_offset
    fields[_LEADER_EPOCH] = 7
    fields[_ATTRIBUTES] |= is_append_time * DefaultRecordBatch.TIMESTAMP_TYPE_MASK
    fields[_ATTRIBUTES] |= is_control * DefaultRecordBatch.CONTROL_MASK
    fields[_LAST_DELTA] = offset + gap_behind
    _HEADER.pack_into(data, 0, *fields)
    return sealed(data)


def marker(base_offset: int, producer_id: int, *, is_abort: bool) -> bytes:
    """The batch that ends a transaction."""
    key = ControlRecord.KEY_STRUCT.pack(0, 0 if is_abort else 1)
    return batch([Record(key, b"\0" * 6)], base_offset, producer_id=producer_id, is_transactional=True, is_control=True)


def old_batch(records: Sequence[Record], base_offset: int, magic: int, codec: int = 0) -> bytes:
    """Records of format 0 or 1, which know no headers."""
    builder = LegacyRecordBatchBuilder(magic, codec, 1 << 30)
    for i, record in enumerate(records):
        builder.append(base_offset + i, record.timestamp_ms, record.key, record.value)
    return bytes(builder.build())


def with_count(data: bytes, count: int) -> bytes:
    """A batch that says it has so many records."""
    changed = bytearray(data)
    struct.pack_into(">i", changed, _HEADER.size - 4, count)
    return sealed(changed)


def sealed(data: bytearray) -> bytes:
    """With the checksum of what it holds."""
    struct.pack_into(
        ">I", data, DefaultRecordBatch.CRC_OFFSET, calc_crc32c(memoryview(data)[DefaultRecordBatch.ATTRIBUTES_OFFSET :])
    )
    return bytes(data)
