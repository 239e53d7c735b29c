"""Follows a compacted topic for as long as a process runs, through outages of its broker and a topic made anew."""

import logging
import threading
import time
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Protocol

import msgspec

from sparsewatch.schemas.errors import AccessError, ConfigError, SourceError
from sparsewatch.schemas.jobs import KafkaSettings
from sparsewatch.transforms.kafka.compacted import Compacted
from sparsewatch.transforms.kafka.presence import broker_at

_logger = logging.getLogger(__name__)
_FETCH_S = 0.5
#: Bytes that a broker is asked for at once. It gives a record that is larger all the same (KIP-74), and whoever follows
#: many topics has memory for little of each.
_FETCH_BYTES = 4 << 20

#: Keys and values; None removes a key.
Records = Iterable[tuple[bytes, bytes | None]]


@dataclass(frozen=True)
class Patience:
    """How long a follower waits for its broker."""

    #: A quiet topic looks like a broker that is away: at this interval the broker is asked something it must answer.
    check_s: float = 5.0
    #: Until an answer is given up, a duration.
    timeout: str = "10s"
    #: Between tries to read the topic; the last wait is repeated.
    retry_s: tuple[float, ...] = (0.5, 1.0, 2.0)


PATIENCE = Patience()


class Sink(Protocol):
    """Takes what a topic holds."""

    def begin(self, records: Records) -> None:
        """All that the topic holds now, at first and whenever it is read from its beginning again."""

    def take(self, records: Records) -> None:
        """What followed, if anything did."""

    def seen(self) -> None:
        """The broker answered: nothing else followed."""

    def lost(self) -> None:
        """The topic cannot be read now."""


class TopicFollower:
    """Follows one topic; `follow` is meant for a thread of its own.

    Args:
        kafka: The broker; it may be away, at first and later.
        topic: The compacted topic; it may be made later.
        max_bytes: Largest record to expect.
        sink: Takes what it holds.
        patience: How long it waits for the broker.
    """

    def __init__(
        self, kafka: KafkaSettings, topic: str, max_bytes: int, sink: Sink, patience: Patience = PATIENCE
    ) -> None:
        self._kafka = msgspec.structs.replace(kafka, timeout=patience.timeout)
        self._topic = topic
        self._max_bytes = max_bytes
        self._sink = sink
        self._patience = patience
        #: Tries in a row that failed.
        self.failures = 0
        #: Whether it was read once.
        self.has_read = False
        #: Why the broker refuses us, before anything was read.
        self.refused: Exception | None = None
        #: What was logged last of why the topic cannot be read, until it can.
        self._said = ""

    def follow(self, stop: threading.Event) -> None:
        """Read until told to stop."""
        while not stop.is_set():
            try:
                self._read(stop)
            except Exception as error:  # noqa: BLE001  whatever a client raises: a thread that ended would say it is up
                if stop.is_set():
                    # What is read for may be closed by now.
                    return
                self._sink.lost()
                self._say(error)
                waits = self._patience.retry_s
                stop.wait(waits[min(self.failures, len(waits) - 1)])
                self.failures += 1

    def _say(self, error: Exception) -> None:
        if isinstance(error, AccessError | ConfigError) and not self.has_read:
            self.refused = error
        if str(error) != self._said and not any(broker_at(b).is_away for b in self._kafka.bootstrap_servers):
            _logger.warning("topic %r cannot be read, tried again until it can: %s", self._topic, error)
            self._said = str(error)

    def _read(self, stop: threading.Event) -> None:
        with Compacted(self._kafka, self._topic, min(self._max_bytes, _FETCH_BYTES)) as records:
            if not records.is_there:
                raise SourceError("the broker has no such topic yet")
            self._sink.begin(records.changes())
            self.failures = 0
            self.has_read = True
            if self._said:
                _logger.warning("topic %r is read again", self._topic)
                self._said = ""
            self._read_on(records, stop)

    def _read_on(self, records: Compacted, stop: threading.Event) -> None:
        checked = time.monotonic()
        while not stop.is_set():
            self._sink.take(records.arrivals(_FETCH_S))
            if time.monotonic() - checked >= self._patience.check_s:
                records.check_ends()
                self._sink.seen()
                checked = time.monotonic()


class Refusable(Protocol):
    """Follows something that a broker may refuse."""

    @property
    def refused(self) -> Exception | None:
        """Why it does, before anything was read."""


def first_refusal(followers: Iterable[Refusable]) -> Exception | None:
    """Why a broker refuses one of several; None if none is refused."""
    return next((refused for one in followers if (refused := one.refused) is not None), None)
