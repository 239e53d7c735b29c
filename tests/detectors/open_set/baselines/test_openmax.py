from dataclasses import replace

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.stats import weibull_min

from sparsewatch.detectors.open_set.baselines.openmax import OpenMax, fit_openmax, weibull
from sparsewatch.detectors.sparse_net.encode import Encodings
from sparsewatch.schemas.errors import ConfigError
from tests.kit.encodings import CLASSES, encodings_of, known_wafers, novel_wafers


def revised(fitted: OpenMax, logits: NDArray[np.float64]) -> NDArray[np.float64]:
    """Algorithm 2 for one wafer, class by class."""
    known, unknown = logits.copy(), 0.0
    for rank, label in enumerate(np.argsort(-logits)[: fitted.alpha]):
        far = np.linalg.norm(logits - fitted.means[label])
        share = weibull_min.cdf(far, fitted.shape[label], fitted.location[label], fitted.scale[label])
        weight = 1 - share * (fitted.alpha - rank) / fitted.alpha
        known[label] = logits[label] * weight
        unknown += logits[label] * (1 - weight)
    powers = np.exp(np.array([unknown, *known]))
    return np.asarray(powers / powers.sum())


@pytest.mark.parametrize("alpha", [1, 3, 10])
def test_probabilities_are_those_of_the_algorithm_wafer_by_wafer(alpha: int) -> None:
    known, labels = known_wafers(200)
    fitted = fit_openmax(known, labels, CLASSES, alpha=alpha)
    for batch in (known.take(np.arange(20)), novel_wafers(20)):
        slow = [revised(fitted, logits.astype(np.float64)) for logits in batch.logits]
        np.testing.assert_allclose(fitted.probabilities(batch), slow, atol=1e-12)
        np.testing.assert_array_equal(fitted.score(batch), fitted.probabilities(batch)[:, 0])


def test_where_nothing_is_far_the_known_classes_keep_their_odds() -> None:
    known, labels = known_wafers(200)
    fitted = fit_openmax(known, labels, CLASSES)
    near = replace(fitted, location=np.full(CLASSES, 1e9)).probabilities(known)
    np.testing.assert_allclose(near[:, 1:] / near[:, 1:].sum(axis=1, keepdims=True), known.probabilities, atol=1e-6)


def test_means_are_of_the_wafers_that_the_network_recognises() -> None:
    known, labels = known_wafers(200)
    wrong = labels.copy()
    wrong[:20] = (wrong[:20] + 1) % CLASSES
    right = known.logits.argmax(axis=1) == wrong
    fitted = fit_openmax(known, wrong, CLASSES)
    for label in range(CLASSES):
        chosen = known.logits[right & (wrong == label)].astype(np.float64)
        np.testing.assert_allclose(fitted.means[label], chosen.mean(axis=0))


def test_a_weibull_fit_is_that_of_scipy() -> None:
    samples = np.random.default_rng(0).weibull(1.7, 400) * 3
    scale, shape = weibull(samples)
    theirs, _, their_scale = weibull_min.fit(samples, floc=0)
    assert (scale, shape) == pytest.approx((their_scale, theirs), rel=1e-3)


def test_a_weibull_fit_follows_the_unit_and_bears_equal_samples() -> None:
    samples = np.random.default_rng(1).weibull(0.8, 30)
    scale, shape = weibull(samples)
    assert weibull(samples * 1e6) == pytest.approx((scale * 1e6, shape))
    assert weibull(np.full(5, 2.0)) == pytest.approx((2.0, 1e3))


def test_wafers_of_a_class_that_are_all_alike_leave_finite_scores() -> None:
    logits = np.repeat(4.0 * np.eye(CLASSES), 10, axis=0)
    alike = encodings_of(np.zeros((len(logits), 8)), logits)
    fitted = fit_openmax(alike, np.repeat(np.arange(CLASSES), 10), CLASSES)
    assert np.isfinite(fitted.score(alike)).all()
    assert np.isfinite(fitted.score(novel_wafers())).all()


def test_a_class_that_is_hardly_recognised_is_refused() -> None:
    known, labels = known_wafers(200)
    few = np.concatenate([np.flatnonzero(labels == 2)[:5], np.flatnonzero(labels != 2)])
    with pytest.raises(ConfigError, match="needs 6 wafers of each class, got 5 of class 2"):
        fit_openmax(known.take(few), labels[few], CLASSES)


@pytest.mark.parametrize("setting", [{"tail": 1}, {"alpha": 0}])
def test_settings_out_of_range_are_refused(setting: dict[str, int]) -> None:
    known, labels = known_wafers(100)
    with pytest.raises(ConfigError, match="a tail from 2 and alpha from 1"):
        fit_openmax(known, labels, CLASSES, **setting)


def test_farther_wafers_of_the_same_direction_are_likelier_unknown() -> None:
    known, labels = known_wafers(400)
    fitted = fit_openmax(known, labels, CLASSES)
    steps: Encodings = encodings_of(np.zeros((6, 8)), np.linspace(7.5, 40, 6)[:, None] * np.eye(CLASSES)[0])
    assert (np.diff(fitted.score(steps)) >= 0).all()
