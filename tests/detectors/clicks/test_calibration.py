"""Calibration of a prediction: counted exactly, held against what it was, and told where clicks leave it."""

from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from numpy.typing import NDArray

from sparsewatch.detectors.clicks.calibration import BORDERS, Calibration, calibration_of
from sparsewatch.detectors.clicks.calibration_checks import check_calibration, fit_calibration, smallest_change
from sparsewatch.detectors.clicks.reference import Reference, fit_reference
from sparsewatch.detectors.clicks.thresholds import ClickThresholds
from sparsewatch.detectors.counts.feature_counts import FeatureCounts
from sparsewatch.schemas.alerts import Finding
from tests.kit import click_streams

ROWS, WINDOWS = 4_000, 24
SETTINGS = ClickThresholds(calibration_z=4.2)
Floats = NDArray[np.float64]


def counts_of(p: Floats, clicks: NDArray[np.bool_], *, in_bins: bool = True, most: int = 65_536) -> FeatureCounts:
    counts = FeatureCounts(["p"], "click", numbers=("p",) if in_bins else (), max_values=most)
    counts.update(pa.record_batch({"p": pa.array(p, from_pandas=True), "click": clicks.astype(np.int8)}))
    return counts


def window(
    seed: int, *, mix: float = 0.0, factor: float = 1.0, only: tuple[float, float] = (0.0, 1.0), right: float = 0.7
) -> FeatureCounts:
    """Clicks whose probability is a part of the prediction, which is log-normal about 10 %."""
    rng = np.random.default_rng(seed)
    p = np.minimum(0.1 * np.exp(0.8 * rng.normal(size=ROWS) + mix), 0.99)
    real = right * p * np.where((p >= only[0]) & (p < only[1]), factor, 1.0)
    return counts_of(p, rng.random(ROWS) < real)


@pytest.fixture(scope="module")
def reference() -> Reference:
    return fit_reference([window(seed) for seed in range(WINDOWS)], prediction="p")


def found(counts: FeatureCounts, reference: Reference) -> Finding | None:
    return check_calibration(calibration_of(counts, "p"), reference.calibration, SETTINGS, reference.name)


@pytest.mark.parametrize("in_bins", [True, False])
def test_a_window_is_counted_as_row_by_row(in_bins: bool) -> None:
    rng = np.random.default_rng(0)
    p = np.concatenate([10 ** rng.uniform(-4, 0, 3_000), BORDERS, [0.0, 1.0, -0.1, 1.1, np.nan, np.inf]])
    clicks = rng.random(p.size) < 0.3
    own = calibration_of(counts_of(p, clicks, in_bins=in_bins), "p")
    assert own is not None
    usable = (p >= 0) & (p <= 1)
    assert sum(own.rows) == usable.sum()
    assert sum(own.clicks) == clicks[usable].sum()
    assert sum(own.predicted) == pytest.approx(p[usable].sum(), rel=0.02 if in_bins else 1e-12)
    if not in_bins:
        for at in range(len(BORDERS) + 1):
            inside = [value for value in p[usable].tolist() if sum(value >= border for border in BORDERS) == at]
            assert own.rows[at] == len(inside)
            assert own.predicted[at] == pytest.approx(sum(inside))


def test_it_does_not_depend_on_the_order_of_rows_and_parts() -> None:
    rng = np.random.default_rng(1)
    p, clicks = rng.random(999), rng.random(999) < 0.2
    whole = calibration_of(counts_of(p, clicks), "p")
    order = rng.permutation(999)
    merged = counts_of(p[order[:10]], clicks[order[:10]])
    for part in (order[500:], order[10:500]):
        merged.merge(FeatureCounts.from_bytes(counts_of(p[part], clicks[part]).to_bytes()))
    assert calibration_of(merged, "p") == whole


def test_without_the_column_or_all_its_values_nothing_is_said() -> None:
    p = np.linspace(0.01, 0.9, 2_000)
    capped = counts_of(p, p > 0.5, in_bins=False, most=1_024)
    for counts, name in ((capped, "p"), (window(0), "q"), (window(0), None)):
        assert calibration_of(counts, name) is None


def test_a_loss_of_clicks_is_told_with_the_curve(reference: Reference) -> None:
    told = found(window(100, factor=0.5), reference)
    assert told is not None
    assert (told.rule, told.subject, told.severity) == ("calibration_shift", "p", "warning")
    assert told.value < told.threshold < told.baseline
    assert told.message.endswith(" predicted as in the reference")
    assert told.p_value is not None
    assert told.p_value < 1e-6
    assert told.evidence["span"] is None
    assert sum(part["rows"] for part in told.evidence["curve"]) == ROWS == told.evidence["rows"]
    assert sum(part["clicks"] for part in told.evidence["curve"]) == told.evidence["clicks"]
    assert told.evidence["expected"] == pytest.approx(0.7 * told.evidence["predicted"], rel=0.05)
    assert told.evidence["effect"] == pytest.approx(told.value - told.baseline)


@pytest.mark.parametrize(("span", "factor"), [((0.2, 0.5), 0.3), ((0.05, 0.1), 0.1), ((0.05, 0.1), 2.5)])
def test_a_change_among_rows_of_some_prediction_names_it(
    reference: Reference, span: tuple[float, float], factor: float
) -> None:
    told = found(window(101, factor=factor, only=span), reference)
    assert told is not None
    assert (told.value > told.baseline) == (factor > 1)
    if told.evidence["span"] is not None:
        assert told.evidence["span"] == span
        assert f"where it is in [{span[0]:g}, {span[1]:g})" in told.message


def test_a_change_of_the_mix_that_is_predicted_is_no_shift(reference: Reference) -> None:
    richer = window(102, mix=0.7)
    assert found(richer, reference) is None
    assert "click_rate_shift" in {one.rule for one in click_streams.findings(richer, reference)}


@pytest.mark.parametrize("right", [0.7, 0.2])
def test_a_prediction_that_is_as_wrong_as_before_is_not_told(right: float) -> None:
    before = fit_calibration([_own(window(seed, right=right)) for seed in range(WINDOWS)])
    for seed in range(200, 300):
        assert check_calibration(_own(window(seed, right=right)), before, SETTINGS, "the reference") is None


def _own(counts: FeatureCounts) -> Calibration:
    own = calibration_of(counts, "p")
    assert own is not None
    return own


def test_an_unsteady_baseline_allows_for_more(reference: Reference) -> None:
    rng = np.random.default_rng(7)
    unsteady = [window(seed, factor=float(rng.uniform(0.5, 1.5))) for seed in range(WINDOWS)]
    assert found(window(103, factor=0.6), reference) is not None
    assert found(window(103, factor=0.6), fit_reference(unsteady, prediction="p")) is None


def test_what_nothing_is_known_of_is_not_judged(reference: Reference) -> None:
    nothing = Calibration("p", (0,) * 10, (0.0,) * 10, (0,) * 10)
    never = Calibration("p", (500, *(0,) * 9), (0.0,) * 10, (40, *(0,) * 9))
    assert fit_calibration([]) is None
    assert fit_calibration([nothing] * 12) is None
    assert fit_calibration([never] * 12) is None
    for now in (None, nothing, Calibration("q", (500,) * 10, (9.0,) * 10, (0,) * 10)):
        assert check_calibration(now, reference.calibration, SETTINGS, "") is None
    assert check_calibration(never, None, SETTINGS, "") is None
    # Rows of which no click is predicted cannot be off by a part of what is expected: any click is too many.
    told = check_calibration(never, reference.calibration, SETTINGS, "")
    assert told is not None
    assert told.baseline == 0.0
    alone = fit_calibration([_own(window(0))])
    assert check_calibration(_own(window(104, factor=0.1)), alone, SETTINGS, "") is None


def test_a_bin_of_few_clicks_takes_the_factor_of_all(reference: Reference) -> None:
    before = reference.calibration
    assert before is not None
    assert [part.is_judged for part in before.bins] == [False] * 4 + [True] * 6
    assert before.bins[0].factor == pytest.approx(0.7, rel=0.05)
    assert before.bins[7].factor == pytest.approx(0.7, rel=0.1)


def test_the_smallest_change_is_found_and_half_of_it_not_by_the_median_window(reference: Reference) -> None:
    least = smallest_change(reference.calibration, reference.click_rate.mean, SETTINGS)
    assert least is not None
    assert SETTINGS.calibration_change <= least < 0.5
    told = [[found(window(s, factor=1 - by * least), reference) for s in range(300, 320)] for by in (0.5, 1.4)]
    assert sum(one is not None for one in told[0]) <= 1
    assert sum(one is not None for one in told[1]) >= 15
    assert smallest_change(None, 0.1, SETTINGS) is None


def test_a_reference_keeps_it(reference: Reference, tmp_path: Path) -> None:
    assert Reference.load(reference.save(tmp_path)).calibration == reference.calibration
    assert fit_reference([window(0), window(1)]).calibration is None


def test_odd_windows_of_the_reference_do_no_harm(reference: Reference) -> None:
    windows = [window(seed, factor=0.02 if seed == 5 else 1.0) for seed in range(WINDOWS)]
    poisoned = fit_reference(windows, prediction="p")
    assert poisoned.left_out == 1
    assert found(window(105, factor=0.5), poisoned) is not None
    assert found(window(106), poisoned) is None
