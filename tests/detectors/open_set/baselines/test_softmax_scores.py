import numpy as np
from scipy.special import softmax

from sparsewatch.detectors.open_set.baselines.softmax_scores import fit_energy, fit_max_softmax
from tests.kit.encodings import CLASSES, encodings_of, known_wafers


def test_maximum_softmax_is_minus_the_logarithm_of_the_largest_probability() -> None:
    known, labels = known_wafers(50)
    largest = softmax(known.logits.astype(np.float64), axis=1).max(axis=1)
    np.testing.assert_allclose(fit_max_softmax(known, labels, CLASSES).score(known), -np.log(largest), atol=1e-9)


def test_maximum_softmax_does_not_see_a_shift_of_all_logits_and_energy_does() -> None:
    known, labels = known_wafers(50)
    shifted = encodings_of(known.latent.astype(np.float64), known.logits + 4)
    most, energy = (fit(known, labels, CLASSES) for fit in (fit_max_softmax, fit_energy))
    np.testing.assert_allclose(most.score(shifted), most.score(known), atol=1e-5)
    np.testing.assert_allclose(energy.score(shifted), energy.score(known) - 4, atol=1e-5)


def test_energy_of_equal_logits_is_minus_the_logarithm_of_the_classes() -> None:
    known, labels = known_wafers(4)
    flat = encodings_of(known.latent.astype(np.float64), np.zeros((4, CLASSES)))
    np.testing.assert_allclose(fit_energy(known, labels, CLASSES).score(flat), -np.log(CLASSES))


def test_large_logits_stay_finite_and_in_order() -> None:
    known, labels = known_wafers(4)
    logits = np.zeros((3, CLASSES))
    logits[:, 0] = [1e4, 20.0, 15.0]
    sure = encodings_of(known.latent[:3].astype(np.float64), logits)
    for fit in (fit_max_softmax, fit_energy):
        scores = fit(known, labels, CLASSES).score(sure)
        assert np.isfinite(scores).all()
        assert scores[0] <= scores[1] < scores[2]
