"""A job as a console watches it: its topics followed into its store, and how it stands, asked again and again."""

import hashlib
import logging
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Self

from sparsewatch.pipelines.console.stopping import join_until
from sparsewatch.pipelines.job.kind import Job
from sparsewatch.pipelines.job.ready import Ready, ready
from sparsewatch.pipelines.records.reading import MAX_BYTES
from sparsewatch.pipelines.status.status import Status, status_of
from sparsewatch.pipelines.web_console import taking
from sparsewatch.pipelines.web_console.history import has_features
from sparsewatch.pipelines.web_console.store import Bounds, Store
from sparsewatch.pipelines.web_console.taking import Place, Taking
from sparsewatch.schemas.errors import SparsewatchError
from sparsewatch.transforms.kafka.follow_topic import PATIENCE, Patience, TopicFollower, first_refusal

_logger = logging.getLogger(__name__)
#: Between two questions how a job stands.
_ASK_S = 5.0
#: Threads of all jobs have so long to end; one that waits for a broker which is away ends by itself later.
_JOIN_S = 1.0
#: Side topics of kinds, by what they hold.
_SIDES = {"rows": taking.ROWS, "wafers": taking.WAFERS, "patterns": taking.PATTERNS}


@dataclass
class Standing:
    """How a job stood when it was asked last."""

    status: Status | None = None
    #: When that was, seconds since the epoch.
    asked_s: float = 0.0
    #: Why it is not known now.
    fault: str = ""


@dataclass
class Followed:
    """One topic of a job."""

    name: str
    taking: Taking
    follower: TopicFollower


@dataclass
class Watched:
    """One job; a context manager that follows it.

    Args:
        job: The job.
        folder: Where its store lies.
        bounds: How much the store may hold.
        patience: How long topics are waited for.
        file: Of the job, for commands about it.
    """

    job: Job
    folder: Path
    bounds: Bounds = field(default_factory=Bounds)
    patience: Patience = PATIENCE
    file: Path | None = None

    def __post_init__(self) -> None:
        self.made: Ready = ready(self.job)
        self.store = Store(self.folder / f"{store_name(self.made)}.sqlite", self.bounds)
        self.standing = Standing()
        self.followed = [self._follow(topic, place) for topic, place in _places(self.made)]
        self._over, self._until_s = threading.Event(), 0.0
        self._threads: Sequence[threading.Thread] = ()

    @property
    def name(self) -> str:
        """Of the job."""
        return self.job.name

    @property
    def pages(self) -> list[str]:
        """Its pages, by the last part of their address."""
        sides = {side.what for side in self.job.side_topics()}
        own = [("features", has_features(self.store)), ("rows", "rows" in sides), ("wafers", "wafers" in sides)]
        return ["incidents", *(page for page, is_there in own if is_there), "accounts", "models"]

    @property
    def is_read(self) -> bool:
        """Whether its topics of windows and incidents were read once."""
        return all(one.follower.has_read for one in self.followed[:2])

    @property
    def is_known(self) -> bool:
        """Whether its incidents are known: its topics of windows and incidents can be read now."""
        return all(one.taking.is_up for one in self.followed[:2])

    @property
    def refused(self) -> Exception | None:
        """Why the broker refuses us, before anything was read."""
        return first_refusal(one.follower for one in self.followed)

    def absent(self) -> list[str]:
        """Topics that cannot be read now."""
        return [one.name for one in self.followed if not one.taking.is_up]

    def unread_since_s(self) -> float | None:
        """Since when not all of its topics can be read, seconds since the epoch.

        Returns:
            0 if one was not read yet since the console was started; None if all can be read.
        """
        return min((one.taking.seen_s for one in self.followed if not one.taking.is_up), default=None)

    def ask(self) -> None:
        """Ask how the job stands."""
        try:
            self.standing = Standing(status_of(self.made), time.time())
        except SparsewatchError as error:
            before = self.standing
            self.standing = Standing(before.status, before.asked_s, str(error))

    def stop(self) -> None:
        """Ask its threads to end: of many jobs first all are asked, then their ends are waited for together."""
        if not self._over.is_set():
            self._until_s = time.monotonic() + _JOIN_S
            self._over.set()

    def _follow(self, topic: str, place: Place) -> Followed:
        sink = Taking(self.store, self.job.name, topic, place)
        return Followed(topic, sink, TopicFollower(self.made.job.kafka, topic, MAX_BYTES, sink, self.patience))

    def _ask_on(self) -> None:
        while not self._over.is_set():
            try:
                self.ask()
            except Exception:  # a thread that ended would show a status of long ago as if it were of now
                _logger.exception("job %r was not asked how it stands", self.name)
            self._over.wait(_ASK_S)

    def __enter__(self) -> Self:
        works = [*(lambda one=one: one.follower.follow(self._over) for one in self.followed), self._ask_on]
        self._threads = [threading.Thread(target=work, name=f"console-{self.name}", daemon=True) for work in works]
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.stop()
        join_until(self._threads, self._until_s)
        self.store.close()


def store_name(made: Ready) -> str:
    """Name of a job's store: jobs of one name on other brokers, or with other topics, have others."""
    own = made.identity
    where = "\n".join([*sorted(own.kafka.bootstrap_servers), own.topics.prefix, own.topics.source])
    return f"{own.job}-{hashlib.sha256(where.encode()).hexdigest()[:12]}"


def _places(made: Ready) -> list[tuple[str, Place]]:
    topics = made.topics
    sides = {side.what for side in made.job.side_topics()} & _SIDES.keys()
    return [
        (topics.windows, taking.WINDOWS),
        (topics.incidents, taking.INCIDENTS),
        (topics.alerts, taking.ALERTS),
        (topics.orders, taking.ORDERS),
        *((topics.named(what), _SIDES[what]) for what in sorted(sides)),
    ]
