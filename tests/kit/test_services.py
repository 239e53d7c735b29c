"""The kit's own services: they start where they say, carry records, and leave nothing behind."""

import pytest
from kafka import KafkaAdminClient, KafkaConsumer, KafkaProducer, TopicPartition
from kafka.admin import NewTopic
from kafka.consumer.fetcher import ConsumerRecord

from sparsewatch.schemas.errors import ConfigError
from sparsewatch.testing import EmbeddedBroker
from sparsewatch.testing.child_process import port_answers
from tests.kit.services import KafkaBroker

RECORD = {"key": b"k", "value": b"v", "headers": [("h", b"1"), ("h", b"2")]}
EVENT_MS = 1_700_000_000_123


def _create(bootstrap: str, topic: str, partitions: int = 1) -> None:
    client = KafkaAdminClient(bootstrap_servers=bootstrap)
    client.create_topics([NewTopic(topic, partitions, 1)])
    client.close()


def _produce(bootstrap: str, topic: str, value: bytes = b"v") -> int:
    producer = KafkaProducer(bootstrap_servers=bootstrap, max_request_size=20_000_000)
    record = {**RECORD, "value": value}
    offset = producer.send(topic, partition=0, timestamp_ms=EVENT_MS, **record).get(20).offset
    producer.close()
    return int(offset)


def _consume(bootstrap: str, topic: str) -> list[ConsumerRecord]:
    consumer = KafkaConsumer(bootstrap_servers=bootstrap, group_id=None)
    partition = TopicPartition(topic, 0)
    consumer.assign([partition])
    consumer.seek_to_beginning(partition)
    records: list[ConsumerRecord] = consumer.poll(10_000).get(partition, [])
    consumer.close()
    return records


def _assert_carries_a_record(bootstrap: str, topic: str) -> None:
    _create(bootstrap, topic)
    assert _produce(bootstrap, topic) == 0
    (record,) = _consume(bootstrap, topic)
    assert (record.key, record.value, record.headers) == tuple(RECORD.values())
    assert (record.offset, record.timestamp) == (0, EVENT_MS)


def test_kafka_carries_a_record_with_headers_and_time(kafka_broker: KafkaBroker) -> None:
    _assert_carries_a_record(kafka_broker.bootstrap, "kit-carries")


def test_embedded_broker_carries_a_record_with_headers_and_time(
    embedded_broker: EmbeddedBroker,
) -> None:
    _assert_carries_a_record(embedded_broker.bootstrap, "kit-carries")


def test_kafka_takes_a_record_of_fifteen_megabytes(kafka_broker: KafkaBroker) -> None:
    _create(kafka_broker.bootstrap, "kit-large")
    assert _produce(kafka_broker.bootstrap, "kit-large", b"x" * 15_000_000) == 0


@pytest.mark.slow
def test_second_kafka_takes_other_ports_and_settings_and_survives_a_kill(
    kafka_broker: KafkaBroker,
) -> None:
    with KafkaBroker({"num.partitions": "3", "auto.create.topics.enable": "true"}) as second:
        assert second.port != kafka_broker.port
        assert _produce(second.bootstrap, "made-by-send") == 0
        second.kill()
        assert not second.running
        second.start()
        (record,) = _consume(second.bootstrap, "made-by-send")
        assert record.value == RECORD["value"]
        folder = second.folder
    assert not second.running
    assert not port_answers(second.port)
    assert not folder.exists()
    assert kafka_broker.running


def test_broken_kafka_setting_fails_with_the_brokers_own_words(kafka_broker: KafkaBroker) -> None:
    broken = KafkaBroker({"message.max.bytes": "many"})
    with pytest.raises(AssertionError, match=r"message\.max\.bytes"), broken:
        pass
    assert not broken.folder.exists()


@pytest.mark.broker
def test_embedded_broker_leaves_when_stopped() -> None:
    with EmbeddedBroker() as first, EmbeddedBroker() as second:
        assert first.port != second.port
        assert first.running
        assert second.running
    assert not port_answers(first.port)
    assert not port_answers(second.port)


def test_embedded_broker_refuses_a_taken_port(embedded_broker: EmbeddedBroker) -> None:
    with pytest.raises(ConfigError, match=f"port {embedded_broker.port} free"):
        EmbeddedBroker(port=embedded_broker.port).start()
