"""The rows job: blocks -> row scores and a sample to retrain from -> checks -> alerts, metrics, a result an odd row.

How rows are scored, and what is told of that, is the part of `pipelines.row_scoring`; this job does nothing else.
"""

import functools
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import apache_beam as beam
import msgspec
import pyarrow as pa

from detectors.row_sample import RowSample, row_identities
from detectors.rows.checks import RowCheck, check_columns
from detectors.rows.summary import positions_of
from pipelines.books import close_books, fixed_windows
from pipelines.row_panes import KeepRows, RowPane
from pipelines.row_scoring import RowScoring, ScoreMeasure, TellOfScores, check_scoring, row_scoring
from pipelines.thresholds import thresholds_of
from pipelines.topics import topics_of
from schemas.alerts import Finding
from schemas.block import Block
from schemas.jobs import RowsJob
from schemas.metrics import gauge
from transforms.close_books import Conclusion, Window
from transforms.codecs.events import event_schema
from transforms.kafka.source import ReadKafka, ReadSpec
from transforms.measure import Measure, MeasureWindows


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
        """See `transforms.measure.Measure`."""
        self.scores.add(block)
        if self.sample is not None:
            self.sample.update(block.rows, row_identities(*positions_of(block.rows).T))

    def merge_bytes(self, data: bytes) -> None:
        """Add a measure of the same settings that was made elsewhere."""
        state = msgspec.msgpack.decode(data, type=_MeasureState)
        self.scores.merge_bytes(state.scores)
        if self.sample is not None and state.sample is not None:
            self.sample.merge(RowSample.from_bytes(state.sample))

    def to_bytes(self) -> bytes:
        """See `transforms.measure.Measure`."""
        sample = None if self.sample is None else self.sample.to_bytes()
        return msgspec.msgpack.encode(_MeasureState(self.scores.to_bytes(), sample))


@dataclass(frozen=True)
class ConcludeRows:
    """Closes a window of rows."""

    new: Callable[[], RowsMeasure]
    tell: TellOfScores
    results_per_row: bool = False

    def __call__(self, window: Window, measures: Sequence[bytes]) -> Conclusion:
        """See `transforms.close_books.Conclude`."""
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
