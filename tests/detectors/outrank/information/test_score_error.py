import numpy as np
import pyarrow as pa
import pytest

from sparsewatch.detectors.counts.feature_counts import FeatureCounts
from sparsewatch.detectors.outrank.ranking import RankedFeature, rank_features

ROWS, CAP = 60_000, 2_000


def stream(kind: str, effect: float, rate: float, seed: int) -> pa.RecordBatch:
    """Rows of a feature of 20,000 values and more, with names that are new for each seed."""
    rng = np.random.default_rng(seed)
    if kind == "unique":
        values = np.arange(ROWS)
    elif kind == "uniform":
        values = rng.integers(0, 25_000, ROWS)
    else:
        share = np.cumsum(np.arange(1, 60_001.0) ** -float(kind))
        values = np.searchsorted(share / share[-1], rng.random(ROWS))
    odds = np.log(rate / (1 - rate)) + effect * rng.standard_normal(ROWS + 1)[values]
    names = rng.integers(-(2**62), 2**62, values.max() + 1)[values]
    return pa.record_batch({"x": names, "click": (rng.random(ROWS) < 1 / (1 + np.exp(-odds))).astype(np.int8)})


def ranked(rows: pa.RecordBatch, cap: int) -> RankedFeature:
    counts = FeatureCounts(["x"], "click", max_values=cap)
    counts.update(rows)
    (feature,) = rank_features(counts)
    return feature


@pytest.mark.long
@pytest.mark.parametrize("kind", ["unique", "uniform", "0.8", "1.1", "1.4"])
def test_the_bound_holds_and_is_five_deviations(kind: str) -> None:
    off = []
    for seed in range(10):
        rows = stream(kind, effect=0.5 * (seed % 3), rate=(0.05, 0.4)[seed % 2], seed=seed)
        exact, found = ranked(rows, ROWS), ranked(rows, CAP)
        assert exact.score_error == 0
        assert found.noise == pytest.approx(exact.noise, rel=0.1, abs=1e-6)
        assert abs(found.score - exact.score) <= found.score_error + 1e-9
        off.append((found.score - exact.score) / (found.score_error / 5 + 1e-9))
    assert kind == "unique" or 0.4 < np.sqrt(np.mean(np.square(off))) < 1.6


def test_unique_ids_have_no_error() -> None:
    found = ranked(stream("unique", 1.0, 0.1, 0), CAP)
    assert found.score == pytest.approx(0, abs=1e-9)
    assert found.score_error == pytest.approx(0, abs=1e-7)


def test_a_signal_in_the_heavy_values_is_found() -> None:
    rng = np.random.default_rng(3)
    heavy = rng.random(ROWS) < 0.3
    values = np.where(heavy, rng.integers(0, 6, ROWS), rng.integers(6, 40_000, ROWS))
    click = rng.random(ROWS) < np.where(heavy, np.where(values % 2, 0.02, 0.18), 0.1)
    rows = pa.record_batch({"x": values, "click": click})
    exact, found = ranked(rows, ROWS), ranked(rows, CAP)
    assert abs(found.score - exact.score) <= found.score_error
    assert found.score > 2 * found.score_error / 5
    assert found.p_value < 0.01
