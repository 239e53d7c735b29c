"""The rows job: blocks -> row scores and a sample to retrain from -> checks -> alerts, metrics, results of outliers.

Scoring and its conclusions are in `sparsewatch.pipelines.rows.scoring`; this job does nothing else.
"""

import functools
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

import pyarrow as pa

from sparsewatch.detectors.counts.row_sample import RowSample, row_identities
from sparsewatch.detectors.counts.type_counts import TypeCounts
from sparsewatch.detectors.rows.windows.column_checks import check_columns
from sparsewatch.detectors.rows.windows.showing_rows import with_rows
from sparsewatch.detectors.rows.windows.summary import positions_of
from sparsewatch.detectors.type_changes import explained, type_findings
from sparsewatch.pipelines.job.ready import Prepared, Ready
from sparsewatch.pipelines.rows.findable import findable_rows
from sparsewatch.pipelines.rows.kept_rows import KeepRows, RowPane
from sparsewatch.pipelines.rows.learning import LearnedUsual, learnable
from sparsewatch.pipelines.rows.scoring import (
    ConcludeScores,
    RowScoring,
    ScoreMeasure,
    row_scoring,
)
from sparsewatch.pipelines.rows.settings import RowsJob
from sparsewatch.schemas.block import OFFSET, PARTITION
from sparsewatch.schemas.metrics import FEATURES, ROWS_SCORED, WINDOW_ROWS
from sparsewatch.transforms.window.measure import Accumulated, Composite, Conclusion, MeasureWindows, Window
from sparsewatch.transforms.window.types import TypeMeasure, mistyped_metrics, mistyped_summary


class RowsJobMeasure(Composite):
    """Row scores of a window and, if the job saves windows, a sample of its rows.

    Args:
        scoring: How rows are scored.
        columns: Columns of the sample, besides partition and offset.
        sample_rows: Rows of it; 0 for none.
        declared: Type of each column, as the job declares it.
    """

    def __init__(
        self, scoring: RowScoring, columns: Sequence[str], sample_rows: int, declared: Mapping[str, str]
    ) -> None:
        self.scores = ScoreMeasure(scoring)
        sampled = (*columns, PARTITION, OFFSET)
        self.sample = Accumulated(RowSample(sampled, sample_rows), _add_rows) if sample_rows else None
        self.types = TypeMeasure(tuple(declared))
        super().__init__(scores=self.scores, sample=self.sample, types=self.types)


def _add_rows(sample: RowSample, rows: pa.RecordBatch) -> None:
    sample.update(rows, row_identities(*positions_of(rows).T))


@dataclass(frozen=True)
class ConcludeRows:
    """Closes a window of rows."""

    new: Callable[[], RowsJobMeasure]
    scores: ConcludeScores
    #: Type of each column, as the job declares it.
    declared: Mapping[str, str]
    #: Whether it learns of its windows what is usual.
    learns: bool = False
    results_per_row: bool = False

    def __call__(self, window: Window, measures: Sequence[bytes]) -> Conclusion:
        """See `sparsewatch.transforms.window.measure.Conclude`."""
        del window
        measure = self.new()
        for data in measures:
            measure.merge_bytes(data)
        rows = measure.scores.scores.rows
        if not rows:
            return Conclusion(metrics=[WINDOW_ROWS.sample(0), ROWS_SCORED.sample(0)])
        whole = Conclusion(rows=rows, metrics=[WINDOW_ROWS.sample(rows)]) + self.scores(measure.scores)
        if measure.sample is not None:
            whole += self._of_sample(rows, measure.sample.state)
        return self._to_learn(self._with_types(whole, measure.types.counts))

    def _to_learn(self, whole: Conclusion) -> Conclusion:
        if not self.learns:
            return whole
        told, state = learnable(whole.findings)
        return replace(whole, findings=told, learnable=state)

    def _with_types(self, whole: Conclusion, types: TypeCounts) -> Conclusion:
        """Columns of which the type changed; they explain what else is found."""
        check, exported = self.scores.check, list(self.declared)[:FEATURES]
        changes = type_findings(
            types, self.declared, least_share=check.mistyped_share, least_cells=check.mistyped_cells
        )
        found = replace(whole, findings=explained(whole.findings, changes))
        return found + Conclusion(
            summary={"mistyped": mistyped_summary(types)}, metrics=mistyped_metrics(types, exported)
        )

    def _of_sample(self, rows: int, sample: RowSample) -> Conclusion:
        """Columns whose distribution changed, and the pane with the sample."""
        model, whole = self.scores.scoring.model.now(), sample.rows()
        changed = with_rows(check_columns(model, whole, rows, self.scores.check), model, whole)
        # Where a row was read from is nothing to retrain from.
        kept = sample.of_columns([name for name in sample.columns if name not in (PARTITION, OFFSET)])
        return Conclusion(findings=changed, pane=RowPane(rows=rows, sample=kept.to_bytes()).to_bytes())


def prepare_rows(job: RowsJob, made: Ready) -> Prepared:
    """See `sparsewatch.pipelines.job.ready.prepare`."""
    types = made.events.columns
    scored = pa.schema([types.field(name) for name in job.scored_columns])
    scoring = row_scoring(job.rows.model, job.rows, scored)
    sample_rows = job.rows.sample_rows if job.rows.keeps_panes else 0
    new = functools.partial(RowsJobMeasure, scoring, job.scored_columns, sample_rows, job.columns)
    check, model = job.rows.thresholds.within(job.allowance), scoring.model.now()
    scores = ConcludeScores(scoring, check, made.topics.source, made.topics.named("rows"))
    return Prepared(
        events="Rows",
        measure="ScoreRows" >> MeasureWindows(job.name, new),
        conclude=ConcludeRows(new, scores, job.columns, job.learns),
        look_back=KeepRows(job.rows.panes) if job.rows.keeps_panes else None,
        learning=LearnedUsual(job.scored_columns, job.rows.learning, check) if job.learns else None,
        findable=tuple(findable_rows(len(model.calibration), model.score_blocks, job.rows.alarm_rate, check)),
    )
