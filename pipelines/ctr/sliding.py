"""The click-through job's view over its last windows: one ranking of them all, and the drift against the baseline.

A window is compared with the *baseline*: the windows in reach that were complete and without a finding, their
counts merged. A window that alerted is not learned, so that a lasting fault does not become normal. When
fewer than `min_panes` such windows are left nothing is compared, so windows are learned again; when the whole reach
holds none, since each has another finding, all of them are the baseline. Either way the baseline is renewed once a
change has outlasted the reach.

Scores are compared at equally many rows (`sparsewatch.detectors.outrank.information.rarefied_score`): volume alone
moves no rank.
"""

import logging
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from sparsewatch.detectors.clicks.ranking_checks import compare_at_equal_rows, drift_findings
from sparsewatch.detectors.clicks.repeated_rows import RepeatedRows
from sparsewatch.detectors.clicks.thresholds import RankingThresholds
from sparsewatch.detectors.counts.feature_counts import FeatureCounts
from sparsewatch.detectors.outrank.information.mutual_information import entropy
from sparsewatch.detectors.outrank.rank_drift import RankDrift
from sparsewatch.detectors.outrank.ranking import RankedFeature, rank_features
from sparsewatch.schemas import metrics
from sparsewatch.schemas.alerts import Finding, MetricSample, counted
from sparsewatch.schemas.errors import SchemaError, StateError
from sparsewatch.schemas.stored import Format
from sparsewatch.transforms.window.measure import Conclusion, Window
from sparsewatch.transforms.window.panes import Pane, PaneState, decode_panes

_logger = logging.getLogger(__name__)

FORMAT = Format("the pane of a window of clicks")
#: Features in the records of a view, best ranked first.
_LISTED_FEATURES = 200


class ClickPane(PaneState, frozen=True, array_like=True, kw_only=True):
    """Saved state of a window of clicks, for later views."""

    stored: ClassVar[Format] = FORMAT

    #: False if rows of it may be missing.
    complete: bool
    #: Subjects of its findings.
    reported: list[str]
    ranking: list[RankedFeature]
    #: Bytes of its `FeatureCounts`.
    counts: bytes
    #: Bytes of a `RowSample` of its rows; empty where there is none.
    sample: bytes = b""
    #: The first of these rows that are kept to be learned, packed: features and label.
    learned_rows: bytes = b""
    #: Rows of the sample that repeat others; of those kept to be learned how many there are, and pairs of equal ones.
    repeated: RepeatedRows | None = None
    learned_pairs: tuple[int, int] | None = None


def pane_state(
    window: Window, counts: bytes, ranking: Sequence[RankedFeature], findings: Sequence[Finding]
) -> ClickPane:
    """The pane that a window with these `FeatureCounts` leaves."""
    return ClickPane(
        complete=window.complete,
        reported=sorted({finding.subject for finding in findings}),
        ranking=list(ranking),
        counts=counts,
    )


@dataclass(frozen=True, slots=True)
class _Saved:
    """An earlier pane that fits the job, and its state."""

    pane: Pane
    clicks: ClickPane


@dataclass(frozen=True)
class SlidingRanking:
    """See `sparsewatch.transforms.window.measure.LookBack`."""

    panes: int
    thresholds: RankingThresholds

    def __call__(self, pane: Pane, earlier: Sequence[Pane]) -> Conclusion:
        """See `sparsewatch.transforms.window.measure.LookBack`."""
        own = ClickPane.from_bytes(pane.state)
        now = FeatureCounts.from_bytes(own.counts)
        saved = [_Saved(*found) for found in decode_panes(earlier, ClickPane, pane.end_us - pane.start_us)]
        baseline = choose_baseline(saved, self.panes - 1)
        merged, learned = _merged(now.without_rows(), baseline)
        untold = self._not_compared(own, now, len(learned))
        drift = None if untold else compare_at_equal_rows(now, own.ranking, merged, self._alpha(pane))
        sliding, others = _merged(merged, [one for one in saved if one not in baseline])
        sliding.merge(now)
        ranking = rank_features(sliding)
        findings = [] if drift is None else self._findings(drift, own, now, learned)
        summary = {
            "sliding": {
                "panes": 1 + len(learned) + len(others),
                "start_us": min([pane.start_us, *(one.pane.start_us for one in (*learned, *others))]),
                "rows": sliding.rows,
                "clicks": sliding.clicks,
                "ranking": ranking[:_LISTED_FEATURES],
            },
            "drift": {"panes": len(learned), "untold": untold, **_drift_record(drift)},
        }
        return Conclusion(sliding.rows, summary, findings, _metrics(ranking, drift))

    def close(self) -> None:
        """See `sparsewatch.transforms.window.measure.LookBack`; it holds nothing open."""

    def _alpha(self, pane: Pane) -> float:
        return self.thresholds.alpha(pane.end_us - pane.start_us)

    def _not_compared(self, own: ClickPane, now: FeatureCounts, learned: int) -> str | None:
        """Why the window is not compared; None if it is."""
        if not own.complete:
            return "rows of the window may be missing"
        if learned < self.thresholds.min_panes:
            return f"{counted(learned, 'earlier window')} without a finding, {self.thresholds.min_panes} needed"
        return self.thresholds.too_few(now.rows, now.clicks)

    def _findings(
        self, drift: RankDrift, own: ClickPane, now: FeatureCounts, learned: Sequence[_Saved]
    ) -> list[Finding]:
        earlier: dict[str, list[float]] = {one.feature: [] for one in own.ranking}
        for one in learned:
            for ranked in one.clicks.ranking:
                earlier[ranked.feature].append(ranked.normalised)
        label_entropy = entropy(np.array([now.rows - now.clicks, now.clicks]))
        sampling_sd = {one.feature: one.standard_error / label_entropy for one in own.ranking}
        return drift_findings(drift, earlier, sampling_sd, self.thresholds, own.reported)


def choose_baseline(saved: Sequence[_Saved], reach: int) -> list[_Saved]:
    """The panes a window is compared with; see the top of this module.

    Args:
        saved: Earlier panes, oldest first.
        reach: Windows before its own that a view reaches.
    """
    complete = [one for one in saved if one.clicks.complete]
    learned = [one for one in complete if one.pane.learned]
    return complete if not learned and len(saved) == reach else learned


def _merged(counts: FeatureCounts, panes: Iterable[_Saved]) -> tuple[FeatureCounts, list[_Saved]]:
    """Counts with those of panes added, and the panes that could be added: others have other features or values."""
    merged = []
    for one in panes:
        try:
            counts.merge(FeatureCounts.from_bytes(one.clicks.counts))
            merged.append(one)
        except (StateError, SchemaError) as error:
            _logger.warning("the window at %d us is left out of the view: %s", one.pane.start_us, error)
    return counts, merged


def _drift_record(drift: RankDrift | None) -> dict[str, Any]:
    if drift is None:
        return {"overlap": None, "features": []}
    return {"overlap": drift.overlap, "alpha": drift.alpha, "features": drift.features[:_LISTED_FEATURES]}


def _metrics(ranking: Sequence[RankedFeature], drift: RankDrift | None) -> list[MetricSample]:
    """Samples of one view, features limited to the best ranked."""
    samples = []
    for one in ranking[: metrics.FEATURES]:
        samples += [
            metrics.SLIDING_SCORE.sample(one.score, feature=one.feature),
            metrics.SLIDING_RANK.sample(one.rank, feature=one.feature),
        ]
    if drift is None:
        return samples
    samples.append(metrics.RANK_OVERLAP.sample(drift.overlap))
    for change in drift.features[: metrics.FEATURES]:
        samples.append(metrics.FEATURE_DRIFT.sample(change.p_value, feature=change.feature))
    return samples
