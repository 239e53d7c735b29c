"""The click-through job: blocks -> counts a feature and row scores -> ranking, checks -> alerts, metrics.

Its conclusions from whole rows are in `sparsewatch.pipelines.ctr.whole_rows`, its view over the last windows in
`sparsewatch.pipelines.ctr.sliding`.
"""

import functools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING

from sparsewatch.detectors.artefacts.versions import resolve_version
from sparsewatch.detectors.clicks.baselines import told_of, with_baseline
from sparsewatch.detectors.clicks.checks import check_volume, check_window
from sparsewatch.detectors.clicks.determined_checks import check_determined
from sparsewatch.detectors.clicks.located import Samples, locate
from sparsewatch.detectors.clicks.profile import WindowProfile, profile_window, without_value
from sparsewatch.detectors.clicks.reference import Reference
from sparsewatch.detectors.clicks.repeated_rows import check_repeats, repeated_rows
from sparsewatch.detectors.clicks.slow_changes import observed
from sparsewatch.detectors.clicks.thresholds import ClickThresholds, RankingThresholds
from sparsewatch.detectors.counts.feature_counts import FeatureCounts
from sparsewatch.detectors.counts.type_counts import TypeCounts
from sparsewatch.detectors.outrank.ranking import RankedFeature, rank_features
from sparsewatch.detectors.type_changes import explained, type_findings
from sparsewatch.pipelines.ctr.findable import findable
from sparsewatch.pipelines.ctr.learned_pane import learnable
from sparsewatch.pipelines.ctr.learning import LearnedBaseline
from sparsewatch.pipelines.ctr.reference_fit import check_reference_fits, reference_remarks
from sparsewatch.pipelines.ctr.sampled_rows import SampleMeasure
from sparsewatch.pipelines.ctr.settings import CtrJob, RankingSettings
from sparsewatch.pipelines.ctr.sliding import SlidingRanking, pane_state
from sparsewatch.pipelines.job.model_in_use import ModelInUse
from sparsewatch.pipelines.job.ready import Prepared, Ready
from sparsewatch.schemas import metrics
from sparsewatch.schemas.alerts import Finding, MetricSample
from sparsewatch.schemas.slow_changes import Observed
from sparsewatch.transforms.window.measure import Accumulated, Composite, Conclusion, MeasureWindows, Window
from sparsewatch.transforms.window.types import TypeMeasure, mistyped_metrics, mistyped_summary

if TYPE_CHECKING:
    from sparsewatch.pipelines.ctr.whole_rows import RowSampleMeasure
    from sparsewatch.pipelines.rows.scoring import ConcludeScores, RowScoring, ScoreMeasure

#: Features whose metrics are exported, best ranked first: labels stay few.
_EXPORTED_FEATURES = 50


class ClickMeasure(Composite):
    """Counts of every feature, the summary of row scores with a model, samples of whole rows if the job needs them.

    Args:
        features: Columns to rank.
        label: Column of clicks.
        ranking: What is computed beside counts.
        scoring: How rows are scored, if they are.
        declared: Type of each column, as the job declares it.
        sample_rows: Rows sampled to tell in which rows a change is; 0 for none.
    """

    def __init__(
        self,
        features: Sequence[str],
        label: str,
        ranking: RankingSettings,
        scoring: "RowScoring | None" = None,
        declared: Mapping[str, str] = MappingProxyType({}),
        sample_rows: int = 0,
    ) -> None:
        bins = ranking.number_bins_of(features, declared)
        counts = FeatureCounts(
            features, label, max_values=ranking.max_values, numbers=bins.features, number_bits=bins.bits
        )
        self.counts = Accumulated(counts, FeatureCounts.update)
        rows = max(ranking.sample_rows, sample_rows)
        self.rows = SampleMeasure(features, label, rows) if rows else None
        self.samples = _samples(features, label, ranking) if ranking.needs_rows else None
        self.scores = None if scoring is None else _score_measure(scoring)
        self.types = TypeMeasure(tuple(declared))
        super().__init__(counts=self.counts, rows=self.rows, samples=self.samples, scores=self.scores, types=self.types)


# Scores come with torch, pairs of features with sparse matrices: time and memory that most click jobs do without.
def _samples(features: Sequence[str], label: str, ranking: RankingSettings) -> "RowSampleMeasure":
    from sparsewatch.pipelines.ctr.whole_rows import RowSampleMeasure

    return RowSampleMeasure(features, label, ranking)


def _score_measure(scoring: "RowScoring") -> "ScoreMeasure":
    from sparsewatch.pipelines.rows.scoring import ScoreMeasure

    return ScoreMeasure(scoring)


@dataclass(frozen=True)
class ConcludeClicks:
    """Closes a window of clicks: ranks features, checks them against the reference, checks rows, looks for leaks."""

    features: tuple[str, ...]
    label: str
    reference: ModelInUse[Reference] | None
    checks: ClickThresholds
    ranking: RankingSettings
    thresholds: RankingThresholds
    scores: "ConcludeScores | None" = None
    #: Type of each column but the label, as the job declares it.
    declared: Mapping[str, str] = field(default_factory=dict)
    #: Rows sampled to tell in which rows a change is; 0 for none.
    sample_rows: int = 0
    #: Whether a baseline is learned of its windows.
    learns: bool = False
    #: Feature that predicts the label, if one does.
    prediction: str | None = None
    results_per_row: bool = False

    def __call__(self, window: Window, measures: Sequence[bytes]) -> Conclusion:
        """See `sparsewatch.transforms.window.measure.Conclude`."""
        scoring = None if self.scores is None else self.scores.scoring
        measure = ClickMeasure(self.features, self.label, self.ranking, scoring, self.declared, self.sample_rows)
        for data in measures:
            measure.merge_bytes(data)
        return self._conclude(window, measure) if measure.counts.state.rows else self._without_rows(window)

    def _without_rows(self, window: Window) -> Conclusion:
        """Only the volume can be judged. There is no pane: an empty window is no baseline of later ones."""
        found: list[Finding] = []
        if self.reference is not None:
            reference = self.reference.now()
            low = check_volume(0, reference, self.checks, complete=window.complete, start_us=window.start_us)
            found = [] if low is None else self._by(reference, [low])
        return Conclusion(
            summary={"ranking": []},
            findings=found,
            metrics=[metrics.WINDOW_ROWS.sample(0), *([] if self.scores is None else [metrics.ROWS_SCORED.sample(0)])],
        )

    def _conclude(self, window: Window, measure: ClickMeasure) -> Conclusion:
        counts = measure.counts.state
        ranking = rank_features(counts)
        types = measure.types.counts
        whole = self._of_counts(window, counts, ranking, types)
        if measure.scores is not None and self.scores is not None:
            whole += self.scores(measure.scores)
        if measure.samples is not None:
            from sparsewatch.pipelines.ctr.whole_rows import conclude_samples

            sample = None if measure.rows is None else measure.rows.state
            whole += conclude_samples(measure.samples, sample, counts, ranking, self.ranking, self.thresholds, window)
        whole += Conclusion(findings=self._repeated(measure))
        whole += Conclusion(findings=self._linked(measure, whole.findings))
        checks = self.checks
        changes = type_findings(
            types, self.declared, least_share=checks.mistyped_share, least_cells=checks.mistyped_cells
        )
        whole = replace(whole, findings=self._located(explained(whole.findings, changes), measure))
        if not self.ranking.panes and not self.learns:
            return whole
        pane = pane_state(window, measure.counts.to_bytes(), ranking, whole.findings)
        return whole + Conclusion(
            pane=pane.to_bytes() if self.ranking.panes else None,
            learnable=learnable(pane, measure.rows) if self.learns else None,
        )

    def _repeated(self, measure: ClickMeasure) -> list[Finding]:
        """Rows that repeat others, where rows are sampled."""
        reference = None if self.reference is None else self.reference.now()
        if reference is None or reference.repeats is None or measure.rows is None:
            return []
        repeated = repeated_rows(measure.rows.state.rows(), (*self.features, self.label))
        found = check_repeats(repeated, measure.counts.state.rows, reference.repeats, self.checks)
        return [] if found is None else self._by(reference, [found])

    def _linked(self, measure: ClickMeasure, found: Sequence[Finding]) -> list[Finding]:
        """Features that no longer determine one another, where rows are sampled."""
        reference = None if self.reference is None else self.reference.now()
        if reference is None or not reference.determined or measure.rows is None:
            return []
        rows, told = measure.rows.state.rows(), {one.subject for one in found}
        return self._by(reference, check_determined(rows, reference.determined, self.checks, told, reference.name))

    def _located(self, findings: list[Finding], measure: ClickMeasure) -> list[Finding]:
        """The findings with the rows that each is about, where rows are sampled."""
        if not findings or not self.sample_rows or measure.rows is None or self.reference is None:
            return findings
        reference = self.reference.now()
        return locate(findings, Samples.of(measure.counts.state, measure.rows.state.rows(), reference))

    def _of_counts(
        self, window: Window, counts: FeatureCounts, ranking: list[RankedFeature], types: TypeCounts
    ) -> Conclusion:
        reference = None if self.reference is None else self.reference.now()
        matched = None if reference is None else reference.known.match(counts)
        unseen = {} if reference is None or matched is None else reference.known.unseen_shares(counts, matched)
        profile = profile_window(counts, ranking, unseen, types.mistyped, self.prediction)
        exported = [ranked.feature for ranked in ranking[: metrics.FEATURES]]
        return Conclusion(
            rows=counts.rows,
            summary={"ranking": ranking, "profile": profile, "mistyped": mistyped_summary(types)},
            findings=[]
            if reference is None
            else self._by(
                reference,
                check_window(
                    counts,
                    profile,
                    reference,
                    self.checks,
                    matched=matched,
                    complete=window.complete,
                    start_us=window.start_us,
                ),
            ),
            metrics=click_metrics(ranking, profile) + mistyped_metrics(types, exported),
            observed=None if reference is None else self._watched(window, counts, reference),
            without_value=without_value(profile),
        )

    def _watched(self, window: Window, counts: FeatureCounts, reference: Reference) -> Observed | None:
        if not window.complete:
            return None
        span = (window.start_us, window.end_us)
        return observed(counts, reference, self.checks, span, told_of(reference, *self._told))

    def _by(self, reference: Reference, findings: list[Finding]) -> list[Finding]:
        return with_baseline(findings, reference, *self._told)

    @property
    def _told(self) -> tuple[str, str | None]:
        """Kind and version of the reference."""
        return "fixed", None if self.reference is None else Path(self.reference.path).name


def click_metrics(ranking: Sequence[RankedFeature], profile: WindowProfile) -> list[MetricSample]:
    """Samples of one window of clicks, features limited to the best ranked."""
    samples = [metrics.WINDOW_ROWS.sample(profile.rows), metrics.CLICK_RATIO.sample(profile.click_rate)]
    if (own := profile.calibration) is not None and (predicted := sum(own.predicted)) > 0:
        samples.append(metrics.CALIBRATION.sample(sum(own.clicks) / predicted))
    for ranked in ranking[: metrics.FEATURES]:
        samples += [
            metrics.FEATURE_SCORE.sample(ranked.score, feature=ranked.feature),
            metrics.FEATURE_RANK.sample(ranked.rank, feature=ranked.feature),
            metrics.FEATURE_CARDINALITY.sample(ranked.cardinality, feature=ranked.feature),
            metrics.FEATURE_NULLS.sample(1 - ranked.coverage, feature=ranked.feature),
        ]
    return samples


def prepare_clicks(job: CtrJob, made: Ready) -> Prepared:
    """See `sparsewatch.pipelines.job.ready.prepare`."""
    reference, remarks = _reference(job, made)
    thresholds = job.ranking.thresholds.within(job.allowance)
    scores = _scores(job, made)
    scoring = None if scores is None else scores.scoring
    declared = {name: kind for name, kind in job.columns.items() if name != job.label}
    measure = functools.partial(
        ClickMeasure, job.ranked_features, job.label, job.ranking, scoring, declared, job.sample_rows
    )
    conclude = ConcludeClicks(
        features=job.ranked_features,
        label=job.label,
        reference=reference,
        checks=job.checks.thresholds.within(job.allowance),
        ranking=job.ranking,
        thresholds=thresholds,
        scores=scores,
        declared=declared,
        sample_rows=job.sample_rows,
        learns=job.learns,
        prediction=job.checks.prediction,
    )
    return Prepared(
        events="Clicks",
        measure="CountFeatures" >> MeasureWindows(job.name, measure),
        conclude=conclude,
        look_back=SlidingRanking(job.ranking.panes, thresholds) if job.ranking.panes else None,
        learning=_learning(job),
        remarks=(*remarks, *_learning_remarks(job)),
        own_volume=reference is None,
        findable=() if reference is None else findable(reference.now(), job),
    )


def _learning_remarks(job: CtrJob) -> tuple[str, ...]:
    if not job.learns:
        return ()
    least = job.checks.learning.least
    return (f"no reference is named: the job learns what is usual from its first {least} complete windows",)


def _learning(job: CtrJob) -> LearnedBaseline | None:
    if not job.learns:
        return None
    checks = job.checks
    thresholds = checks.thresholds.within(job.allowance)
    return LearnedBaseline(job.ranked_features, checks.learning, thresholds, checks.prediction)


def _reference(job: CtrJob, made: Ready) -> tuple[ModelInUse[Reference] | None, tuple[str, ...]]:
    if job.checks.reference is None:
        return None, ()
    # Fixed when the graph is built: workers must not follow `latest` to different versions.
    reference = ModelInUse.at(str(resolve_version(job.checks.reference)), Reference.load)
    found = reference.check()
    check_reference_fits(found, job, made.windows.length_us)
    return reference, reference_remarks(found, job)


def _scores(job: CtrJob, made: Ready) -> "ConcludeScores | None":
    if job.rows.model is None:
        return None
    from sparsewatch.pipelines.rows.scoring import ConcludeScores, row_scoring

    scoring = row_scoring(job.rows.model, job.rows, made.events.columns)
    return ConcludeScores(
        scoring, job.rows.thresholds.within(job.allowance), made.topics.source, made.topics.named("rows")
    )
