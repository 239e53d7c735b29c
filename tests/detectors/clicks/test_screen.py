"""No rule fires where the screen says that it may not: each feature of many windows is judged by every rule, too."""

from collections.abc import Callable

import numpy as np
import pyarrow as pa
import pytest

from sparsewatch.detectors.clicks.feature_checks import RULES
from sparsewatch.detectors.clicks.feature_view import View
from sparsewatch.detectors.clicks.flat_abundances import FlatAbundances
from sparsewatch.detectors.clicks.profile import profile_window
from sparsewatch.detectors.clicks.reference import Reference, fit_reference
from sparsewatch.detectors.clicks.screen import distinct_bounds, suspects
from sparsewatch.detectors.clicks.thresholds import ClickThresholds
from sparsewatch.detectors.clicks.tolerances import Abundances
from sparsewatch.detectors.counts.feature_counts import FeatureCounts
from sparsewatch.detectors.outrank.ranking import rank_features

ROWS = 1_500
FEATURES = 24
NUMBERS = ("f20", "f22", "f23")
#: Windows are judged by hasty rules, by the usual ones, and by strict ones that see small effects.
SETTINGS = (
    ClickThresholds(z=1.5, signal_z=1.5, min_rows=50, min_clicks=5),
    ClickThresholds(),
    ClickThresholds(z=6.0, values_moved=0.01, null_rise=0.01, unseen_rise=0.01, value_share=0.005, signal_rise=0.001),
)
Column = tuple[np.ndarray, np.ndarray]
Pairs = set[tuple[str, str]]
Fault = Callable[[np.ndarray, np.ndarray, np.random.Generator], Column]
FAULTS: tuple[Fault, ...] = (
    lambda v, m, _: (v, m),
    lambda v, m, r: (v, m | (r.random(v.size) < r.random())),
    lambda v, m, _: (v, np.zeros_like(m)),
    lambda v, m, r: (np.where(r.random(v.size) < r.random(), v + 10_000, v), m),
    lambda v, m, r: (np.where(v == v[0], v[r.integers(v.size)], v), m),
    lambda v, m, _: (np.full_like(v, v[0]), m),
    lambda v, m, r: (np.where(r.random(v.size) < 0.5 * r.random(), v[0], v), m),
    lambda v, m, r: (r.permutation(v), r.permutation(m)),
    lambda v, m, r: (v + r.integers(0, 3, v.size), m),
)


def window(rng: np.random.Generator, rows: int = ROWS, *, faults: bool = False, max_values: int = 512) -> FeatureCounts:
    """Features of 1 to 3,000 values, some of which are often missing, tell the label or are numbers in bins."""
    click = rng.random(rows) < 0.2
    columns = {}
    for place in range(FEATURES):
        values = (rng.random(rows) ** (1 + place % 3) * 3 ** (place % 8)).astype(np.int64)
        values = np.where(click & (place % 6 == 0), values // 2, values)
        missing = rng.random(rows) < (0.0, 0.3, 0.0, 0.995, 1.0)[place % 5]
        if faults:
            values, missing = FAULTS[rng.integers(len(FAULTS))](values, missing, rng)
        columns[f"f{place}"] = pa.array(values.astype(str) if place % 4 == 1 else values, mask=missing)
    counts = FeatureCounts(list(columns), "click", max_values=max_values, numbers=NUMBERS)
    counts.update(pa.record_batch({**columns, "click": click.astype(np.int8)}))
    return counts


def judged(counts: FeatureCounts, reference: Reference, settings: ClickThresholds) -> tuple[Pairs, Pairs]:
    """Features and the rules that fire on them, and those that the screen leaves."""
    matched = reference.known.match(counts)
    profile = profile_window(counts, rank_features(counts), reference.known.unseen_shares(counts, matched))
    views = [View.of(name, counts, profile.features[name], reference, settings) for name in counts.features]
    fired = {(view.name, rule.__name__) for view in views for rule in RULES if rule(view) is not None}
    left = suspects(counts, profile, reference, matched, settings)
    return fired, {(name, rule) for name, rules in left.items() for rule in rules}


@pytest.fixture(scope="module", params=[(1, 400), (6, 1_500), (24, 1_500)], ids=str)
def reference(request: pytest.FixtureRequest) -> Reference:
    windows, rows = request.param
    rng = np.random.default_rng(windows)
    return fit_reference([window(rng, rows) for _ in range(windows)])


@pytest.mark.parametrize("settings", SETTINGS, ids=str)
@pytest.mark.parametrize("rows", [60, 1_500, 4_000])
def test_every_feature_that_a_rule_fires_on_is_left(reference: Reference, settings: ClickThresholds, rows: int) -> None:
    rng = np.random.default_rng(rows)
    fired_on = 0
    for _ in range(6):
        fired, left = judged(window(rng, rows, faults=True), reference, settings)
        assert fired <= left
        fired_on += len(fired)
    assert fired_on or rows < settings.min_rows or reference.windows == 1


def test_of_clean_windows_few_features_are_left() -> None:
    rng = np.random.default_rng(5)
    reference = fit_reference([window(rng, max_values=4_096) for _ in range(24)])
    left = [judged(window(rng, max_values=4_096), reference, ClickThresholds())[1] for _ in range(10)]
    assert sum(len(one) for one in left) <= 0.03 * FEATURES * len(RULES) * len(left)


def test_a_feature_that_the_window_lacks_is_not_left() -> None:
    rng = np.random.default_rng(6)
    reference, counts = fit_reference([window(rng) for _ in range(4)]), FeatureCounts(["f0"], "click")
    counts.update(pa.record_batch({"f0": np.full(1_000, -1), "click": np.zeros(1_000, np.int8)}))
    assert {name for name, _ in judged(counts, reference, ClickThresholds())[1]} == {"f0"}


@pytest.mark.parametrize("seed", range(4))
def test_bounds_hold_the_expected_number_of_distinct_values(seed: int) -> None:
    rng = np.random.default_rng(seed)
    every = [Abundances.of(rng.geometric(0.02, size), scale=scale) for size in (1, 7, 500) for scale in (1.0, 3.0)]
    flat = FlatAbundances.of(every)
    for part in (0.0, 0.001, 0.04, 0.5, 1.0):
        listed = np.array([int(part * one.rows) for one in every])
        low, high = distinct_bounds(flat, listed.astype(np.float64))
        expected = np.array([one.expected_distinct(rows) for one, rows in zip(every, listed.tolist(), strict=True)])
        assert np.all(low <= expected * (1 + 1e-6))
        assert np.all(expected <= high * (1 + 1e-6))
        assert part > 0.04 or high[-2:] == pytest.approx(low[-2:], rel=0.02)
    low, high = distinct_bounds(flat, flat.rows + 1)
    assert not low.any()
    assert np.isinf(high).all()
