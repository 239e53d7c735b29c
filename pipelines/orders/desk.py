"""What an order is made from: where the job stands, what it has found, and which orders it has."""

import getpass
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from typing import Any, NamedTuple, Self

import click

from sparsewatch.detectors.incidents.causes import kind_of
from sparsewatch.detectors.incidents.follow_orders import is_silencing
from sparsewatch.pipelines.job.kind import Job
from sparsewatch.pipelines.job.ready import Ready, compared_with, output_topics, ready
from sparsewatch.pipelines.records.reading import MAX_BYTES, Record, standing_records
from sparsewatch.schemas.accounts import PREFACE_US, Progress
from sparsewatch.schemas.errors import ConfigError, ModelError
from sparsewatch.schemas.orders import (
    MOST_OF_NAME,
    MOST_OF_REASON,
    Named,
    Order,
    Verb,
    identified,
    in_force,
    superfluous,
)
from sparsewatch.schemas.settings import nearest
from sparsewatch.schemas.units import moment_text
from sparsewatch.transforms.kafka.compacted import Compacted
from sparsewatch.transforms.kafka.instances import progress_records
from sparsewatch.transforms.kafka.open import ensure_topics, open_admin, open_writer, partitions_of
from sparsewatch.transforms.kafka.orders import read_orders, send_order, send_removal
from sparsewatch.transforms.kafka.progress import progress_of

#: Incidents that a message names.
_NAMED = 5


class Asker(NamedTuple):
    """Who gives an order, and why."""

    by: str
    why: str


def who_and_why(command: Callable[..., None]) -> Callable[..., None]:
    """Options of every command that gives an order."""
    for option in (
        click.option("--by", metavar="NAME", default=user_name, help="Who gives the order. [default: your user name]"),
        click.option("--why", metavar="TEXT", default="", help="The reason, for whoever looks at it later."),
    ):
        command = option(command)
    return command


def user_name() -> str:
    """Name of whoever runs this process."""
    try:
        return getpass.getuser()
    except (KeyError, OSError):
        # Containers run under numbers that no name belongs to.
        return "somebody"


@dataclass(frozen=True)
class Desk:
    """A job as an order finds it."""

    made: Ready
    progress: Progress
    #: Its incidents as they stand, by id, those that changed last at the end.
    incidents: dict[str, Record]
    #: All orders that were given, in turn.
    orders: tuple[Order, ...]

    @classmethod
    def of(cls, job: Job) -> Self:
        """The job as it stands now.

        Raises:
            ConfigError: If it has not committed a window yet.
            SourceError: If the broker does not answer.
        """
        made = ready(job)
        progress = committed(made)
        if progress is None or progress.closed_end_us <= PREFACE_US:
            raise ConfigError(
                f"job {job.name!r} has not committed a window yet, so no order can say from which one on it acts: run "
                "the job first"
            )
        return cls(made, progress, incidents_of(made), read_orders(made.identity))

    @property
    def from_us(self) -> int:
        """Start of the first window that an order of now acts on."""
        return self.progress.closed_end_us

    @property
    def from_text(self) -> str:
        """The same in words."""
        return f"from the window that begins {moment_text(self.from_us)} UTC"

    def incident(self, named: str) -> Record:
        """The incident of an id, or of its number alone.

        Raises:
            ConfigError: If there is none.
        """
        return find_incident(self.incidents, named, self.made.identity.job)

    def order(self, verb: Verb, asker: Asker, **about: Any) -> Order:
        """An order that acts from the next window on.

        Raises:
            ConfigError: If the name or the reason is too long.
        """
        for option, text, most in (("--by", asker.by, MOST_OF_NAME), ("--why", asker.why, MOST_OF_REASON)):
            if len(text) > most:
                raise ConfigError(f"{option}: expected at most {most} characters, got {len(text)}")
        given = Order(
            job=self.made.identity.job,
            verb=verb,
            by=asker.by,
            at_us=time.time_ns() // 1000,
            why=asker.why,
            from_us=self.from_us,
            **about,
        )
        return identified(given)

    def about(self, record: Record) -> dict[str, Any]:
        """What an order about an incident names: the incident, what it found, on which subjects."""
        found = names_of(record)
        subjects = tuple(dict.fromkeys(named.subject for named in found))
        return {"incident": record["id"], "findings": found, "subjects": subjects}

    def silencing(self) -> list[Order]:
        """Orders in force that keep findings silent."""
        return silencing(self.made.job, self.orders, self.from_us)

    def give(self, orders: Sequence[Order]) -> None:
        """Write orders, and remove others where there are too many.

        Raises:
            ConfigError: If the topic is missing and the job makes none.
            SinkError: If the broker refuses one.
        """
        self._ensure_topic()
        own = self.made.identity
        with closing(open_writer(own.kafka)) as writer:
            for order in orders:
                send_order(order, own, writer)
            for old in superfluous([*self.orders, *orders], self.from_us):
                send_removal(old, own, writer)
            writer.flush()

    def _ensure_topic(self) -> None:
        own, output = self.made.identity, self.made.job.output
        if partitions_of(own.kafka, own.topics.orders):
            return
        if not output.create_topics:
            raise ConfigError(f"the broker has no topic {own.topics.orders!r}; `sparsewatch check` says how to make it")
        wanted = [topic for topic in output_topics(self.made) if topic.name == own.topics.orders]
        with closing(open_admin(own.kafka)) as admin:
            ensure_topics(admin, wanted, output.replication)


def incidents_of(made: Ready) -> dict[str, Record]:
    """The incidents of a job as they stand, by id, those that changed last at the end.

    Raises:
        ConfigError: If there is no topic of them: the job has not run yet.
        SourceError: If the broker does not answer.
    """
    own = made.identity
    with Compacted(own.kafka, own.topics.incidents, MAX_BYTES) as topic:
        found = standing_records(topic, None, lambda record: record["id"].rpartition("-")[0] == own.job)
    return {record["id"]: record for record in found}


def find_incident(incidents: Mapping[str, Record], named: str, job: str) -> Record:
    """The incident of an id, or of its number alone.

    Raises:
        ConfigError: If there is none; names the nearest, and those that fire.
    """
    for id_ in (named, f"{job}-{named}"):
        if id_ in incidents:
            return incidents[id_]
    firing = [id_ for id_, record in incidents.items() if record["state"] == "firing"]
    there = ", ".join(firing[-_NAMED:]) or "none"
    raise ConfigError(
        f"expected the id of an incident of job {job!r}, got {named!r}{nearest(named, incidents)}; "
        f"firing: {there} (`sparsewatch incidents list` shows all)"
    )


def committed(made: Ready) -> Progress | None:
    """How far a job is, None before its first run.

    Raises:
        StateError: If its progress cannot be read, or was written with other settings that shape windows.
        SourceError: If the broker does not answer.
    """
    own = made.identity
    with progress_records(own) as records:
        newest = records.newest() if records.is_there else {}
    return progress_of(newest, own.topics.progress, own.job, own.settings_digest)


def names_of(record: Record) -> tuple[Named, ...]:
    """What an incident found, by name; without accounts that do not balance, which are never silent."""
    found = [Named(one["rule"], one["subject"]) for one in record["findings"]]
    return tuple(named for named in found if kind_of(named.rule) != "books")


def silencing(job: Job, orders: Sequence[Order], from_us: int) -> list[Order]:
    """Orders that keep findings silent in a window.

    Args:
        job: The job.
        orders: All orders to it, in turn.
        from_us: Start of the window, microseconds since the epoch.
    """
    try:
        compares = compared_with(job)
    except ModelError:
        # They lie where the job runs; what was accepted last was accepted beside them.
        compares = next((order.compares for order in reversed(orders) if order.compares), ())
    return [o for o in in_force(orders, from_us, compares) if o.findings and is_silencing(o, from_us)]
