"""The rows job: blocks -> row scores and a sample to retrain from -> checks -> alerts, metrics, a result an odd row.

How rows are scored, and what is told of that, is the part of `sparsewatch.pipelines.rows.scoring`; this job does
nothing else.
"""

import functools
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import msgspec
import pyarrow as pa

from sparsewatch.detectors.counts.row_sample import RowSample, row_identities
from sparsewatch.detectors.rows.windows.checks import RowCheck, check_columns
from sparsewatch.detectors.rows.windows.summary import positions_of
from sparsewatch.pipelines.job.ready import Prepared, Ready
from sparsewatch.pipelines.job.thresholds import thresholds_of
from sparsewatch.pipelines.rows.kept_rows import KeepRows, RowPane
from sparsewatch.pipelines.rows.scoring import RowScoring, ScoreMeasure, TellOfScores, check_scoring, row_scoring
from sparsewatch.pipelines.rows.settings import RowsJob
from sparsewatch.schemas.alerts import Finding
from sparsewatch.schemas.block import Block
from sparsewatch.schemas.metrics import gauge
from sparsewatch.schemas.stored import Format
from sparsewatch.transforms.window.close_windows import Conclusion, Window
from sparsewatch.transforms.window.measure import MeasureWindows

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


def prepare_rows(job: RowsJob, made: Ready) -> Prepared:
    """See `sparsewatch.pipelines.job.ready.prepare`."""
    check = thresholds_of("rows.thresholds", job.rows.thresholds, RowCheck)
    types = made.events.columns
    scored = pa.schema([types.field(name) for name in job.scored_columns])
    scoring = row_scoring(job.rows.model, job.rows, scored)
    check_scoring(scoring)
    sample_rows = job.rows.sample_rows if job.rows.keeps_panes else 0
    new = functools.partial(RowsMeasure, scoring, job.scored_columns, sample_rows)
    return Prepared(
        events="Rows",
        measure="ScoreRows" >> MeasureWindows(job.name, new),
        conclude=ConcludeRows(new, TellOfScores(scoring, check, made.topics.source, made.topics.named("rows"))),
        look_back=KeepRows(job.rows.panes) if job.rows.keeps_panes else None,
    )
