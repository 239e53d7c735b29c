"""Tells webhooks of incidents: each of each update, until it takes it, and what it took is marked in a topic.

A mark is written behind the receiver's answer, so that a restart loses nothing; killed between the two, the update is
sent again with the same `Idempotency-Key`.
"""

import logging
import random
import threading
import time
from collections.abc import Mapping, Sequence

import msgspec

from sparsewatch.pipelines.job.ready import Ready
from sparsewatch.pipelines.notify.alert import NO_LEADS, Leads
from sparsewatch.pipelines.notify.http import Remote
from sparsewatch.pipelines.notify.ledger import Due, Ledger
from sparsewatch.pipelines.notify.tally import Tally
from sparsewatch.pipelines.notify.update import Update, update_of
from sparsewatch.pipelines.records.reading import Record
from sparsewatch.schemas.errors import ConfigError, SourceError, SparsewatchError, StateError
from sparsewatch.schemas.notified import MARK, Mark, Marked, marked_of
from sparsewatch.transforms.kafka.follow_topic import Records
from sparsewatch.transforms.kafka.open import kept_writers, lent_writer

_logger = logging.getLogger(__name__)
#: Between two looks at what is due.
_LOOK_S = 0.1
#: Before the second try, and at most before any other.
_FIRST_WAIT_S, _LONGEST_WAIT_S = 1.0, 60.0
#: Largest mark.
MARK_BYTES = 1 << 16


def wait_s(failures: int, draw: float) -> float:
    """Seconds before another try: twice as long each time, and no two receivers in step.

    Args:
        failures: Tries that failed, from 1.
        draw: A number drawn from [0, 1).

    >>> [wait_s(failures, 0.5) for failures in (1, 2, 3, 20)]
    [0.75, 1.5, 3.0, 45.0]
    """
    return float(min(_LONGEST_WAIT_S, _FIRST_WAIT_S * 2 ** min(failures - 1, 30))) * (0.5 + draw / 2)


class Webhook:
    """One receiver.

    Args:
        name: Names it in marks, messages and metrics; its address may be a secret.
        remote: Takes the requests.
    """

    def __init__(self, name: str, remote: Remote) -> None:
        self.name = name
        self._remote = remote

    def send(self, update: Update) -> None:
        """Post an update.

        Raises:
            ConfigError: If it refuses it for good.
            SourceError: If it does not answer, or is not ready.
        """
        self._remote.asked("POST", "", msgspec.json.encode(update), {"idempotency-key": update.key})


class Delivery:
    """Tells one webhook of the incidents of one job.

    Args:
        webhook: Who is told.
        made: The job.
        kind: Its kind.
        leads: See `update_of`.
    """

    def __init__(self, webhook: Webhook, made: Ready, kind: str, leads: Leads = NO_LEADS) -> None:
        self.webhook, self.job, self.tally = webhook, made.identity.job, Tally()
        self._made, self._kind, self._leads = made, kind, leads
        self._ledger, self._lock = Ledger(), threading.Lock()
        #: Marks that are not written yet, by id.
        self._unwritten: dict[str, Mark] = {}
        self._failures = 0
        self._said = ""

    @property
    def receiver(self) -> str:
        """See `sparsewatch.pipelines.notify.tally.Tallied`."""
        return self.webhook.name

    @property
    def waiting(self) -> int:
        """Updates that it has not taken yet."""
        with self._lock:
            return self._ledger.waiting

    def begin(self, incidents: Sequence[Record]) -> None:
        """See `sparsewatch.pipelines.notify.follow.Informed`."""
        with self._lock:
            self._ledger.stands(one for one in incidents if one["job"] == self.job)

    def take(self, incident: Record) -> None:
        """See `sparsewatch.pipelines.notify.follow.Informed`."""
        if incident["job"] == self.job:
            with self._lock:
                self._ledger.take(incident)

    def marks(self, marks: Mapping[str, Mark]) -> None:
        """Take what the webhook took, by id of the incident."""
        with self._lock:
            self._ledger.marks(marks)

    def deliver(self, is_over: threading.Event) -> None:
        """See `sparsewatch.pipelines.notify.follow.Informed`."""
        with kept_writers(self._made.job.kafka):
            while not is_over.is_set():
                is_over.wait(self._step())

    def _step(self) -> float:
        """Do what is next; gives the seconds to wait before what follows."""
        now_us = time.time_ns() // 1000
        with self._lock:
            if self._ledger.may_begin:
                self._unwritten |= self._ledger.begin(now_us)
            due = self._ledger.next()
        try:
            self._write_marks()
            if due is not None:
                self._tell(due, now_us)
        except SparsewatchError as error:
            return self._failed(error)
        self._mended()
        return 0.0 if due is not None else _LOOK_S

    def _tell(self, due: Due, now_us: int) -> None:
        update = update_of(due.incident, self._kind, due.before, self._leads)
        try:
            self.webhook.send(update)
        except ConfigError as error:
            _logger.warning("%s of %s is not sent again before a restart: %s", update.change, update.incident, error)
            self.tally.refused += 1
            self._settled(due, now_us)
        except SourceError:
            with self._lock:
                self._ledger.put_off(due)
            raise
        else:
            self.tally.sent += 1
            self._unwritten |= self._settled(due, now_us)
            self._write_marks()

    def _settled(self, due: Due, now_us: int) -> dict[str, Mark]:
        with self._lock:
            return self._ledger.settled(due, now_us)

    def _write_marks(self) -> None:
        if not self._unwritten:
            return
        with lent_writer(self._made.job.kafka) as writer:
            for id_, mark in self._unwritten.items():
                writer.send(self._made.topics.notified, Marked(self.webhook.name, id_).key, msgspec.json.encode(mark))
        self._unwritten = {}

    def _failed(self, error: SparsewatchError) -> float:
        self._failures += 1
        self.tally.failed += 1
        if str(error) != self._said:
            _logger.warning("incidents of %s wait, tried again until they are told: %s", self.job, error)
            self._said = str(error)
        return wait_s(self._failures, random.random())

    def _mended(self) -> None:
        if self._said:
            _logger.warning("webhook %r is told of incidents of %s again", self.webhook.name, self.job)
        self._failures, self._said = 0, ""


class Marks:
    """Gives the deliveries of one job what their webhooks took.

    Args:
        topic: The topic of marks, for messages.
        deliveries: Of the job.
    """

    def __init__(self, topic: str, deliveries: Sequence[Delivery]) -> None:
        self._topic = topic
        self._deliveries = {one.webhook.name: one for one in deliveries}

    def begin(self, records: Records) -> None:
        """See `sparsewatch.transforms.kafka.follow_topic.Sink`."""
        self._give(records, all_there_is=True)

    def take(self, records: Records) -> None:
        """See `sparsewatch.transforms.kafka.follow_topic.Sink`."""
        self._give(records)

    def seen(self) -> None:
        """See `sparsewatch.transforms.kafka.follow_topic.Sink`."""

    def lost(self) -> None:
        """See `sparsewatch.transforms.kafka.follow_topic.Sink`; a delivery knows what it sent itself."""

    def _give(self, records: Records, *, all_there_is: bool = False) -> None:
        found: dict[str, dict[str, Mark]] = {name: {} for name in self._deliveries}
        for key, value in records:
            name, incident = marked_of(key)
            if name in found and value is not None and (mark := self._read(value)) is not None:
                found[name][incident] = mark
        for name, marks in found.items():
            if marks or all_there_is:
                self._deliveries[name].marks(marks)

    def _read(self, value: bytes) -> Mark | None:
        try:
            return MARK.parse(value, Mark)
        except StateError as error:
            _logger.warning("a record of topic %r is left out: %s", self._topic, error)
            return None
