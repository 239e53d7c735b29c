"""Opens the Kafka client that a job names: kafka-python by default, `confluent-kafka` as an extra; looks up topics.

An address may be served in this process instead: by a broker in memory, for tests.
"""

import threading
from collections import Counter
from collections.abc import Iterable, Iterator
from contextlib import ExitStack, closing, contextmanager
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
#: Writers that are open and free, by their settings, where some are kept; and by how many contexts they are.
_FREE: dict[bytes, list[Writer]] = {}
_KEEPERS: Counter[bytes] = Counter()
_KEEPING = threading.Lock()


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


def open_quick_reader(settings: KafkaSettings, topic: str, max_bytes: int) -> Reader:
    """A reader for questions about a topic, and for what is little: kafka-python's, whichever client a job names.

    It opens in a fraction of librdkafka's time, whose later answers wait behind its fetches, too.
    """
    return open_reader(msgspec.structs.replace(settings, client="kafka-python"), topic, max_bytes)


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
def kept_writers(settings: KafkaSettings) -> Iterator[None]:
    """While the context lasts, writers that are given back stay open for the next in this process that needs one.

    A writer waits for its broker before it sends, librdkafka's a twentieth of a second: a job waits once.
    Of several such contexts the one that ends last closes them.
    """
    key = msgspec.json.encode(settings)
    with _KEEPING:
        _KEEPERS[key] += 1
        _FREE.setdefault(key, [])
    try:
        yield
    finally:
        with _KEEPING:
            _KEEPERS[key] -= 1
            left = [] if _KEEPERS[key] else _FREE.pop(key)
        with ExitStack() as stack:
            for writer in left:
                stack.callback(writer.close)


def free_writer(settings: KafkaSettings) -> Writer:
    """A writer that is free, or a new one; see `give_back`."""
    try:
        # Workers may ask at once.
        return _FREE.get(msgspec.json.encode(settings), []).pop()
    except IndexError:
        return open_writer(settings)


def give_back(settings: KafkaSettings, writer: Writer) -> None:
    """Give back a writer, of which all that was sent is flushed: it is closed where none are kept."""
    free = _FREE.get(msgspec.json.encode(settings))
    if free is None:
        writer.close()
    else:
        free.append(writer)


@contextmanager
def lent_writer(settings: KafkaSettings) -> Iterator[Writer]:
    """A writer that is given back once all was sent; closed after an error."""
    writer = free_writer(settings)
    try:
        yield writer
        writer.flush()
    except BaseException:
        writer.close()
        raise
    give_back(settings, writer)


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
