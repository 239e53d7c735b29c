"""The records of a rows job's windows as a retraining reads them: drift, alerts and shadows.

A window that is written again, after a crash, replaces what was read of it.
"""

import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Self

import click
import msgspec

from sparsewatch.detectors.artefacts.versions import resolve_version
from sparsewatch.detectors.rows.windows.checks import DRIFT, SUBJECT, has_drifted
from sparsewatch.detectors.rows.windows.column_checks import MOVED
from sparsewatch.detectors.rows.windows.shadow import Shadows, ShadowScores, of_pair
from sparsewatch.detectors.rows.windows.thresholds import RowCheck
from sparsewatch.pipelines.job.ready import ready
from sparsewatch.pipelines.retrain.plan import Plan
from sparsewatch.pipelines.rows.settings import RowsJob
from sparsewatch.schemas.alerts import alert_id, counted
from sparsewatch.schemas.errors import ConfigError, SchemaError, StateError
from sparsewatch.schemas.jobs import KafkaSettings
from sparsewatch.schemas.stored import Format
from sparsewatch.transforms.kafka.compacted import Compacted

FORMAT = Format("the record of a window of rows")
_MAX_RECORD_BYTES = 16 << 20
_FETCH_S = 0.5


class DriftFigures(msgspec.Struct, frozen=True):
    """The fields of `row_scores.drift` that are used here; see `sparsewatch.detectors.rows.windows.checks.Drift`."""

    distance: float
    chance: float
    stretch_chance: float = 0.0


class ScoreFigures(msgspec.Struct, frozen=True):
    """The fields of `row_scores` that are used here."""

    #: Rows by model.
    models: dict[str, int]
    drift: DriftFigures


class WindowRecord(msgspec.Struct, frozen=True, kw_only=True):
    """The fields of a window's record that are used here."""

    job: str
    window_start_us: int
    complete: bool
    #: Ids.
    alerts: tuple[str, ...] = ()
    row_scores: ScoreFigures | None = None
    shadow: tuple[ShadowScores, ...] = ()

    def only_drifted(self, columns: Iterable[str]) -> bool:
        """Whether it found nothing but that p-values or some of the columns have moved."""
        subjects = [(DRIFT, SUBJECT), *((MOVED, name) for name in (SUBJECT, *columns))]
        moved = {alert_id(self.job, rule, subject, self.window_start_us) for rule, subject in subjects}
        return bool(self.alerts) and set(self.alerts) <= moved

    def is_judged_by(self, model: str) -> bool:
        """Whether a model scored rows of this window."""
        return self.row_scores is not None and model in self.row_scores.models

    def drifted(self, check: RowCheck) -> bool:
        """Whether its p-values have drifted far enough to alarm by `check`, whatever else was found in it."""
        if self.row_scores is None:
            return False
        drift = self.row_scores.drift
        return has_drifted(drift.distance, drift.chance, drift.stretch_chance, check)


class WindowsTopic:
    """The records of a job's windows; a context manager.

    Args:
        kafka: The broker.
        topic: `<prefix>.windows`.
        job: Name of the job.

    Raises:
        ConfigError: If there is no such topic.
        SourceError: If no broker answers.
    """

    def __init__(self, kafka: KafkaSettings, topic: str, job: str) -> None:
        self._topic = topic
        self._windows = Compacted(kafka, topic, _MAX_RECORD_BYTES, prefix=f"{job}/".encode())
        if not self._windows.is_there:
            raise ConfigError(f"the broker has no topic {topic!r}: expected the windows of a job that was run")

    def all(self) -> dict[int, WindowRecord]:
        """All records that exist now, by start of the window, oldest first."""
        return dict(sorted(self._records(self._windows.newest().items()).items()))

    def pass_over(self) -> None:
        """Skip the records that exist now."""
        self._windows.pass_over()

    def more(self) -> dict[int, WindowRecord]:
        """Records that came since; waits a little for them."""
        return self._records(self._windows.arrivals(_FETCH_S))

    def _records(self, windows: Iterable[tuple[bytes, bytes | None]]) -> dict[int, WindowRecord]:
        records = [self._record(value) for _, value in windows if value is not None]
        return {record.window_start_us: record for record in records}

    def _record(self, value: bytes) -> WindowRecord:
        try:
            return FORMAT.parse(value, WindowRecord)
        except StateError as error:
            raise SchemaError(f"topic {self._topic!r}: a window's record cannot be read: {error}") from error

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._windows.close()


@dataclass(frozen=True, slots=True)
class ShadowSoFar:
    """Progress of a shadow run."""

    #: Complete windows with a shadow of the pair.
    windows: int
    #: Of all of them together; None before the first.
    shadow: ShadowScores | None

    @property
    def rows(self) -> int:
        """Rows scored by both models."""
        return 0 if self.shadow is None else self.shadow.rows


def follow_shadow(
    topic: WindowsTopic,
    pair: tuple[str, str],
    windows: int,
    timeout_s: float,
    check: Callable[[], None],
    clock: Callable[[], float] = time.monotonic,
) -> Iterator[ShadowSoFar]:
    """The shadow run of a pair of models as its windows close, until there are enough, or time is up.

    Args:
        topic: Windows of a running job.
        pair: Present model and candidate.
        windows: Complete windows with a shadow that are needed.
        timeout_s: Seconds to wait for them.
        check: Called before each read; raises to give the run up.
        clock: Rising seconds.
    """
    found: dict[int, Shadows] = {}
    deadline = clock() + timeout_s
    while len(found) < windows and clock() < deadline:
        check()
        news = {start: Shadows(record.shadow) for start, record in topic.more().items() if record.complete}
        news = {start: shadows for start, shadows in news.items() if of_pair([shadows], pair) is not None}
        if news:
            found |= news
            yield ShadowSoFar(len(found), of_pair(found.values(), pair))


def windows_of(job: RowsJob) -> WindowsTopic:
    """The windows of a job."""
    return WindowsTopic(job.kafka, ready(job).topics.windows, job.name)


def records_of(job: RowsJob) -> dict[int, WindowRecord]:
    """All windows that exist now, by start, oldest first."""
    with windows_of(job) as topic:
        return topic.all()


def drifted(plan: Plan, folder: Path) -> bool:
    """Whether most of the newest windows drifted from the latest model.

    Args:
        plan: The number of windows is that of its shadow run.
        folder: Of the model.
    """
    present = f"{folder.name}/{resolve_version(folder).name}"
    newest = [record for record in records_of(plan.job).values() if record.is_judged_by(present)][-plan.windows :]
    check = plan.job.rows.thresholds.within(plan.job.allowance)
    found = sum(record.drifted(check) for record in newest)
    click.echo(f"{found} of the {counted(len(newest), 'newest window')} that {present} scored drifted")
    return found > len(newest) / 2
