from dataclasses import replace

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from scipy.spatial.distance import mahalanobis
from scipy.special import softmax
from scipy.stats import chi2, kstest

from sparsewatch.detectors.open_set.baselines.mahalanobis import (
    Mahalanobis,
    TiedGaussians,
    features_of,
    fit_mahalanobis,
    fit_mahalanobis_layers,
    tied_gaussians,
)
from sparsewatch.detectors.open_set.baselines.mahalanobis_input import encode_shifted, preprocessed_distances
from sparsewatch.detectors.open_set.class_gaussians import class_gaussians
from sparsewatch.detectors.sparse_net.data import to_sites
from sparsewatch.detectors.sparse_net.encode import encode
from sparsewatch.detectors.sparse_net.grid import to_grid
from sparsewatch.detectors.sparse_net.net import PLACE, NetConfig, WaferNet
from sparsewatch.detectors.sparse_net.points import WaferPoints, offsets_of
from sparsewatch.schemas.errors import ConfigError
from tests.kit.encodings import CLASSES, encodings_of, known_wafers, novel_wafers

MIX = np.array([[1.0, 0.4, 0], [0, 0.7, -0.3], [0.2, 0, 2.0]])


def samples_of(n: int = 300, seed: int = 0) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    rng = np.random.default_rng(seed)
    labels = rng.integers(3, size=n)
    return 4 * np.eye(3)[labels] + rng.standard_normal((n, 3)) @ MIX, labels


def fit(samples: NDArray[np.float64], labels: NDArray[np.int64], shrinkage: float = 0.0) -> TiedGaussians:
    return tied_gaussians(class_gaussians(samples, labels, int(labels.max()) + 1, 0.0), shrinkage=shrinkage)


def covariance_of(tied: TiedGaussians) -> NDArray[np.float64]:
    return np.asarray(np.linalg.inv(tied.whitening @ tied.whitening.T))


def test_distances_are_those_of_scipy_one_by_one() -> None:
    samples, labels = samples_of(60)
    tied = fit(samples, labels)
    residuals = samples - np.stack([samples[labels == c].mean(0) for c in range(3)])[labels]
    inverse = np.linalg.inv(residuals.T @ residuals / len(samples))
    slow = [[mahalanobis(s, m, inverse) ** 2 for m in tied.means] for s in samples]
    np.testing.assert_allclose(tied.distances(samples), slow, rtol=1e-9)


def test_the_posterior_of_the_quadratic_form_is_the_softmax_of_a_linear_one() -> None:
    samples, labels = samples_of()
    tied, prior = fit(samples, labels), np.bincount(labels) / len(labels)
    precision = tied.whitening @ tied.whitening.T
    weights = tied.means @ precision
    offsets = -0.5 * (weights * tied.means).sum(1) + np.log(prior)
    linear = softmax(samples @ weights.T + offsets, axis=1)
    quadratic = softmax(-0.5 * tied.distances(samples) + np.log(prior), axis=1)
    np.testing.assert_allclose(quadratic, linear, atol=1e-12)


def test_an_invertible_affine_map_of_the_features_changes_no_distance() -> None:
    samples, labels = samples_of()
    turned = samples @ np.array([[2.0, 1, 0], [0, 3, 0], [1, 0, 0.5]]) + [1, -2, 30]
    plain = fit(samples, labels).distances(samples)
    np.testing.assert_allclose(fit(turned, labels).distances(turned), plain, rtol=1e-9, atol=1e-10)


def test_the_mean_distance_from_the_own_class_is_the_number_of_dimensions() -> None:
    samples, labels = samples_of()
    own = fit(samples, labels).distances(samples)[np.arange(len(labels)), labels]
    assert own.mean() == pytest.approx(3, abs=1e-10)


def test_under_a_unit_covariance_the_distance_is_euclidean() -> None:
    tied = TiedGaussians(np.array([[0.0, 0], [5, 0]]), np.eye(2), 1.0)
    np.testing.assert_allclose(tied.distances(np.array([[3.0, 4]])), [[25, 20]])


def test_with_one_class_the_distance_is_that_of_hotelling() -> None:
    samples, _ = samples_of()
    centred = samples - samples.mean(0)
    slow = np.einsum("nd,de,ne->n", centred, np.linalg.inv(np.cov(samples.T, ddof=0)), centred)
    tied = fit(samples, np.zeros(len(samples), int))
    np.testing.assert_allclose(tied.distances(samples)[:, 0], slow, rtol=1e-9)


def test_the_distance_from_the_own_class_is_chi_square_where_parameters_are_true() -> None:
    whitening = np.linalg.cholesky(np.linalg.inv(MIX.T @ MIX))
    tied = TiedGaussians(4 * np.eye(3), whitening, 1.0)
    samples, labels = samples_of(2_000, seed=5)
    own = tied.distances(samples)[np.arange(len(labels)), labels]
    assert kstest(own, chi2(3).cdf).pvalue > 0.01


def test_classes_taken_in_one_by_one_give_the_mean_of_their_covariances_in_any_order() -> None:
    samples, labels = samples_of()
    each = [np.cov(samples[labels == c].T, ddof=0) for c in range(3)]
    for order in ([0, 1, 2], [2, 0, 1]):
        grown = each[order[0]]
        for known, label in enumerate(order[1:], start=1):
            grown = known / (known + 1) * grown + each[label] / (known + 1)
        tied = tied_gaussians(class_gaussians(samples, labels, 3, 0.0), shrinkage=0, class_weights=True)
        np.testing.assert_allclose(covariance_of(tied), grown, rtol=1e-10, atol=1e-12)


def test_names_of_classes_their_order_and_doubled_wafers_do_not_matter() -> None:
    samples, labels = samples_of()
    plain = fit(samples, labels).distances(samples).min(axis=1)
    order = np.random.default_rng(0).permutation(len(labels))
    for other in (
        fit(samples, (labels + 1) % 3),
        fit(samples[order], labels[order]),
        fit(np.tile(samples, (2, 1)), np.tile(labels, 2)),
    ):
        np.testing.assert_allclose(other.distances(samples).min(axis=1), plain, rtol=1e-9)


def test_a_covariance_without_an_inverse_is_refused_unless_shrunk() -> None:
    samples, labels = samples_of()
    flat = np.column_stack([samples, samples[:, 0]])
    with pytest.raises(ConfigError, match=r"covariance can be inverted.*300 wafers in 4 dimensions"):
        fit(flat, labels)
    tied = fit(flat, labels, shrinkage=1e-3)
    assert 1e2 < tied.condition < 1e5
    off = flat[:1] + np.array([0, 0, 0, 2])
    assert tied.distances(off).min() > 100


def test_a_class_of_one_wafer_is_refused() -> None:
    samples, labels = samples_of(50)
    keep = np.append(np.flatnonzero(labels != 1), np.flatnonzero(labels == 1)[0])
    with pytest.raises(ConfigError, match="2 wafers of each class, got 1 of class 1"):
        fit(samples[keep], labels[keep])


def test_layers_count_alike_after_standardising_on_the_known_wafers() -> None:
    known, labels = known_wafers()
    fitted = fit_mahalanobis_layers(known, labels, CLASSES)
    assert len(fitted.layers) == 1 + len(known.levels)
    standard = (fitted.distances(known) - fitted.location) / fitted.scale
    np.testing.assert_allclose(standard.mean(axis=0), 0, atol=1e-9)
    np.testing.assert_allclose(standard.std(axis=0), 1)
    np.testing.assert_allclose(fitted.score(known), standard.mean(axis=1))


def test_the_latent_alone_orders_wafers_by_its_distance() -> None:
    known, labels = known_wafers()
    fitted, novel = fit_mahalanobis(known, labels, CLASSES), novel_wafers()
    distance = fitted.layers[0].distances(novel.latent.astype(np.float64)).min(axis=1)
    np.testing.assert_array_equal(np.argsort(fitted.score(novel)), np.argsort(distance))


def test_the_unit_of_a_level_does_not_matter_without_shrinkage() -> None:
    known, labels = known_wafers()
    larger = replace(known, levels=(known.levels[0] * 100, *known.levels[1:]))
    scores = []
    for encodings in (known, larger):
        layers = tuple(
            tied_gaussians(class_gaussians(f, labels, CLASSES, 0.0), shrinkage=1e-12) for f in features_of(encodings, 2)
        )
        fitted = Mahalanobis(layers, np.zeros(2), np.ones(2))
        scores.append(fitted.standardised_on(fitted.distances(encodings)).score(encodings))
    np.testing.assert_allclose(scores[0], scores[1], rtol=1e-4, atol=1e-4)


def test_a_level_that_is_always_alike_leaves_finite_scores() -> None:
    known, labels = known_wafers()
    dead = replace(known, levels=(np.zeros_like(known.levels[0]), *known.levels[1:]))
    assert np.isfinite(fit_mahalanobis_layers(dead, labels, CLASSES).score(dead)).all()


def wafers(n: int = 60) -> tuple[WaferPoints, NDArray[np.int64]]:
    """Wafers with a cluster at one of three places, and one without a defect."""
    rng = np.random.default_rng(3)
    labels = np.arange(n) % 3
    lengths = rng.integers(15, 40, n)
    lengths[-1] = 0
    of = np.repeat(labels, lengths)
    x, y = (0.5 * np.eye(3)[:, :2][of] + 0.12 * rng.standard_normal((len(of), 2))).T.astype(np.float32)
    points = WaferPoints(offsets_of(lengths), x, y, np.zeros((n, 2), np.int64), np.zeros(n, np.int64))
    return points, labels


def net_and_fit() -> tuple[WaferNet, WaferPoints, Mahalanobis]:
    torch.manual_seed(0)
    net = WaferNet(NetConfig.for_grid(32, classes=3)).eval()
    points, labels = wafers()
    return net, points, fit_mahalanobis_layers(encode(net, points, 32), labels, 3)


def test_a_step_of_no_length_gives_the_scores_of_the_wafers_themselves() -> None:
    net, points, fitted = net_and_fit()
    grid = to_grid(to_sites(points, 32))
    with torch.no_grad():
        plain, still = net(grid), encode_shifted(net, grid, torch.zeros(grid.sites, PLACE))
    assert torch.equal(plain.latent, still.latent)
    ours = preprocessed_distances(net, points, 32, fitted, 0.0)
    np.testing.assert_allclose(ours, fitted.distances(encode(net, points, 32)), rtol=1e-3, atol=1e-3)


def test_a_small_step_brings_wafers_nearer_and_batches_do_not_matter() -> None:
    net, points, fitted = net_and_fit()
    still, moved = (preprocessed_distances(net, points, 32, fitted, epsilon) for epsilon in (0.0, 1e-3))
    assert (moved <= still + 1e-6).mean() > 0.95
    assert (moved.mean(axis=0) < still.mean(axis=0)).all()
    split = preprocessed_distances(net, points, 32, fitted, 1e-3, batch_points=100)
    np.testing.assert_allclose(split, moved, rtol=1e-2, atol=1e-2)
    assert np.isfinite(fitted.standardised_on(moved).together(moved)).all()


def test_the_network_comes_back_as_it_was() -> None:
    net, points, fitted = net_and_fit()
    before = {name: tensor.clone() for name, tensor in net.state_dict().items()}
    preprocessed_distances(net, points, 32, fitted, 0.01)
    assert all(torch.equal(before[name], tensor) for name, tensor in net.state_dict().items())
    assert all(parameter.grad is None for parameter in net.parameters())
    assert not net.levels[0]._forward_pre_hooks


def test_no_wafers_have_no_distances_and_a_step_below_nothing_is_refused() -> None:
    net, points, fitted = net_and_fit()
    assert preprocessed_distances(net, points.take(np.arange(0)), 32, fitted, 0.01).shape == (0, 4)
    with pytest.raises(ConfigError, match="finite epsilon from 0, got -1"):
        preprocessed_distances(net, points, 32, fitted, -1)


def test_wafers_without_encodings_have_no_scores() -> None:
    known, labels = known_wafers()
    assert fit_mahalanobis_layers(known, labels, CLASSES).score(encodings_of(np.zeros((0, 8)))).shape == (0,)
