import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sparsewatch.detectors.rows.methods.ensemble import REFERENCE_ROWS, SCALES, NearestScales, draw_samples


def drawn(n: int, d: int, seed: int = 0) -> tuple[np.ndarray, NearestScales, np.ndarray]:
    X = np.random.default_rng(seed).standard_normal((n, d)).astype(np.float32)
    samples, own = draw_samples(X, np.random.default_rng(seed + 1))
    return X, samples, own


def slow(samples: NearestScales, row: np.ndarray, forbidden: np.ndarray) -> list[float]:
    """Mean over the samples of the distance to their nearest row, sample by sample."""
    distances = np.sqrt(((samples.rows.astype(np.float64) - row) ** 2).sum(axis=1))
    distances[forbidden] = np.inf
    means = []
    for scale in samples.scales:
        strides = REFERENCE_ROWS // scale
        nearest = np.array([distances[j::strides].min() for j in range(strides)])
        means.append(nearest[np.isfinite(nearest)].mean() if np.isfinite(nearest).any() else 0.0)
    return means


@settings(max_examples=15)
@given(n=st.sampled_from([2, 5, 30, 97, 700, 6000]), d=st.integers(1, 6), seed=st.integers(0, 50))
def test_distances_are_those_to_the_nearest_of_each_sample(n: int, d: int, seed: int) -> None:
    _, samples, _ = drawn(n, d, seed)
    queries = np.random.default_rng(seed + 2).normal(0, 3, (7, d)).astype(np.float32)
    expected = [slow(samples, row, np.zeros(REFERENCE_ROWS, bool)) for row in queries]
    np.testing.assert_allclose(samples.distances(queries), expected, rtol=1e-3, atol=2e-3)


@pytest.mark.parametrize("n", [2, 40, 3000])
def test_no_row_is_compared_with_itself(n: int) -> None:
    X, samples, own = drawn(n, 3)
    positions = np.arange(min(n, 60))
    expected = [slow(samples, X[i], own == i) for i in positions]
    np.testing.assert_allclose(
        samples.distances_without_own(X[positions], positions, own), expected, rtol=1e-3, atol=2e-3
    )


@pytest.mark.parametrize("n", [100, 1000, 5000])
def test_the_smallest_samples_hold_no_row_twice_but_where_a_round_of_drawing_ends(n: int) -> None:
    _, samples, own = drawn(n, 2)
    strides = REFERENCE_ROWS // samples.scales[0]
    repeated = sum(len(set(own[j::strides])) < samples.scales[0] for j in range(strides))
    assert repeated <= REFERENCE_ROWS // n


@pytest.mark.parametrize(
    ("n", "scales", "weights"), [(10_000, SCALES, (1, 1, 1, 1)), (1000, (8, 32, 64), (1, 1, 2)), (20, (2,), (4,))]
)
def test_a_sample_holds_at_most_a_tenth_of_the_rows(n: int, scales: tuple[int, ...], weights: tuple[int, ...]) -> None:
    _, samples, _ = drawn(n, 1)
    assert (samples.scales, samples.weights) == (scales, weights)


def test_a_clump_of_alike_outliers_is_far_at_the_small_scale_only() -> None:
    rng = np.random.default_rng(0)
    X = rng.standard_normal((20_000, 2)).astype(np.float32)
    X[:200] = rng.normal(20, 0.1, (200, 2))
    samples, own = draw_samples(X, rng)
    positions = np.arange(400)
    distances = samples.distances_without_own(X[positions], positions, own)
    clump, ordinary = distances[:200].mean(axis=0), distances[200:].mean(axis=0)
    assert clump[0] > 5 * ordinary[0]
    assert clump[-1] < clump[0] / 3


def test_the_nearest_row_is_the_nearest_of_all_samples() -> None:
    _, samples, _ = drawn(300, 4)
    queries = np.random.default_rng(5).standard_normal((50, 4)).astype(np.float32)
    chosen = ((samples.rows[None] - queries[:, None]) ** 2).sum(axis=2).argmin(axis=1)
    np.testing.assert_array_equal(samples.nearest(queries), samples.rows[chosen])
