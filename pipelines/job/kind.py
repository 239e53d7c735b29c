"""Interface of the kinds of jobs. `sparsewatch.pipelines.job.kinds` lists the kinds, each in a folder of its name.

A kind is a struct: its keys in the job file on top of those every job has, and the methods below, which follow from
the settings alone. Every command that reads a job file imports it, so it must be cheap: torch and Beam are imported by
the function that it names as `prepared_by`, which loads its models and gives the parts of its graph.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

from sparsewatch.detectors.budget.settings import AlertSettings
from sparsewatch.detectors.budget.spending import Allowance
from sparsewatch.detectors.counts.number_bins import Numbers
from sparsewatch.detectors.incidents.settings import IncidentSettings
from sparsewatch.detectors.stream.thresholds import FAMILIES, StreamThresholds
from sparsewatch.schemas.jobs import JobSettings
from sparsewatch.schemas.settings import parse_duration_us
from sparsewatch.transforms.codecs.events import EventColumns


@dataclass(frozen=True, slots=True)
class Learned:
    """A folder of what was learned, such as a model."""

    #: As a user calls it, such as `row model`.
    what: str
    #: Key in the job file that names the folder.
    key: str
    path: str
    #: Command that makes it, without its option `--out`.
    made_by: str


@dataclass(frozen=True, slots=True)
class SideTopic:
    """A topic of a kind of job, besides those that every job has."""

    #: What it holds; the topic is `<prefix>.<what>`.
    what: str
    #: Whether the job reads it back: compacted, the newest record of each key counts.
    state: bool = False
    #: Largest record it takes, in bytes; the broker's default if 0.
    max_record_bytes: int = 0


class Job(JobSettings, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A job of any kind; a kind is a subclass with its name as `tag`."""

    #: `module:function` of (job, `Ready`) that gives what `sparsewatch.pipelines.job.ready.prepare` promises.
    prepared_by: ClassVar[str] = ""
    #: `module:function` of `sparsewatch.pipelines.init.draft.Findings` that gives its part of a job file, for
    #: `sparsewatch init`; empty if there is none.
    drafted_by: ClassVar[str] = ""
    #: When silence, volume and what is set aside raise alerts; see docs/alerts.md.
    stream: StreamThresholds = StreamThresholds()
    #: When an incident is over.
    incidents: IncidentSettings = IncidentSettings()
    #: How many incidents may be false.
    alerts: AlertSettings = AlertSettings()

    #: Whether rows are scored by a row model, which `sparsewatch train rows --job` trains for `scored_columns`.
    scores_rows: ClassVar[bool] = False
    #: Whether what it learns stands beside a row model, by which every window is checked.
    learns_beside_model: ClassVar[bool] = False

    @property
    def counted_numbers(self) -> Numbers:
        """How columns of numbers are counted where they are ranked."""
        return Numbers()

    @property
    def scored_columns(self) -> tuple[str, ...]:
        """Columns that a row model may score, in a fixed order."""
        return ()

    @property
    def learns(self) -> bool:
        """Whether it learns its baseline from its own windows."""
        return False

    def learned_subjects(self, columns: Sequence[str]) -> tuple[str, ...]:
        """What it learns something of, the stream apart, by the columns of its events.

        Raises:
            ModelError: If that is in its model, and the model is missing.
        """
        return tuple(columns)

    def check(self) -> None:
        """Rules across the kind's own keys; those that every job has are checked already.

        Raises:
            ConfigError: Naming the key that is wrong.
        """

    def event_columns(self) -> EventColumns:
        """What an event holds, besides its time."""
        raise NotImplementedError

    def learned(self) -> list[Learned]:
        """What the job names that was learned, such as a model."""
        return []

    def tests(self) -> dict[str, int]:
        """Tests that a window makes, by family: what the budget of false incidents is spent on; a kind adds its own."""
        return dict.fromkeys(FAMILIES, 1)

    @property
    def allowance(self) -> Allowance:
        """What a window may spend of the budget of false incidents."""
        length_us = parse_duration_us(self.windows.length)
        return Allowance(per_day=self.alerts.false_incidents_per_day, window_us=length_us, tests=self.tests())

    def side_topics(self) -> list[SideTopic]:
        """Topics that the kind writes; `panes` among them if it looks back."""
        return []
