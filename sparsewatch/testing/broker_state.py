"""What a fake broker holds: topics, planted faults, and a note of what writers asked for. Its clients share it."""

import threading
import time
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from typing import Literal, NamedTuple

from sparsewatch.schemas.errors import SinkError, SourceError
from sparsewatch.testing.clock import SimulatedClock
from sparsewatch.testing.topic import FakePartition, FakeRecord, FakeTopic, as_fetched
from sparsewatch.transforms.kafka.client import NewTopic
from sparsewatch.transforms.records import Fetched

#: How long a fetch that finds nothing really takes: other threads get their turn.
_YIELD_S = 0.001


class Call(NamedTuple):
    """What a writer was asked to do, and did."""

    name: Literal["send", "flush"]
    #: Topic, key and value of what was sent; empty for a flush.
    topic: str = ""
    key: bytes | None = None
    value: bytes | None = None
    #: When, by the broker's clock, in seconds.
    at_s: float = 0.0


class BrokerState:
    """Topics and faults, safe to use from several threads.

    Args:
        clock: Seconds since the epoch.
        step: Most records of a partition a fetch gives.
        partitions: Of a topic that is made by writing to it.
    """

    def __init__(self, clock: Callable[[], float], step: int, partitions: int) -> None:
        self.clock = clock
        self.calls: list[Call] = []
        self.readers: Counter[str] = Counter()
        self.groups: dict[str, dict[str, dict[int, int]]] = {}
        self.away = False
        self.topics: dict[str, FakeTopic] = {}
        self.refusals: list[tuple[Callable[[FakeRecord], bool], str]] = []
        self.silent_fetches = 0
        self.has_topic_ids = True
        self.lock = threading.RLock()
        self._step = step
        self._partitions = partitions

    def answer(self) -> None:
        """Answer a client.

        Raises:
            SourceError: If the broker is away.
        """
        if self.away:
            raise SourceError("the broker is away")

    def make(self, topic: NewTopic) -> FakeTopic:
        """The topic of that name, made if it is missing."""
        with self.lock:
            return self.topics.setdefault(topic.name, FakeTopic(topic))

    def partitions_of(self, topic: str) -> tuple[int, ...]:
        """Numbers of a topic's partitions, none if there is no such topic.

        Raises:
            SourceError: If the broker is away.
        """
        self.answer()
        found = self.topics.get(topic)
        return () if found is None else tuple(range(len(found.partitions)))

    def id_of(self, topic: str) -> str:
        """Id of a topic; empty if there is none, or the broker gives no ids."""
        found = self.topics.get(topic)
        return "" if found is None or not self.has_topic_ids else found.id

    def partition(self, topic: str, partition: int) -> FakePartition:
        """A partition.

        Raises:
            SourceError: If there is none.
        """
        found = self.topics[topic].partitions if topic in self.topics else []
        if partition >= len(found):
            raise SourceError(f"topic {topic!r} has no partition {partition}")
        return found[partition]

    def fetch(self, topic: str, positions: Mapping[int, int], timeout_s: float, most: int) -> list[Fetched]:
        """What is there from these positions on; time passes where that is nothing."""
        with self.lock:
            runs = [] if self._silent() else list(self._runs(topic, positions, most))
        if not runs:
            if isinstance(self.clock, SimulatedClock):
                self.clock.advance(timeout_s)
            time.sleep(min(timeout_s, _YIELD_S))
        return runs

    def _silent(self) -> bool:
        if self.away or not self.silent_fetches:
            return self.away
        self.silent_fetches -= 1
        return True

    def _runs(self, topic: str, positions: Mapping[int, int], most: int) -> Iterable[Fetched]:
        there = self.topics[topic].partitions if topic in self.topics else []
        for number, position in positions.items():
            if number >= len(there):
                continue
            partition = there[number]
            if position > partition.end:
                # As clients do that are to begin at the earliest offset where theirs is not there.
                position = partition.begin
            records = partition.read(position, min(self._step, most))
            most -= len(records)
            next_offset = partition.next_after(records, position)
            if next_offset != positions[number]:
                yield as_fetched(number, records, next_offset)

    def note(self, call: Call) -> None:
        """Add to the calls, at this time."""
        with self.lock:
            self.calls.append(call._replace(at_s=self.clock()))

    def write(self, records: Iterable[FakeRecord]) -> None:
        """Append records to their topics.

        Raises:
            SinkError: If the broker is away, or refused some; the others are written.
        """
        if self.away:
            raise SinkError("the broker is away")
        with self.lock:
            refused = [error for record in records if (error := self._append(record))]
        if refused:
            raise SinkError(refused[0])

    def _append(self, record: FakeRecord) -> str | None:
        topic = self.make(NewTopic(record.topic, self._partitions))
        largest = topic.created.max_record_bytes
        if largest and record.size > largest:
            return f"topic {record.topic!r} refused a record: {record.size} bytes, it takes {largest}"
        for when, message in self.refusals:
            if when(record):
                return message or f"topic {record.topic!r} refused a record"
        topic.append(record)
        return None

    def stamped(self, record: FakeRecord, timestamp_ms: int | None) -> FakeRecord:
        """A record with its timestamp: the writer's, else that of the clock."""
        return replace(record, timestamp_ms=int(self.clock() * 1000) if timestamp_ms is None else timestamp_ms)
