"""Fill and read topics in tests, with kafka-python itself rather than our own client."""

import json
from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

from kafka import KafkaConsumer, KafkaProducer, TopicPartition
from kafka.admin import KafkaAdminClient, NewTopic

_EMPTY_POLLS = 4


class Raw(NamedTuple):
    """One record as it stands in a topic."""

    partition: int
    offset: int
    timestamp_ms: int
    key: bytes | None
    value: bytes | None
    headers: tuple[tuple[str, bytes], ...]


def create_topic(
    bootstrap: str, topic: str, partitions: int = 1, max_bytes: int = 16 << 20, *, compact: bool = False
) -> None:
    """A topic that takes large records, and keeps them: of the times of their events they may be years old."""
    admin = KafkaAdminClient(bootstrap_servers=bootstrap)
    settings = {"max.message.bytes": str(max_bytes), "retention.ms": "-1"}
    settings |= {"cleanup.policy": "compact"} if compact else {}
    admin.create_topics([NewTopic(topic, partitions, 1, topic_configs=settings)])
    admin.close()


def produce(bootstrap: str, topic: str, records: Iterable[tuple[int, bytes | None]], **extra: Any) -> None:
    """Write (partition, value) pairs; `extra` goes to each send."""
    producer = KafkaProducer(bootstrap_servers=bootstrap, linger_ms=20, max_request_size=32 << 20)
    sent = [producer.send(topic, value=value, partition=partition, **extra) for partition, value in records]
    producer.flush()
    producer.close()
    for future in sent:
        if future.failed():
            raise future.exception


def read_all(bootstrap: str, topic: str) -> list[Raw]:
    """Every committed record of a topic, in order of partition and offset; empty if there is no such topic."""
    consumer = KafkaConsumer(
        bootstrap_servers=bootstrap,
        auto_offset_reset="earliest",
        isolation_level="read_committed",
        fetch_max_bytes=64 << 20,
        max_partition_fetch_bytes=32 << 20,
    )
    partitions = consumer.partitions_for_topic(topic) or set()
    assigned = [TopicPartition(topic, p) for p in sorted(partitions)]
    consumer.assign(assigned)
    if assigned:
        consumer.seek_to_beginning(*assigned)
    records, empty = [], 0
    while assigned and empty < _EMPTY_POLLS:
        got = consumer.poll(timeout_ms=250)
        empty = 0 if got else empty + 1
        for run in got.values():
            records += [Raw(r.partition, r.offset, r.timestamp, r.key, r.value, tuple(r.headers)) for r in run]
    consumer.close()
    return sorted(records)


def newest_by_key(records: Sequence[Raw]) -> dict[str, Any]:
    """JSON values of a compacted topic, the newest of each key."""
    return {(r.key or b"").decode(): json.loads(r.value) for r in records if r.value is not None}
