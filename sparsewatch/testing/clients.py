"""The three clients of a fake broker; see `sparsewatch.transforms.kafka.client` for what each method promises."""

from collections.abc import Iterable, Mapping
from dataclasses import replace

from sparsewatch.schemas.errors import SinkError
from sparsewatch.testing.broker_state import BrokerState, Call
from sparsewatch.testing.topic import FakePartition, FakeRecord
from sparsewatch.transforms.kafka.client import NewTopic, Sight
from sparsewatch.transforms.records import Fetched, Headers

#: Largest record a client sends, as in the real clients.
_MAX_REQUEST_BYTES = 64 << 20


class FakeReader:
    """A `Reader` of one topic. It never waits: what is there is given at once, else time passes by the clock."""

    def __init__(self, state: BrokerState, topic: str) -> None:
        self._state = state
        self._topic = topic
        #: Next offset to read, by partition.
        self.positions: dict[int, int] = {}

    def partitions(self) -> tuple[int, ...]:
        """See the protocol."""
        return self._state.partitions_of(self._topic)

    def look(self) -> Sight:
        """See the protocol."""
        return Sight(self._state.id_of(self._topic), self._state.partitions_of(self._topic))

    def assign(self, positions: Mapping[int, int]) -> None:
        """See the protocol."""
        self.positions = dict(positions)

    def fetch(self, timeout_s: float, max_records: int) -> list[Fetched]:
        """See the protocol."""
        runs = self._state.fetch(self._topic, self.positions, timeout_s, max_records)
        self.positions.update({run.partition: run.next_offset for run in runs})
        return runs

    def end_offsets(self) -> dict[int, int]:
        """See the protocol."""
        return {p: partition.end for p, partition in self._assigned().items()}

    def log_ends(self) -> dict[int, int]:
        """See the protocol."""
        return self.end_offsets()

    def begin_offsets(self) -> dict[int, int]:
        """See the protocol."""
        return {p: partition.begin for p, partition in self._assigned().items()}

    def offsets_at(self, timestamp_ms: int) -> dict[int, int]:
        """See the protocol."""
        return {p: partition.offset_at(timestamp_ms) for p, partition in self._assigned().items()}

    def _assigned(self) -> dict[int, FakePartition]:
        self._state.answer()
        return {p: self._state.partition(self._topic, p) for p in self.positions}

    def close(self) -> None:
        """See the protocol."""


class FakeWriter:
    """A `Writer`. If the broker is away, a flush fails at once, so that a test does not wait."""

    def __init__(self, state: BrokerState) -> None:
        self._state = state
        self._unflushed: list[FakeRecord] = []

    def send(
        self,
        topic: str,
        key: bytes | None,
        value: bytes | None,
        headers: Headers = (),
        partition: int | None = None,
        timestamp_ms: int | None = None,
    ) -> None:
        """See the protocol."""
        record = FakeRecord(topic, key, value, tuple(headers), partition)
        if record.size > _MAX_REQUEST_BYTES:
            raise SinkError(f"topic {topic!r}: the record cannot be sent: {record.size} bytes")
        self._unflushed.append(self._state.stamped(record, timestamp_ms))
        self._state.note(Call("send", topic, key, value))

    def flush(self) -> None:
        """See the protocol."""
        records, self._unflushed = self._unflushed, []
        self._state.write(records)
        self._state.note(Call("flush"))

    def close(self) -> None:
        """See the protocol."""
        if self._unflushed:
            self.flush()


class FakeAdmin:
    """An `Admin`."""

    def __init__(self, state: BrokerState) -> None:
        self._state = state

    def partitions(self, topic: str) -> tuple[int, ...]:
        """See the protocol."""
        return self._state.partitions_of(topic)

    def topics(self) -> dict[str, tuple[int, ...]]:
        """See the protocol."""
        return {topic: self._state.partitions_of(topic) for topic in list(self._state.topics)}

    def rights(self, topics: Iterable[str]) -> dict[str, frozenset[str] | None]:
        """See the protocol; everything is allowed."""
        self._state.answer()
        return dict.fromkeys(topics)

    def create_topics(self, topics: Iterable[NewTopic], replication: int = 1) -> None:
        """See the protocol."""
        del replication
        self._state.answer()
        for topic in topics:
            self._state.make(topic)

    def create_like(self, model: str, topic: str, settings: Mapping[str, str]) -> None:
        """See the protocol."""
        self._state.answer()
        like = self._state.topics[model]
        made = self._state.make(replace(like.created, name=topic, partitions=1))
        made.settings = {**like.settings, **settings}

    def settings_of(self, topic: str) -> dict[str, str]:
        """See the protocol."""
        self._state.answer()
        return dict(self._state.topics[topic].settings)

    def change_settings(self, topic: str, settings: Mapping[str, str]) -> None:
        """See the protocol."""
        self._state.answer()
        self._state.topics[topic].settings.update(settings)

    def delete_topic(self, topic: str) -> None:
        """See the protocol."""
        self._state.answer()
        self._state.topics.pop(topic, None)

    def commit_group(self, group: str, topic: str, offsets: Mapping[int, int]) -> None:
        """See the protocol."""
        if self._state.away:
            raise SinkError("the broker is away")
        self._state.groups.setdefault(group, {}).setdefault(topic, {}).update(offsets)

    def close(self) -> None:
        """See the protocol."""
