"""Both clients on topics that others write in transactions: committed, aborted and open ones, interleaved."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Literal

import pytest

from sparsewatch.schemas.jobs import KafkaSettings
from sparsewatch.testing import SimulatedClock
from sparsewatch.transforms.kafka.client import Reader
from sparsewatch.transforms.kafka.compacted import Compacted
from sparsewatch.transforms.kafka.fetching import IdleClock, until_ends
from sparsewatch.transforms.kafka.open import open_reader
from tests.kit.services import KafkaBroker
from tests.kit.topics import create_topic, produce
from tests.kit.transactions import Transaction

Client = Literal["kafka-python", "confluent"]
_CLIENTS = pytest.mark.parametrize("client", ["kafka-python", "confluent"])


def _settings(broker: KafkaBroker, client: Client, **more: Any) -> KafkaSettings:
    return KafkaSettings(bootstrap_servers=[broker.bootstrap], client=client, **more)


@contextmanager
def _reading(settings: KafkaSettings, topic: str, position: int = 0) -> Iterator[Reader]:
    reader = open_reader(settings, topic, 1 << 20)
    try:
        reader.assign({0: position})
        yield reader
    finally:
        reader.close()


def _all(reader: Reader, topic: str, position: int = 0) -> list[bytes | None]:
    """Records up to the end, which must be reached."""
    ends = reader.end_offsets()
    runs = list(until_ends(reader, topic, {0: position}, ends))
    assert not runs or runs[-1].next_offset == ends[0]
    return [value for run in runs for value in run.values]


def _interleaved(broker: KafkaBroker, topic: str) -> Transaction:
    """Plain, committed and aborted records in turn; the transaction returned is left open, plain ones behind it."""
    create_topic(broker.bootstrap, topic)
    plain = [b"plain"] * 2
    produce(broker.bootstrap, topic, [(0, value) for value in plain])
    kept, dropped = (Transaction(broker.bootstrap, topic, f"{topic}-{what}") for what in ("kept", "dropped"))
    for _ in range(2):
        kept.write([b"kept"] * 3)
        dropped.write([b"dropped"] * 3)
    produce(broker.bootstrap, topic, [(0, value) for value in plain])
    dropped.abort()
    kept.commit()
    still_open = Transaction(broker.bootstrap, topic, f"{topic}-open")
    still_open.write([b"open"] * 2)
    produce(broker.bootstrap, topic, [(0, b"behind")])
    return still_open


@_CLIENTS
def test_aborted_records_are_not_read_and_an_open_transaction_is_the_end(
    kafka_broker: KafkaBroker, client: Client
) -> None:
    topic = f"interleaved-{client}"
    still_open = _interleaved(kafka_broker, topic)
    with _reading(_settings(kafka_broker, client), topic) as reader:
        assert _all(reader, topic) == [b"plain"] * 2 + [b"kept"] * 6 + [b"plain"] * 2
        [end] = reader.end_offsets().values()
        still_open.commit()
        # The same reader goes on; the marker behind the records is an offset, too.
        assert _all(reader, topic, end) == [b"open"] * 2 + [b"behind"]
        assert reader.end_offsets() == {0: end + 4}


@_CLIENTS
def test_what_stood_behind_a_transaction_is_read_when_that_is_aborted(
    kafka_broker: KafkaBroker, client: Client
) -> None:
    topic = f"aborted-at-last-{client}"
    still_open = _interleaved(kafka_broker, topic)
    with _reading(_settings(kafka_broker, client), topic) as reader:
        [end] = reader.end_offsets().values()
        reader.assign({0: end})
        assert reader.fetch(0.2, 100) == []
        still_open.abort()
        assert _all(reader, topic, end) == [b"behind"]


@_CLIENTS
@pytest.mark.parametrize("position", [0, 1])
def test_a_topic_that_ends_with_an_aborted_transaction_is_read_to_its_end(
    kafka_broker: KafkaBroker, client: Client, position: int
) -> None:
    topic = f"all-aborted-{client}-{position}"
    create_topic(kafka_broker.bootstrap, topic)
    transaction = Transaction(kafka_broker.bootstrap, topic, topic)
    transaction.write([b"dropped"] * 3)
    transaction.abort()
    with _reading(_settings(kafka_broker, client), topic, position) as reader:
        assert reader.end_offsets() == {0: 4}
        assert _all(reader, topic, position) == []


@_CLIENTS
def test_uncommitted_records_are_read_if_the_settings_ask_for_them(kafka_broker: KafkaBroker, client: Client) -> None:
    topic = f"uncommitted-{client}"
    _interleaved(kafka_broker, topic)
    settings = _settings(kafka_broker, client, isolation_level="read_uncommitted")
    with _reading(settings, topic) as reader:
        values = _all(reader, topic)
    assert set(values) == {b"behind", b"dropped", b"kept", b"open", b"plain"}
    assert len(values) == 2 + 12 + 2 + 3


@_CLIENTS
def test_an_open_transaction_does_not_hold_a_partition_awake(kafka_broker: KafkaBroker, client: Client) -> None:
    topic = f"idle-{client}"
    _interleaved(kafka_broker, topic)
    clock = SimulatedClock(start_us=0)
    idle, position = IdleClock(clock), 0
    since: dict[int, int] = {}
    with _reading(_settings(kafka_broker, client), topic) as reader:
        while not since and clock() < 100:
            arrived = {run.partition: run.next_offset for run in reader.fetch(0.1, 100)}
            position = arrived.get(0, position)
            since = idle.idle_us({0: position}, reader, arrived, 3_000_000)
            clock.advance(1)
    assert list(since) == [0]


def test_state_written_in_transactions_is_read_back_without_aborted_and_open_ones(kafka_broker: KafkaBroker) -> None:
    topic = "state"
    create_topic(kafka_broker.bootstrap, topic)
    for i, close in enumerate((Transaction.commit, Transaction.abort)):
        transaction = Transaction(kafka_broker.bootstrap, topic, f"{topic}-{i}")
        transaction.write([b"%d" % i], key=b"key")
        close(transaction)
    still_open = Transaction(kafka_broker.bootstrap, topic, f"{topic}-2")
    still_open.write([b"2"], key=b"key")
    with Compacted(_settings(kafka_broker, "confluent"), topic, 1 << 20) as state:
        assert state.newest() == {b"key": b"0"}
        still_open.commit()
        assert dict(state.changes()) == {b"key": b"2"}
