"""Follows the incidents of jobs and keeps every replica of an Alertmanager informed.

The topics are read in one thread; each replica is sent to in one of its own, so that one that hangs delays no other.
"""

import logging
import threading
import time
from collections.abc import Callable, Sequence
from types import TracebackType
from typing import Self

from sparsewatch.pipelines.notify.alertmanager import Alertmanager
from sparsewatch.pipelines.notify.outbox import Outbox
from sparsewatch.pipelines.records.reading import MAX_BYTES, Record, read_record, standing_records
from sparsewatch.schemas.errors import SparsewatchError
from sparsewatch.schemas.jobs import KafkaSettings
from sparsewatch.transforms.kafka.compacted import Compacted

_logger = logging.getLogger(__name__)
#: Longest wait for incidents; between two looks at what is due; between two tries after one that failed.
_FETCH_S, _LOOK_S, _RETRY_S = 0.5, 0.1, 2.0
_JOIN_S = 5.0


class Incidents:
    """Incidents of one job, as they stand and as they change; a topic that cannot be read is tried again.

    Args:
        kafka: The broker; it may be away, at first and later.
        topic: The compacted topic of incidents; it may be made later.
    """

    def __init__(self, kafka: KafkaSettings, topic: str) -> None:
        self._topic = Compacted(kafka, topic, MAX_BYTES)
        self._has_begun = False
        self._again_s = 0.0
        self._said = ""

    def read(self, replicas: Sequence["Replica"], fetch_s: float) -> None:
        """Give what is new to replicas; waits about so many seconds for it."""
        if time.monotonic() < self._again_s:
            time.sleep(fetch_s)
            return
        try:
            self._read(replicas, fetch_s)
        except SparsewatchError as error:
            if str(error) != self._said:
                _logger.warning("topic %r cannot be read, tried again until it can: %s", self._topic.name, error)
            self._said, self._has_begun, self._again_s = str(error), False, time.monotonic() + _RETRY_S
            self._topic.close()
        else:
            if self._said:
                _logger.warning("topic %r is read", self._topic.name)
            self._said = ""

    def close(self) -> None:
        """Close the connection."""
        self._topic.close()

    def _read(self, replicas: Sequence["Replica"], fetch_s: float) -> None:
        if not self._has_begun:
            standing = standing_records(self._topic, None, lambda _: True)
            for replica in replicas:
                replica.begin(standing)
            self._has_begun = True
        for _, value in self._topic.arrivals(fetch_s):
            if value is not None:
                for replica in replicas:
                    replica.take(read_record(value, self._topic.name))


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
            with self._lock:
                self._outbox.again([alert["labels"] for alert in alerts], time.time())
            return False
        if self._said and alerts:
            _logger.warning("the Alertmanager at %s takes alerts again", self._manager.url)
            self._said = ""
        return True


class Notifier:
    """Keeps each replica informed of the incidents of jobs while the context lasts.

    Args:
        jobs: Incidents of each.
        replicas: All there are of the Alertmanager.
    """

    def __init__(self, jobs: Sequence[Incidents], replicas: Sequence[Replica]) -> None:
        self._jobs, self._replicas = jobs, replicas
        self._over = threading.Event()
        self._threads = [threading.Thread(target=self._follow, name="incidents", daemon=True)]
        self._threads += [
            threading.Thread(target=one.deliver, args=(self._over,), name="alertmanager", daemon=True)
            for one in replicas
        ]

    def wait(self, is_over: Callable[[], bool]) -> None:
        """Return when told to, or when a thread has ended, which it never should."""
        while not is_over() and all(thread.is_alive() for thread in self._threads):
            time.sleep(_LOOK_S)

    def _follow(self) -> None:
        try:
            while not self._over.is_set():
                for job in self._jobs:
                    job.read(self._replicas, _FETCH_S / len(self._jobs))
        finally:
            for job in self._jobs:
                job.close()

    def __enter__(self) -> Self:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._over.set()
        for thread in self._threads:
            # A thread that waits for a broker which is away ends by itself when that wait is over.
            thread.join(timeout=_JOIN_S)
