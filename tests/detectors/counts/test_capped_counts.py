import numpy as np
import pytest

from sparsewatch.detectors.counts.capped_counts import Estimate, HashedCounters, estimate, estimate_of_all
from sparsewatch.detectors.counts.value_hashes import HASH_RANGE

STORED = 1_000


def zipf_counts(values: int, rows: int, exponent: float, seed: int) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    share = np.arange(1, values + 1.0) ** -exponent
    counts = rng.multinomial(rows, share / share.sum())
    counts = counts[counts > 0]
    return counts, rng.binomial(counts, rng.beta(2, 18, counts.size))


def estimated(
    rows: np.ndarray, clicks: np.ndarray, seed: int, stored: int = STORED
) -> tuple[Estimate, np.ndarray, np.ndarray]:
    """The estimate, the positions of the sample, and all hashes."""
    hashes = np.random.default_rng(seed).integers(0, 2**64, rows.size, dtype=np.uint64)
    hashed = HashedCounters.empty(stored)
    hashed.add(hashes, rows, clicks)
    limit = np.sort(hashes)[stored]
    sample = np.flatnonzero(hashes < limit)
    return estimate(hashed, hashes[sample], rows[sample], clicks[sample], int(limit)), sample, hashes


@pytest.mark.parametrize("exponent", [0.0, 0.8, 1.2, 1.5])
def test_rows_and_clicks_add_up(exponent: float) -> None:
    rows, clicks = zipf_counts(20_000, 200_000, exponent, 0)
    found, sample, _ = estimated(rows, clicks, 1, stored=min(STORED, rows.size // 4))
    assert found.weights @ rows[sample] + found.rows.sum() == pytest.approx(rows.sum())
    assert found.weights @ clicks[sample] + found.clicks.sum() == pytest.approx(clicks.sum())
    assert found.weights.min() > 0
    assert np.all((found.clicks >= 0) & (found.clicks <= found.rows))


@pytest.mark.parametrize("stored", [64, 1_000, 8_192])
@pytest.mark.parametrize("exponent", [0.0, 1.2])
def test_of_values_that_are_all_known_the_estimate_is_the_same_without_counters(exponent: float, stored: int) -> None:
    rows, clicks = zipf_counts(12_000, 90_000, exponent, 3)
    hashes = np.random.default_rng(4).integers(0, 2**64, rows.size, dtype=np.uint64)
    hashed = HashedCounters.empty(stored)
    hashed.add(hashes, rows, clicks)
    for limit in (HASH_RANGE // 200, HASH_RANGE // 3, 1):
        sample = np.flatnonzero(hashes < np.uint64(limit))
        expected = estimate(hashed, hashes[sample], rows[sample], clicks[sample], limit)
        found = estimate_of_all(hashes, rows, clicks, limit, hashed.rows.size)
        assert found.background == expected.background
        for part in ("weights", "heavy", "counters", "rows", "clicks"):
            assert np.array_equal(getattr(found, part), getattr(expected, part))


def test_heavy_values_are_found_and_close() -> None:
    rows, clicks = zipf_counts(20_000, 200_000, 1.2, 0)
    found, sample, hashes = estimated(rows, clicks, 2)
    heaviest = [i for i in np.argsort(-rows)[:20] if i not in sample]
    assert len(heaviest) > 15
    counters = HashedCounters.empty(STORED).counters(hashes)
    for i in heaviest:
        (place,) = np.flatnonzero(found.counters == counters[i])
        assert found.rows[place] == pytest.approx(rows[i], rel=0.1)


def test_values_alike_have_no_heavy_ones_and_stand_for_as_many_each() -> None:
    found, _, _ = estimated(np.full(20_000, 3), np.full(20_000, 1), 3)
    assert found.counters.size == 0
    assert not found.heavy.any()
    assert found.weights == pytest.approx(20_000 / STORED)


def test_clicked_and_other_rows_are_weighted_apart() -> None:
    clicks = (np.arange(20_000) % 10 == 0).astype(np.int64)
    found, sample, _ = estimated(np.ones(20_000, np.int64), clicks, 4)
    clicked = clicks[sample] == 1
    assert found.weights[clicked] == pytest.approx(2_000 / np.count_nonzero(clicked))
    assert found.weights[~clicked] == pytest.approx(18_000 / np.count_nonzero(~clicked))


def test_the_background_is_taken_off_without_a_bias() -> None:
    rng = np.random.default_rng(5)
    rows = np.concatenate([np.full(40, 500), np.full(19_960, 2)])
    clicks = rng.binomial(rows, 0.05)
    off = []
    for seed in range(10):
        found, sample, _ = estimated(rows, clicks, seed)
        others = np.setdiff1d(np.arange(40), sample)
        off.append((found.clicks.sum() - clicks[others].sum()) / others.size)
    assert abs(np.mean(off)) < 4 * np.std(off) / np.sqrt(10)


def test_an_empty_sample_leaves_the_counters() -> None:
    hashed = HashedCounters.empty(4)
    hashed.add(np.array([0, 1, 5], np.uint64), np.array([3, 4, 5]), np.array([1, 0, 5]))
    none = np.zeros(0, np.int64)
    found = estimate(hashed, none.astype(np.uint64), none, none, HASH_RANGE // 2)
    assert found.counters.tolist() == [0, 1]
    assert (found.rows.tolist(), found.clicks.tolist()) == ([3, 9], [1, 5])
