"""Transactions as other producers write them: begun, then committed, aborted or left open."""

from collections.abc import Callable
from typing import Any

import pytest

from tests.kit.waiting import wait_for

confluent_kafka = pytest.importorskip("confluent_kafka", reason="needs the extra `confluent`")


class Transaction:
    """A transaction that was begun in partition 0; its records are in the topic, whatever becomes of it."""

    def __init__(self, bootstrap: str, topic: str, name: str) -> None:
        self._topic = topic
        self._ends = confluent_kafka.Consumer(
            {"bootstrap.servers": bootstrap, "group.id": name, "isolation.level": "read_uncommitted"}
        )
        self._producer = confluent_kafka.Producer({"bootstrap.servers": bootstrap, "transactional.id": name})
        self._producer.init_transactions(20)
        self._producer.begin_transaction()

    def write(self, values: list[bytes], **more: Any) -> None:
        """Records that the broker has when this returns."""
        for value in values:
            self._producer.produce(self._topic, value, partition=0, **more)
        assert self._producer.flush(20) == 0

    def commit(self) -> None:
        """Close it."""
        self._close(self._producer.commit_transaction)

    def abort(self) -> None:
        """Close it; its records do not count."""
        self._close(self._producer.abort_transaction)

    def _close(self, close: Callable[[float], None]) -> None:
        # The broker answers before it has written the marker that closes the transaction.
        before = self._end()
        close(20)
        wait_for(lambda: self._end() > before, 20, "the transaction's marker")
        self._ends.close()

    def _end(self) -> int:
        return int(self._ends.get_watermark_offsets(confluent_kafka.TopicPartition(self._topic, 0))[1])
