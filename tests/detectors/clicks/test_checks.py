import json
from collections.abc import Callable
from typing import Any

import msgspec
import numpy as np
import pyarrow as pa
import pytest

from sparsewatch.detectors.budget.chance import alpha_of
from sparsewatch.detectors.clicks.baselines import with_baseline
from sparsewatch.detectors.clicks.checks import check_volume
from sparsewatch.detectors.clicks.reference import Reference, fit_reference
from sparsewatch.detectors.clicks.thresholds import ClickThresholds
from sparsewatch.detectors.counts.feature_counts import FeatureCounts
from sparsewatch.schemas.errors import ConfigError
from sparsewatch.schemas.mistyped import MistypedCells, MistypedColumn
from sparsewatch.schemas.settings import read_settings
from tests.kit.click_streams import NAMES, Clicks, Columns, findings

ROWS = 3_000


@pytest.fixture(scope="module")
def clicks() -> Clicks:
    return Clicks(seed=11)


@pytest.fixture(scope="module")
def reference(clicks: Clicks) -> Reference:
    return fit_reference(clicks.windows(12, ROWS))


def fault(
    name: str, change: Callable[[np.ndarray, np.ndarray], tuple[np.ndarray, np.ndarray]]
) -> Callable[[Columns], None]:
    def apply(columns: Columns) -> None:
        columns[name] = change(*columns[name])

    return apply


def with_nulls(values: np.ndarray, mask: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    return values, mask | (np.arange(values.size) % 4 == 0)


def with_news(values: np.ndarray, mask: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    return np.where(np.arange(values.size) % 5 == 0, 10**7, values), mask


def gone(values: np.ndarray, mask: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    return values, np.ones_like(mask)


def there(values: np.ndarray, mask: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    return values, np.zeros_like(mask)


def shuffled(values: np.ndarray, mask: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    order = np.random.default_rng(0).permutation(values.size)
    return values[order], mask[order]


@pytest.mark.parametrize(("rows", "windows"), [(500, 12), (2_000, 3), (6_000, 1)])
def test_clean_windows_raise_nothing(rows: int, windows: int) -> None:
    clicks = Clicks(seed=rows)
    reference = fit_reference(clicks.windows(windows, rows))
    for counts in clicks.windows(15, rows):
        assert findings(counts, reference) == []


@pytest.mark.parametrize(
    ("rule", "feature", "change"),
    [
        ("feature_nulls", "campaign", with_nulls),
        ("feature_nulls", "site", with_nulls),
        ("feature_vanished", "country", gone),
        ("feature_vanished", "sparse", gone),
        ("feature_appeared", "empty", there),
        ("feature_cardinality", "flag", lambda v, m: (v * 0, m)),
        ("feature_cardinality", "campaign", lambda v, m: (v * 0 + 3, m)),
        ("feature_cardinality", "user", lambda v, m: (v % 50, m)),
        ("feature_cardinality", "country", lambda v, m: (np.arange(v.size) + 10**6, m)),
        ("feature_unseen_values", "constant", with_news),
        ("feature_unseen_values", "flag", with_news),
        ("feature_unseen_values", "site", with_news),
        ("feature_signal_lost", "strong", shuffled),
    ],
)
def test_a_fault_is_found_in_its_first_window_and_nothing_else(
    clicks: Clicks, reference: Reference, rule: str, feature: str, change: Callable[..., Any]
) -> None:
    (found,) = findings(clicks.window(ROWS, fault(feature, change)), reference)
    assert (found.rule, found.subject) == (rule, feature)
    assert found.message.startswith(f"{feature}: ")
    json.loads(msgspec.json.encode(found))


@pytest.mark.parametrize(("rule", "change"), [("feature_nulls", with_nulls), ("feature_vanished", gone)])
def test_missing_values_say_how_many_hold_another_type(
    clicks: Clicks, reference: Reference, rule: str, change: Callable[..., Any]
) -> None:
    cells = MistypedCells({"country": MistypedColumn({"str": ROWS // 100}, ())})
    (found,) = findings(clicks.window(ROWS, fault("country", change)), reference, mistyped=cells)
    assert found.rule == rule
    assert found.message.endswith("in the reference; 1.0% hold a value of another type")


def test_a_leak_of_the_label_is_gained_signal(reference: Reference) -> None:
    rng = np.random.default_rng(3)
    columns, labels = Clicks(seed=11).rows(ROWS)
    columns["flag"] = np.where(rng.random(ROWS) < 0.9, labels, columns["flag"][0]), columns["flag"][1]
    counts = FeatureCounts(NAMES, "click")
    arrays = {name: pa.array(values, mask=mask) for name, (values, mask) in columns.items()}
    counts.update(pa.record_batch({**arrays, "click": labels}))
    (found,) = findings(counts, reference)
    assert (found.rule, found.subject, found.severity) == ("feature_signal_gained", "flag", "info")
    assert found.evidence["rank"] == 1


@pytest.mark.parametrize(
    ("rows", "rate", "rule"),
    [
        (ROWS // 5, None, "volume_low"),
        (ROWS * 4, None, "volume_high"),
        (ROWS, 0.45, "click_rate_shift"),
        (ROWS, 0.08, "click_rate_shift"),
    ],
)
def test_a_change_of_the_stream_is_found_and_blames_no_feature(
    clicks: Clicks, reference: Reference, rows: int, rate: float | None, rule: str
) -> None:
    (found,) = findings(clicks.window(rows, rate=rate), reference)
    assert (found.rule, found.subject) == (rule, "stream")


def test_thresholds_lie_between_baseline_and_value(clicks: Clicks, reference: Reference) -> None:
    raised = [
        *findings(clicks.window(ROWS // 5), reference),
        *findings(clicks.window(ROWS * 4), reference),
        *findings(clicks.window(ROWS, rate=0.45), reference),
        *findings(clicks.window(ROWS, fault("site", with_nulls)), reference),
        *findings(clicks.window(ROWS, fault("strong", shuffled)), reference),
        *findings(clicks.window(ROWS, fault("campaign", lambda v, m: (v * 0, m))), reference),
    ]
    assert len(raised) == 6
    for found in raised:
        assert abs(found.value - found.baseline) >= abs(found.threshold - found.baseline) > 0


def test_only_the_strongest_explanation_is_reported(clicks: Clicks, reference: Reference) -> None:
    (vanished,) = findings(clicks.window(ROWS, fault("strong", gone)), reference)
    assert vanished.rule == "feature_vanished"
    assert vanished.evidence["also"] == ["feature_nulls"]
    counts = clicks.window(ROWS, fault("strong", lambda v, m: (np.arange(v.size) + 10**6, m)))
    (exploded,) = findings(counts, reference)
    assert exploded.rule == "feature_cardinality"
    assert exploded.evidence["also"] == [
        "feature_unseen_values",
        "value_vanished",
        "feature_values_moved",
        "feature_signal_lost",
    ]


def test_unseen_values_are_shown_with_their_rows(clicks: Clicks, reference: Reference) -> None:
    (found,) = findings(clicks.window(ROWS, fault("flag", with_news)), reference)
    assert found.evidence["top_values"] == [{"value": 10**7, "rows": ROWS // 5}]
    assert found.evidence["unseen"] == 1


def test_a_partial_window_has_no_low_volume(clicks: Clicks, reference: Reference) -> None:
    partial = clicks.window(ROWS // 5)
    assert findings(partial, reference, complete=False) == []
    assert [f.rule for f in findings(clicks.window(4 * ROWS), reference, complete=False)] == ["volume_high"]


def test_a_window_of_few_rows_is_judged_by_volume_alone(clicks: Clicks, reference: Reference) -> None:
    for rows in (0, 1, 100):
        counts = clicks.window(rows, fault("country", gone))
        assert [f.rule for f in findings(counts, reference)] == ["volume_low"]


def test_one_label_takes_no_signal_away(clicks: Clicks, reference: Reference) -> None:
    columns, labels = clicks.rows(ROWS)
    counts = FeatureCounts(NAMES, "click")
    arrays = {name: pa.array(values, mask=mask) for name, (values, mask) in columns.items()}
    counts.update(pa.record_batch({**arrays, "click": labels * 0}))
    assert [f.rule for f in findings(counts, reference)] == ["click_rate_shift"]


def test_features_the_reference_does_not_know_are_not_judged(clicks: Clicks, reference: Reference) -> None:
    known = {name: feature for name, feature in reference.features.items() if name != "country"}
    less = msgspec.structs.replace(reference, features=known)
    assert findings(clicks.window(ROWS, fault("country", gone)), less) == []


def test_settings_move_the_thresholds(clicks: Clicks, reference: Reference) -> None:
    counts = clicks.window(ROWS, fault("campaign", with_nulls))
    assert findings(counts, reference, ClickThresholds(null_rise=0.5)) == []
    assert findings(clicks.window(ROWS * 4), reference, ClickThresholds(volume_high=5.0)) == []


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"z": 0.0}, "^z: expected a number above 1 and below 20, got 0.0"),
        ({"volume_low": 1.5}, "^volume_low: expected a number above 0 and below 1, got 1.5"),
        ({"volume_high": 0.5}, "^volume_high: "),
        ({"min_rows": -1}, "^min_rows: "),
    ],
)
def test_settings_out_of_range_are_refused(settings: dict[str, float], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        ClickThresholds(**settings)  # type: ignore[arg-type]


def test_unknown_settings_are_refused() -> None:
    with pytest.raises(ConfigError, match="unknown key 'zz'"):
        read_settings({"zz": 1}, ClickThresholds)


@pytest.mark.slow
@pytest.mark.parametrize(("rows", "windows", "number"), [(500, 15, 500), (2_000, 3, 300), (20_000, 8, 200)])
def test_a_thousand_clean_windows_raise_nothing(rows: int, windows: int, number: int) -> None:
    clicks = Clicks(seed=rows + 1)
    reference = fit_reference(clicks.windows(windows, rows))
    for _ in range(number):
        assert findings(clicks.window(int(clicks.rng.poisson(rows))), reference) == []


@pytest.mark.parametrize(("name", "change"), [("strong", gone), ("empty", there), ("country", with_news)])
def test_a_finding_has_a_p_value_within_its_rule_s_alpha(
    clicks: Clicks, reference: Reference, name: str, change: Callable[..., tuple[np.ndarray, np.ndarray]]
) -> None:
    found = findings(clicks.window(ROWS, fault(name, change)), reference)
    assert name in {finding.subject for finding in found}
    strict = {"feature_signal_lost": 4.0, "feature_signal_gained": 4.0}
    for finding in found:
        assert finding.p_value is not None
        assert 0 < finding.p_value <= alpha_of(strict.get(finding.rule, 5.0))
        assert finding.evidence["rows"] == ROWS
        assert finding.evidence["effect"] == pytest.approx(finding.value - finding.baseline)


def test_p_values_fall_as_a_fault_grows(clicks: Clicks, reference: Reference) -> None:
    def missing(part: float) -> Callable[[Columns], None]:
        return fault("strong", lambda values, mask: (values, mask | (np.arange(values.size) < part * values.size)))

    def p_value(part: float) -> float:
        found = {one.subject: one for one in findings(clicks.window(ROWS, missing(part)), reference)}
        assert found["strong"].rule == "feature_nulls"
        assert found["strong"].p_value is not None
        return found["strong"].p_value

    rising = [p_value(part) for part in (0.06, 0.1, 0.2, 0.5, 0.9)]
    assert rising == sorted(rising, reverse=True)
    assert rising[-1] < rising[0]
    rows = [check_volume(rows, reference, ClickThresholds()) for rows in (1_000, 500, 100, 0)]
    chances = [one.p_value for one in rows if one is not None and one.p_value is not None]
    assert len(chances) == 4
    assert chances == sorted(chances, reverse=True)


def test_a_finding_says_what_its_window_was_compared_with(clicks: Clicks) -> None:
    length = 60_000_000
    reference = fit_reference(clicks.windows(12, ROWS), length, [number * length for number in range(12)])
    [told] = with_baseline(findings(clicks.window(30), reference), reference, "fixed", "0003")
    assert told.evidence["baseline"] == {
        "kind": "fixed",
        "version": "0003",
        "windows": 12,
        "start_us": 0,
        "end_us": 12 * length,
    }
