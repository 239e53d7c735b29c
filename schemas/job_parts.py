"""What follows from a job's settings: its topics, its times as numbers, and which job it is when it resumes.

Made once (`sparsewatch.pipelines.job.ready`) and handed whole to whoever needs it.
"""

import msgspec

from sparsewatch.schemas.jobs import KafkaSettings
from sparsewatch.schemas.side_records import late_topic, rejects_topic


class WindowTimes(msgspec.Struct, frozen=True, kw_only=True):
    """Windows of event time, microseconds."""

    length_us: int
    #: How far event times of a partition may run out of order.
    disorder_us: int
    #: A partition silent for so long no longer holds the windows.
    idle_after_us: int


class Topics(msgspec.Struct, frozen=True, kw_only=True):
    """Where a job reads and writes.

    Args:
        source: The topic it reads.
        prefix: Of the topics it writes: its name, unless its settings give another.
    """

    source: str
    prefix: str

    @property
    def windows(self) -> str:
        """Records of closed windows."""
        return self.named("windows")

    @property
    def alerts(self) -> str:
        """Alerts."""
        return self.named("alerts")

    @property
    def metrics(self) -> str:
        """Samples for Prometheus."""
        return self.named("metrics")

    @property
    def progress(self) -> str:
        """Where the job stands."""
        return self.named("progress")

    @property
    def panes(self) -> str:
        """States of its last windows, where the job looks back."""
        return self.named("panes")

    @property
    def rejects(self) -> str:
        """Records that cannot be used."""
        return rejects_topic(self.source)

    @property
    def late(self) -> str:
        """Records whose window had closed."""
        return late_topic(self.source)

    def named(self, what: str) -> str:
        """A topic of the job's kind: the prefix, then what it holds."""
        return f"{self.prefix}.{what}"


class JobIdentity(msgspec.Struct, frozen=True, kw_only=True):
    """Which job this is and where its state lies."""

    job: str
    #: Of the settings it can resume with, see `sparsewatch.schemas.jobs.settings_digest`.
    settings_digest: str
    kafka: KafkaSettings
    topics: Topics
