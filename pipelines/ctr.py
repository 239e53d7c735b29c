"""The click-through job: blocks -> counts a feature and row scores -> ranking, checks -> alerts, metrics.

What it tells of whole rows is in `pipelines.ctr_rows`, its view over the last windows in `pipelines.ctr_sliding`.
"""

import functools
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, overload

import apache_beam as beam
import msgspec

from detectors.check_settings import CheckSettings
from detectors.checks import check_window
from detectors.feature_counts import FeatureCounts
from detectors.model_versions import resolve_version
from detectors.outrank.ranking import RankedFeature, rank_features
from detectors.profile import WindowProfile, profile_window
from detectors.ranking_checks import RankingThresholds
from detectors.reference import Reference
from detectors.rows.model import RowModel
from detectors.rows.summary import RowCheck, RowScores, check_rows, score_block
from pipelines.books import close_books, fixed_windows
from pipelines.ctr_rows import RowMeasure, is_asked_for, name_heavy_values, tell_of_rows
from pipelines.ctr_sliding import SlidingRanking, pane_state
from schemas.block import Block
from schemas.errors import ConfigError, SparsewatchError
from schemas.jobs import CtrJob, RankingSettings
from schemas.metrics import MetricSample, gauge
from transforms.close_books import Conclusion, Window
from transforms.codecs.events import event_schema
from transforms.kafka.source import ReadKafka, ReadSpec
from transforms.measure import Measure, MeasureWindows

#: Features whose metrics are exported, best ranked first: labels stay few.
_EXPORTED_FEATURES = 50


@overload
def _version(path: str) -> str: ...
@overload
def _version(path: None) -> None: ...
def _version(path: str | None) -> str | None:
    # Settled once, when the graph is built: workers must not follow `latest` to different versions.
    return None if path is None else str(resolve_version(path).resolve())


@functools.lru_cache(maxsize=4)
def _row_model(path: str) -> RowModel:
    return RowModel.load(path)


@functools.lru_cache(maxsize=4)
def _reference(path: str) -> Reference:
    return Reference.load(path)


class _MeasureState(msgspec.Struct, frozen=True, array_like=True):
    counts: bytes
    scores: bytes | None = None
    rows: bytes | None = None


class ClickMeasure:
    """Counts of every feature, the summary of row scores where there is a model, and what the job asks of whole rows.

    Args:
        features: Columns to rank.
        label: Column of clicks.
        ranking: What is asked for beyond counts.
        row_model: Folder of the row model, if rows are scored.
        alarm_rate: Of the row model's threshold.
    """

    def __init__(
        self,
        features: Sequence[str],
        label: str,
        ranking: RankingSettings,
        row_model: str | None = None,
        alarm_rate: float = 0.01,
    ) -> None:
        self.counts = FeatureCounts(features, label, max_values=ranking.max_values)
        self.rows = RowMeasure(features, label, ranking) if is_asked_for(ranking) else None
        self.scores: RowScores | None = None
        self._row_model = row_model
        self._alarm_rate = alarm_rate

    def add(self, block: Block) -> None:
        """See `transforms.measure.Measure`."""
        self.counts.update(block.rows)
        if self.rows is not None:
            self.rows.add(block)
        if self._row_model is not None:
            self._merge_scores(score_block(_row_model(self._row_model), block.rows, self._alarm_rate))

    def _merge_scores(self, scores: RowScores) -> None:
        self.scores = scores if self.scores is None else self.scores.merge(scores)

    def merge_bytes(self, data: bytes) -> None:
        """Add a measure that was made elsewhere."""
        state = msgspec.msgpack.decode(data, type=_MeasureState)
        self.counts.merge(FeatureCounts.from_bytes(state.counts))
        if state.scores is not None:
            self._merge_scores(RowScores.from_bytes(state.scores))
        if self.rows is not None and state.rows is not None:
            self.rows.merge_bytes(state.rows)

    def to_bytes(self) -> bytes:
        """See `transforms.measure.Measure`."""
        scores = None if self.scores is None else self.scores.to_bytes()
        rows = None if self.rows is None else self.rows.to_bytes()
        return msgspec.msgpack.encode(_MeasureState(self.counts.to_bytes(), scores, rows))


@dataclass(frozen=True)
class ConcludeClicks:
    """Closes a window of clicks: ranks features, checks them against the reference, checks rows, looks for leaks."""

    features: tuple[str, ...]
    label: str
    reference: str | None
    checks: CheckSettings
    rows: RowCheck
    ranking: RankingSettings
    thresholds: RankingThresholds
    results_per_row: bool = False

    def __call__(self, window: Window, measures: Sequence[bytes]) -> Conclusion:
        """See `transforms.close_books.Conclude`."""
        measure = ClickMeasure(self.features, self.label, self.ranking)
        for data in measures:
            measure.merge_bytes(data)
        if not measure.counts.rows:
            return Conclusion(rows=0, summary={"ranking": []}, findings=[], metrics=[])
        return self._conclude(window, measure)

    def _conclude(self, window: Window, measure: ClickMeasure) -> Conclusion:
        counts = measure.counts
        ranking = rank_features(counts)
        reference = None if self.reference is None else _reference(self.reference)
        profile = profile_window(
            counts,
            ranking,
            None if reference is None else reference.known_values,
            None if reference is None else reference.hash_limits,
        )
        findings = (
            [] if reference is None else check_window(counts, profile, reference, self.checks, complete=window.complete)
        )
        if measure.scores is not None:
            findings += check_rows(measure.scores, self.rows)
        summary: dict[str, Any] = {"ranking": ranking, "profile": profile}
        metrics = click_metrics(ranking, profile, measure.scores)
        if measure.rows is not None:
            told = tell_of_rows(
                measure.rows, ranking, self.label, self.ranking, self.thresholds, (window.start_us, window.end_us)
            )
            summary |= told.summary | name_heavy_values(counts, measure.rows)
            findings, metrics = findings + told.findings, metrics + told.metrics
        pane = pane_state(window, counts, ranking, findings) if self.ranking.panes else None
        return Conclusion(counts.rows, summary, findings, metrics, pane)


def click_metrics(
    ranking: Sequence[RankedFeature], profile: WindowProfile, scores: RowScores | None
) -> list[MetricSample]:
    """Samples of one window of clicks, features limited to the best ranked."""
    samples = [
        gauge("sparsewatch_window_rows", "Rows of the last closed window.", profile.rows),
        gauge("sparsewatch_window_click_ratio", "Share of clicks in the last closed window.", profile.click_rate),
    ]
    for ranked in ranking[:_EXPORTED_FEATURES]:
        labels = {"feature": ranked.feature}
        samples += [
            gauge("sparsewatch_feature_score_nats", "MI less its expectation by chance.", ranked.score, labels),
            gauge("sparsewatch_feature_rank", "Rank by score, 1 is best.", ranked.rank, labels),
            gauge("sparsewatch_feature_cardinality", "Distinct values in the window.", ranked.cardinality, labels),
            gauge("sparsewatch_feature_null_ratio", "Share of nulls.", 1 - ranked.coverage, labels),
        ]
    if scores is not None:
        share = scores.above / max(1, scores.rows)
        samples.append(gauge("sparsewatch_row_alarm_ratio", "Share of rows unlike training.", share))
    return samples


def load_ctr_models(job: CtrJob) -> ConcludeClicks:
    """Load and check what the job names, and the closing step made of it.

    Raises:
        ConfigError: If a threshold is unknown or out of range, or a model does not fit the job's columns.
        ModelError: If a model is missing or damaged.
    """
    if job.rows.model is not None:
        _check_row_model(job, _row_model(_version(job.rows.model)))
    if job.checks.reference is not None:
        _reference(_version(job.checks.reference))
    return ConcludeClicks(
        features=job.ranked_features,
        label=job.label,
        reference=_version(job.checks.reference),
        checks=_thresholds("checks.thresholds", job.checks.thresholds, CheckSettings),
        rows=_thresholds("rows.thresholds", job.rows.thresholds, RowCheck),
        ranking=job.ranking,
        thresholds=_thresholds("ranking.thresholds", job.ranking.thresholds, RankingThresholds),
    )


def _check_row_model(job: CtrJob, model: RowModel) -> None:
    try:
        model.encoder.check_schema(event_schema(job).columns)
        model.threshold(job.rows.alarm_rate)
    except SparsewatchError as error:
        raise ConfigError(f"rows: the model {job.rows.model} does not fit the job: {error}") from error


def _thresholds(key: str, given: dict[str, Any], settings: Callable[..., Any]) -> Any:
    try:
        return msgspec.convert(given, settings)
    except (msgspec.ValidationError, ValueError) as error:
        raise ConfigError(f"{key}: {error}") from error


def new_click_measure(job: CtrJob) -> Callable[[], Measure]:
    """Makes empty measures for this job; sent to workers."""
    return functools.partial(
        ClickMeasure, job.ranked_features, job.label, job.ranking, _version(job.rows.model), job.rows.alarm_rate
    )


def build_ctr(pipeline: beam.Pipeline, job: CtrJob, specs: tuple[ReadSpec, ...]) -> None:
    """The graph of a click-through job."""
    read = pipeline | "ReadClicks" >> ReadKafka(specs, event_schema(job))
    measures = (
        read.blocks
        | "WindowBlocks" >> fixed_windows(job)
        | "CountFeatures" >> MeasureWindows(job.name, new_click_measure(job))
    )
    conclude = load_ctr_models(job)
    look_back = SlidingRanking(job.ranking.panes, conclude.thresholds) if job.ranking.panes else None
    close_books(job, read, [measures], conclude, look_back)
