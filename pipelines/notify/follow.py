"""Follows the incidents of jobs and keeps informed whoever is told of them.

Each topic is read and each receiver is sent to in a thread of its own, so that one that hangs delays no other.
"""

import logging
import threading
import time
from collections.abc import Callable, Sequence
from types import TracebackType
from typing import Protocol, Self

from sparsewatch.pipelines.console.stopping import join_until
from sparsewatch.pipelines.notify.alertmanager import Alertmanager
from sparsewatch.pipelines.notify.outbox import Outbox
from sparsewatch.pipelines.notify.tally import Tallied, Tally
from sparsewatch.pipelines.records.reading import Record, read_record, standing
from sparsewatch.schemas.errors import SparsewatchError
from sparsewatch.transforms.kafka.follow_topic import Records, TopicFollower, first_refusal

_logger = logging.getLogger(__name__)
#: Between two looks at what is due; between two tries after one that failed.
_LOOK_S, _RETRY_S = 0.1, 2.0
_JOIN_S = 5.0


class Informed(Tallied, Protocol):
    """Is told of incidents."""

    def begin(self, incidents: Sequence[Record]) -> None:
        """Take the incidents of a job as they stand."""

    def take(self, incident: Record) -> None:
        """Take an incident that changed."""

    def deliver(self, is_over: threading.Event) -> None:
        """Send what is due until told to stop; meant for a thread of its own."""


class Incidents:
    """Gives the incidents of one job to whoever is told of them, as they stand and as they change.

    Args:
        topic: Their topic, for messages.
        informed: All who are told.
    """

    def __init__(self, topic: str, informed: Sequence[Informed]) -> None:
        self._topic = topic
        self._informed = informed

    def begin(self, records: Records) -> None:
        """See `sparsewatch.transforms.kafka.follow_topic.Sink`."""
        incidents = standing(records, self._topic)
        for one in self._informed:
            one.begin(incidents)

    def take(self, records: Records) -> None:
        """See `sparsewatch.transforms.kafka.follow_topic.Sink`."""
        for _, value in records:
            if value is not None:
                for one in self._informed:
                    one.take(read_record(value, self._topic))

    def seen(self) -> None:
        """See `sparsewatch.transforms.kafka.follow_topic.Sink`."""

    def lost(self) -> None:
        """See `sparsewatch.transforms.kafka.follow_topic.Sink`; alerts go on meanwhile."""


class Replica:
    """One Alertmanager, and what is to be sent to it.

    Args:
        manager: The Alertmanager.
        outbox: Its own.
    """

    def __init__(self, manager: Alertmanager, outbox: Outbox) -> None:
        self._manager = manager
        self._outbox = outbox
        self._lock = threading.Lock()
        self._said = ""
        self.tally = Tally()
        #: Alerts of the last send, if it failed.
        self.waiting = 0

    @property
    def receiver(self) -> str:
        """See `sparsewatch.pipelines.notify.tally.Tallied`."""
        return self._manager.url.partition("://")[2]

    def begin(self, incidents: Sequence[Record]) -> None:
        """Take the incidents of a job as they stand."""
        with self._lock:
            self._outbox.begin(incidents, time.time())

    def take(self, incident: Record) -> None:
        """Take an incident that changed."""
        with self._lock:
            self._outbox.take(incident, time.time())

    def deliver(self, is_over: threading.Event) -> None:
        """Send what is due until it is over; where that fails it is due again soon."""
        while not is_over.is_set():
            is_over.wait(_LOOK_S if self._send() else _RETRY_S)

    def _send(self) -> bool:
        with self._lock:
            alerts = self._outbox.due(time.time())
        try:
            self._manager.send(alerts)
        except SparsewatchError as error:
            if str(error) != self._said:
                _logger.warning("%d alerts are not sent, tried again until they are: %s", len(alerts), error)
            self._said = str(error)
            self.tally.failed, self.waiting = self.tally.failed + 1, len(alerts)
            with self._lock:
                self._outbox.again([alert["labels"] for alert in alerts], time.time())
            return False
        self.tally.sent, self.waiting = self.tally.sent + len(alerts), 0
        if self._said and alerts:
            _logger.warning("the Alertmanager at %s takes alerts again", self._manager.url)
            self._said = ""
        return True


class Notifier:
    """Keeps whoever is told of the incidents of jobs informed while the context lasts.

    Args:
        followers: Of all topics that are read.
        informed: All who are told.
    """

    def __init__(self, followers: Sequence[TopicFollower], informed: Sequence[Informed]) -> None:
        self._over = threading.Event()
        self._followers = followers
        self._threads = [
            threading.Thread(target=work, args=(self._over,), daemon=True)
            for work in (*(one.follow for one in followers), *(one.deliver for one in informed))
        ]

    @property
    def has_read(self) -> bool:
        """Whether all topics were read once."""
        return all(one.has_read for one in self._followers)

    def wait(self, is_over: Callable[[], bool]) -> None:
        """Return when told to.

        Raises:
            Exception: Why a broker refuses us, before anything was read.
        """
        while not is_over():
            if (refused := first_refusal(self._followers)) is not None:
                raise refused
            time.sleep(_LOOK_S)

    def __enter__(self) -> Self:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._over.set()
        # A thread that waits for a broker which is away ends by itself when that wait is over.
        join_until(self._threads, time.monotonic() + _JOIN_S)
