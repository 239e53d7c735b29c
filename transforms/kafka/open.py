"""Opens the Kafka client that a job names: kafka-python by default, `confluent-kafka` as an extra; looks up topics.

An address may be served in this process instead: by a broker in memory, for tests.
"""

from collections.abc import Iterable, Iterator
from contextlib import closing, contextmanager
from typing import Protocol

import msgspec

from sparsewatch.schemas.jobs import KafkaSettings
from sparsewatch.transforms.kafka.client import Admin, NewTopic, Reader, Writer


class Broker(Protocol):
    """Opens the clients of one broker."""

    def reader(self, topic: str, max_bytes: int) -> Reader:
        """See `open_reader`."""

    def writer(self) -> Writer:
        """See `open_writer`."""

    def admin(self) -> Admin:
        """See `open_admin`."""


#: By address.
_SERVED: dict[str, Broker] = {}
#: Writers that are open and free, by their settings.
_FREE: dict[bytes, list[Writer]] = {}


@contextmanager
def served_by(address: str, broker: Broker) -> Iterator[None]:
    """Clients of settings that name `address` first are opened by `broker`, in this process and for so long."""
    _SERVED[address] = broker
    try:
        yield
    finally:
        del _SERVED[address]


def _broker_here(settings: KafkaSettings) -> Broker | None:
    return _SERVED.get(settings.bootstrap_servers[0]) if settings.bootstrap_servers else None


def open_reader(settings: KafkaSettings, topic: str, max_bytes: int) -> Reader:
    """A reader of `topic` that takes records of up to `max_bytes` and a margin."""
    if broker := _broker_here(settings):
        return broker.reader(topic, max_bytes)
    if settings.client == "confluent":
        from sparsewatch.transforms.kafka.confluent import ConfluentReader

        return ConfluentReader(settings, topic, max_bytes)
    from sparsewatch.transforms.kafka.kafka_python import KafkaPythonReader

    return KafkaPythonReader(settings, topic, max_bytes)


def open_writer(settings: KafkaSettings) -> Writer:
    """A writer that waits for all replicas."""
    if broker := _broker_here(settings):
        return broker.writer()
    if settings.client == "confluent":
        from sparsewatch.transforms.kafka.confluent import ConfluentWriter

        return ConfluentWriter(settings)
    from sparsewatch.transforms.kafka.kafka_python import KafkaPythonWriter

    return KafkaPythonWriter(settings)


@contextmanager
def handed_on(settings: KafkaSettings) -> Iterator[Writer]:
    """A writer for the begin of a run, which the first to call `free_writer` gets after that; closed if nobody does.

    A writer waits for an id from its broker before it sends, librdkafka's half a second: a run waits once.
    """
    writer = open_writer(settings)
    free = _FREE.setdefault(msgspec.json.encode(settings), [])
    free.append(writer)
    try:
        yield writer
    finally:
        if writer in free:
            free.remove(writer)
            writer.close()


def free_writer(settings: KafkaSettings) -> Writer:
    """A writer that was handed on in this process, or a new one; the caller closes it."""
    free = _FREE.get(msgspec.json.encode(settings))
    return free.pop(0) if free else open_writer(settings)


def open_admin(settings: KafkaSettings) -> Admin:
    """Topic administration; kafka-python serves both clients."""
    if broker := _broker_here(settings):
        return broker.admin()
    from sparsewatch.transforms.kafka.kafka_python_admin import KafkaPythonAdmin

    return KafkaPythonAdmin(settings)


def partitions_of(settings: KafkaSettings, topic: str) -> tuple[int, ...]:
    """Partitions of a topic, empty if there is none.

    Raises:
        SourceError: If no broker answers.
    """
    with closing(open_admin(settings)) as admin:
        return admin.partitions(topic)


def missing_topics(admin: Admin, wanted: Iterable[NewTopic]) -> list[NewTopic]:
    """Topics that the broker does not have.

    Raises:
        SourceError: If no broker answers.
    """
    there = admin.topics()
    return [topic for topic in wanted if topic.name not in there]


def ensure_topics(admin: Admin, wanted: Iterable[NewTopic], replication: int = 1) -> None:
    """Create the topics that are missing; the others stay as they are.

    Raises:
        SourceError: If no broker answers.
        SinkError: If the broker refuses.
    """
    if missing := missing_topics(admin, wanted):
        admin.create_topics(missing, replication)
