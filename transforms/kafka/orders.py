"""Orders of people to a job, in a compacted topic: the job reads on in it, commands read it whole and add to it.

The key of an order is `job/id`; an order is written once, and removed when there are too many.
"""

import logging
from collections.abc import Iterator, Mapping

import msgspec

from sparsewatch.schemas.errors import StateError
from sparsewatch.schemas.jobs import JobIdentity
from sparsewatch.schemas.orders import ORDER, Order, in_force, in_turn
from sparsewatch.transforms.kafka.client import Writer
from sparsewatch.transforms.kafka.compacted import Compacted

_logger = logging.getLogger(__name__)
_MAX_RECORD_BYTES = 1 << 20


class OrderBook:
    """The orders of a job, as far as they were read; connects at the first look.

    Args:
        job: The job.
    """

    def __init__(self, job: JobIdentity) -> None:
        self._job = job
        self._records = Compacted(job.kafka, job.topics.orders, _MAX_RECORD_BYTES, prefix=_prefix(job.job))
        #: As they lie in the topic.
        self._values: dict[bytes, bytes] = {}
        self._orders: tuple[Order, ...] = ()

    def look(self) -> None:
        """Read orders that were given since the last look.

        Raises:
            SourceError: If the broker does not answer.
        """
        values = self._records.now()
        if values != self._values:
            self._values, self._orders = values, in_turn(_parsed(values))

    def all(self) -> tuple[Order, ...]:
        """All orders, in turn."""
        return self._orders

    def in_force(self, start_us: int) -> tuple[Order, ...]:
        """The orders that act on the window that starts then, in turn."""
        return in_force(self._orders, start_us, self._job.compares)

    def close(self) -> None:
        """Close the connection; a later look reads from the beginning."""
        self._records.close()
        self._values, self._orders = {}, ()


def _parsed(values: Mapping[bytes, bytes]) -> Iterator[Order]:
    for key, value in values.items():
        try:
            yield ORDER.parse(value, Order)
        except StateError as error:
            _logger.warning("the record %r of the topic of orders is left out: %s", key, error)


def read_orders(job: JobIdentity) -> tuple[Order, ...]:
    """All orders of a job, in turn.

    Raises:
        SourceError: If the broker does not answer.
    """
    book = OrderBook(job)
    try:
        book.look()
        return book.all()
    finally:
        book.close()


def send_order(order: Order, job: JobIdentity, writer: Writer) -> None:
    """Send an order; the caller flushes."""
    writer.send(job.topics.orders, _prefix(job.job) + order.id.encode(), msgspec.json.encode(order))


def send_removal(order: Order, job: JobIdentity, writer: Writer) -> None:
    """Send the removal of an order; the caller flushes."""
    writer.send(job.topics.orders, _prefix(job.job) + order.id.encode(), None)


def _prefix(job: str) -> bytes:
    return f"{job}/".encode()
