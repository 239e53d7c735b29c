"""What a reference says it can see is held against the checks themselves, on windows with just that loss."""

from typing import Any

import numpy as np
import pytest

from sparsewatch.detectors.budget.spending import Allowance
from sparsewatch.detectors.clicks.reference import Reference, fit_reference
from sparsewatch.detectors.clicks.sensitivity import Sensitivity, sensitivity
from sparsewatch.detectors.clicks.thresholds import FEATURE_FAMILIES, STREAM_FAMILIES, ClickThresholds
from tests.kit.click_streams import NAMES, Clicks, Columns, findings

ROWS = 3_000


@pytest.fixture(scope="module")
def clicks() -> Clicks:
    return Clicks(seed=11)


@pytest.fixture(scope="module")
def reference(clicks: Clicks) -> Reference:
    return fit_reference(clicks.windows(12, ROWS))


@pytest.fixture(scope="module")
def seen(reference: Reference) -> Sensitivity:
    return sensitivity(reference, ClickThresholds())


def rules(clicks: Clicks, reference: Reference, rows: int, change: Any = None) -> set[tuple[str, str]]:
    return {(found.rule, found.subject) for found in findings(clicks.window(rows, change), reference)}


def test_volume_is_low_from_the_stated_rows_on(clicks: Clicks, reference: Reference, seen: Sensitivity) -> None:
    assert seen.volume_low is not None
    low = int(seen.volume_low)
    assert ("volume_low", "stream") in rules(clicks, reference, low)
    assert ("volume_low", "stream") not in rules(clicks, reference, low + 1)


@pytest.mark.parametrize("name", NAMES)
def test_missing_values_are_found_from_the_stated_rise_on(
    clicks: Clicks, reference: Reference, seen: Sensitivity, name: str
) -> None:
    def lose(rise: float) -> Any:
        def change(columns: Columns) -> None:
            values, mask = columns[name]
            lost = max(0, round((before + rise) * ROWS) - int(mask.sum()))
            mask[np.flatnonzero(~mask)[:lost]] = True
            columns[name] = (values, mask)

        return change

    before = reference.features[name].null_share.mean
    if name not in seen.null_rise:
        assert not {"feature_nulls", "feature_vanished"} & {
            rule for rule, _ in rules(clicks, reference, ROWS, lose(1.0))
        }
        return
    found = {
        rule for rule, subject in rules(clicks, reference, ROWS, lose(seen.null_rise[name] * 1.01)) if subject == name
    }
    assert found & {"feature_nulls", "feature_vanished"}
    assert (("feature_nulls", name)) not in rules(clicks, reference, ROWS, lose(seen.null_rise[name] * 0.95))


@pytest.mark.parametrize("rows", [300, ROWS])
def test_a_shuffled_feature_loses_its_signal_where_that_is_stated(rows: int) -> None:
    clicks = Clicks(seed=11)
    reference = fit_reference(clicks.windows(12, rows))
    losses = sensitivity(reference, ClickThresholds()).signal_loss
    for name, loss in losses.items():

        def change(columns: Columns, name: str = name) -> None:
            values, mask = columns[name]
            columns[name] = values[np.random.default_rng(0).permutation(values.size)], mask

        assert (("feature_signal_lost", name) in rules(clicks, reference, rows, change)) == (loss is not None), name
    assert "strong" in losses


def test_new_values_are_found_from_the_stated_rise_on(clicks: Clicks, reference: Reference, seen: Sensitivity) -> None:
    def renew(rise: float) -> Any:
        def change(columns: Columns) -> None:
            values, mask = columns["country"]
            listed = np.flatnonzero(~mask)
            columns["country"] = (values.copy(), mask)
            columns["country"][0][listed[: round(rise * listed.size)]] = 10**7

        return change

    before, rise = reference.features["country"].unseen_share, seen.unseen_rise["country"]
    assert before is not None
    rule = ("feature_unseen_values", "country")
    assert rule in rules(clicks, reference, ROWS, renew(before.mean + 1.05 * rise))
    assert rule not in rules(clicks, reference, ROWS, renew(before.mean + 0.9 * rise))
    assert "empty" not in seen.unseen_rise


def test_distinct_values_are_found_below_and_above_the_stated_numbers(
    clicks: Clicks, reference: Reference, seen: Sensitivity
) -> None:
    def keep(part: float) -> Any:
        def change(columns: Columns) -> None:
            values, mask = columns["device"]
            known, places = np.unique(values, return_inverse=True)
            columns["device"] = (known[places * round(part * known.size) // known.size], mask)

        return change

    low, high = seen.cardinality["device"]
    assert 0 < low < 1 < high
    rule = ("feature_cardinality", "device")
    assert rule in rules(clicks, reference, ROWS, keep(0.95 * low))
    assert rule not in rules(clicks, reference, ROWS, keep(1.1 * low))
    # A constant has no fewer values than it has, and a fall of two is none that chance excludes.
    assert seen.cardinality["constant"][0] <= 0
    assert seen.cardinality["flag"][0] <= 0


def test_a_gained_signal_is_found_where_it_exceeds_what_is_stated(
    clicks: Clicks, reference: Reference, seen: Sensitivity
) -> None:
    assert set(seen.signal_gain) >= {"flag", "campaign"}
    assert all(gain >= ClickThresholds().signal_rise for gain in seen.signal_gain.values())
    assert "empty" not in seen.signal_gain


def test_a_smaller_budget_finds_no_smaller_change(reference: Reference) -> None:
    tests = dict.fromkeys((*STREAM_FAMILIES, *FEATURE_FAMILIES), 1)
    small, large = (
        sensitivity(reference, ClickThresholds().within(Allowance(per_day=per_day, window_us=60_000_000, tests=tests)))
        for per_day in (0.001, 1_000)
    )
    assert small.volume_high >= large.volume_high
    assert small.volume_low is None or (large.volume_low is not None and small.volume_low <= large.volume_low)
    assert all(small.null_rise.get(name, 1.0) >= rise for name, rise in large.null_rise.items())
    assert all(small.signal_gain.get(name, 1.0) >= rise for name, rise in large.signal_gain.items())


def test_nothing_of_features_is_seen_in_windows_that_are_not_judged(clicks: Clicks) -> None:
    seen = sensitivity(fit_reference(clicks.windows(12, 150)), ClickThresholds())
    assert (seen.click_rate_change, seen.null_rise, seen.signal_loss) == (None, {}, {})
    assert not seen.is_blind
    assert sensitivity(fit_reference(clicks.windows(12, 6)), ClickThresholds()).is_blind
