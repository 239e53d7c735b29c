"""The orders of a job in their topic: read on, taken back, and none of another job's."""

from collections.abc import Iterator

import msgspec
import pytest

from sparsewatch.schemas.jobs import JobIdentity, Topics
from sparsewatch.schemas.orders import Order, identified
from sparsewatch.testing import FakeBroker
from sparsewatch.transforms.kafka.orders import OrderBook, read_orders, send_order, send_removal

TOPICS = Topics(source="t", prefix="shared")


@pytest.fixture
def broker() -> Iterator[FakeBroker]:
    with FakeBroker() as broker:
        yield broker


def job(broker: FakeBroker, name: str = "j") -> JobIdentity:
    return JobIdentity(job=name, settings_digest="d", kafka=broker.settings, topics=TOPICS)


def order(at_us: int, name: str = "j") -> Order:
    return identified(Order(job=name, verb="ack", by="ada", at_us=at_us, from_us=10 * at_us))


def send(broker: FakeBroker, *orders: Order) -> None:
    writer = broker.writer()
    for one in orders:
        send_order(one, job(broker, one.job), writer)
    writer.flush()


def test_orders_are_found_as_they_are_given(broker: FakeBroker) -> None:
    book = OrderBook(job(broker))
    book.look()
    assert book.all() == ()
    broker.create(TOPICS.orders)
    send(broker, order(2), order(1), order(3, "j2"))
    book.look()
    assert book.all() == (order(1), order(2))
    assert book.in_force(15) == (order(1),)
    send(broker, order(5))
    book.look()
    assert book.in_force(50) == (order(1), order(2), order(5)) == read_orders(job(broker))
    assert read_orders(job(broker, "j2")) == (order(3, "j2"),)


def test_an_order_that_was_removed_is_forgotten_also_where_the_topic_was_made_anew(broker: FakeBroker) -> None:
    broker.create(TOPICS.orders)
    send(broker, order(1), order(2))
    book = OrderBook(job(broker))
    book.look()
    writer = broker.writer()
    send_removal(order(1), job(broker), writer)
    writer.flush()
    book.look()
    assert book.all() == (order(2),)
    broker.recreate(TOPICS.orders)
    book.look()
    assert book.all() == ()


def test_a_record_that_is_no_order_is_left_out(broker: FakeBroker, caplog: pytest.LogCaptureFixture) -> None:
    broker.create(TOPICS.orders)
    writer = broker.writer()
    writer.send(TOPICS.orders, b"j/x", b"{}")
    writer.send(TOPICS.orders, b"j/y", msgspec.json.encode({"verb": "explode"}))
    writer.flush()
    send(broker, order(1))
    assert read_orders(job(broker)) == (order(1),)
    assert caplog.text.count("is left out") == 2
