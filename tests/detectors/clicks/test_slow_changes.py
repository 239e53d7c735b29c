import math
from collections.abc import Sequence
from pathlib import Path

import msgspec
import numpy as np
import pyarrow as pa
import pytest

from sparsewatch.detectors.clicks.reference import Reference, fit_reference
from sparsewatch.detectors.clicks.slow_changes import watched_shares
from sparsewatch.detectors.clicks.thresholds import ClickThresholds
from sparsewatch.detectors.counts.feature_counts import FeatureCounts
from sparsewatch.detectors.sequential.judge import judge_shares
from sparsewatch.schemas.slow_changes import Observed, Watched
from sparsewatch.schemas.units import DAY_US, HOUR_US

ROWS, SETTINGS = 600, ClickThresholds()


def window(clicks: int, nulls: int = 60, rows: int = ROWS) -> FeatureCounts:
    """Counts of one feature of two values."""
    places = np.arange(rows)
    counts = FeatureCounts(("site",), "click")
    values = pa.array(places % 2, mask=places < nulls)
    counts.update(pa.record_batch({"site": values, "click": (places[::-1] < clicks).astype(np.int64)}))
    return counts


def drawn(rates: Sequence[float], seed: int = 0) -> list[FeatureCounts]:
    rng = np.random.default_rng(seed)
    return [window(int(rng.binomial(ROWS, rate)), int(rng.binomial(ROWS, 0.1))) for rate in rates]


def reference(rates: Sequence[float] = (0.1,) * 48, window_us: int | None = HOUR_US) -> Reference:
    return fit_reference(drawn(rates), window_us, [at * HOUR_US for at in range(len(rates))])


@pytest.fixture(scope="module")
def steady() -> Reference:
    return reference()


def test_the_click_rate_and_missing_values_of_each_feature_are_watched(steady: Reference) -> None:
    clicks, nulls = watched_shares(window(50, 70), steady, SETTINGS, 0, HOUR_US)
    assert (clicks.rule, clicks.subject, clicks.count, clicks.rows) == ("click_rate_shift", "stream", 50, ROWS)
    assert clicks.expected == pytest.approx(0.1, rel=0.05)
    assert clicks.step == pytest.approx(0.03 * clicks.expected)
    assert clicks.falls
    assert (nulls.rule, nulls.subject, nulls.count) == ("feature_nulls", "site", 70)
    assert (nulls.step, nulls.falls) == (0.02, False)
    # A hundred days of hours.
    assert clicks.alpha == nulls.alpha == pytest.approx(0.01 / 24)


@pytest.mark.parametrize(
    ("setting", "rules"), [("slow_click_rate", ["feature_nulls"]), ("slow_nulls", ["click_rate_shift"])]
)
def test_what_is_set_to_nothing_is_not_watched(steady: Reference, setting: str, rules: list[str]) -> None:
    settings = msgspec.structs.replace(SETTINGS, **{setting: 0.0})
    assert [one.rule for one in watched_shares(window(50), steady, settings, 0, HOUR_US)] == rules


def test_a_reference_of_less_than_a_day_or_of_unknown_windows_watches_nothing() -> None:
    assert watched_shares(window(50), reference((0.1,) * 20), SETTINGS, 0, HOUR_US) == []
    assert watched_shares(window(50), reference(window_us=None), SETTINGS, 0, HOUR_US) == []


def test_a_reference_of_a_few_windows_of_half_a_day_watches_nothing() -> None:
    few = fit_reference(drawn((0.1,) * 4), DAY_US // 2, [at * DAY_US // 2 for at in range(4)])
    assert watched_shares(window(50), few, SETTINGS, 0, DAY_US // 2) == []


def test_a_stream_without_clicks_in_its_reference_has_no_rate_to_watch() -> None:
    shares = watched_shares(window(50), reference((0.0,) * 48), SETTINGS, 0, HOUR_US)
    assert [one.rule for one in shares] == ["feature_nulls"]


def test_where_the_reference_has_a_rhythm_the_rate_of_the_hour_is_expected() -> None:
    rates = [0.1 + 0.06 * math.sin(at / 24 * 2 * math.pi) for at in range(24 * 8)]
    rhythmic = reference(rates)
    assert rhythmic.click_rate_by_hour is not None
    shares = [watched_shares(window(50), rhythmic, SETTINGS, hour * HOUR_US, HOUR_US)[0] for hour in (6, 18)]
    assert [one.expected for one in shares] == pytest.approx([0.16, 0.04], rel=0.1)
    # What is left besides the rhythm is chance; that the hour's mean is known from eight days is added.
    chance = [math.sqrt(one.expected * (1 - one.expected) / ROWS) for one in shares]
    assert all(0 < one.spread < own for one, own in zip(shares, chance, strict=True))


def test_a_stream_that_wanders_is_known_to(steady: Reference) -> None:
    rng = np.random.default_rng(1)
    wander = np.zeros(48)
    for at in range(1, 48):
        wander[at] = 0.9 * wander[at - 1] + rng.normal(0, 0.1)
    wandering = reference((0.1 * np.exp(wander)).tolist())
    own, others = (watched_shares(window(50), one, SETTINGS, 0, HOUR_US)[0] for one in (wandering, steady))
    assert own.spread > 2 * others.spread
    assert own.level > 1.5 * others.level


def test_a_slow_loss_is_told_inside_a_rhythm_and_the_rhythm_is_not() -> None:
    def rate(at: int) -> float:
        return 0.2 + 0.08 * math.sin(at / 24 * 2 * math.pi)

    rhythmic = reference([rate(at) for at in range(24 * 8)])
    rng = np.random.default_rng(5)
    watched: tuple[Watched, ...] = ()
    told = []
    for at in range(72):
        lost = 0.85 if at >= 48 else 1.0
        counts = window(int(rng.binomial(ROWS, lost * rate(at))))
        shares = tuple(watched_shares(counts, rhythmic, SETTINGS, at * HOUR_US, (at + 1) * HOUR_US))
        findings, watched = judge_shares(Observed(shares), watched, (at * HOUR_US, (at + 1) * HOUR_US))
        told += [at] * bool(findings)
    assert 48 < told[0] < 65
    assert told == list(range(told[0], 72))


def test_a_reference_keeps_how_far_its_shares_stray(steady: Reference, tmp_path: Path) -> None:
    read = Reference.load(steady.save(tmp_path))
    assert read.click_rate_steadiness == steady.click_rate_steadiness is not None
    assert read.features["site"].null_steadiness == steady.features["site"].null_steadiness is not None
