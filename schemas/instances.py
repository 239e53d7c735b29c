"""Instances of a job: one process that runs it. The newest one writes; those before it stop.

Each instance has a record of its own in the progress topic: first the bare claim, then the progress that it goes on
from, then what it commits. An instance is newer by its generation, one more than any that it found; of two that claimed
at once both see the same one as the newer, by their ids.
"""

from datetime import UTC, datetime

import msgspec

from sparsewatch.schemas.accounts import Progress
from sparsewatch.schemas.stored import Format

STANDING = Format("where an instance of a job stands")


class Instance(msgspec.Struct, frozen=True, kw_only=True):
    """A process that runs a job."""

    generation: int
    #: Drawn at random.
    id: str
    host: str
    pid: int
    #: When it claimed the job, microseconds since the epoch.
    started_us: int

    @property
    def rank(self) -> tuple[int, str]:
        """The greater, the newer."""
        return self.generation, self.id

    def __str__(self) -> str:
        """For messages."""
        started = datetime.fromtimestamp(self.started_us // 1_000_000, UTC)
        return f"process {self.pid} on {self.host}, started {started:%Y-%m-%d %H:%M:%S} UTC"


class Standing(Progress, frozen=True, kw_only=True, omit_defaults=True):
    """How far an instance has committed. Whoever knows a progress alone reads this as one."""

    instance: Instance
    #: Whether it has only claimed the job: the progress is that of a job that has not begun, and counts for nobody.
    is_claim: bool = False

    @property
    def progress(self) -> Progress | None:
        """What it has committed, None for a claim."""
        if self.is_claim:
            return None
        return Progress(**{name: getattr(self, name) for name in Progress.__struct_fields__})


class Copy(msgspec.Struct, frozen=True, kw_only=True):
    """A progress under the job's name alone, as far as it tells who wrote it."""

    #: None if an earlier release did, that knows of no instances.
    instance: Instance | None = None
