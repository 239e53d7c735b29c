"""A topic of a real broker that is made anew, trimmed, given partitions or compacted, seen through both clients."""

import time
from collections.abc import Iterator
from contextlib import closing
from typing import Literal

import pytest
from kafka import KafkaAdminClient, TopicPartition
from kafka.admin import ConfigResource, ConfigResourceType, NewPartitions, NewTopic

from sparsewatch.schemas.accounts import Notice, PartitionState, ReaderState
from sparsewatch.schemas.errors import SourceError
from sparsewatch.schemas.jobs import KafkaSettings
from sparsewatch.transforms.kafka.client import Reader
from sparsewatch.transforms.kafka.open import open_reader
from sparsewatch.transforms.kafka.reader_start import settled
from sparsewatch.transforms.kafka.source_changes import record_at, without_lost
from sparsewatch.transforms.kafka.watching import Batch, Watcher
from tests.kit.services import KafkaBroker
from tests.kit.topics import create_topic, produce
from tests.kit.waiting import wait_for

Client = Literal["kafka-python", "confluent"]


@pytest.fixture(params=["kafka-python", "confluent"])
def settings(request: pytest.FixtureRequest, kafka_broker: KafkaBroker) -> KafkaSettings:
    client: Client = request.param
    if client == "confluent":
        pytest.importorskip("confluent_kafka", reason="needs the extra `confluent`")
    return KafkaSettings(bootstrap_servers=[kafka_broker.bootstrap], client=client, timeout="5s")


@pytest.fixture
def admin(kafka_broker: KafkaBroker) -> Iterator[KafkaAdminClient]:
    with closing(KafkaAdminClient(bootstrap_servers=kafka_broker.bootstrap)) as admin:
        yield admin


def topic_of(settings: KafkaSettings, what: str, partitions: int = 1, records: int = 0) -> str:
    topic = f"{what}-{settings.client}"
    create_topic(settings.bootstrap_servers[0], topic, partitions)
    send(settings, topic, records)
    return topic


def send(settings: KafkaSettings, topic: str, records: int, value: bytes = b"v%d") -> None:
    produce(settings.bootstrap_servers[0], topic, [(0, value % i) for i in range(records)])


def recreate(admin: KafkaAdminClient, reader: Reader, topic: str) -> None:
    admin.delete_topics([topic])
    wait_for(lambda: not reader.look().partitions, 20, "the topic is gone")
    admin.create_topics([NewTopic(topic, 1, 1)])
    wait_for(lambda: bool(reader.look().partitions), 20, "the topic is there again")


def read_to(reader: Reader, position: int, end: int) -> list[Batch]:
    """Batches from a position on, up to an end."""
    watcher, batches, deadline = Watcher(reader, {0: position}), list[Batch](), time.monotonic() + 30
    while position < end:
        assert time.monotonic() < deadline, f"at {position} of {end}"
        batch = watcher.batch(lambda: reader.fetch(0.2, 1000))
        batches.append(batch)
        position = max([position, *(run.next_offset for run in batch.fetched)])
    return batches


def test_a_topic_made_anew_has_another_id_and_is_settled(settings: KafkaSettings, admin: KafkaAdminClient) -> None:
    topic = topic_of(settings, "made-anew", records=30)
    with closing(open_reader(settings, topic, 1000)) as reader:
        first = reader.look()
        assert first == reader.look()
        assert len(first.topic_id) == 22
        recreate(admin, reader, topic)
        send(settings, topic, 50)
        state = ReaderState((PartitionState(0, 30, 5, 30, topic_id=first.topic_id),))
        reader.assign({0: 0})
        new = settled(reader, state)
    assert new.notices == (Notice("source_recreated", 0, 30, 0),)
    assert new.partitions[0].topic_id not in ("", first.topic_id)


def test_another_record_in_the_place_of_the_last_one_is_found(settings: KafkaSettings, admin: KafkaAdminClient) -> None:
    topic = topic_of(settings, "last-record", records=30)
    with closing(open_reader(settings, topic, 1000)) as reader:
        reader.assign({0: 0})
        last = record_at(read_to(reader, 0, 30)[-1].fetched[0], -1)
        same = ReaderState((PartitionState(0, 30, 5, 30, last=last),))
        assert settled(reader, same, closely=True).notices == ()
        recreate(admin, reader, topic)
        send(settings, topic, 50, b"other%d")
    # As on a broker that gives no ids.
    with closing(open_reader(settings, topic, 1000)) as reader:
        reader.assign({0: 0})
        [notice] = settled(reader, same, closely=True).notices
    assert notice == Notice("source_recreated", 0, 30, 0)


def test_added_partitions_are_seen_and_a_missing_topic_is_none(
    settings: KafkaSettings, admin: KafkaAdminClient
) -> None:
    topic = topic_of(settings, "added", 1)
    with closing(open_reader(settings, topic, 1000)) as reader:
        before = reader.look()
        admin.create_partitions({topic: NewPartitions(3)})
        wait_for(lambda: reader.look().partitions == (0, 1, 2), 20, "the partitions are there")
        assert reader.look().topic_id == before.topic_id
    with closing(open_reader(settings, f"{topic}-missing", 1000)) as reader:
        assert reader.look().partitions == ()
    with (
        closing(open_reader(settings, "no topic's name", 1000)) as reader,
        pytest.raises(SourceError, match="describe"),
    ):
        reader.look()


def test_records_deleted_while_they_are_read_are_lost(settings: KafkaSettings, admin: KafkaAdminClient) -> None:
    topic = topic_of(settings, "deleted", records=30)
    with closing(open_reader(settings, topic, 1000)) as reader:
        reader.assign({0: 0})
        read_to(reader, 0, 30)
        send(settings, topic, 30)
        admin.delete_records({TopicPartition(topic, 0): 50})
        reader.assign({0: 30})
        batches = read_to(reader, 30, 60)
    state = ReaderState((PartitionState(0, 30, 5, 30),))
    lost = [without_lost(state, batch.fetched, batch.begin).lost for batch in batches if batch.fetched]
    assert lost[0] == 20
    read = [offset for batch in batches for run in batch.fetched for offset in run.offsets]
    assert read == list(range(50, 60))


def test_a_compacted_topic_is_read_to_its_end_and_its_gaps_are_not_lost(
    settings: KafkaSettings, admin: KafkaAdminClient
) -> None:
    admin.alter_configs([ConfigResource(ConfigResourceType.BROKER, "1", {"log.cleaner.backoff.ms": "200"})])
    topic = f"gaps-{settings.client}"
    # A segment for each batch, since the one that is written to is never compacted.
    compacted = {"cleanup.policy": "compact", "segment.ms": "1", "min.cleanable.dirty.ratio": "0.01"}
    admin.create_topics([NewTopic(topic, 1, 1, topic_configs=compacted)])
    for _ in range(4):
        produce(settings.bootstrap_servers[0], topic, [(0, b"v")] * 10, key=b"k")
        produce(settings.bootstrap_servers[0], topic, [(0, None)], key=b"gone")
    with closing(open_reader(settings, topic, 1000)) as reader:

        def batches() -> list[Batch]:
            reader.assign({0: 5})
            return read_to(reader, 5, 44)

        def records() -> int:
            return sum(len(run.offsets) for batch in batches() for run in batch.fetched)

        wait_for(lambda: records() < 30, 60, "some records are compacted away")
        state = ReaderState((PartitionState(0, 5, 5, 5),))
        for batch in batches():
            assert without_lost(state, batch.fetched, batch.begin).lost == 0
