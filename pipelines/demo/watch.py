"""Watches the demo's topics: alerts as they come, window records for the ranking."""

import threading
from collections.abc import Callable
from typing import Any, Self

import msgspec

from sparsewatch.schemas.alerts import Alert
from sparsewatch.schemas.jobs import KafkaSettings
from sparsewatch.transforms.kafka.client import Reader
from sparsewatch.transforms.kafka.compacted import Compacted
from sparsewatch.transforms.kafka.open import open_reader

_FETCH_S = 0.2
_MAX_RECORD_BYTES = 8 << 20


class AlertWatch:
    """Follows alerts topics in a thread; each id is reported once, with its Kafka timestamp in seconds."""

    def __init__(self, kafka: KafkaSettings, topics: list[str], on_alert: Callable[[Alert, float], None]) -> None:
        self.alerts: dict[str, Alert] = {}
        self._readers = [_opened(kafka, topic) for topic in topics]
        self._on_alert = on_alert
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._follow, name="alerts", daemon=True)

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
            for reader in self._readers:
                reader.close()

    def _follow(self) -> None:
        stopping = False
        while not stopping:
            # One more round after the stop, for what came meanwhile.
            stopping = self._stop.is_set()
            for reader in self._readers:
                self._read(reader)

    def _read(self, reader: Reader) -> None:
        for fetched in reader.fetch(_FETCH_S, 1000):
            for value, timestamp_ms in zip(fetched.values, fetched.timestamps_ms.tolist(), strict=True):
                alert = msgspec.json.decode(value or b"{}", type=Alert)
                if alert.id not in self.alerts:
                    self.alerts[alert.id] = alert
                    self._on_alert(alert, timestamp_ms / 1000)


def _opened(kafka: KafkaSettings, topic: str) -> Reader:
    reader = open_reader(kafka, topic, _MAX_RECORD_BYTES)
    reader.assign({0: 0})
    return reader


def window_records(kafka: KafkaSettings, topic: str) -> dict[int, dict[str, Any]]:
    """The newest record of each window, by its start."""
    with Compacted(kafka, topic, _MAX_RECORD_BYTES) as windows:
        records = [msgspec.json.decode(value) for value in windows.newest().values()]
    return {record["window_start_us"]: record for record in records}
