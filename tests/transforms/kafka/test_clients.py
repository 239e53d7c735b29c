"""Both clients on a real broker: what a reader returns of a topic that others write in their own ways."""

import time
from typing import Literal

import pytest
from kafka import KafkaProducer

from sparsewatch.schemas.jobs import KafkaSettings
from sparsewatch.transforms.kafka.open import open_reader
from tests.kit.services import KafkaBroker
from tests.kit.topics import create_topic


@pytest.mark.parametrize("client", ["kafka-python", "confluent"])
@pytest.mark.parametrize("max_records", [1, 100])
def test_a_topic_written_in_transactions_is_read_to_its_very_end(
    kafka_broker: KafkaBroker, client: Literal["kafka-python", "confluent"], max_records: int
) -> None:
    if client == "confluent":
        pytest.importorskip("confluent_kafka", reason="needs the extra `confluent`")
    topic = f"transactions-{client}-{max_records}"
    create_topic(kafka_broker.bootstrap, topic, 2)
    producer = KafkaProducer(bootstrap_servers=kafka_broker.bootstrap, transactional_id=topic)
    producer.init_transactions()
    for _ in range(3):
        producer.begin_transaction()
        for i in range(4):
            producer.send(topic, value=b"v", partition=i % 2)
        producer.commit_transaction()
    producer.close()

    reader = open_reader(KafkaSettings(bootstrap_servers=[kafka_broker.bootstrap], client=client), topic, 1000)
    reader.assign({0: 0, 1: 0})
    ends, reached = reader.end_offsets(), {0: 0, 1: 0}
    offsets: dict[int, list[int]] = {0: [], 1: []}
    deadline = time.monotonic() + 20
    while reached != ends and time.monotonic() < deadline:
        for fetched in reader.fetch(0.2, max_records):
            assert fetched.next_offset > reached[fetched.partition]
            reached[fetched.partition] = fetched.next_offset
            offsets[fetched.partition] += fetched.offsets
    reader.close()
    assert reached == ends == {0: 9, 1: 9}  # a marker behind each of three pairs of records
    assert offsets == {p: [0, 1, 3, 4, 6, 7] for p in (0, 1)}
