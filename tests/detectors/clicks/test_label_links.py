"""Labels that no longer go with values: evidence by the click rates of a baseline, of one feature and of all."""

from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from numpy.typing import NDArray

from sparsewatch.detectors.clicks.label_links import LabelLink, LinkOver, fit_links
from sparsewatch.detectors.clicks.reference import Reference, fit_reference
from sparsewatch.detectors.clicks.thresholds import ClickThresholds
from sparsewatch.detectors.clicks.tolerances import Statistic
from sparsewatch.detectors.counts.feature_counts import FeatureCounts
from sparsewatch.detectors.counts.window_values import WindowValues
from sparsewatch.schemas.alerts import Finding
from tests.kit import click_streams
from tests.kit.stored_models import MODELS

ROWS, WINDOWS = 2_000, 24
SETTINGS = ClickThresholds(z=4.4, signal_z=4.4)
Codes = dict[str, NDArray[np.int64]]


def drawn(seed: int, rows: int = ROWS, rate: float = -1.7) -> tuple[Codes, NDArray[np.int64]]:
    """Three features of which two tell something of the label, neither of them enough to be missed in a window."""
    rng = np.random.default_rng(seed)
    codes = {name: np.minimum(rng.geometric(0.3, rows), size) for name, size in (("a", 5), ("b", 8), ("c", 12))}
    odds = rate + 0.45 * (2.0 * (codes["a"] % 2) - 1) + 0.4 * (2.0 * (codes["b"] % 2) - 1)
    return codes, (rng.random(rows) < 1 / (1 + np.exp(-odds))).astype(np.int64)


def counted(codes: Codes, label: NDArray[np.int64]) -> FeatureCounts:
    counts = FeatureCounts(list(codes), "click")
    counts.update(pa.record_batch({**codes, "click": label}))
    return counts


@pytest.fixture(scope="module")
def reference() -> Reference:
    return fit_reference([counted(*drawn(seed)) for seed in range(WINDOWS)])


def shuffled(seed: int, *names: str, share: float = 1.0) -> FeatureCounts:
    """A window in which values of features stand in other rows."""
    codes, label = drawn(seed)
    rng = np.random.default_rng(seed + 1)
    some = np.flatnonzero(rng.random(ROWS) < share)
    for name in names:
        values = codes[name].copy()
        values[some] = values[rng.permutation(some)]
        codes[name] = values
    return counted(codes, label)


def found(counts: FeatureCounts, reference: Reference) -> list[Finding]:
    return click_streams.findings(counts, reference, SETTINGS)


def test_evidence_is_that_of_row_by_row(reference: Reference) -> None:
    codes, label = drawn(0)
    link = reference.links.features["a"]
    windows = [drawn(seed) for seed in range(WINDOWS)]
    values = np.concatenate([window[0]["a"] for window in windows])
    clicks = np.concatenate([window[1] for window in windows])
    rate = clicks.mean()
    told = 0.0
    for value, click in zip(codes["a"].tolist(), label.tolist(), strict=True):
        of_value = clicks[values == value]
        own = (of_value.sum() + rate) / (of_value.size + 1)
        told += np.log(own / rate) if click else np.log((1 - own) / (1 - rate))
    assert link.gain(counted(codes, label), "a") == pytest.approx(told / ROWS)


def test_it_grows_by_the_mutual_information_and_falls_by_it_where_values_are_dealt_out(reference: Reference) -> None:
    link = reference.links.features["a"]
    expected = link.over.gain.mean
    own = [link.gain(counted(*drawn(seed)), "a") for seed in range(100, 140)]
    dealt = [link.gain(shuffled(seed, "a"), "a") for seed in range(100, 140)]
    assert np.mean([one for one in own if one is not None]) == pytest.approx(expected, rel=0.1)
    assert np.mean([one for one in dealt if one is not None]) == pytest.approx(-expected, rel=0.15)


def test_only_features_with_signal_are_linked_and_those_with_all_their_values(reference: Reference) -> None:
    assert reference.links.features.keys() == {"a", "b"}
    whole = reference.links.whole
    assert whole is not None
    assert whole.gain.mean == pytest.approx(sum(one.over.gain.mean for one in reference.links.features.values()))
    many = {at: WindowValues(_many(at)) for at in range(6)}
    assert fit_links({"x": many}, {"x": 0.9}).features == {}
    known = {at: WindowValues(counted(*drawn(at))) for at in range(3)}
    assert fit_links({"a": known}, {"a": 0.9}).features == {}
    assert fit_links({}, {}).whole is None


def _many(seed: int) -> FeatureCounts:
    counts = FeatureCounts(["x"], "click", max_values=64)
    x = np.arange(500) + 500 * seed
    counts.update(pa.record_batch({"x": x, "click": (x % 3 == 0).astype(np.int64)}))
    return counts


def test_values_in_other_rows_are_told_though_the_window_shows_little_information(reference: Reference) -> None:
    told = [found(shuffled(seed, "a"), reference) for seed in range(200, 220)]
    rules = [(one.rule, one.subject) for window in told for one in window]
    assert set(rules) == {("feature_signal_lost", "a")}
    assert len(rules) >= 18
    by_link = [one for window in told for one in window if one.evidence.get("test") == "links"]
    assert by_link
    for one in by_link:
        assert one.value <= one.threshold < one.baseline
        assert one.evidence["lost"] >= 1 - SETTINGS.signal_lost
        assert one.p_value is not None
        assert one.p_value < 1.1e-5


@pytest.mark.parametrize("seed", range(300, 306))
def test_labels_in_other_rows_are_told_once_and_of_no_feature(reference: Reference, seed: int) -> None:
    codes, label = drawn(seed)
    lagging = counted(codes, np.roll(label, 200))
    [told] = found(lagging, reference)
    assert (told.rule, told.subject) == ("label_signal_lost", "stream")
    assert set(told.evidence["features"]) == {"a", "b"}
    assert told.value <= told.threshold < told.baseline
    assert told.evidence["lost"] == pytest.approx(1, abs=0.3)


def test_one_feature_that_lost_it_all_is_no_fault_of_the_label(reference: Reference) -> None:
    told = {one.rule for seed in range(400, 420) for one in found(shuffled(seed, "a"), reference)}
    assert "label_signal_lost" not in told


def test_windows_without_a_fault_tell_nothing(reference: Reference) -> None:
    for seed in range(1_000, 1_300):
        assert found(counted(*drawn(seed)), reference) == []


@pytest.mark.parametrize("rate", [-1.7, 0.8])
def test_a_loss_of_most_clicks_is_no_loss_of_their_link(rate: float) -> None:
    reference = fit_reference([counted(*drawn(seed, rate=rate)) for seed in range(WINDOWS)])
    for seed in range(700, 706):
        codes, label = drawn(seed, rate=rate)
        label[np.random.default_rng(seed).random(ROWS) < 0.8] = 0
        assert "click_rate_shift" in (rules := {one.rule for one in found(counted(codes, label), reference)})
        assert "label_signal_lost" not in rules


def test_however_few_windows_a_p_value_is_one() -> None:
    over = LinkOver(Statistic(mean=0.01, sd=0.001, min=0.009, max=0.011), 6, 2_000.0)
    tolerances = [over.tolerance(2_000, z) for z in (4.0, 8.0, 20.0, 37.0)]
    assert tolerances == sorted(tolerances)


def test_half_of_a_loss_is_not_told(reference: Reference) -> None:
    assert [one for seed in range(500, 510) for one in found(shuffled(seed, "a", share=0.4), reference)] == []


def test_few_clicks_tell_nothing(reference: Reference) -> None:
    codes, label = drawn(600)
    label[np.flatnonzero(label)[SETTINGS.min_clicks - 1 :]] = 0
    assert {one.rule for one in found(counted(codes, label), reference)} == {"click_rate_shift"}


def test_a_reference_keeps_them_and_one_of_before_has_none(reference: Reference, tmp_path: Path) -> None:
    loaded = Reference.load(reference.save(tmp_path))
    assert loaded.links.whole == reference.links.whole
    for name, link in reference.links.features.items():
        own: LabelLink = loaded.links.features[name]
        assert own.values.to_list() == link.values.to_list()
        assert own.evidence.tolist() == link.evidence.tolist()
        assert own.over == link.over
    assert Reference.load(MODELS / "reference").links.features == {}
