"""Settings of the rows job, `kind = "rows"`, and of the scoring of rows in any job."""

from collections.abc import Collection, Sequence
from typing import Annotated, ClassVar

import msgspec

from sparsewatch.detectors.rows.windows.thresholds import FAMILIES, RowCheck
from sparsewatch.pipelines.job.kind import Job, Learned, SideTopic
from sparsewatch.pipelines.job.learning import LearningSettings
from sparsewatch.schemas.errors import ConfigError, SettingError
from sparsewatch.schemas.jobs import ColumnType, check_columns
from sparsewatch.schemas.settings import AlarmRate, Range, Settings
from sparsewatch.transforms.codecs.events import EventColumns, named_fields

#: Most results of rows per window: they are held in memory and written together.
_MOST_ROW_RESULTS = 100_000


class RowSettings(Settings, frozen=True, kw_only=True):
    """Scoring of rows."""

    #: Folder of a model made by `sparsewatch train rows`.
    model: str | None = None
    #: Share of training-like rows that may exceed the threshold.
    alarm_rate: AlarmRate = 0.01
    thresholds: RowCheck = RowCheck()
    #: Rows above the threshold that get their own result, the worst of each window.
    results_per_window: Annotated[int, Range(at_least=0, at_most=_MOST_ROW_RESULTS)] = 1_000
    #: Columns that such a result repeats, to identify the row.
    id_columns: list[str] = msgspec.field(default_factory=list)


class RowStreamSettings(RowSettings, frozen=True, kw_only=True):
    """Scoring of rows where the job does nothing else."""

    model: str
    #: Rows of a window that are saved to retrain from; 0 for none.
    sample_rows: Annotated[int, Range(at_least=0, at_most=1 << 20)] = 2_000
    #: Newest windows of which rows are saved; 0 for none.
    panes: Annotated[int, Range(at_least=0, at_most=10_000)] = 48
    #: What it learns of its own windows beside the model.
    learning: LearningSettings = LearningSettings()

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.panes == 1:
            raise SettingError("panes: expected 0 or at least 2, got 1")

    @property
    def keeps_panes(self) -> bool:
        """Whether windows are saved."""
        return bool(self.sample_rows and self.panes)


class RowsJob(Job, frozen=True, kw_only=True, forbid_unknown_fields=True, tag="rows"):
    """A job that scores rows of any kind; there is no label."""

    prepared_by: ClassVar[str] = "sparsewatch.pipelines.rows.job:prepare_rows"
    drafted_by: ClassVar[str] = "sparsewatch.pipelines.rows.draft:draft_rows"
    scores_rows: ClassVar[bool] = True
    learns_beside_model: ClassVar[bool] = True

    #: Type of each column of an event, but the time column.
    columns: dict[str, ColumnType]
    rows: RowStreamSettings

    @property
    def learns(self) -> bool:
        """Whether it learns what is usual of its own windows, beside its model."""
        return self.rows.learning.enabled

    def learned_subjects(self, columns: Sequence[str]) -> tuple[str, ...]:
        """See `Job`."""
        return ("rows", *columns)

    @property
    def scored_columns(self) -> tuple[str, ...]:
        """Columns that a model may score, in a fixed order: all but those that only identify a row."""
        return tuple(name for name in self.columns if name not in self.rows.id_columns)

    def check(self) -> None:
        """See `Job`."""
        check_columns(self.source.time_column, self.columns)
        check_scoring_settings(self.rows, self.columns)
        if not self.scored_columns:
            raise ConfigError("columns: expected at least one column besides rows.id_columns")

    def event_columns(self) -> EventColumns:
        """See `Job`."""
        return EventColumns(named_fields(self.columns), lenient=tuple(self.columns))

    def learned(self) -> list[Learned]:
        """See `Job`."""
        return learned_rows(self.rows)

    def tests(self) -> dict[str, int]:
        """See `Job`."""
        return {**super().tests(), **row_tests(self.rows)}

    def side_topics(self) -> list[SideTopic]:
        """See `Job`."""
        panes = [SideTopic("panes", state=True)] if self.rows.keeps_panes else []
        baseline = [SideTopic("baseline", state=True)] if self.learns else []
        return row_topics(self.rows) + panes + baseline


def learned_rows(rows: RowSettings) -> list[Learned]:
    """The row model, if the settings name one."""
    if rows.model is None:
        return []
    return [Learned("row model", "rows.model", rows.model, "sparsewatch train rows --job JOB.toml FILE")]


def row_tests(rows: RowSettings) -> dict[str, int]:
    """Tests on the scores of a window, by family; none without a row model."""
    return {} if rows.model is None else dict.fromkeys(FAMILIES, 1)


def row_topics(rows: RowSettings) -> list[SideTopic]:
    """Where results of single rows go, if there are any."""
    return [SideTopic("rows")] if rows.model is not None and rows.results_per_window else []


def check_scoring_settings(rows: RowSettings, columns: Collection[str]) -> None:
    """Rules across the settings of row scores.

    Args:
        rows: The settings.
        columns: Names of the job's columns.

    Raises:
        ConfigError: Naming the key that is wrong.
    """
    if unknown := sorted(set(rows.id_columns) - set(columns)):
        raise ConfigError(f"rows.id_columns: expected names of columns, got {unknown}")
