import numpy as np
import torch

from sparsewatch.detectors.sparse_net.priors import add_to_logits, best_correction
from sparsewatch.detectors.sparse_net.scores import macro_f1


def test_answers_weighted_up_for_a_rare_class_are_put_right() -> None:
    rng = np.random.default_rng(0)
    labels = (rng.random(4_000) < 0.03).astype(np.int64)
    x = rng.standard_normal(4_000) + 2.5 * labels
    # The log odds of two unit Gaussians 2.5 apart at equal priors: what a fully balanced loss teaches.
    logits = np.stack([np.zeros(4_000), 2.5 * x - 2.5**2 / 2], axis=1).astype(np.float32)
    weights = np.array([1 / 0.97, 1 / 0.03])
    correction = best_correction(labels, logits, weights)
    assert correction[0] > correction[1]
    assert macro_f1(labels, logits + correction) > macro_f1(labels, logits) + 0.1


def test_equal_weights_correct_nothing() -> None:
    labels = np.array([0, 1, 2])
    logits = np.eye(3, dtype=np.float32)
    np.testing.assert_array_equal(best_correction(labels, logits, np.ones(3)), np.zeros(3))


def test_only_the_outputs_of_classes_move() -> None:
    layer = torch.nn.Linear(2, 3)
    before = layer.bias.detach().clone()
    add_to_logits(layer, np.array([1, -2], dtype=np.float32))
    np.testing.assert_allclose((layer.bias - before).detach().numpy(), [1, -2, 0], atol=1e-6)


def test_macro_f1_is_the_plain_mean_over_the_classes_that_occur() -> None:
    labels = np.array([0, 0, 0, 1])
    logits = np.eye(3, dtype=np.float32)[[0, 0, 1, 1]]
    # Class 0: precision 1, recall 2/3; class 1: precision 1/2, recall 1.
    np.testing.assert_allclose(macro_f1(labels, logits), (0.8 + 2 / 3) / 2)


def test_macro_f1_of_parts_is_over_the_parts() -> None:
    labels = np.array([[1, 0], [1, 1], [0, 0]])
    logits = np.array([[1, -1], [1, -1], [-1, 1]], dtype=np.float32)
    np.testing.assert_allclose(macro_f1(labels, logits), (1 + 0) / 2)
