"""How far a baseline falls short of the windows that follow it."""

import numpy as np
import pyarrow as pa
import pytest

from sparsewatch.detectors.clicks.baselines import with_baseline
from sparsewatch.detectors.clicks.inflation import of_figures, of_new_values, of_past, of_shares, pooled, within_reach
from sparsewatch.detectors.clicks.past import Past
from sparsewatch.detectors.clicks.reference import Reference, fit_reference
from sparsewatch.detectors.clicks.tolerances import Statistic, share_tolerance
from sparsewatch.detectors.counts.feature_counts import FeatureCounts
from tests.kit.click_streams import findings

ROWS = 1_000


def walk(rng: np.random.Generator, windows: int, persistence: float) -> np.ndarray:
    """Steps that keep a part of the last one, of variance 1."""
    state, steps = rng.normal(), []
    for noise in rng.normal(size=windows) * np.sqrt(1 - persistence**2):
        steps.append(state)
        state = persistence * state + noise
    return np.array(steps)


def beyond(inflations: list[float]) -> float:
    return float(np.mean(np.array(inflations) > 1))


@pytest.mark.parametrize("windows", [6, 12, 24, 60])
def test_few_baselines_of_independent_windows_are_widened(windows: int) -> None:
    rng = np.random.default_rng(windows)
    rows = rng.integers(500, 2_000, windows).astype(float)
    shares = [
        rng.binomial(rows.astype(int)[:, None], [0.02, 0.2, 0.5], (windows, 3)) / rows[:, None] for _ in range(400)
    ]
    figures = np.stack([rng.normal(1, 0.1, windows) for _ in range(400)], axis=1)
    assert beyond([of_shares(one, rows) for one in shares]) <= 0.02
    assert beyond(of_figures(figures, np.full(figures.shape, 0.1)).tolist()) <= 0.06
    assert beyond(of_figures(figures, np.full(figures.shape, 0.001)).tolist()) <= 0.25
    past = [of_past(one, lambda means: 0.01 + 0 * means, windows // 2) for one in figures.T]
    assert beyond(past) <= 0.05


def test_a_walk_is_widened_by_about_how_far_windows_to_come_stray() -> None:
    rng, fell_short, fall_short = np.random.default_rng(5), 0, 0
    for _ in range(300):
        figure = walk(rng, 36, 0.95)
        first, later = figure[:24], figure[24:]
        beyond_it = np.abs(later - first.mean()).max() > 3.5 * first.std(ddof=1)
        widened = 3.5 * of_figures(first[:, None], np.full((24, 1), 0.05))[0]
        fell_short += int(beyond_it)
        fall_short += int(np.abs(later - first.mean()).max() > widened * first.std(ddof=1))
    assert fell_short > 60
    assert fall_short < 0.7 * fell_short


def test_a_bad_window_among_those_held_back_widens_nothing() -> None:
    rng = np.random.default_rng(1)
    rows = np.full(24, 1_000.0)
    shares = rng.binomial(1_000, 0.2, (24, 1)) / 1_000
    shares[17] = 1.0
    assert of_shares(shares, rows) == 1.0


def test_too_few_windows_widen_nothing() -> None:
    assert of_figures(np.arange(5.0)[:, None], np.full((5, 1), 1e-6)).tolist() == [1.0]
    assert of_shares(np.linspace(0, 1, 5)[:, None], np.full(5, 1e6)) == 1.0
    assert of_past(np.arange(5.0), lambda means: means * 0 + 1e-12, 2) == 1.0
    assert of_shares(np.empty((12, 0)), np.full(12, 1e6)) == 1.0


def test_fewer_new_values_are_no_sign_of_change() -> None:
    listed, new = np.full((12, 1), 1_000.0), np.full((12, 1), 500.0)
    late = np.r_[np.zeros((6, 1)), np.full((6, 1), 100.0)]
    assert of_new_values(new, late, listed).tolist() == [1.0]
    assert of_new_values(late / 100, 3 * late, listed)[0] > 2


def test_past_windows_are_judged_by_those_before_each() -> None:
    values = walk(np.random.default_rng(3), 60, 0.9)
    known = 12
    deviations = []
    for at in range(known, 60):
        before = values[at - known : at]
        variance = (4 * 0.01 + (known - 1) * before.var(ddof=1)) / (known + 3)
        deviations.append(abs(values[at] - before.mean()) / np.sqrt(variance * (1 + 1 / known)))
    ordered = np.sort(deviations)
    ordered[-4:] = ordered[-5]
    spread = float(np.sqrt((4 + (ordered**2).sum()) / (4 + 48)))
    found = of_past(values, lambda means: 0.01 + 0 * means, known)
    assert found == pytest.approx(max(spread, found))
    assert found > 1.2


def test_what_no_window_comes_near_is_found_however_much_a_share_strays() -> None:
    figure = Statistic(mean=0.1, sd=0.03, min=0, max=0.2)
    widened = within_reach(figure, 50.0, 0.4, 24, 1_000)
    assert 1 < widened.inflation < 50
    assert 0.4 < 0.1 + share_tolerance(widened, 24, 1_000, 1_000, 5.0) < 0.85
    assert within_reach(figure, 1.1, 0.4, 24, 1_000).inflation == 1.1
    assert within_reach(figure, 9.0, 1.0, 1, 2).inflation == 1.0


def test_features_stray_at_least_as_most_do() -> None:
    figures = {
        name: Statistic(mean=0, sd=0, min=0, max=0, inflation=by) for name, by in zip("abc", (1, 2, 5), strict=True)
    }
    assert {name: one.inflation for name, one in pooled(figures).items()} == {"a": 2, "b": 2, "c": 5}
    assert pooled({}) == {}


def test_a_job_s_history_widens_click_rate_and_volume() -> None:
    rng = np.random.default_rng(2)
    rows = (2_000 * np.exp(0.3 * walk(rng, 200, 0.95))).astype(np.int64)
    clicks = rng.binomial(rows, 0.2 * np.exp(0.3 * walk(rng, 200, 0.95)).clip(0.2, 4))
    history = np.stack([np.arange(200) * 3_600_000_000, rows, clicks], axis=1)
    judged = Past.of(history).judged(campaigns(0, changing=False))
    assert judged.click_rate.inflation > 1.2
    assert judged.volume.inflation > 1.2


def campaigns(seed: int, *, changing: bool, windows: int = 24) -> Reference:
    return fit_reference([campaign_window(seed, at, changing=changing) for at in range(windows)])


def campaign_window(seed: int, at: int, *, changing: bool) -> FeatureCounts:
    """Sixteen campaigns, one of which is replaced every second window if they change."""
    rng = np.random.default_rng([seed, at])
    counts = FeatureCounts(["campaign", "site"], "click")
    first = at // 2 if changing else 0
    campaign, site = first + rng.integers(0, 16, ROWS), rng.integers(0, 16, ROWS)
    counts.update(pa.record_batch({"campaign": campaign, "site": site, "click": rng.integers(0, 2, ROWS)}))
    return counts


def test_campaigns_that_change_are_told_less_often_and_alerts_say_how_much_wider() -> None:
    changing = campaigns(1, changing=True)
    feature = changing.features["campaign"]
    assert feature.unseen_share is not None
    assert feature.unseen_share.inflation > 2
    assert changing.shares["campaign"].over.inflation > 2
    next_one = campaign_window(1, 25, changing=True)
    assert findings(next_one, changing) == []
    replaced = campaign_window(1, 90, changing=True)
    told = with_baseline(findings(replaced, changing), changing, "fixed", "1")
    assert told[0].subject == "campaign"
    assert told[0].evidence["baseline"]["inflation"] == feature.unseen_share.inflation


def test_campaigns_that_stay_are_judged_as_strictly_as_ever() -> None:
    steady = campaigns(2, changing=False)
    assert {feature.null_share.inflation for feature in steady.features.values()} == {1.0}
    assert {one.over.inflation for one in steady.shares.values()} == {1.0}
    told = with_baseline(findings(campaign_window(2, 8, changing=True), steady), steady, "fixed", "1")
    assert "inflation" not in told[0].evidence["baseline"]
