"""Watches the demo's topics: alerts and incidents as they come, window records for the ranking."""

import threading
from collections.abc import Callable, Mapping
from typing import Any, Self

import msgspec

from sparsewatch.schemas.jobs import KafkaSettings
from sparsewatch.transforms.kafka.client import Reader
from sparsewatch.transforms.kafka.compacted import Compacted
from sparsewatch.transforms.kafka.open import open_reader

_FETCH_S = 0.2
_MAX_RECORD_BYTES = 8 << 20
#: Takes the value of a record and its Kafka timestamp in seconds.
OnRecord = Callable[[bytes, float], None]


class TopicWatch:
    """Follows topics in a thread; each value is reported once, also where it was written again.

    Args:
        kafka: The broker.
        topics: By name, what takes their records.
    """

    def __init__(self, kafka: KafkaSettings, topics: Mapping[str, OnRecord]) -> None:
        self._readers = [(_opened(kafka, topic), take) for topic, take in topics.items()]
        self._seen: set[bytes] = set()
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._follow, name="watch", daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def stop(self) -> None:
        """Read what has arrived, then stop."""
        if not self._stop.is_set():
            self._stop.set()
            self._thread.join()
            for reader, _ in self._readers:
                reader.close()

    def _follow(self) -> None:
        stopping = False
        while not stopping:
            # One more round after the stop, for what came meanwhile.
            stopping = self._stop.is_set()
            for reader, take in self._readers:
                self._read(reader, take)

    def _read(self, reader: Reader, take: OnRecord) -> None:
        for fetched in reader.fetch(_FETCH_S, 1000):
            for value, timestamp_ms in zip(fetched.values, fetched.timestamps_ms.tolist(), strict=True):
                if value is not None and value not in self._seen:
                    self._seen.add(value)
                    take(value, timestamp_ms / 1000)


def _opened(kafka: KafkaSettings, topic: str) -> Reader:
    reader = open_reader(kafka, topic, _MAX_RECORD_BYTES)
    reader.assign({0: 0})
    return reader


def window_records(kafka: KafkaSettings, topic: str) -> dict[int, dict[str, Any]]:
    """The newest record of each window, by its start."""
    with Compacted(kafka, topic, _MAX_RECORD_BYTES) as windows:
        records = [msgspec.json.decode(value) for value in windows.newest().values()]
    return {record["window_start_us"]: record for record in records}
