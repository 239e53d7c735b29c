"""The rows job: blocks -> row scores and a sample to retrain from -> checks -> alerts, metrics, a result an odd row.

How rows are scored, and what is told of that, is the part of `sparsewatch.pipelines.rows.scoring`; this job does
nothing else.
"""

import functools
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import apache_beam as beam
import msgspec
import pyarrow as pa

from sparsewatch.detectors.counts.row_sample import RowSample, row_identities
from sparsewatch.detectors.rows.windows.checks import RowCheck, check_columns
from sparsewatch.detectors.rows.windows.summary import positions_of
from sparsewatch.pipelines.job.closing import close_books, fixed_windows
from sparsewatch.pipelines.job.thresholds import thresholds_of
from sparsewatch.pipelines.job.topics import topics_of
from sparsewatch.pipelines.rows.kept_rows import KeepRows, RowPane
from sparsewatch.pipelines.rows.scoring import RowScoring, ScoreMeasure, TellOfScores, check_scoring, row_scoring
from sparsewatch.schemas.alerts import Finding
from sparsewatch.schemas.block import Block
from sparsewatch.schemas.jobs import RowsJob
from sparsewatch.schemas.metrics import gauge
from sparsewatch.schemas.stored import Format
from sparsewatch.transforms.codecs.events import event_schema
from sparsewatch.transforms.kafka.source import ReadKafka, ReadSpec
from sparsewatch.transforms.window.close_windows import Conclusion, Window
from sparsewatch.transforms.window.measure import Measure, MeasureWindows

_STORED = Format("a measure of rows")


class _MeasureState(msgspec.Struct, frozen=True, array_like=True):
    scores: bytes
    sample: bytes | None = None


class RowsMeasure:
    """Row scores of a window and, where the job keeps one, a sample of its rows.

    Args:
        scoring: How rows are scored.
        columns: Columns of the sample.
        sample_rows: Rows of it; 0 for none.
    """

    def __init__(self, scoring: RowScoring, columns: Sequence[str], sample_rows: int) -> None:
        self.scores = ScoreMeasure(scoring)
        self.sample = RowSample(columns, sample_rows) if sample_rows else None

    def add(self, block: Block) -> None:
        """See `sparsewatch.transforms.window.measure.Measure`."""
        self.scores.add(block)
        if self.sample is not None:
            self.sample.update(block.rows, row_identities(*positions_of(block.rows).T))

    def merge_bytes(self, data: bytes) -> None:
        """Add a measure of the same settings that was made elsewhere."""
        state = _STORED.unpack(data, _MeasureState)
        self.scores.merge_bytes(state.scores)
        if self.sample is not None and state.sample is not None:
            self.sample.merge(RowSample.from_bytes(state.sample))

    def to_bytes(self) -> bytes:
        """See `sparsewatch.transforms.window.measure.Measure`."""
        sample = None if self.sample is None else self.sample.to_bytes()
        return msgspec.msgpack.encode(_MeasureState(self.scores.to_bytes(), sample))


@dataclass(frozen=True)
class ConcludeRows:
    """Closes a window of rows."""

    new: Callable[[], RowsMeasure]
    tell: TellOfScores
    results_per_row: bool = False

    def __call__(self, window: Window, measures: Sequence[bytes]) -> Conclusion:
        """See `sparsewatch.transforms.window.close_windows.Conclude`."""
        del window
        measure = self.new()
        for data in measures:
            measure.merge_bytes(data)
        rows = measure.scores.scores.rows
        if not rows:
            return Conclusion(rows=0, summary={}, findings=[], metrics=[])
        told = self.tell(measure.scores)
        metrics = [gauge("sparsewatch_window_rows", "Rows of the last closed window.", rows), *told.metrics]
        sample = measure.sample
        pane = None if sample is None else RowPane(rows=rows, sample=sample.to_bytes()).to_bytes()
        findings = [*told.findings, *self._moved(sample)]
        return Conclusion(rows, told.summary, findings, metrics, pane, told.records)

    def _moved(self, sample: RowSample | None) -> list[Finding]:
        """Columns that moved, where the window kept rows to tell it by."""
        if sample is None:
            return []
        return check_columns(self.tell.scoring.model_now(), sample.rows(), self.tell.check)


def job_scoring(job: RowsJob) -> RowScoring:
    """How the job scores rows."""
    schema = event_schema(job).columns
    return row_scoring(job.rows.model, job.rows, pa.schema([schema.field(name) for name in job.scored_columns]))


def new_rows_measure(job: RowsJob) -> Callable[[], RowsMeasure]:
    """Makes empty measures for this job; sent to workers."""
    sample_rows = job.rows.sample_rows if job.rows.keeps_panes else 0
    return functools.partial(RowsMeasure, job_scoring(job), job.scored_columns, sample_rows)


def load_row_models(job: RowsJob) -> ConcludeRows:
    """Load and check what the job names, and the closing step made of it.

    Raises:
        ConfigError: If a threshold is unknown or out of range, or the model does not fit the job's columns.
        ModelError: If the model is missing or damaged.
    """
    check = thresholds_of("rows.thresholds", job.rows.thresholds, RowCheck)
    scoring = job_scoring(job)
    check_scoring(scoring)
    return ConcludeRows(new_rows_measure(job), TellOfScores(scoring, check, job.source.topic, topics_of(job).rows))


def build_rows(pipeline: beam.Pipeline, job: RowsJob, specs: tuple[ReadSpec, ...]) -> None:
    """The graph of a rows job."""
    new: Callable[[], Measure] = new_rows_measure(job)
    read = pipeline | "ReadRows" >> ReadKafka(specs, event_schema(job))
    measures = read.blocks | "WindowBlocks" >> fixed_windows(job) | "ScoreRows" >> MeasureWindows(job.name, new)
    look_back = KeepRows(job.rows.panes) if job.rows.keeps_panes else None
    close_books(job, read, [measures], load_row_models(job), look_back)
