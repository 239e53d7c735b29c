import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.stats import multivariate_normal
from sklearn.mixture import GaussianMixture

from sparsewatch.detectors.open_set.gmm import fit_mixture, mixture_of, negative_log_likelihood, shrunk
from sparsewatch.schemas.errors import ConfigError


def blobs(n: int = 300, seed: int = 0) -> NDArray[np.float64]:
    rng = np.random.default_rng(seed)
    centres = np.array([[0.0, 0, 0], [6, 0, 0], [0, 6, 2]])
    return centres[rng.integers(3, size=n)] + rng.standard_normal((n, 3)) * [1, 0.5, 2]


def test_one_gaussian_over_a_square_gives_the_golden_numbers() -> None:
    square = np.array([[0.0, 0], [2, 0], [0, 2], [2, 2]])
    mixture = mixture_of(np.ones(1), square.mean(0)[None], np.cov(square.T, ddof=0)[None])
    scores = negative_log_likelihood(mixture, np.array([[1.0, 1], [3, 1], [4, 5]]))
    np.testing.assert_allclose(scores, [1.837877, 3.837877, 14.337877], atol=5e-7)


def test_scores_equal_those_of_scikit_learn() -> None:
    samples = blobs()
    theirs = GaussianMixture(3, reg_covar=1e-3, n_init=2, tol=1e-4, max_iter=200, random_state=0)
    theirs.fit(samples)
    ours = fit_mixture(samples, 3, shrinkage=0)
    fresh = blobs(seed=1) * 2
    np.testing.assert_allclose(negative_log_likelihood(ours, fresh), -theirs.score_samples(fresh), rtol=1e-9)


def test_scores_equal_the_densities_summed_one_by_one() -> None:
    covariances = np.array([[[2.0, 0.3], [0.3, 1.0]], [[0.5, -0.1], [-0.1, 0.8]]])
    weights, means = np.array([0.3, 0.7]), np.array([[0.0, 1.0], [3.0, -2.0]])
    samples = np.random.default_rng(0).standard_normal((20, 2))
    density = sum(
        w * multivariate_normal(m, c).pdf(samples) for w, m, c in zip(weights, means, covariances, strict=True)
    )
    mixture = mixture_of(weights, means, covariances)
    np.testing.assert_allclose(negative_log_likelihood(mixture, samples), -np.log(density))


def test_a_far_sample_keeps_a_finite_score() -> None:
    mixture = fit_mixture(blobs(), 3)
    far = negative_log_likelihood(mixture, np.full((1, 3), 1e4))
    assert np.isfinite(far).all()
    assert far[0] > negative_log_likelihood(mixture, blobs()).max()


def test_equal_components_collapse_to_one() -> None:
    mean, covariance = np.array([1.0, 2.0]), np.array([[2.0, 0.5], [0.5, 1.0]])
    one = mixture_of(np.ones(1), mean[None], covariance[None])
    three = mixture_of(np.full(3, 1 / 3), np.tile(mean, (3, 1)), np.tile(covariance, (3, 1, 1)))
    samples = np.random.default_rng(0).standard_normal((10, 2))
    np.testing.assert_allclose(negative_log_likelihood(one, samples), negative_log_likelihood(three, samples))


def test_an_affine_map_shifts_scores_by_its_log_determinant() -> None:
    samples, affine = blobs(), np.array([[2.0, 1, 0], [0, 3, 0], [1, 0, 0.5]])
    mean, covariance = samples.mean(0), np.cov(samples.T)
    plain = mixture_of(np.ones(1), mean[None], covariance[None])
    turned = mixture_of(np.ones(1), (mean @ affine)[None], (affine.T @ covariance @ affine)[None])
    shift = negative_log_likelihood(turned, samples @ affine) - negative_log_likelihood(plain, samples)
    np.testing.assert_allclose(shift, np.log(abs(np.linalg.det(affine))), atol=1e-9)


def test_weights_sum_to_one_and_shrinking_keeps_the_trace() -> None:
    assert fit_mixture(blobs(), 3).weights.sum() == pytest.approx(1)
    covariance = np.cov(blobs().T)[None]
    for shrinkage in (0.0, 0.3, 1.0):
        assert np.trace(shrunk(covariance, shrinkage)[0]) == pytest.approx(np.trace(covariance[0]))
    np.testing.assert_allclose(shrunk(covariance, 1)[0], np.eye(3) * np.trace(covariance[0]) / 3)


def test_too_few_samples_are_refused() -> None:
    with pytest.raises(ConfigError, match="2 Gaussians in 3 dimensions needs 15 samples, got 14"):
        fit_mixture(blobs(14), 2)


def test_a_seed_repeats() -> None:
    a, b = (negative_log_likelihood(fit_mixture(blobs(), 3, seed=5), blobs()) for _ in range(2))
    np.testing.assert_array_equal(a, b)
