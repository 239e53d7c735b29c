"""What a reference says it can see is held against the checks themselves, on windows with just that loss."""

from typing import Any

import numpy as np
import pytest

from sparsewatch.detectors.clicks.reference import Reference, fit_reference
from sparsewatch.detectors.clicks.sensitivity import Sensitivity, sensitivity
from sparsewatch.detectors.clicks.thresholds import ClickThresholds
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


def test_nothing_of_features_is_seen_in_windows_that_are_not_judged(clicks: Clicks) -> None:
    seen = sensitivity(fit_reference(clicks.windows(12, 150)), ClickThresholds())
    assert (seen.click_rate_change, seen.null_rise, seen.signal_loss) == (None, {}, {})
    assert not seen.is_blind
    assert sensitivity(fit_reference(clicks.windows(12, 6)), ClickThresholds()).is_blind
