import numpy as np
import pytest
from numpy.typing import NDArray
from sklearn.covariance import ledoit_wolf

from sparsewatch.detectors.open_set.class_gaussians import Shrinkage, class_gaussians
from sparsewatch.detectors.open_set.gmm import mixture_of
from sparsewatch.detectors.open_set.novelty import LEAST_WAFERS, NoveltyConfig, evidence, fit_novelty
from sparsewatch.schemas.errors import ConfigError, SchemaError
from tests.kit.encodings import CLASSES, known_wafers


def samples_of(n: int, seed: int, classes: int = 3) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    rng = np.random.default_rng(seed)
    labels = rng.integers(classes, size=n)
    return 20 * labels[:, None] + rng.standard_normal((n, 4)) * [1, 2, 0.5, 3], labels


def test_a_square_has_its_centre_as_mean_and_the_identity_as_covariance() -> None:
    square = np.array([[0.0, 0], [2, 0], [0, 2], [2, 2]])
    fitted = class_gaussians(square, np.zeros(4, int), 1, 0.0)
    np.testing.assert_array_equal(fitted.means, [[1, 1]])
    np.testing.assert_array_equal(fitted.covariances, [np.eye(2)])
    np.testing.assert_array_equal(fitted.within, np.eye(2))


def test_moments_are_the_sums_taken_sample_by_sample() -> None:
    samples, labels = samples_of(40, 0)
    found = class_gaussians(samples, labels, 3, 0.0)
    within = np.zeros((4, 4))
    for label in range(3):
        c = [s - samples[labels == label].mean(0) for s in samples[labels == label]]
        assert found.counts[label] == len(c)
        np.testing.assert_allclose(found.covariances[label] * len(c), sum(np.outer(x, x) for x in c), atol=1e-12)
        within += sum(np.outer(x, x) for x in c)
    np.testing.assert_allclose(found.within, within / 40, atol=1e-12)


def test_covariances_equal_those_of_scikit_learn() -> None:
    samples, labels = samples_of(50, 2)
    theirs = [ledoit_wolf(samples[labels == label])[0] for label in range(3)]
    np.testing.assert_allclose(class_gaussians(samples, labels, 3, "ledoit-wolf").covariances, theirs, rtol=1e-9)


def test_a_stated_weight_moves_each_covariance_to_its_mean_variance() -> None:
    samples, labels = samples_of(50, 3)
    plain, moved = (class_gaussians(samples, labels, 3, a) for a in (0.0, 0.25))
    for one, other in zip(plain.covariances, moved.covariances, strict=True):
        np.testing.assert_allclose(other, 0.75 * one + 0.25 * np.trace(one) / 4 * np.eye(4))
    np.testing.assert_array_equal(plain.within, moved.within)


@pytest.mark.parametrize("shrinkage", [0.3, "ledoit-wolf"])
def test_two_samples_in_many_dimensions_have_a_covariance_and_one_has_none(shrinkage: Shrinkage) -> None:
    samples = np.random.default_rng(0).standard_normal((3, 6))
    two = class_gaussians(samples[:2], np.zeros(2, int), 1, shrinkage).covariances
    assert np.isfinite(two).all()
    with pytest.raises(ConfigError, match="2 wafers of each class, got 1 of class 1"):
        class_gaussians(samples, np.array([0, 0, 1]), 2, shrinkage)


def test_labels_that_are_no_class_are_refused() -> None:
    with pytest.raises(SchemaError, match="labels from 0 to 1, got -1 to 1"):
        class_gaussians(np.zeros((3, 2)), np.array([0, 1, -1]), 2, 0.0)
    with pytest.raises(SchemaError, match="expected 3 labels"):
        class_gaussians(np.zeros((3, 2)), np.array([0, 1]), 2, 0.0)


def test_one_dimension_is_no_special_case() -> None:
    samples, labels = samples_of(30, 4)
    for shrinkage in (0.3, "ledoit-wolf"):
        fitted = class_gaussians(samples[:, :1], labels, 3, shrinkage)
        np.testing.assert_allclose(fitted.covariances[:, 0, 0], [samples[labels == c, 0].var() for c in range(3)])


def test_the_novelty_detector_is_fitted_as_it_was_to_the_bit() -> None:
    # The fit before it was shared with the baselines: per pattern, each with a mean and a covariance.
    known, labels = known_wafers(400)
    patterns = np.array([f"p{label}" for label in labels])
    patterns[: LEAST_WAFERS - 1] = "rare"
    fitted = fit_novelty(NoveltyConfig(shrinkage=0.3), known, patterns.tolist(), known)
    embedded = (evidence(known) - fitted.centre) @ fitted.projection
    names = [f"p{label}" for label in range(CLASSES)]
    members = [embedded[patterns == name] for name in names]
    covariances = np.stack([np.atleast_2d(np.cov(m.T, bias=True)) for m in members])
    sizes = np.array([len(m) for m in members])
    within = np.einsum("c,cde->de", sizes / sizes.sum(), covariances)
    old = mixture_of(np.full(CLASSES, 1 / CLASSES), np.stack([m.mean(axis=0) for m in members]), shrunk(covariances))
    assert fitted.patterns == tuple(names)
    np.testing.assert_array_equal(fitted.mixture.means, old.means)
    np.testing.assert_array_equal(fitted.mixture.precision_factors, old.precision_factors)
    np.testing.assert_array_equal(fitted.within, shrunk(within[None])[0])


def shrunk(covariances: NDArray[np.float64]) -> NDArray[np.float64]:
    d = covariances.shape[-1]
    scale = np.trace(covariances, axis1=-2, axis2=-1) / d
    return np.asarray((1 - 0.3) * covariances + 0.3 * scale[:, None, None] * np.eye(d))
