"""A job made ready: first what follows from its settings, then the models and secrets that they name.

`check` and `run` take both steps, in this order and by these functions; commands that only look at a job's topics or
columns take the first.
"""

import importlib
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, NamedTuple

import msgspec

from sparsewatch.detectors.artefacts.versions import resolve_version
from sparsewatch.pipelines.job.kind import Job
from sparsewatch.schemas.errors import ModelError
from sparsewatch.schemas.jobs import JobIdentity, Topics, WindowTimes, read_password, settings_digest
from sparsewatch.schemas.settings import parse_duration_us
from sparsewatch.transforms.codecs.events import EventSchema, event_schema
from sparsewatch.transforms.kafka.client import NewTopic

if TYPE_CHECKING:
    from apache_beam import PTransform

    from sparsewatch.transforms.window.measure import Conclude, Learning, LookBack


#: Side records carry headers on top of the original record.
_ROOM_BYTES = 1 << 20
#: What a topic of rejects takes at least.
REJECT_TOPIC_BYTES = 16 << 20


@dataclass(frozen=True)
class Ready:
    """A job and all that follows from its settings alone."""

    job: Job
    identity: JobIdentity
    #: Schema of its events.
    events: EventSchema
    windows: WindowTimes

    @property
    def topics(self) -> Topics:
        """Names of the topics that it reads and writes."""
        return self.identity.topics


class Findable(NamedTuple):
    """The smallest change of a kind that a job would find in one window, in words."""

    change: str
    least: str
    where: str


@dataclass(frozen=True)
class Prepared:
    """What a kind of job does with its windows; all models it needs have been loaded and verified.

    The three parts of closing a window are the protocols `Measure`, `Conclude` and `LookBack` of
    `sparsewatch.transforms.window`.
    """

    #: Name of events in the labels of the graph's steps.
    events: str
    #: Windowed blocks in, partial measures (and acknowledgements of what was written) out; with its label.
    measure: "PTransform"
    conclude: "Conclude"
    #: The job's view over its last windows, if it has one.
    look_back: "LookBack | None" = None
    #: The baseline that it learns of its own windows, if it is given none and has one.
    learning: "Learning | None" = None
    #: Whether volume is compared with the job's own windows: what it concludes does not compare it with a reference.
    own_volume: bool = True
    #: What a person should know about the models and references, a sentence each.
    remarks: tuple[str, ...] = ()
    #: The smallest changes that it would find; empty if that is not known.
    findable: tuple[Findable, ...] = ()


def output_topics(made: Ready, reject_bytes: int = 0) -> list[NewTopic]:
    """All topics that a job writes, with the clean-up each needs.

    Args:
        made: The job.
        reject_bytes: Least size of the largest reject.
    """
    topics = made.topics
    largest = max(REJECT_TOPIC_BYTES, 2 * made.events.max_record_bytes + _ROOM_BYTES, reject_bytes)
    side = made.job.side_topics()
    return [
        NewTopic(topics.windows, compact=True),
        NewTopic(topics.alerts),
        NewTopic(topics.incidents, compact=True),
        NewTopic(topics.notified, compact=True),
        NewTopic(topics.metrics, compact=True),
        NewTopic(topics.progress, compact=True),
        NewTopic(topics.orders, compact=True),
        NewTopic(topics.rejects, max_record_bytes=largest),
        NewTopic(topics.late, max_record_bytes=largest),
        *(NewTopic(topics.named(s.what), compact=s.state, max_record_bytes=s.max_record_bytes) for s in side),
    ]


def state_topics(made: Ready) -> list[NewTopic]:
    """Topics that a job keeps its state in: its progress, orders to it, and what its kind reads back."""
    topics = made.topics
    own = [topics.named(side.what) for side in made.job.side_topics() if side.state]
    names = {topics.progress, topics.orders, *own}
    return [topic for topic in output_topics(made) if topic.name in names]


def ready(job: Job) -> Ready:
    """What follows from a job's settings; loads nothing and needs no broker."""
    identity = JobIdentity(
        job=job.name,
        settings_digest=settings_digest(job),
        kafka=job.kafka,
        topics=Topics(source=job.source.topic, prefix=job.output.prefix or job.name),
    )
    windows = WindowTimes(
        length_us=parse_duration_us(job.windows.length),
        disorder_us=parse_duration_us(job.windows.disorder),
        idle_after_us=parse_duration_us(job.windows.idle_after),
    )
    return Ready(job, identity, event_schema(job.source, job.event_columns()), windows)


def prepare(made: Ready) -> Prepared:
    """Load what the job names: secrets, models, references, thresholds.

    Raises:
        ConfigError: If a setting is wrong.
        ModelError: If a model is missing, damaged or of another kind.
    """
    read_password(made.job.kafka)
    job = made.job
    for learned in job.learned():
        try:
            resolve_version(learned.path)
        except ModelError as error:
            raise ModelError(f"{learned.key}: {error}; `{learned.made_by} --out {learned.path}` makes one") from error
    prepared: Prepared = named_object(job.prepared_by, f"{type(job).__name__}.prepared_by")(job, made)
    return prepared


def compared_with(job: Job) -> tuple[str, ...]:
    """Versions of the references and models that a job would compare with if its run began now.

    Raises:
        ModelError: If one is missing.
    """
    found = [(learned.key, resolve_version(learned.path).resolve()) for learned in job.learned()]
    return tuple(f"{key} {path.parent.name}/{path.name}" for key, path in found)


def with_versions(made: Ready) -> Ready:
    """The job as a run of it begins now: with the versions that it compares with.

    Raises:
        ModelError: If one is missing.
    """
    return replace(made, identity=msgspec.structs.replace(made.identity, compares=compared_with(made.job)))


def named_object(name: str, where: str) -> Any:
    """What `module:name` names, imported now.

    Args:
        name: The module and its name.
        where: Where that is written, for the message.

    Raises:
        LookupError: If there is no such module, or no such name in it.
    """
    module, _, attribute = name.partition(":")
    try:
        return getattr(importlib.import_module(module), attribute)
    except (AttributeError, ModuleNotFoundError, ValueError) as error:
        raise LookupError(f"{where}: expected the `module:name` of an object, got {name!r}: {error}") from error
