"""The newest record of each key, whatever the partitions, for one look and for many."""

import itertools
import pickle
from collections.abc import Iterator
from typing import Any

import pytest
from kafka import KafkaProducer

from sparsewatch.schemas.errors import SourceError
from sparsewatch.schemas.jobs import KafkaSettings
from sparsewatch.testing import EmbeddedBroker, FakeBroker, FakeReader
from sparsewatch.transforms.kafka.compacted import Compacted, TopicRecreatedError
from sparsewatch.transforms.records import Fetched
from tests.kit.services import KafkaBroker
from tests.kit.topics import create_topic

#: Key, value and timestamp of a record.
Record = tuple[bytes, bytes | None, int]


@pytest.fixture
def broker() -> Iterator[FakeBroker]:
    with FakeBroker() as broker:
        yield broker


def write(broker: FakeBroker, partition: int, *records: Record) -> None:
    writer = broker.writer()
    for key, value, at_ms in records:
        writer.send("t", key, value, partition=partition, timestamp_ms=at_ms)
    writer.close()


def opened(broker: FakeBroker, **options: Any) -> Compacted:
    return Compacted(broker.settings, "t", 1000, **options)


def test_the_last_record_of_a_key_counts_and_one_without_a_value_removes_it(broker: FakeBroker) -> None:
    write(broker, 0, (b"a", b"1", 5), (b"b", b"2", 5), (b"a", b"3", 1), (b"b", None, 1), (b"c", b"4", 1))
    assert opened(broker).newest() == {b"a": b"3", b"c": b"4"}
    assert opened(broker, prefix=b"c").newest() == {b"c": b"4"}
    broker.compact("t")
    assert opened(broker).newest() == {b"a": b"3", b"c": b"4"}


@pytest.mark.parametrize("order", list(itertools.permutations(range(3))))
@pytest.mark.parametrize("step", [1, 9])
def test_of_a_key_in_several_partitions_the_latest_counts_however_they_are_read(
    monkeypatch: pytest.MonkeyPatch, order: tuple[int, ...], step: int
) -> None:
    # Within partition 1 the offset decides, not the clock.
    partitions: list[list[Record]] = [
        [(b"moved", b"old", 10), (b"removed", b"old", 10), (b"back", None, 10), (b"tied", b"lower", 11)],
        [(b"moved", b"newer", 30), (b"moved", b"newest", 20), (b"tied", b"higher", 11)],
        [(b"moved", b"older", 29), (b"back", b"again", 41), (b"removed", None, 40)],
    ]
    monkeypatch.setattr(FakeReader, "partitions", lambda _: order)
    with FakeBroker(step=step, partitions=3) as broker:
        for partition, records in enumerate(partitions):
            write(broker, partition, *records)
        assert opened(broker).newest() == {b"moved": b"newest", b"back": b"again", b"tied": b"higher"}


def test_what_stands_now_is_read_on_from_the_last_look_and_from_the_begin_of_a_topic_made_anew(
    broker: FakeBroker,
) -> None:
    records = opened(broker)
    assert records.now() == {}
    write(broker, 0, (b"a", b"1", 1), (b"b", b"2", 1))
    assert records.now() == {b"a": b"1", b"b": b"2"}
    write(broker, 0, (b"a", None, 2), (b"c", b"3", 2))
    assert records.now() == {b"b": b"2", b"c": b"3"} == opened(broker).newest()
    assert broker.readers["t"] == 2 + 1
    broker.recreate("t")
    write(broker, 0, (b"d", b"4", 3))
    assert records.now() == {b"d": b"4"} == opened(broker).newest()


def test_what_came_since_is_read_on_and_pickled_it_begins_anew(broker: FakeBroker) -> None:
    broker.create("t", 2)
    write(broker, 0, (b"a", b"1", 1))
    records = opened(broker)
    assert dict(records.changes()) == {b"a": b"1"}
    assert dict(records.changes()) == {}
    write(broker, 1, (b"a", b"2", 2))
    write(broker, 0, (b"b", None, 2))
    assert dict(records.changes()) == {b"a": b"2", b"b": None}
    assert dict(pickle.loads(pickle.dumps(records)).changes()) == {b"a": b"2", b"b": None}
    assert broker.readers["t"] == 2


def test_arrivals_are_those_after_what_was_passed_over(broker: FakeBroker) -> None:
    write(broker, 0, (b"a", b"1", 1))
    records = opened(broker)
    records.pass_over()
    assert list(records.arrivals(0.1)) == []
    write(broker, 0, (b"b", b"2", 2))
    assert list(records.arrivals(0.1)) == [(b"b", b"2")]


def test_a_topic_that_is_missing_or_emptied_holds_nothing_and_is_not_waited_for(broker: FakeBroker) -> None:
    records = opened(broker)
    assert records.newest() == {}
    assert not records.is_there
    write(broker, 0, (b"a", b"1", 1))
    broker.trim("t", 0, 1)
    started = broker.clock()
    assert records.newest() == {}
    assert (records.is_there, broker.clock()) == (True, started)


def test_a_topic_made_anew_says_so(broker: FakeBroker) -> None:
    write(broker, 0, (b"a", b"1", 1), (b"a", b"2", 2))
    records = opened(broker)
    list(records.changes())
    broker.admin().delete_topic("t")
    write(broker, 0, (b"a", b"3", 3))
    with pytest.raises(TopicRecreatedError, match="'t' was recreated"):
        list(records.changes())
    assert records.newest() == {b"a": b"3"}


def test_a_broker_that_falls_silent_is_an_error_and_not_an_empty_topic(
    broker: FakeBroker, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(broker, 0, (b"a", b"1", 1))
    broker.silence(1_000)
    with pytest.raises(SourceError, match=r"sends no more records.*end at \{0: 1\}"):
        opened(broker).newest()

    def away(*_: object) -> list[Fetched]:
        broker.away = True
        return []

    monkeypatch.setattr(FakeReader, "fetch", away)
    with pytest.raises(SourceError, match="the broker is away"):
        opened(broker).newest()


# Marked here: a broker that is asked for by its name is not seen among a test's fixtures.
EMBEDDED = pytest.param("embedded", marks=pytest.mark.broker)
KAFKA = pytest.param("kafka", marks=[pytest.mark.broker, pytest.mark.kafka])


@pytest.fixture(params=[EMBEDDED, KAFKA])
def bootstrap(request: pytest.FixtureRequest) -> str:
    broker: EmbeddedBroker | KafkaBroker = request.getfixturevalue(f"{request.param}_broker")
    return broker.bootstrap


def test_a_real_topic_of_three_partitions_written_in_batches_is_read_whole(bootstrap: str) -> None:
    topic = "compacted"
    create_topic(bootstrap, topic, 3)
    producer = KafkaProducer(bootstrap_servers=bootstrap, linger_ms=200)
    for turn in range(3):
        for i in range(40):
            producer.send(topic, key=b"k%d" % i, value=b"%d" % turn, partition=(i + turn) % 3, timestamp_ms=turn + 1)
        producer.flush()
    producer.send(topic, key=b"k0", partition=0, timestamp_ms=9)
    producer.close()
    with Compacted(KafkaSettings(bootstrap_servers=[bootstrap], client="confluent"), topic, 1000) as records:
        assert records.newest() == {b"k%d" % i: b"2" for i in range(1, 40)}
        assert dict(records.changes()) == {}
