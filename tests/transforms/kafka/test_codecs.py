"""Topics compressed in every way that Kafka knows, by two kinds of producer, and both clients that read them."""

import random
from collections.abc import Callable
from typing import Literal

import pytest
from kafka import KafkaProducer

from sparsewatch.schemas.jobs import KafkaSettings
from sparsewatch.transforms.kafka.fetching import until_ends
from sparsewatch.transforms.kafka.open import open_reader
from tests.kit.services import KafkaBroker
from tests.kit.topics import create_topic

confluent_kafka = pytest.importorskip("confluent_kafka", reason="needs the extra `confluent`")

_CODECS = ("gzip", "snappy", "lz4", "zstd")


def _values(codec: str) -> list[bytes]:
    # Small ones, one that codecs spread over several blocks, and one that cannot be compressed.
    return [f"{codec} {i}".encode() for i in range(50)] + [b"a" * 3_000_000, random.Random(codec).randbytes(300_000)]


def _by_kafka_python(bootstrap: str, topic: str, codec: str) -> None:
    producer = KafkaProducer(
        bootstrap_servers=bootstrap, compression_type=codec, linger_ms=20, max_request_size=8 << 20
    )
    sent = [producer.send(topic, value=value) for value in _values(codec)]
    producer.flush()
    producer.close()
    for future in sent:
        future.get(timeout=0)


def _by_librdkafka(bootstrap: str, topic: str, codec: str) -> None:
    producer = confluent_kafka.Producer(
        {"bootstrap.servers": bootstrap, "compression.type": codec, "linger.ms": 20, "message.max.bytes": 8 << 20}
    )
    for value in _values(codec):
        producer.produce(topic, value)
    assert producer.flush(20) == 0


@pytest.mark.parametrize("write", [_by_kafka_python, _by_librdkafka])
def test_topics_of_every_codec_are_read_by_both_clients(
    kafka_broker: KafkaBroker, write: Callable[[str, str, str], None]
) -> None:
    topic = f"codecs-{write.__name__}"
    create_topic(kafka_broker.bootstrap, topic)
    for codec in _CODECS:
        write(kafka_broker.bootstrap, topic, codec)
    expected = [value for codec in _CODECS for value in _values(codec)]
    assert _read(kafka_broker.bootstrap, topic, "kafka-python") == expected
    assert _read(kafka_broker.bootstrap, topic, "confluent") == expected


def _read(bootstrap: str, topic: str, client: Literal["kafka-python", "confluent"]) -> list[bytes | None]:
    reader = open_reader(KafkaSettings(bootstrap_servers=[bootstrap], client=client), topic, 4 << 20)
    reader.assign({0: 0})
    values = [value for run in until_ends(reader, topic, {0: 0}, reader.end_offsets()) for value in run.values]
    reader.close()
    return values
