"""Both clients give the same of a topic; kafka-python in columns and, where it must be, record by record."""

import random
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from kafka import KafkaProducer
from kafka.record import MemoryRecords
from kafka.record.default_records import DefaultRecordBatch

from sparsewatch.schemas.jobs import KafkaSettings
from sparsewatch.transforms.kafka import column_reading, record_walk
from sparsewatch.transforms.kafka.client import Reader
from sparsewatch.transforms.kafka.open import open_reader
from sparsewatch.transforms.kafka.record_walk import walk_in_python
from sparsewatch.transforms.records import Packed
from tests.kit.services import KafkaBroker
from tests.kit.topics import create_topic
from tests.kit.transactions import Transaction

_CODECS = (None, "gzip", "snappy", "lz4", "zstd")


def _fill(bootstrap: str, topic: str) -> None:
    """Two partitions: each codec, no value, keys, headers, and transactions of either end between them."""
    create_topic(bootstrap, topic, 2)
    rng = random.Random(7)
    for codec in _CODECS:
        producer = KafkaProducer(bootstrap_servers=bootstrap, compression_type=codec, linger_ms=20, batch_size=3_000)
        for i in range(60):
            headers = [("name", b"%d" % i), ("none", b"")] if i % 7 == 0 else []
            value = None if i % 9 == 0 else b"value" * rng.randrange(60)
            producer.send(topic, value, None if i % 3 else b"key %d" % i, headers, i % 2, 1_000 + i)
        producer.flush()
        producer.close()
        for end in (Transaction.commit, Transaction.abort) if codec in (None, "lz4") else ():
            transaction = Transaction(bootstrap, topic, f"{topic}-{codec}-{end.__name__}")
            transaction.write([b"of a transaction"] * 3)
            end(transaction)


@contextmanager
def _reading(bootstrap: str, topic: str, **more: Any) -> Iterator[Reader]:
    reader = open_reader(KafkaSettings(bootstrap_servers=[bootstrap], **more), topic, 1 << 20)
    try:
        yield reader
    finally:
        reader.close()


def _all(reader: Reader, begin: int, max_records: int) -> tuple[dict[int, list[Any]], bool]:
    """Records of each partition with all they hold, and where reading stood behind each; whether they were columns."""
    reader.assign({0: begin, 1: begin})
    ends = reader.end_offsets()
    found: dict[int, list[Any]] = {0: [], 1: []}
    packed: set[bool] = set()
    reached = dict.fromkeys(ends, begin)
    while reached != ends:
        runs = reader.fetch(0.5, max_records)
        assert sum(map(len, runs)) <= max_records
        for run in runs:
            fields = zip(run.offsets.tolist(), run.timestamps_ms.tolist(), run.values, strict=True)
            found[run.partition] += [(*one, run.keys(i), list(run.headers_at(i))) for i, one in enumerate(fields)]
            reached[run.partition] = run.next_offset
            packed |= {isinstance(run.values, Packed)} if len(run) else set()
    [is_packed] = packed
    return found, is_packed


@pytest.fixture(scope="module")
def filled(kafka_broker: KafkaBroker) -> tuple[str, str]:
    _fill(kafka_broker.bootstrap, "columns")
    return kafka_broker.bootstrap, "columns"


@pytest.mark.parametrize("isolation", ["read_committed", "read_uncommitted"])
def test_columns_and_records_are_the_same(
    filled: tuple[str, str], isolation: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    with _reading(*filled, isolation_level=isolation) as reader:
        columns, is_packed = _all(reader, 0, 10_000)
        assert is_packed
        assert [len(records) for records in columns.values()] == (
            [156, 150] if isolation == "read_committed" else [162, 150]
        )
        assert _all(reader, 0, 7) == (columns, True)
        later, _ = _all(reader, 77, 10_000)
    monkeypatch.setattr(column_reading, "can_read_columns", lambda: False)
    with _reading(*filled, isolation_level=isolation) as reader:
        assert _all(reader, 0, 10_000) == (columns, False)
        assert _all(reader, 0, 7) == (columns, False)
        assert _all(reader, 77, 10_000) == (later, False)


@pytest.mark.parametrize("together", [500, 20])
def test_confluent_gives_the_same_however_many_records_it_takes_together(
    filled: tuple[str, str], together: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    confluent = pytest.importorskip("sparsewatch.transforms.kafka.confluent", reason="needs the extra `confluent`")
    monkeypatch.setattr(confluent, "_TOGETHER", together)
    with _reading(*filled) as reader:
        records, _ = _all(reader, 0, 10_000)
    with _reading(*filled, client="confluent") as reader:
        for max_records in (10_000, 50, 7):
            assert _all(reader, 0, max_records) == (records, False)


@pytest.fixture
def _unasked() -> Iterator[None]:
    column_reading.can_read_columns.cache_clear()
    yield
    column_reading.can_read_columns.cache_clear()


@pytest.mark.usefixtures("_unasked")
def test_this_kafka_python_is_read_in_columns() -> None:
    assert column_reading.can_read_columns()


@pytest.mark.usefixtures("_unasked")
@pytest.mark.parametrize(("kind", "name"), [(DefaultRecordBatch, "_maybe_uncompress"), (MemoryRecords, "_cache_next")])
def test_a_kafka_python_without_what_is_used_of_it_is_read_record_by_record(
    kind: type, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delattr(kind, name)
    assert not column_reading.can_read_columns()


@pytest.mark.usefixtures("_unasked")
def test_a_kafka_python_that_counts_offsets_otherwise_is_read_record_by_record(monkeypatch: pytest.MonkeyPatch) -> None:
    def walk_one_further(*args: Any) -> tuple[int, int]:
        data, at, end, offset, *rest = args
        return walk_in_python(data, at, end, offset + 1, *rest)

    monkeypatch.setattr(record_walk, "walk", walk_one_further)
    assert not column_reading.can_read_columns()
