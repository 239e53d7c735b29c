"""All that sparsewatch needs of a Kafka client: three small protocols.

`sparsewatch.transforms.kafka.open` picks the client that implements them. Partitions are assigned by hand, offsets are
stored by the job itself (see `sparsewatch.transforms.kafka.progress`).
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Protocol

from sparsewatch.transforms.records import Fetched, Headers


@dataclass(frozen=True, slots=True)
class Sight:
    """A topic as the broker describes it."""

    #: Of a topic that is deleted and made again, another one; empty if the broker gives none.
    topic_id: str
    #: Empty if there is no such topic.
    partitions: tuple[int, ...]


class Reader(Protocol):
    """Reads partitions of one topic that were assigned by hand."""

    def partitions(self) -> tuple[int, ...]:
        """Partitions of the topic, empty if there is no such topic.

        Raises:
            SourceError: If no broker answers.
        """

    def look(self) -> Sight:
        """The topic now: what to ask again and again while it is read.

        Raises:
            SourceError: If the broker does not answer.
        """

    def assign(self, positions: Mapping[int, int]) -> None:
        """Read these partitions from these offsets on.

        A partition that does not have its offset is read from another: from its begin, or where the client finds out
        that records were lost.
        """

    def fetch(self, timeout_s: float, max_records: int) -> list[Fetched]:
        """What has arrived, in runs; those of one partition in order. Empty if nothing came in time.

        A run without records means that the offsets passed over hold none.
        """

    def end_offsets(self) -> dict[int, int]:
        """Offset after the last record of each assigned partition, asked of the broker now.

        Where a transaction is open, that is its first record: what follows is not given before it has been closed.

        Raises:
            SourceError: If the broker does not answer.
        """

    def log_ends(self) -> dict[int, int]:
        """As `end_offsets`, records of open transactions included: no offset from here on was ever given.

        Raises:
            SourceError: If the broker does not answer.
        """

    def begin_offsets(self) -> dict[int, int]:
        """First offset the broker still has of each assigned partition.

        Raises:
            SourceError: If the broker does not answer.
        """

    def offsets_at(self, timestamp_ms: int) -> dict[int, int]:
        """First offset at or after a Kafka timestamp; the end where there is none.

        Raises:
            SourceError: If the broker does not answer.
        """

    def close(self) -> None:
        """Close the connection."""


class Writer(Protocol):
    """Writes records; nothing is durable before `flush` returns."""

    def send(
        self,
        topic: str,
        key: bytes | None,
        value: bytes | None,
        headers: Headers = (),
        partition: int | None = None,
        timestamp_ms: int | None = None,
    ) -> None:
        """Queue one record.

        Raises:
            SinkError: If the record is larger than any request may be.
        """

    def flush(self) -> None:
        """Wait until all that was sent is acknowledged, however long the broker is away.

        Raises:
            SinkError: If the broker refused a record for good.
        """

    def close(self) -> None:
        """Flush and close the connection."""


@dataclass(frozen=True, slots=True)
class NewTopic:
    """A topic to create."""

    name: str
    partitions: int = 1
    compact: bool = False
    #: Largest record the topic takes, in bytes; the broker's default if 0.
    max_record_bytes: int = 0


class Admin(Protocol):
    """Looks at topics, makes, changes and deletes them."""

    def partitions(self, topic: str) -> tuple[int, ...]:
        """Partitions of a topic, empty if there is no such topic.

        Raises:
            AccessError: If we may not see it.
            SourceError: If no broker answers.
        """

    def topics(self) -> dict[str, tuple[int, ...]]:
        """Partitions of every topic that the broker shows us, by its name; one request for all of them.

        Raises:
            SourceError: If no broker answers.
        """

    def rights(self, topics: Iterable[str]) -> dict[str, frozenset[str] | None]:
        """What we may do with topics, such as `READ`; None where the broker does not tell or has no such topic.

        Of a topic that the broker hides from us, which it may or may not have, that is nothing.

        Raises:
            SourceError: If no broker answers.
        """

    def create_topics(self, topics: Iterable[NewTopic], replication: int = 1) -> None:
        """Create the topics that are missing; the others stay as they are.

        Raises:
            SinkError: If the broker refuses.
        """

    def create_like(self, model: str, topic: str, settings: Mapping[str, str]) -> None:
        """Create a topic of one partition with the replicas and own settings of another, unless it exists.

        Args:
            model: The other topic.
            topic: The new topic.
            settings: Settings that differ.

        Raises:
            SinkError: If the broker refuses.
        """

    def settings_of(self, topic: str) -> dict[str, str]:
        """Settings of a topic, such as `cleanup.policy`; those that the broker does not return are absent."""

    def change_settings(self, topic: str, settings: Mapping[str, str]) -> None:
        """Change some settings of a topic.

        Raises:
            SinkError: If the broker refuses.
        """

    def delete_topic(self, topic: str) -> None:
        """Delete a topic with all it holds.

        Raises:
            SinkError: If the broker refuses.
        """

    def commit_group(self, group: str, topic: str, offsets: Mapping[int, int]) -> None:
        """Set a consumer group's offsets, for tools that show lag."""

    def close(self) -> None:
        """Close the connection."""
