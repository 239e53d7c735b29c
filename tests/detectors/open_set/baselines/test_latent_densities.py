from dataclasses import replace

import numpy as np
import pytest
from scipy.stats import multivariate_normal
from sklearn.covariance import ledoit_wolf

from sparsewatch.detectors.open_set.baselines import latent_densities
from sparsewatch.detectors.open_set.baselines.latent_densities import fit_class_gaussians, fit_joint_gmm, gaussians_of
from sparsewatch.detectors.open_set.class_gaussians import class_gaussians
from sparsewatch.detectors.open_set.gmm import negative_log_likelihood
from sparsewatch.schemas.errors import ConfigError
from tests.kit.encodings import CLASSES, encodings_of, known_wafers, novel_wafers


def test_one_gaussian_over_a_square_gives_the_golden_numbers() -> None:
    square = np.array([[0.0, 0], [2, 0], [0, 2], [2, 2]])
    mixture = gaussians_of(class_gaussians(square, np.zeros(4, int), 1, "ledoit-wolf"), regularisation=0)
    scores = negative_log_likelihood(mixture, np.array([[1.0, 1], [3, 1], [4, 5]]))
    np.testing.assert_allclose(scores, [1.837877, 3.837877, 14.337877], atol=5e-7)


def test_class_gaussians_equal_the_densities_summed_one_by_one() -> None:
    known, labels = known_wafers(200)
    fitted = fit_class_gaussians(known, labels, CLASSES)
    projected = (known.latent - fitted.centre) @ fitted.projection
    density = np.zeros(50)
    for label in range(CLASSES):
        own = projected[labels == label]
        covariance = ledoit_wolf(own)[0] + 1e-3 * np.eye(own.shape[1])
        density += multivariate_normal(own.mean(0), covariance).pdf(projected[:50]) / CLASSES
    np.testing.assert_allclose(fitted.score(known.take(np.arange(50))), -np.log(density), rtol=1e-6)


def test_a_class_gaussian_needs_two_wafers_of_each_class() -> None:
    known, labels = known_wafers(60)
    with pytest.raises(ConfigError, match="2 wafers of each class, got 0 of class 4"):
        fit_class_gaussians(known, labels, CLASSES + 1)
    with pytest.raises(ConfigError, match="2 wafers of each class, got 0 of class 0"):
        fit_class_gaussians(known.take(labels > 0), labels[labels > 0], CLASSES)


def test_a_joint_mixture_needs_five_wafers_a_dimension() -> None:
    known, labels = known_wafers(30)
    with pytest.raises(ConfigError, match="12 Gaussians in 7 dimensions needs 35 samples, got 30"):
        fit_joint_gmm(known, labels, CLASSES)


def test_few_wafers_lead_to_fewer_dimensions() -> None:
    many, of_many = known_wafers(400)
    few, of_few = known_wafers(80)
    wide, narrow = fit_joint_gmm(many, of_many, CLASSES), fit_joint_gmm(few, of_few, CLASSES)
    assert narrow.projection.shape[1] < wide.projection.shape[1] == many.latent.shape[1]


def test_a_class_whose_wafers_are_all_alike_keeps_a_density() -> None:
    known, labels = known_wafers(200)
    latent = known.latent.astype(np.float64)
    latent[labels == 1] = latent[labels == 1][0]
    scores = fit_class_gaussians(encodings_of(latent), labels, CLASSES).score(novel_wafers())
    assert np.isfinite(scores).all()


def test_units_of_the_latent_do_not_matter() -> None:
    known, labels = known_wafers(200)
    scale = np.array([1, 10, 0.1, 1, 1, 5, 1, 1], dtype=np.float32)
    plain = fit_class_gaussians(known, labels, CLASSES).score(novel_wafers())
    novel = novel_wafers()
    other = fit_class_gaussians(replace(known, latent=known.latent * scale), labels, CLASSES)
    np.testing.assert_allclose(other.score(replace(novel, latent=novel.latent * scale)), plain, rtol=1e-4)


def test_blocks_change_no_score(monkeypatch: pytest.MonkeyPatch) -> None:
    known, labels = known_wafers(100)
    fitted = fit_class_gaussians(known, labels, CLASSES)
    whole = fitted.score(known)
    monkeypatch.setattr(latent_densities, "_BLOCK", 7)
    np.testing.assert_allclose(fitted.score(known), whole, rtol=1e-12)
    assert fitted.score(known.take(np.arange(0))).shape == (0,)
