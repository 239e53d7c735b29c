"""The click-through job: blocks -> counts a feature and row scores -> ranking, checks -> alerts, metrics.

What it tells of whole rows is in `sparsewatch.pipelines.ctr.whole_rows`, its view over the last windows in
`sparsewatch.pipelines.ctr.sliding`.
"""

import functools
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import msgspec

from sparsewatch.detectors.artefacts.versions import resolve_version
from sparsewatch.detectors.clicks.checks import check_window
from sparsewatch.detectors.clicks.profile import WindowProfile, profile_window
from sparsewatch.detectors.clicks.ranking_checks import RankingThresholds
from sparsewatch.detectors.clicks.reference import Reference
from sparsewatch.detectors.clicks.thresholds import ClickThresholds
from sparsewatch.detectors.counts.feature_counts import FeatureCounts
from sparsewatch.detectors.outrank.ranking import RankedFeature, rank_features
from sparsewatch.detectors.rows.windows.checks import RowCheck
from sparsewatch.pipelines.ctr.settings import CtrJob, RankingSettings
from sparsewatch.pipelines.ctr.sliding import SlidingRanking, pane_state
from sparsewatch.pipelines.ctr.whole_rows import RowMeasure, is_asked_for, name_heavy_values, tell_of_rows
from sparsewatch.pipelines.job.ready import Prepared, Ready
from sparsewatch.pipelines.job.thresholds import thresholds_of
from sparsewatch.pipelines.rows.scoring import RowScoring, ScoreMeasure, TellOfScores, check_scoring, row_scoring
from sparsewatch.schemas.block import Block
from sparsewatch.schemas.metrics import MetricSample, gauge
from sparsewatch.schemas.stored import Format
from sparsewatch.transforms.window.close_windows import Conclusion, Record, Window
from sparsewatch.transforms.window.measure import MeasureWindows

#: Features whose metrics are exported, best ranked first: labels stay few.
_EXPORTED_FEATURES = 50


@functools.lru_cache(maxsize=4)
def _reference(path: str) -> Reference:
    return Reference.load(path)


_STORED = Format("a measure of clicks")


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
        scoring: How rows are scored, if they are.
    """

    def __init__(
        self,
        features: Sequence[str],
        label: str,
        ranking: RankingSettings,
        scoring: RowScoring | None = None,
    ) -> None:
        self.counts = FeatureCounts(features, label, max_values=ranking.max_values)
        self.rows = RowMeasure(features, label, ranking) if is_asked_for(ranking) else None
        self.scores = None if scoring is None else ScoreMeasure(scoring)

    def add(self, block: Block) -> None:
        """See `sparsewatch.transforms.window.measure.Measure`."""
        self.counts.update(block.rows)
        if self.rows is not None:
            self.rows.add(block)
        if self.scores is not None:
            self.scores.add(block)

    def merge_bytes(self, data: bytes) -> None:
        """Add a measure that was made elsewhere."""
        state = _STORED.unpack(data, _MeasureState)
        self.counts.merge(FeatureCounts.from_bytes(state.counts))
        if self.scores is not None and state.scores is not None:
            self.scores.merge_bytes(state.scores)
        if self.rows is not None and state.rows is not None:
            self.rows.merge_bytes(state.rows)

    def to_bytes(self) -> bytes:
        """See `sparsewatch.transforms.window.measure.Measure`."""
        scores = None if self.scores is None else self.scores.to_bytes()
        rows = None if self.rows is None else self.rows.to_bytes()
        return msgspec.msgpack.encode(_MeasureState(self.counts.to_bytes(), scores, rows))


@dataclass(frozen=True)
class ConcludeClicks:
    """Closes a window of clicks: ranks features, checks them against the reference, checks rows, looks for leaks."""

    features: tuple[str, ...]
    label: str
    reference: str | None
    checks: ClickThresholds
    ranking: RankingSettings
    thresholds: RankingThresholds
    tell_of_scores: TellOfScores | None = None
    results_per_row: bool = False

    def __call__(self, window: Window, measures: Sequence[bytes]) -> Conclusion:
        """See `sparsewatch.transforms.window.close_windows.Conclude`."""
        scoring = None if self.tell_of_scores is None else self.tell_of_scores.scoring
        measure = ClickMeasure(self.features, self.label, self.ranking, scoring)
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
        summary: dict[str, Any] = {"ranking": ranking, "profile": profile}
        metrics = click_metrics(ranking, profile)
        records: Sequence[Record] = ()
        if measure.scores is not None and self.tell_of_scores is not None:
            said = self.tell_of_scores(measure.scores)
            summary |= said.summary
            findings, metrics, records = findings + said.findings, metrics + said.metrics, said.records
        if measure.rows is not None:
            told = tell_of_rows(
                measure.rows, ranking, self.label, self.ranking, self.thresholds, (window.start_us, window.end_us)
            )
            summary |= told.summary | name_heavy_values(counts, measure.rows)
            findings, metrics = findings + told.findings, metrics + told.metrics
        pane = pane_state(window, counts, ranking, findings) if self.ranking.panes else None
        return Conclusion(counts.rows, summary, findings, metrics, pane, records)


def click_metrics(ranking: Sequence[RankedFeature], profile: WindowProfile) -> list[MetricSample]:
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
    return samples


def prepare_clicks(job: CtrJob, made: Ready) -> Prepared:
    """See `sparsewatch.pipelines.job.ready.prepare`."""
    reference = None
    if job.checks.reference is not None:
        # Settled once, when the graph is built: workers must not follow `latest` to different versions.
        reference = str(resolve_version(job.checks.reference).resolve())
        _reference(reference)
    thresholds = thresholds_of("ranking.thresholds", job.ranking.thresholds, RankingThresholds)
    tell = _tell_of_scores(job, made)
    scoring = None if tell is None else tell.scoring
    measure = functools.partial(ClickMeasure, job.ranked_features, job.label, job.ranking, scoring)
    conclude = ConcludeClicks(
        features=job.ranked_features,
        label=job.label,
        reference=reference,
        checks=thresholds_of("checks.thresholds", job.checks.thresholds, ClickThresholds),
        ranking=job.ranking,
        thresholds=thresholds,
        tell_of_scores=tell,
    )
    return Prepared(
        events="Clicks",
        measure="CountFeatures" >> MeasureWindows(job.name, measure),
        conclude=conclude,
        look_back=SlidingRanking(job.ranking.panes, thresholds) if job.ranking.panes else None,
    )


def _tell_of_scores(job: CtrJob, made: Ready) -> TellOfScores | None:
    check = thresholds_of("rows.thresholds", job.rows.thresholds, RowCheck)
    if job.rows.model is None:
        return None
    scoring = row_scoring(job.rows.model, job.rows, made.events.columns)
    check_scoring(scoring)
    return TellOfScores(scoring, check, made.topics.source, made.topics.named("rows"))
