"""Values that move among known ones: how far is no chance, how much it is, and what alerts say of it."""

from collections.abc import Sequence
from pathlib import Path
from random import Random

import msgspec
import numpy as np
import polars as pl
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sparsewatch.detectors.clicks.reference import Reference, fit_reference
from sparsewatch.detectors.clicks.thresholds import ClickThresholds
from sparsewatch.detectors.clicks.tolerances import SharesOver, Statistic, share_tolerance, share_tolerances
from sparsewatch.detectors.clicks.value_shares import Movement, ValueShares, fit_shares, movement, spread
from sparsewatch.detectors.clicks.values_over import MOST_FREQUENT, ValuesOver
from sparsewatch.detectors.counts.feature_counts import FeatureCounts
from sparsewatch.detectors.counts.window_values import WindowValues
from sparsewatch.schemas.alerts import Finding
from tests.kit.click_streams import findings
from tests.kit.stored_models import MODELS

ROWS = 2_000
SITES = np.array([*"abcdefgh"])
SHARES = np.array([0.3, 0.2, 0.15, 0.12, 0.1, 0.06, 0.04, 0.03])


class Sites:
    """A stream of one feature with known shares."""

    def __init__(self, seed: int) -> None:
        self.rng = np.random.default_rng(seed)

    def values(self, n: int = ROWS, shares: np.ndarray = SHARES) -> np.ndarray:
        return self.rng.choice(SITES, n, p=shares)

    def window(self, values: np.ndarray | None = None) -> FeatureCounts:
        values = self.values() if values is None else values
        counts = FeatureCounts(["site"], "click")
        counts.update(pa.record_batch({"site": values.tolist(), "click": self.rng.integers(0, 2, values.size)}))
        return counts

    def windows(self, number: int) -> list[FeatureCounts]:
        return [self.window() for _ in range(number)]


@pytest.fixture
def sites() -> Sites:
    return Sites(7)


@pytest.fixture
def reference(sites: Sites) -> Reference:
    return fit_reference(sites.windows(16))


def found_in(sites: Sites, values: np.ndarray, reference: Reference) -> Finding:
    (found,) = findings(sites.window(values), reference)
    assert found.subject == "site"
    return found


def shares_of(windows: Sequence[FeatureCounts]) -> ValueShares:
    own = np.ones((1, len(windows)), np.bool_)
    return fit_shares(ValuesOver([WindowValues(one) for one in windows], range(1), own), own)[0]


def test_shares_are_means_over_windows_and_the_rest_is_all_other_values() -> None:
    windows = []
    for texts in (["a", "a", "b", None], ["a", "b", "b", "b"], ["b", "a", "c", "c"]):
        counts = FeatureCounts(["x"], "click")
        counts.update(pa.record_batch({"x": pa.array(texts, pa.string()), "click": [0, 1, 0, 0]}))
        windows.append(counts)
    shares = shares_of(windows)
    assert shares.values.to_list() == ["a", "b", "c"] or shares.values.to_list() == ["b", "a", "c"]
    by_value = dict(zip(shares.values.to_list(), shares.means.tolist(), strict=False))
    assert by_value["a"] == pytest.approx((2 / 3 + 1 / 4 + 1 / 4) / 3)
    assert by_value["b"] == pytest.approx((1 / 3 + 3 / 4 + 1 / 4) / 3)
    assert by_value["c"] == pytest.approx((0 + 0 + 2 / 4) / 3)
    assert shares.means.sum() == pytest.approx(1)
    assert shares.least[shares.values.to_list().index("c")] == 0
    assert shares.over == SharesOver(windows=3, independent=3, rows=11 / 3)


def test_only_the_most_frequent_values_are_known() -> None:
    counts = FeatureCounts(["x"], "click")
    values = np.concatenate([np.repeat(np.arange(100), np.arange(100, 0, -1)), np.arange(1_000, 11_000)])
    counts.update(pa.record_batch({"x": values, "click": values % 2}))
    shares = shares_of([counts])
    # One of 15,050 rows in a thousand.
    assert shares.values.to_list() == list(range(MOST_FREQUENT))
    assert shares.means[-1] == pytest.approx(1 - sum(range(100, 100 - MOST_FREQUENT, -1)) / values.size)


def test_a_feature_without_values_has_no_shares_and_no_movement(sites: Sites) -> None:
    counts = FeatureCounts(["site"], "click")
    counts.update(pa.record_batch({"site": pa.array([None, None], pa.string()), "click": [0, 1]}))
    none = shares_of([counts])
    assert (none.values.len(), none.over.windows) == (0, 0)
    assert movement(none, sites.window(), "site") is None
    assert movement(shares_of(sites.windows(2)), counts, "site") is None


def test_tolerances_of_several_shares_are_those_of_each() -> None:
    means, sds = np.array([0.0, 0.01, 0.5, 1.0]), np.array([0.0, 0.02, 0.01, 0.0])
    together = share_tolerances(means, sds, 12, 500, 800, 5.0)
    for mean, sd, tolerance in zip(means.tolist(), sds.tolist(), together.tolist(), strict=True):
        alone = Statistic(mean=mean, sd=sd, min=mean, max=mean)
        assert share_tolerance(alone, 12, 500, 800, 5.0) == tolerance


def test_a_deviation_of_fewer_degrees_of_freedom_tolerates_more() -> None:
    mean, sd = np.array([0.2]), np.array([0.05])
    widths = [
        share_tolerances(mean, sd, 24, 1_000, 1_000, 5.0, freedom=freedom)[0] for freedom in (200.0, 23.0, 6.0, 3.0)
    ]
    assert widths == sorted(widths)
    assert widths[-1] > 5 * widths[0]


@given(st.lists(st.integers(1, 50), min_size=2, max_size=12), st.randoms(use_true_random=False))
def test_without_tolerance_the_share_moved_is_the_total_variation(rows: list[int], random: Random) -> None:
    before = np.array(rows) / sum(rows)
    now = np.array(random.sample(rows, len(rows))) / sum(rows)
    over = SharesOver(windows=1, independent=1, rows=1e18)
    shares = ValueShares(pl.Series(range(len(rows) - 1)), np.stack([before, 0 * before, before]), over)
    # So many rows that chance moves nothing.
    moved = Movement(shares, now, 10**18).moved(1.0)
    assert moved == pytest.approx(np.abs(now - before).sum() / 2)


def test_windows_that_depend_on_one_another_tell_as_much_as_fewer() -> None:
    rng = np.random.default_rng(3)
    steps = rng.normal(size=(64, 200))
    sds, (independent,) = spread(steps)
    assert sds == pytest.approx(np.ones(200), rel=0.4)
    assert independent > 55
    persistent = np.zeros_like(steps)
    for at in range(1, 64):
        persistent[at] = 0.95 * persistent[at - 1] + steps[at]
    wide, (few,) = spread(persistent)
    assert (wide > persistent.std(axis=0, ddof=1) * (1 - 1e-9)).all()
    assert wide.mean() > 1.1 * persistent.std(axis=0, ddof=1).mean()
    assert few < 8


def test_merged_values_are_one_vanished_and_one_that_took_its_rows(sites: Sites, reference: Reference) -> None:
    values = sites.values()
    found = found_in(sites, np.where(values == "d", "b", values), reference)
    assert (found.rule, found.severity, found.value) == ("value_vanished", "warning", 0)
    assert found.baseline == pytest.approx(0.12, abs=0.01)
    assert (found.evidence["vanished"], found.evidence["into"]) == (["d"], "b")
    assert found.message.startswith("site: `d` went from 1")
    assert "to 0.0% of values; `b` went from " in found.message
    assert found.evidence["also"] == ["feature_values_moved"]


def test_a_source_that_is_gone_has_gone_nowhere(sites: Sites, reference: Reference) -> None:
    values = sites.values()
    found = found_in(sites, values[values != "e"], reference)
    assert (found.rule, found.evidence["vanished"], found.evidence["into"]) == ("value_vanished", ["e"], None)


def test_values_renamed_among_known_ones_have_moved(sites: Sites, reference: Reference) -> None:
    values = sites.values()
    found = found_in(sites, np.where(values == "a", "c", np.where(values == "c", "a", values)), reference)
    assert found.rule == "feature_values_moved"
    assert found.value == pytest.approx(0.15, abs=0.03)
    assert {one["value"] for one in found.evidence["moved"][:2]} == {"a", "c"}
    assert "% of values moved; `" in found.message


def test_a_bot_on_a_known_value_has_moved_rows_to_it(sites: Sites, reference: Reference) -> None:
    found = found_in(sites, np.concatenate([sites.values(), np.full(ROWS // 5, "g")]), reference)
    assert found.rule == "feature_values_moved"
    first = found.evidence["moved"][0]
    assert first["value"] == "g"
    assert (first["before"], first["now"]) == (pytest.approx(0.04, abs=0.01), pytest.approx(0.2, abs=0.02))


def test_a_change_that_is_too_small_to_matter_is_none(sites: Sites, reference: Reference) -> None:
    """A hundred thousand rows make every change sure."""
    values = sites.values(100_000)
    values[:4_000] = "h"
    lenient, strict = ClickThresholds(volume_high=1e6), ClickThresholds(values_moved=0.02, volume_high=1e6)
    assert findings(sites.window(values), reference, lenient) == []
    assert [one.rule for one in findings(sites.window(values), reference, strict)] == ["feature_values_moved"]


def test_every_finding_on_a_feature_names_the_values_that_moved_most(sites: Sites, reference: Reference) -> None:
    values = sites.values().astype(object)
    values[values == "a"] = None
    (found,) = findings(sites.window(values), reference)
    assert found.rule == "feature_nulls"
    moved = found.evidence["moved"]
    assert len(moved) == 5
    assert moved[0]["value"] == "a"
    assert (moved[0]["before"], moved[0]["now"]) == (pytest.approx(0.3, abs=0.02), 0)
    changes = [abs(one["now"] - one["before"]) for one in moved]
    assert changes == sorted(changes, reverse=True)
    values[values == None] = "new"  # noqa: E711
    (news,) = findings(sites.window(values), reference)
    assert [(one["value"], one["before"]) for one in news.evidence["moved"] if one["value"] == "new"] == [("new", 0)]


def test_shares_that_vary_between_windows_may_vary_again(sites: Sites) -> None:
    """A mix of two hours: the share of `a` swings by far more than chance would let it."""
    by_hour = [SHARES, np.array([0.1, 0.4, 0.15, 0.12, 0.1, 0.06, 0.04, 0.03])]
    windows = [sites.window(sites.values(shares=by_hour[hour % 2])) for hour in range(24)]
    swinging, steady = fit_reference(windows), fit_reference(sites.windows(24))
    between = sites.values(shares=by_hour[1])
    assert findings(sites.window(between), swinging) == []
    assert [one.rule for one in findings(sites.window(between), steady)] == ["feature_values_moved"]


def test_a_saved_reference_knows_its_shares(reference: Reference, tmp_path: Path) -> None:
    loaded = Reference.load(reference.save(tmp_path / "clicks")).shares["site"]
    known = reference.shares["site"]
    assert loaded.values.equals(known.values, check_dtypes=True)
    assert loaded.over == known.over
    assert np.array_equal(loaded.figures, known.figures)


def test_a_reference_of_before_has_no_rules_on_values(sites: Sites, reference: Reference) -> None:
    older = msgspec.structs.replace(reference, shares={})
    values = sites.values()
    assert findings(sites.window(np.where(values == "d", "b", values)), older) == []
    assert Reference.load(MODELS / "reference").shares == {}
    assert set(Reference.load(MODELS / "reference-with-shares").shares) == {"site", "hour"}
