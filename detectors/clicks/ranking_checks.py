"""Checks of the rankings of a stream: features that drift, and features that may be leaks.

| rule | value | fires when |
|---|---|---|
| `rank_drift` | share of the label's entropy explained | it moved from that of the windows before |
| `leakage_suspected` | by kind (see `outrank.leakage`) | a feature carries information that it should not have |

A feature drifts if three things hold: chance is excluded (Holm over the features, from `compare_rankings`), the change
is larger than the spread between the windows before, and it is large enough to matter.
"""

from collections.abc import Collection, Mapping, Sequence

import numpy as np
from scipy.special import ndtr

from sparsewatch.detectors.clicks.thresholds import RankingThresholds
from sparsewatch.detectors.clicks.tolerances import between_windows, widen
from sparsewatch.detectors.counts.feature_counts import FeatureCounts
from sparsewatch.detectors.outrank.information.rarefied_score import rarefied_ranking
from sparsewatch.detectors.outrank.leakage import Kind, LeakReport, Suspicion
from sparsewatch.detectors.outrank.rank_drift import FeatureDrift, RankDrift, compare_rankings
from sparsewatch.detectors.outrank.ranking import RankedFeature, rank_features
from sparsewatch.schemas.alerts import Finding

#: Kinds of leaks, the strongest first.
_KINDS: tuple[Kind, ...] = ("too_good", "future", "same_second")
_MESSAGES: dict[Kind, str] = {
    "too_good": "explains {value:.1%} of the label's entropy, the next best feature {base:.1%}",
    "future": "explains {value:.2%} of the labels of the next second, {base:.2%} of those of the second before",
    "same_second": "explains {value:.2%} of the labels of other rows in its second, {base:.2%} of those a second away",
}


def compare_at_equal_rows(
    now: FeatureCounts, ranking: Sequence[RankedFeature], before: FeatureCounts, alpha: float
) -> RankDrift:
    """Drift of the ranking against earlier counts, both rarefied to the number of rows of the smaller.

    Args:
        now: Counts of the window.
        ranking: Its features, best first.
        before: Counts of the windows before.
        alpha: See `compare_rankings`.
    """
    rows = min(now.rows, before.rows)
    return compare_rankings(
        rarefied_ranking(now, ranking, rows), rarefied_ranking(before, rank_features(before), rows), alpha=alpha
    )


def drift_findings(
    drift: RankDrift,
    earlier: Mapping[str, Sequence[float]],
    sampling_sd: Mapping[str, float],
    thresholds: RankingThresholds,
    reported: Collection[str] = (),
) -> list[Finding]:
    """Features whose share of the label's entropy moved, in the order of their rank now.

    Args:
        drift: The window's ranking against the ranking of all windows before, for equally many rows.
        earlier: The share in each of these windows, by feature.
        sampling_sd: Standard error of the window's share by its rows alone, by feature.
        thresholds: When a change matters.
        reported: Features on which another rule fired in this window: one cause alerts once.
    """
    findings = []
    for moved in drift.features:
        if not moved.significant or moved.feature in reported:
            continue
        shares = earlier[moved.feature]
        sd = float(np.std(shares, ddof=1))
        between = widen(between_windows(sd, sampling_sd[moved.feature], len(shares), thresholds.spread_z), len(shares))
        threshold = _border(moved, between, thresholds)
        rose = moved.normalised_now > moved.normalised_before
        if moved.normalised_now >= threshold if rose else moved.normalised_now <= threshold:
            findings.append(_drift_finding(moved, threshold, len(shares), sd))
    return findings


def _border(drift: FeatureDrift, between: float, thresholds: RankingThresholds) -> float:
    """The share from which on the change matters, in its direction."""
    before, t = max(drift.normalised_before, 0.0), thresholds
    if drift.normalised_now > drift.normalised_before:
        matters = min(before + t.change, max(before * t.factor, before + t.least_change))
        return max(matters, before + between)
    matters = max(before - t.change, min(before / t.factor, before - t.least_change))
    return min(matters, before - between)


def _drift_finding(drift: FeatureDrift, threshold: float, windows: int, sd: float) -> Finding:
    rose = drift.normalised_now > drift.normalised_before
    return Finding(
        rule="rank_drift",
        subject=drift.feature,
        severity="info" if rose else "warning",
        value=drift.normalised_now,
        threshold=threshold,
        baseline=drift.normalised_before,
        message=(
            f"{drift.feature}: explains {drift.normalised_now:.2%} of the label's entropy, "
            f"{drift.normalised_before:.2%} in the {windows} windows before; "
            f"rank {drift.rank_now}, was {drift.rank_before}"
        ),
        evidence={
            "z": drift.z,
            "effect": drift.normalised_now - drift.normalised_before,
            "rank": drift.rank_now,
            "rank_before": drift.rank_before,
            "windows": windows,
            "spread": sd,
        },
        p_value=drift.p_value,
    )


def leak_findings(report: LeakReport) -> list[Finding]:
    """At most one finding for each feature, of its strongest kind; other kinds are named in `evidence["also"]`."""
    by_feature: dict[str, list[Suspicion]] = {}
    for suspicion in report.suspicions:
        by_feature.setdefault(suspicion.feature, []).append(suspicion)
    return [_leak_finding(sorted(kinds, key=lambda s: _KINDS.index(s.kind)), report) for kinds in by_feature.values()]


def _leak_finding(suspicions: Sequence[Suspicion], report: LeakReport) -> Finding:
    first, *others = suspicions
    base = first.evidence["next_best" if first.kind == "too_good" else "compared_with"]
    explains = _MESSAGES[first.kind].format(value=first.value, base=base)
    return Finding(
        rule="leakage_suspected",
        subject=first.feature,
        severity="warning",
        value=first.value,
        threshold=first.threshold,
        baseline=base,
        message=f"{first.feature}: {explains}; check whether its value is known when the row arrives",
        evidence={
            **first.evidence,
            "kind": first.kind,
            "z": first.z,
            "sampled_rows": report.rows,
            "also": [other.kind for other in others],
        },
        p_value=float(ndtr(-first.z)),
    )
