"""Both clients on a real broker: what a reader returns of a topic that others write in their own ways."""

import time
from contextlib import closing
from pathlib import Path
from typing import Literal

import pytest
from kafka import KafkaProducer

from sparsewatch.pipelines.job.job_file import load_job
from sparsewatch.pipelines.run.run import load_job_progress, run_job
from sparsewatch.schemas.accounts import Account
from sparsewatch.schemas.errors import SinkError
from sparsewatch.schemas.jobs import KafkaSettings
from sparsewatch.testing import EmbeddedBroker
from sparsewatch.transforms.kafka.open import open_reader, open_writer
from tests.kit.job_files import write_click_job
from tests.kit.services import KafkaBroker
from tests.kit.topics import create_topic, read_all


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
            offsets[fetched.partition] += fetched.offsets.tolist()
    reader.close()
    assert reached == ends == {0: 9, 1: 9}  # a marker behind each of three pairs of records
    assert offsets == {p: [0, 1, 3, 4, 6, 7] for p in (0, 1)}


@pytest.mark.parametrize("client", ["kafka-python", "confluent"])
def test_a_bounded_run_ends_behind_the_last_batch_where_the_broker_states_its_start(
    embedded_broker: EmbeddedBroker, client: Literal["kafka-python", "confluent"], tmp_path: Path
) -> None:
    if client == "confluent":
        pytest.importorskip("confluent_kafka", reason="needs the extra `confluent`")
    topic = f"one-batch-{client}"
    create_topic(embedded_broker.bootstrap, topic)
    with closing(KafkaProducer(bootstrap_servers=embedded_broker.bootstrap, linger_ms=200)) as producer:
        for i in range(60):
            producer.send(topic, value=b'{"t": %d, "ad": 1, "label": %d}' % (1_767_225_600_000 + 100 * i, i % 2))
    columns = {"ad": "int", "label": "int"}
    job_file = write_click_job(tmp_path, embedded_broker.bootstrap, topic, columns)
    job = load_job(job_file, [f"kafka.client={client}"])
    run_job(job, "latest", "inprocess")
    progress = load_job_progress(job)
    assert progress is not None
    assert progress.totals == Account(counted=60)


@pytest.mark.parametrize("client", ["kafka-python", "confluent"])
def test_a_record_that_the_topic_does_not_take_is_refused_by_name_and_the_others_are_written(
    kafka_broker: KafkaBroker, client: Literal["kafka-python", "confluent"]
) -> None:
    if client == "confluent":
        pytest.importorskip("confluent_kafka", reason="needs the extra `confluent`")
    topic = f"small-{client}"
    create_topic(kafka_broker.bootstrap, topic, max_bytes=10_000)
    with closing(open_writer(KafkaSettings(bootstrap_servers=[kafka_broker.bootstrap], client=client))) as writer:
        for size in (100, 50_000, 100):
            writer.send(topic, None, b"v" * size)
        with pytest.raises(SinkError, match=f"'{topic}' refused a record: .*raise its max.message.bytes"):
            writer.flush()
        writer.send(topic, None, b"later")
        writer.flush()
    values = [record.value for record in read_all(kafka_broker.bootstrap, topic)]
    assert values[-1] == b"later"
    # A client that had the large record in one batch with others may have lost these: who is refused sends them again.
    assert set(values[:-1]) <= {b"v" * 100}


@pytest.mark.parametrize("client", ["kafka-python", "confluent"])
def test_more_records_than_the_topic_takes_as_one_are_written_in_parts(
    kafka_broker: KafkaBroker, client: Literal["kafka-python", "confluent"]
) -> None:
    if client == "confluent":
        pytest.importorskip("confluent_kafka", reason="needs the extra `confluent`")
    topic = f"batches-{client}"
    create_topic(kafka_broker.bootstrap, topic, max_bytes=200_000)
    with closing(open_writer(KafkaSettings(bootstrap_servers=[kafka_broker.bootstrap], client=client))) as writer:
        for i in range(50):
            writer.send(topic, None, b"%05d" % i + b"v" * 20_000)
        writer.flush()
    assert [(r.value or b"")[:5] for r in read_all(kafka_broker.bootstrap, topic)] == [b"%05d" % i for i in range(50)]
