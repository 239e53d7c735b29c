"""Checks of a stream's rankings: a budget of false alarms a day, changes that matter, one alert for each cause."""

import numpy as np
import pyarrow as pa
import pytest

from sparsewatch.detectors.clicks.ranking_checks import compare_at_equal_rows, drift_findings, leak_findings
from sparsewatch.detectors.clicks.thresholds import RankingThresholds
from sparsewatch.detectors.counts.feature_counts import FeatureCounts
from sparsewatch.detectors.outrank.leak_settings import LeakSettings
from sparsewatch.detectors.outrank.leakage import LeakReport, Suspicion
from sparsewatch.detectors.outrank.rank_drift import FeatureDrift, RankDrift
from sparsewatch.detectors.outrank.ranking import RankedFeature, rank_features
from sparsewatch.schemas.errors import ConfigError
from sparsewatch.schemas.settings import read_settings

MINUTE_US = 60_000_000


def drift(before: float, now: float, *, significant: bool = True) -> RankDrift:
    moved = FeatureDrift(
        feature="ad",
        rank_before=1,
        rank_now=2,
        score_before=before / 2,
        score_now=now / 2,
        normalised_before=before,
        normalised_now=now,
        z=9.0,
        p_value=1e-9,
        significant=significant,
    )
    return RankDrift(overlap=0.9, alpha=0.01, features=[moved], appeared=[], vanished=[])


def found(before: float, now: float, *, spread: float = 1e-4, significant: bool = True, **thresholds: float) -> bool:
    shares = {"ad": [before - spread, before, before + spread] * 2}
    limits = RankingThresholds(**thresholds)  # type: ignore[arg-type]
    return bool(drift_findings(drift(before, now, significant=significant), shares, {"ad": 1e-4}, limits))


@pytest.mark.parametrize(
    ("before", "now", "matters"),
    [
        (0.30, 0.249, True),
        (0.30, 0.251, False),
        (0.03, 0.0099, True),
        (0.03, 0.0101, False),
        (0.004, 0.0, False),
        (0.30, 0.351, True),
        (0.30, 0.349, False),
        (0.01, 0.0301, True),
        (0.01, 0.0299, False),
        (0.0, 0.0051, True),
        (-0.001, 0.0049, False),
    ],
)
def test_a_change_matters_by_its_size_or_as_a_multiple(before: float, now: float, matters: bool) -> None:
    assert found(before, now) == matters


def test_what_is_chance_or_within_the_spread_of_the_windows_before_is_no_finding() -> None:
    assert found(0.3, 0.1)
    assert not found(0.3, 0.1, significant=False)
    assert not found(0.3, 0.1, spread=0.05)
    assert found(0.3, 0.1, spread=0.05, spread_z=2.0)


def test_a_finding_names_the_feature_and_both_shares() -> None:
    (lost,) = drift_findings(drift(0.3, 0.1), {"ad": [0.3, 0.3, 0.301]}, {"ad": 0.001}, RankingThresholds())
    assert (lost.rule, lost.subject, lost.severity) == ("rank_drift", "ad", "warning")
    assert (lost.value, lost.baseline) == (0.1, 0.3)
    assert lost.threshold == pytest.approx(0.25)
    assert lost.message.startswith("ad: explains 10.00% of the label's entropy, 30.00% in the 3 windows before")
    (gained,) = drift_findings(drift(0.1, 0.3), {"ad": [0.1, 0.1, 0.101]}, {"ad": 0.001}, RankingThresholds())
    assert gained.severity == "info"


def test_a_feature_another_rule_spoke_of_alerts_once() -> None:
    shares = {"ad": [0.3, 0.3, 0.301]}
    assert not drift_findings(drift(0.3, 0.1), shares, {"ad": 0.001}, RankingThresholds(), reported=["ad"])
    assert drift_findings(drift(0.3, 0.1), shares, {"ad": 0.001}, RankingThresholds(), reported=["stream"])


def test_the_budget_of_a_day_is_shared_by_its_windows() -> None:
    thresholds = RankingThresholds(false_alarms_a_day=0.144)
    assert thresholds.alpha(5 * MINUTE_US) == pytest.approx(0.0005)
    assert thresholds.leak_settings(MINUTE_US).alpha == pytest.approx(0.0001)
    assert RankingThresholds(false_alarms_a_day=100).alpha(1440 * MINUTE_US) == 0.5


def test_thresholds_out_of_range_are_refused() -> None:
    for wrong in ({"factor": 0.5}, {"twins": 0.0}, {"min_panes": 1}, {"false_alarms_a_day": 0.0}):
        with pytest.raises(ConfigError, match=next(iter(wrong))):
            RankingThresholds(**wrong)
    with pytest.raises(ConfigError, match="follows from false_alarms_a_day"):
        RankingThresholds(leakage=LeakSettings(alpha=0.05))
    with pytest.raises(ConfigError, match="unknown key 'no_such'"):
        read_settings({"no_such": 1}, RankingThresholds)


def test_too_few_rows_are_the_stated_reason() -> None:
    thresholds = RankingThresholds(min_rows=100, min_label_rows=10)
    assert thresholds.too_few(99, 50) == "99 rows, 100 are needed"
    assert thresholds.too_few(100, 91) == "9 rows of the rarer label, 10 are needed"
    assert thresholds.too_few(100, 10) is None


def test_a_leak_alerts_once_a_feature_by_its_strongest_kind() -> None:
    def suspicion(feature: str, kind: str, **evidence: float) -> Suspicion:
        return Suspicion(feature=feature, kind=kind, value=0.8, threshold=0.5, z=9.0, evidence=evidence)  # type: ignore[arg-type]

    suspicions = [
        suspicion("b", "future", compared_with=0.1),
        suspicion("a", "same_second", compared_with=0.1),
        suspicion("a", "too_good", next_best=0.2),
    ]
    b, a = leak_findings(LeakReport(rows=5, paired_rows=4, untold=None, suspicions=suspicions))
    assert (a.rule, a.subject, a.severity, a.baseline) == ("leakage_suspected", "a", "warning", 0.2)
    assert (a.evidence["kind"], a.evidence["also"]) == ("too_good", ["same_second"])
    assert "80.00% of the labels of the next second, 10.00%" in b.message


NAMES = ("flag", "strong", "site", "user")
CARDINALITIES, EFFECTS = (2, 8, 500, 4_000), (0.0, 1.0, 0.5, 0.0)


def window(rng: np.random.Generator, rows: int, effects: list[np.ndarray]) -> FeatureCounts:
    odds = np.full(rows, -1.4)
    columns = {}
    for name, cardinality, effect in zip(NAMES, CARDINALITIES, effects, strict=True):
        values = (cardinality * rng.random(rows) ** 1.5).astype(np.int64)
        odds += effect[values]
        columns[name] = values
    clicks = (rng.random(rows) < 1 / (1 + np.exp(-odds))).astype(np.int8)
    counts = FeatureCounts(NAMES, "click")
    counts.update(pa.record_batch({**columns, "click": clicks}))
    return counts


@pytest.mark.long
def test_false_alarms_of_thousands_of_decisions_stay_within_the_budget() -> None:
    alpha, judged, alarms, found = 0.02, 0, 0, 0
    nervous = RankingThresholds(change=1e-6, factor=1.0, least_change=0.0, spread_z=1.0)
    for seed in range(50):
        rng = np.random.default_rng(seed)
        effects = [effect * rng.standard_normal(n) for effect, n in zip(EFFECTS, CARDINALITIES, strict=True)]
        before = [window(rng, 2_000, effects) for _ in range(4)]
        merged, shares = before[0].without_rows(), _shares(before)
        for earlier in before:
            merged.merge(earlier)
        for rows in (1_000, 2_000, 4_000) * 8:
            now = window(rng, rows, effects)
            ranking = rank_features(now)
            drift = compare_at_equal_rows(now, ranking, merged, alpha)
            judged += 1
            alarms += any(feature.significant for feature in drift.features)
            sampling = {ranked.feature: ranked.standard_error for ranked in ranking}
            assert len(drift_findings(drift, shares, sampling, nervous)) <= sum(o.significant for o in drift.features)
            found += bool(drift_findings(drift, shares, sampling, RankingThresholds()))
    assert judged == 1_200
    assert alarms <= alpha * judged + 3 * np.sqrt(alpha * judged)
    assert found == 0


def _shares(windows: list[FeatureCounts]) -> dict[str, list[float]]:
    rankings: list[list[RankedFeature]] = [rank_features(window) for window in windows]
    return {
        name: [ranked.normalised for ranking in rankings for ranked in ranking if ranked.feature == name]
        for name in NAMES
    }
