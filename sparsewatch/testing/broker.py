"""A broker in memory that gives readers, writers and an admin: for tests of code that speaks to Kafka.

Stricter than a real one where that finds mistakes: what was sent is in its topic once it is flushed, and not before.
"""

import itertools
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import replace
from types import TracebackType
from typing import Self

from sparsewatch.schemas.errors import SinkError, SourceError
from sparsewatch.schemas.jobs import KafkaSettings
from sparsewatch.testing.broker_state import BrokerState
from sparsewatch.testing.clients import FakeAdmin, FakeReader, FakeWriter
from sparsewatch.testing.clock import SimulatedClock
from sparsewatch.testing.topic import FakeRecord
from sparsewatch.transforms.kafka.client import NewTopic
from sparsewatch.transforms.kafka.open import served_by

_numbers = itertools.count(1)


class FakeBroker(BrokerState):
    """Topics in memory, and the clients that read, write and make them.

    As a context manager it serves `settings`: code that opens its clients from those settings, a whole job for
    example, gets clients of this broker, as long as it runs in this process. Clients made by `reader`, `writer` and
    `admin` work at any time.

    Args:
        clock: Seconds since the epoch, for records without a timestamp; a `SimulatedClock` if absent. Such a clock
            advances by itself where a reader waits for records that do not come.
        step: Most records of a partition a fetch gives.
        partitions: Of a topic that is made by writing to it.

    Attributes:
        settings: Settings that lead to this broker while it serves.
        calls: What writers were asked to do and did, in order.
        readers: How many were made, by topic.
        groups: Committed offsets by consumer group and topic.
        away: Whether the broker gives no answer; set it in a test.
        has_topic_ids: Whether the broker gives ids of topics; set it in a test.

    Example:
        >>> broker = FakeBroker()
        >>> broker.create("alerts")
        >>> writer = broker.writer()
        >>> writer.send("alerts", b"id", b"text")
        >>> broker.values("alerts")
        []
        >>> writer.flush()
        >>> broker.values("alerts")
        [b'text']
    """

    def __init__(self, *, clock: Callable[[], float] | None = None, step: int = 1 << 20, partitions: int = 1) -> None:
        super().__init__(SimulatedClock() if clock is None else clock, step, partitions)
        self.settings = KafkaSettings(bootstrap_servers=[f"fake-broker-{next(_numbers)}.invalid:9092"], timeout="1s")
        self._serving = ExitStack()

    def reader(self, topic: str, max_bytes: int = 1 << 20) -> FakeReader:
        """A reader of a topic.

        Raises:
            SourceError: If the broker is away.
        """
        del max_bytes
        self.answer()
        self.readers[topic] += 1
        return FakeReader(self, topic)

    def writer(self) -> FakeWriter:
        """A writer; what it was sent and did not flush is lost with it.

        Raises:
            SinkError: If the broker is away.
        """
        if self.away:
            raise SinkError("the broker is away")
        return FakeWriter(self)

    def admin(self) -> FakeAdmin:
        """Topic administration.

        Raises:
            SourceError: If the broker is away.
        """
        self.answer()
        return FakeAdmin(self)

    def create(self, topic: str, partitions: int = 1, *, compact: bool = False, max_record_bytes: int = 0) -> None:
        """Make a topic, unless it exists."""
        self.make(NewTopic(topic, partitions, compact, max_record_bytes))

    def recreate(self, topic: str, partitions: int | None = None) -> None:
        """Delete a topic and make it again, with so many partitions as it had if none are given."""
        with self.lock:
            created = self.topics.pop(topic).created
            self.make(created if partitions is None else replace(created, partitions=partitions))

    def add_partitions(self, topic: str, partitions: int) -> None:
        """Let a topic have so many partitions, as an operator does while it is written and read."""
        with self.lock:
            self.topics[topic].add_partitions(partitions)

    def records(self, topic: str) -> list[FakeRecord]:
        """What a topic holds, by partition and offset.

        Raises:
            SourceError: If there is no such topic.
        """
        with self.lock:
            if topic not in self.topics:
                raise SourceError(f"expected one of the topics {', '.join(sorted(self.topics))}, got {topic!r}")
            return [record for partition in self.topics[topic].partitions for record in partition.records]

    def values(self, topic: str) -> list[bytes | None]:
        """Values of `records`."""
        return [record.value for record in self.records(topic)]

    def newest(self, topic: str) -> dict[bytes | None, bytes]:
        """The newest value of each key, without those that end in a tombstone: what a compacted topic holds."""
        found = {record.key: record.value for record in self.records(topic)}
        return {key: value for key, value in found.items() if value is not None}

    def compact(self, topic: str, *, keep_tombstones: bool = False) -> None:
        """Compact a topic now: the newest record of each key stays, the offsets of the others hold none."""
        with self.lock:
            for partition in self.topics[topic].partitions:
                partition.compact(keep_tombstones)

    def trim(self, topic: str, partition: int, begin: int) -> None:
        """Delete the records before an offset, as a topic's retention does."""
        with self.lock:
            self.partition(topic, partition).trim(begin)

    def cut(self, topic: str, partition: int, end: int) -> None:
        """Lose the records from an offset on, as a broker does that was elected without them."""
        with self.lock:
            self.partition(topic, partition).cut(end)

    def pass_over(self, topic: str, partition: int, offsets: int = 1) -> None:
        """Let offsets go by without records, as the markers of transactions do."""
        with self.lock:
            self.partition(topic, partition).end += offsets

    def refuse(self, when: Callable[[FakeRecord], bool], message: str = "") -> None:
        """Refuse records from now on, when they are flushed; the others of the flush are written."""
        self.refusals.append((when, message))

    def silence(self, fetches: int) -> None:
        """Let the next `fetches` fetches find nothing, whatever there is."""
        self.silent_fetches = fetches

    def heal(self) -> None:
        """End all faults."""
        self.away = False
        self.refusals.clear()
        self.silent_fetches = 0

    def __enter__(self) -> Self:
        self._serving.enter_context(served_by(self.settings.bootstrap_servers[0], self))
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._serving.close()
