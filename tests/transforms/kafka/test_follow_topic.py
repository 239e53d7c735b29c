"""A follower that was told to stop says nothing more: what it told may be closed."""

import threading
from types import TracebackType
from typing import Self

import pytest
from confluent_kafka import Producer

from sparsewatch.schemas.errors import SourceError
from sparsewatch.schemas.jobs import KafkaSettings
from sparsewatch.transforms.kafka import follow_topic
from sparsewatch.transforms.kafka.follow_topic import Patience, Records, TopicFollower
from tests.kit.services import KafkaBroker
from tests.kit.topics import create_topic


class Told:
    """Counts how often the topic was lost."""

    def __init__(self) -> None:
        self.lost_times = 0

    def begin(self, records: Records) -> None:
        raise AssertionError(records)

    def take(self, records: Records) -> None:
        raise AssertionError(records)

    def seen(self) -> None:
        raise AssertionError

    def lost(self) -> None:
        self.lost_times += 1


def test_what_fails_after_the_stop_is_not_told(monkeypatch: pytest.MonkeyPatch) -> None:
    stop, tries = threading.Event(), []

    class Away:
        def __init__(self, *_: object) -> None:
            tries.append(self)

        def __enter__(self) -> Self:
            if len(tries) == 3:
                stop.set()
            raise SourceError("no broker answers")

        def __exit__(
            self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None
        ) -> None:
            raise AssertionError

    monkeypatch.setattr(follow_topic, "Compacted", Away)
    told = Told()
    kafka = KafkaSettings(bootstrap_servers=["127.0.0.1:1"])
    follower = TopicFollower(kafka, "clicks.windows", 1_000, told, Patience(retry_s=(0.0,)))
    follower.follow(stop)
    assert (len(tries), told.lost_times, follower.failures) == (3, 2, 2)


def test_records_larger_than_what_is_asked_for_at_once_are_followed(kafka_broker: KafkaBroker) -> None:
    topic = "followed-large"
    create_topic(kafka_broker.bootstrap, topic, max_bytes=32 << 20)
    producer = Producer({"bootstrap.servers": kafka_broker.bootstrap, "message.max.bytes": 32 << 20})
    sizes = (3, 20 << 20, 5)
    for number, size in enumerate(sizes):
        producer.produce(topic, bytes(size), str(number).encode())
    producer.flush()
    stop = threading.Event()
    found: list[int] = []

    class Sink(Told):
        def begin(self, records: Records) -> None:
            found.extend(len(value or b"") for _, value in records)
            stop.set()

        def take(self, records: Records) -> None:
            """Nothing follows."""

    kafka = KafkaSettings(bootstrap_servers=[kafka_broker.bootstrap])
    TopicFollower(kafka, topic, 64 << 20, Sink()).follow(stop)
    assert found == list(sizes)
