import itertools

import numpy as np
import pytest
from scipy import stats

from sparsewatch.detectors.conformal import (
    EDGES,
    FINE_BINS,
    calibration_counts,
    equal_counts,
    fine_counts,
)
from sparsewatch.detectors.rows.windows.checks import median_p_value, p_value_drift, stability_index, window_drift
from sparsewatch.detectors.rows.windows.summary import ModelScores, RowScores


def counts_of(scores: np.ndarray, calibration: np.ndarray) -> tuple[tuple[int, ...], tuple[int, ...]]:
    calibration = np.sort(calibration).astype(np.float32)
    return fine_counts(scores.astype(np.float32), calibration), calibration_counts(calibration)


def model(name: str, rows: tuple[int, ...], calibration: tuple[int, ...]) -> ModelScores:
    return ModelScores(
        model=name, alarm_rate=0.01, columns=(), calibration=calibration, p_values=rows, above=0, carried=()
    )


@pytest.mark.parametrize(("m", "n"), [(99, 50), (199, 5000), (2000, 1000), (5000, 200)])
def test_false_alarms_stay_within_the_level(m: int, n: int) -> None:
    """Calibration and window are drawn anew each time from one distribution."""
    rng = np.random.default_rng(m)
    draws = 300
    chances = [p_value_drift(*counts_of(rng.normal(size=n), rng.normal(size=m))).chance for _ in range(draws)]
    for level in (0.01, 0.05, 0.2):
        assert np.mean(np.array(chances) <= level) <= level + 3 * np.sqrt(level / draws)
    assert np.mean(np.array(chances) <= 0.2) > 0.01, "it is no test that never fires"


@pytest.mark.parametrize("values", [1, 3, 40])
def test_false_alarms_stay_within_the_level_with_ties(values: int) -> None:
    """Scores of few values: p-values are far from uniform, for calibration rows as well."""
    rng = np.random.default_rng(values)
    chances = [
        p_value_drift(*counts_of(rng.integers(0, values, 800), rng.integers(0, values, 400))).chance for _ in range(150)
    ]
    assert np.mean(np.array(chances) <= 0.05) <= 0.05 + 3 * np.sqrt(0.05 / 150)


def test_the_chance_at_an_edge_is_that_of_the_exact_test() -> None:
    rng = np.random.default_rng(0)
    rows, calibration = counts_of(rng.normal(0.3, 1, 300), rng.normal(size=200))
    x, c = np.cumsum(rows), np.cumsum(calibration)
    slow = [
        stats.fisher_exact([[x[i], 300 - x[i]], [c[i], 200 - c[i]]], alternative=side).pvalue
        for i, side in itertools.product(range(len(EDGES)), ("greater", "less"))
    ]
    assert p_value_drift(rows, calibration).chance == pytest.approx(min(1, len(slow) * min(slow)), rel=1e-6)


def test_distance_is_that_of_kolmogorov_and_smirnov_at_the_edges() -> None:
    rng = np.random.default_rng(1)
    window, calibration = rng.normal(0.8, 1, 4000), rng.normal(size=2000)
    drift = p_value_drift(*counts_of(window, calibration))
    full = stats.ks_2samp(window, calibration).statistic
    assert full - 0.05 < drift.distance <= full + 1e-9
    assert drift.share - drift.usual == pytest.approx(drift.distance)
    assert drift.chance < 1e-100


def test_a_narrow_cluster_of_odd_rows_is_seen_in_the_finer_bins() -> None:
    """2 % of the rows above all calibration rows: far too few for Kolmogorov's distance."""
    rng = np.random.default_rng(2)
    window = np.concatenate([rng.normal(size=4900), np.full(100, 50.0)])
    drift = p_value_drift(*counts_of(window, rng.normal(size=5000)))
    assert drift.chance < 1e-9
    assert drift.distance < 0.04


def test_stability_index_is_zero_for_equal_shares_and_known_for_two_bins() -> None:
    assert stability_index((50,) * 4, (50,) * 4) == 0
    by_hand = (0.75 - 0.5) * np.log(0.75 / 0.5) + (0.25 - 0.5) * np.log(0.25 / 0.5)
    assert stability_index((749_999, 249_999), (500_000, 500_000)) == pytest.approx(by_hand, rel=1e-4)
    assert np.isfinite(stability_index((10, 0), (0, 10)))


def test_stability_index_of_rows_like_the_training_is_as_stated() -> None:
    rng = np.random.default_rng(3)
    found = [p_value_drift(*counts_of(rng.normal(size=1000), rng.normal(size=500))).psi for _ in range(100)]
    assert np.mean(found) == pytest.approx(19 * (1 / 1000 + 1 / 500), rel=0.2)


def test_the_strongest_of_two_models_counts_and_pays_for_the_choice() -> None:
    rng = np.random.default_rng(4)
    same, moved = (counts_of(rng.normal(shift, 1, 500), rng.normal(size=500)) for shift in (0, 1))
    drift = window_drift(RowScores(models=(model("m/1", *same), model("m/2", *moved))))
    assert drift is not None
    assert drift.model == "m/2"
    assert drift.chance == pytest.approx(2 * p_value_drift(*moved).chance)
    assert window_drift(RowScores()) is None


def test_median_lies_in_the_middle_of_rows_like_the_training() -> None:
    rng = np.random.default_rng(5)
    window, calibration = rng.normal(size=20_000), rng.normal(size=20_000)
    scores = RowScores(models=(model("m", *counts_of(window, calibration)),))
    assert median_p_value(scores) == pytest.approx(0.5, abs=0.02)
    odd = RowScores(models=(model("m", *counts_of(window + 3, calibration)),))
    assert median_p_value(odd) < 0.005
    assert np.isnan(median_p_value(RowScores()))


def test_equal_bins_join_the_finer_ones() -> None:
    rng = np.random.default_rng(6)
    window, calibration = rng.normal(size=3000), np.sort(rng.normal(size=999)).astype(np.float32)
    p = (1 + (calibration[None, :] >= window.astype(np.float32)[:, None]).sum(axis=1)) / 1000
    fine = fine_counts(window.astype(np.float32), calibration)
    assert len(fine) == FINE_BINS
    assert equal_counts(fine) == tuple(sum(i / 20 < value <= (i + 1) / 20 for value in p) for i in range(20))
