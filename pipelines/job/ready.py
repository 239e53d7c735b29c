"""A job made ready, once: whatever follows from its settings, then whatever they name.

`check` and `run` take both steps, in this order and by these functions; commands that only look at a job's topics or
columns take the first.
"""

import importlib
from dataclasses import dataclass
from typing import TYPE_CHECKING

from sparsewatch.pipelines.job.kind import Job
from sparsewatch.schemas.job_parts import JobIdentity, Topics, WindowTimes
from sparsewatch.schemas.jobs import settings_digest
from sparsewatch.schemas.units import parse_duration_us
from sparsewatch.transforms.codecs.events import EventSchema, event_schema
from sparsewatch.transforms.kafka.password import read_password

if TYPE_CHECKING:
    from apache_beam import PTransform

    from sparsewatch.transforms.window.protocols import Conclude, LookBack


@dataclass(frozen=True)
class Ready:
    """A job and all that follows from its settings alone."""

    job: Job
    identity: JobIdentity
    #: What its events look like.
    events: EventSchema
    windows: WindowTimes

    @property
    def topics(self) -> Topics:
        """Where it reads and writes."""
        return self.identity.topics


@dataclass(frozen=True)
class Prepared:
    """What a kind of job does with its windows; all models it needs have been loaded and verified.

    The three parts of closing a window are the protocols `Measure`, `Conclude` and `LookBack` of
    `sparsewatch.transforms.window`.
    """

    #: What events are called in the labels of the graph's steps.
    events: str
    #: Windowed blocks in, partial measures (and acknowledgements of what was written) out; with its label.
    measure: "PTransform"
    conclude: "Conclude"
    #: The job's view over its last windows, if it has one.
    look_back: "LookBack | None" = None


def ready(job: Job) -> Ready:
    """What follows from a job's settings; nothing is loaded, nobody is asked."""
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
    module, _, function = made.job.prepared_by.partition(":")
    prepared: Prepared = getattr(importlib.import_module(module), function)(made.job, made)
    return prepared
