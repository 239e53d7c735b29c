"""Reads kafka-python in columns, if it can be: what that uses of the library bears no public name there."""

import logging
from functools import cache
from typing import Any

from kafka import KafkaConsumer, TopicPartition
from kafka.consumer.fetcher import Fetcher
from kafka.record import MemoryRecords, MemoryRecordsBuilder

_logger = logging.getLogger(__name__)
_PARTITION = TopicPartition("", 0)
_SAMPLE: list[tuple[bytes | None, bytes | None, list[tuple[str, bytes | None]]]] = [
    (None, b"value" * 100, []),
    (b"key", None, [("name", b"text"), ("none", None)]),
    (b"", b"", []),
]
_PLAIN, _GZIP = 0, 1


def read_columns(consumer: KafkaConsumer) -> None:
    """Have `poll` give columns (see `record_columns.py`) instead of records, if this kafka-python can."""
    if can_read_columns():
        consumer._fetcher.PartitionRecords = _partition_columns()


@cache
def can_read_columns() -> bool:
    """Whether the columns of some records hold the same as kafka-python's own objects, and stand at the same offset."""
    try:
        return all(_in_columns(_batch(codec)) == _as_objects(_batch(codec)) for codec in (_PLAIN, _GZIP))
    except Exception as error:  # noqa: BLE001  whatever another kafka-python does; its own objects will do
        _logger.info("kafka-python is read record by record: %r", error)
        return False


def _partition_columns() -> Any:
    from sparsewatch.transforms.kafka.record_batches import PartitionColumns

    return PartitionColumns


def _batch(codec: int) -> bytes:
    builder = MemoryRecordsBuilder(magic=2, compression_type=codec, batch_size=1 << 12)
    for time_ms, (key, value, headers) in enumerate(_SAMPLE):
        builder.append(time_ms, key, value, headers)
    builder.close()
    return bytes(builder.buffer())


def _in_columns(data: bytes) -> list[Any]:
    partition = _partition_columns()(1, _PARTITION, MemoryRecords(data))
    found: list[Any] = []
    while partition:
        for run in (columns.run(_PARTITION.partition) for columns in partition.take(1)):
            fields = zip(run.offsets, run.timestamps_ms, run.values, strict=True)
            found += [(*of_one, run.keys(i), list(run.headers_at(i))) for i, of_one in enumerate(fields)]
        found.append(partition.next_fetch_offset)
    return found


def _as_objects(data: bytes) -> list[Any]:
    partition = Fetcher.PartitionRecords(1, _PARTITION, MemoryRecords(data))
    found: list[Any] = []
    while partition:
        found += [(r.offset, r.timestamp, r.value, r.key, r.headers) for r in partition.take(1)]
        found.append(partition.next_fetch_offset)
    return found
