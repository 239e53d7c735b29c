"""All that sparsewatch asks of a Kafka client: three small protocols, and the factory that picks one.

kafka-python is the default, `confluent-kafka` an extra; a fake for tests is a few dozen lines. Partitions are
assigned by hand, offsets are kept by the job itself (see `sparsewatch.transforms.kafka.progress`).
"""

import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from sparsewatch.schemas.errors import ConfigError
from sparsewatch.schemas.jobs import KafkaSettings

Headers = Sequence[tuple[str, bytes]]


@dataclass(frozen=True, slots=True)
class Fetched:
    """Records of one partition, in offset order, as columns; key and headers are looked up when needed."""

    partition: int
    offsets: list[int]
    #: Kafka timestamps, milliseconds since the epoch.
    timestamps_ms: list[int]
    values: list[bytes | None]
    #: Headers by position; an empty sequence where there are none.
    headers: list[Headers]
    #: Key by position.
    keys: Callable[[int], bytes | None]
    #: Where reading goes on: past the last record, and past what a broker skips.
    next_offset: int


def passed_over(partition: int, next_offset: int) -> Fetched:
    """No record, but reading goes on further ahead: markers of transactions take offsets and are no records."""
    return Fetched(partition, [], [], [], [], _no_key, next_offset)


def _no_key(position: int) -> bytes | None:
    raise IndexError(position)


class Reader(Protocol):
    """Reads partitions of one topic that were assigned by hand."""

    def assign(self, positions: Mapping[int, int]) -> None:
        """Read these partitions from these offsets on."""

    def fetch(self, timeout_s: float, max_records: int) -> list[Fetched]:
        """What has arrived, at most one entry a partition; empty if nothing came in time.

        An entry without records says that the broker has passed over offsets that hold none.
        """

    def end_offsets(self) -> dict[int, int]:
        """Offset after the last record of each assigned partition, asked of the broker now.

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
        """Leave the broker."""


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
        """Wait until all that was sent is acknowledged; a broker that is away is waited for.

        Raises:
            SinkError: If the broker refused a record for good.
        """

    def close(self) -> None:
        """Flush and leave the broker."""


class Admin(Protocol):
    """Looks at topics and makes them."""

    def partitions(self, topic: str) -> tuple[int, ...]:
        """Partitions of a topic, empty if there is no such topic.

        Raises:
            SourceError: If no broker answers.
        """

    def create_topics(self, topics: Iterable["NewTopic"], replication: int = 1) -> None:
        """Create those that are missing; the others stay as they are."""

    def commit_group(self, group: str, topic: str, offsets: Mapping[int, int]) -> None:
        """Set a consumer group's offsets, for tools that show lag."""

    def close(self) -> None:
        """Leave the broker."""


@dataclass(frozen=True, slots=True)
class NewTopic:
    """A topic to create."""

    name: str
    partitions: int = 1
    compact: bool = False
    #: Largest record the topic takes, in bytes; the broker's default if 0.
    max_record_bytes: int = 0


def open_reader(settings: KafkaSettings, topic: str, max_bytes: int) -> Reader:
    """A reader of `topic` that takes records of up to `max_bytes` and a margin."""
    if settings.client == "confluent":
        from sparsewatch.transforms.kafka.confluent import ConfluentReader

        return ConfluentReader(settings, topic, max_bytes)
    from sparsewatch.transforms.kafka.kafka_python import KafkaPythonReader

    return KafkaPythonReader(settings, topic, max_bytes)


def open_writer(settings: KafkaSettings) -> Writer:
    """A writer that waits for all replicas."""
    if settings.client == "confluent":
        from sparsewatch.transforms.kafka.confluent import ConfluentWriter

        return ConfluentWriter(settings)
    from sparsewatch.transforms.kafka.kafka_python import KafkaPythonWriter

    return KafkaPythonWriter(settings)


def open_admin(settings: KafkaSettings) -> Admin:
    """Topic administration; kafka-python serves both clients."""
    from sparsewatch.transforms.kafka.kafka_python import KafkaPythonAdmin

    return KafkaPythonAdmin(settings)


def read_password(settings: KafkaSettings) -> str | None:
    """The password named by the settings.

    Raises:
        ConfigError: If the variable is not set or the file cannot be read.
    """
    if settings.password_env is not None:
        password = os.environ.get(settings.password_env)
        if password is None:
            raise ConfigError(f"kafka.password_env: the environment has no variable {settings.password_env!r}")
        return password
    if settings.password_file is not None:
        try:
            return Path(settings.password_file).read_text(encoding="utf-8").strip()
        except OSError as error:
            raise ConfigError(f"kafka.password_file: {error}") from error
    return None
