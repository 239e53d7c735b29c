"""Numbers are ranked as numbers: their score is the information that integration over their distribution gives."""

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from scipy.integrate import quad

from sparsewatch.detectors.counts.feature_counts import FeatureCounts
from sparsewatch.detectors.outrank.columns.codes import encode
from sparsewatch.detectors.outrank.columns.quantile_bins import code_number
from sparsewatch.detectors.outrank.information.rarefied_score import rarefied_ranking
from sparsewatch.detectors.outrank.ranking import RankedFeature, rank_codes, rank_features

ROWS = 200_000
Logit = Callable[[Any], Any]


def logistic(z: Any) -> Any:
    return z - 2


def u_shaped(z: Any) -> Any:
    return z**2 - 3


def true_information(logit: Logit) -> float:
    """Nats that a standard normal number has on a label of this log-odds."""

    def density(z: float) -> float:
        return math.exp(-z * z / 2) / math.sqrt(2 * math.pi)

    def rate(z: float) -> float:
        return 1 / (1 + math.exp(-logit(z)))

    def entropy(p: float) -> float:
        return -p * math.log(p) - (1 - p) * math.log1p(-p)

    mean = quad(lambda z: density(z) * rate(z), -8, 8)[0]
    return float(entropy(mean) - quad(lambda z: density(z) * entropy(rate(z)), -5.5, 5.5)[0])


def rows_of(logit: Logit, shape: Callable[[Any], Any], rows: int, seed: int) -> pa.RecordBatch:
    """A column whose numbers follow a normal one by a rising function, a column of noise, and the label."""
    rng = np.random.default_rng(seed)
    z = rng.normal(size=rows)
    clicks = rng.random(rows) < 1 / (1 + np.exp(-logit(z)))
    return pa.record_batch({"x": shape(z), "noise": rng.normal(size=rows), "click": clicks.astype(np.int8)})


def counts_of(rows: pa.RecordBatch, numbers: tuple[str, ...] = ("x", "noise")) -> FeatureCounts:
    counts = FeatureCounts(["x", "noise"], "click", numbers=numbers)
    counts.update(rows)
    return counts


def ranked(counts: FeatureCounts) -> dict[str, RankedFeature]:
    return {one.feature: one for one in rank_features(counts)}


@pytest.mark.parametrize("logit", [logistic, u_shaped])
@pytest.mark.parametrize("shape", [np.exp, lambda z: 1e6 * z, lambda z: 20 + z], ids=["lognormal", "normal", "offset"])
def test_the_score_is_the_information_of_the_number(logit: Logit, shape: Callable[[Any], Any]) -> None:
    found = ranked(counts_of(rows_of(logit, shape, ROWS, seed=1)))
    truth = true_information(logit)
    assert found["x"].score == pytest.approx(truth, rel=0.05, abs=3 * found["x"].standard_error)
    assert abs(found["noise"].score) < 4 * found["noise"].noise
    assert found["noise"].p_value > 0.001
    # By value it is nothing, since no number comes twice.
    assert abs(ranked(counts_of(rows_of(logit, shape, 20_000, 1), numbers=()))["x"].score) < 0.05 * truth


def test_the_p_value_of_noise_is_uniform() -> None:
    p_values = [ranked(counts_of(rows_of(logistic, np.exp, 1_000, seed)))["noise"].p_value for seed in range(300)]
    assert 2 <= np.count_nonzero(np.array(p_values) < 0.05) <= 28
    assert 0.4 < np.mean(p_values) < 0.6


def test_fewer_rows_have_the_same_information() -> None:
    """Groups are as many in a small window, so its score compares with that of a large one."""
    counts = counts_of(rows_of(logistic, np.exp, ROWS, seed=2))
    few = [ranked(counts_of(rows_of(logistic, np.exp, 2_000, seed)))["x"].score for seed in range(60)]
    spread = np.std(few) / math.sqrt(len(few))
    (x,) = (one.score for one in rarefied_ranking(counts, rank_features(counts), 2_000) if one.feature == "x")
    assert x == pytest.approx(np.mean(few), abs=float(4 * spread))


def test_a_scale_changes_no_score() -> None:
    rows = rows_of(u_shaped, np.exp, 5_000, seed=3)
    larger = rows.set_column(0, "x", pa.array(1024 * rows.column("x").to_numpy()))
    assert ranked(counts_of(rows))["x"].score == ranked(counts_of(larger))["x"].score


def test_a_sample_of_rows_is_coded_as_counts_are_ranked() -> None:
    rows = rows_of(logistic, np.exp, 5_000, seed=4)
    missing = pa.array(np.arange(5_000) % 10 == 0)
    x = pa.compute.if_else(missing, None, rows.column("x"))
    rows = rows.set_column(0, "x", x)
    counts = counts_of(rows)
    codes = {name: code_number(rows.column(name), counts.bins.bits) for name in counts.features}
    by_codes = rank_codes(codes, encode(rows.column("click")), missing={"x": 500})
    for one in by_codes:
        assert one.score == pytest.approx(ranked(counts)[one.feature].score, abs=1e-12)
    nothing = code_number(pa.nulls(3, pa.float64()), 5)
    assert (nothing.codes.tolist(), nothing.n_values) == ([0, 0, 0], 1)
    assert code_number(pa.array([], pa.float64()), 5).n_values == 0
