"""Scoring of rows in a stream, as every job does that has a row model: a block is scored whole by one model.

The model, and a candidate that scores in the shadow, are those of `sparsewatch.pipelines.job.model_in_use`.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec
import pyarrow as pa

from sparsewatch.detectors.conformal import EDGES
from sparsewatch.detectors.rows.model import RowModel
from sparsewatch.detectors.rows.windows.checks import Drift, carriers, check_rows, median_p_value, window_drift
from sparsewatch.detectors.rows.windows.shadow import Shadows, shadow_block
from sparsewatch.detectors.rows.windows.summary import WORST_ROWS, RowScores, WorstRow, positions_of, score_encoded
from sparsewatch.detectors.rows.windows.thresholds import RowCheck
from sparsewatch.pipelines.job.model_in_use import ModelInUse
from sparsewatch.pipelines.rows.settings import RowSettings
from sparsewatch.schemas import metrics
from sparsewatch.schemas.alerts import MetricSample
from sparsewatch.schemas.block import EVENT_TIME_US, SOURCE, Block
from sparsewatch.schemas.errors import ConfigError, SparsewatchError
from sparsewatch.schemas.rows import RowResult
from sparsewatch.transforms.window.measure import STORED, Conclusion, Record, pack_parts, unpack_parts


@dataclass(frozen=True)
class LoadForJob:
    """Loads a version of the row model and checks that it fits the job."""

    #: Columns that may be scored.
    columns: pa.Schema
    alarm_rate: float

    def __call__(self, version: Path) -> RowModel:
        """The model of a version's folder.

        Raises:
            ConfigError: If it does not fit the job's columns, or its calibration is too small for the alarm rate.
            ModelError: If it is missing or damaged, or its smoke scores differ.
        """
        model = RowModel.load(version)
        try:
            model.encoder.check_schema(self.columns)
        except SparsewatchError as error:
            raise ConfigError(
                f"rows: the model {version} does not fit the job: {error}. `sparsewatch train rows FILE --job JOB.toml "
                "--out MODEL` trains a model with the types of the job"
            ) from error
        try:
            model.threshold(self.alarm_rate)
        except SparsewatchError as error:
            raise ConfigError(f"rows: the model {version} does not fit the job: {error}") from error
        return model


@dataclass(frozen=True)
class RowScoring:
    """How a job scores rows; sent to workers."""

    model: ModelInUse[RowModel]
    alarm_rate: float
    #: Results per window.
    results: int
    id_columns: tuple[str, ...]

    def __call__(self, block: Block) -> tuple[RowScores, Shadows | None]:
        """The scores of a block, and those of the candidate, if any."""
        model, candidate = self.model.now(), self.model.shadow()
        X = model.encoder.transform(block.rows)
        scores = model.score_matrix(X)
        summary = score_encoded(
            model,
            X,
            positions_of(block.rows),
            self.alarm_rate,
            scores=scores,
            context=self._context(block),
            results=self.results,
        )
        if candidate is None:
            return summary, None
        return summary, shadow_block(model, candidate, block.rows, self.alarm_rate, scores)

    def _context(self, block: Block) -> pa.RecordBatch:
        context = block.rows.select([EVENT_TIME_US, *self.id_columns])
        sources = block.source_of_rows()
        return context if sources is None else context.append_column(SOURCE, sources)


def row_scoring(model: str, rows: RowSettings, columns: pa.Schema) -> RowScoring:
    """How a job of these settings scores rows; the model it would use now is verified.

    Args:
        model: The model it names.
        rows: The settings.
        columns: Columns that may be scored.

    Raises:
        ConfigError: If the model does not fit the job.
        ModelError: If it is missing or damaged.
    """
    in_use = ModelInUse.at(model, LoadForJob(columns, rows.alarm_rate))
    in_use.check()
    return RowScoring(in_use, rows.alarm_rate, rows.results_per_window, tuple(rows.id_columns))


class ScoreMeasure:
    """The row scores of a window, mergeable to the same bytes in any order.

    Args:
        scoring: How blocks are scored; the model is not loaded before the first.
    """

    def __init__(self, scoring: RowScoring) -> None:
        self.scores = RowScores()
        #: None if no block had a candidate.
        self.shadows: Shadows | None = None
        self._scoring = scoring

    def add(self, block: Block) -> None:
        """Score a block."""
        self._merge(*self._scoring(block))

    def merge_bytes(self, data: bytes) -> None:
        """Add a measure that was made elsewhere."""
        with STORED.reading(data):
            states = unpack_parts(data)
            shadows = states.get("shadows")
            self._merge(
                RowScores.from_bytes(states["scores"]), None if shadows is None else Shadows.from_bytes(shadows)
            )

    def to_bytes(self) -> bytes:
        """The state."""
        states = {"scores": self.scores.to_bytes()}
        if self.shadows is not None:
            states["shadows"] = self.shadows.to_bytes()
        return pack_parts(states)

    def _merge(self, scores: RowScores, shadows: Shadows | None) -> None:
        self.scores = self.scores.merge(scores)
        if shadows is not None:
            self.shadows = shadows if self.shadows is None else self.shadows.merge(shadows)


@dataclass(frozen=True)
class ConcludeScores:
    """The conclusions from the row scores of a window.

    Args:
        scoring: How rows were scored.
        check: When a window's outliers and drift raise alerts.
        source_topic: Where the rows came from.
        results_topic: Where results of single rows go.
    """

    scoring: RowScoring
    check: RowCheck
    source_topic: str
    results_topic: str

    def __call__(self, measure: ScoreMeasure) -> Conclusion:
        """Record, findings, metrics and results; empty if no row was scored."""
        scores = measure.scores
        drift = window_drift(scores)
        if drift is None:
            return Conclusion()
        summary: dict[str, Any] = {"row_scores": scores_record(scores, drift)}
        if measure.shadows is not None:
            summary["shadow"] = [shadow.to_json() for shadow in measure.shadows.pairs]
        return Conclusion(
            summary=summary,
            findings=check_rows(scores, self.check),
            metrics=score_metrics(scores, drift),
            records=list(self._results(scores)),
        )

    def _results(self, scores: RowScores) -> Iterator[Record]:
        for row in scores.outliers:
            result = row_result(row, self.source_topic)
            yield Record(self.results_topic, result.id.encode(), msgspec.json.encode(result))


def row_result(row: WorstRow, topic: str) -> RowResult:
    """The result of a row that came from `topic`."""
    return RowResult(
        id=f"{row.context.get(SOURCE, topic)}/{row.partition}/{row.offset}/{row.row}",
        event_time_us=row.context[EVENT_TIME_US],
        model=row.model,
        score=row.score,
        p_value=row.p_value,
        columns=dict(row.columns),
        identity={name: value for name, value in row.context.items() if name not in (EVENT_TIME_US, SOURCE)},
    )


def scores_record(scores: RowScores, drift: Drift) -> dict[str, Any]:
    """The row scores in a window's record, JSON types."""
    return {
        "rows": scores.rows,
        "above": scores.above,
        "share_above": scores.above / scores.rows,
        "models": {one.model: one.rows for one in scores.models},
        "carried_by": carriers(scores),
        "p_values": {"edges": [0.0, *EDGES, 1.0], "rows": scores.fine_p_values},
        "drift": msgspec.structs.asdict(drift),
        "results": len(scores.outliers),
        "worst": [row.as_json() for row in scores.worst[:WORST_ROWS]],
    }


def score_metrics(scores: RowScores, drift: Drift) -> list[MetricSample]:
    """Samples of one window's row scores."""
    samples = [
        metrics.ROWS_SCORED.sample(scores.rows),
        metrics.ROW_ALARM_RATIO.sample(scores.above / scores.rows),
        metrics.ROW_P_VALUE_MEDIAN.sample(median_p_value(scores)),
        metrics.ROW_DRIFT.sample(drift.distance),
        metrics.ROW_DRIFT_CHANCE.sample(drift.chance),
        metrics.ROW_STABILITY.sample(drift.psi),
    ]
    name, _, version = max(scores.models, key=lambda one: (one.rows, one.model)).model.rpartition("/")
    if version.isdigit():
        samples.append(metrics.ROW_MODEL_VERSION.sample(int(version), model=name))
    return samples
