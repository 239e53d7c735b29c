"""Mahalanobis distance from the nearest known class, in the latent or in each level the head reads.

Lee, Lee, Lee and Shin, "A Simple Unified Framework for Detecting Out-of-Distribution Samples and Adversarial Attacks",
NeurIPS 2018: classes share one covariance (eq. 1), a layer scores by the nearest class (eq. 2), layers are added
(algorithm 1). They learn the layers' weights from novel samples; there are none here, so each layer is standardised on
the known wafers and all have the same weight. Scores here are high for novel wafers, the paper's negated.

Input pre-processing (eq. 4) needs the network: `mahalanobis_input`. These scores are those at noise 0.
"""

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import solve_triangular
from scipy.spatial.distance import cdist

from sparsewatch.detectors.open_set.class_gaussians import ClassGaussians, class_gaussians
from sparsewatch.detectors.sparse_net.encode import Encodings
from sparsewatch.schemas.errors import ConfigError

#: Added to the covariance as a share of its mean variance. The authors use a pseudo-inverse, which gives any deviation
#: off the training wafers' span the distance 0.
SHRINKAGE = 1e-3


@dataclass(frozen=True, slots=True)
class TiedGaussians:
    """K Gaussians with a common covariance, in d dimensions."""

    #: float64 of shape (K, d).
    means: NDArray[np.float64]
    #: W with W W^T the inverse covariance: f W has unit covariance. float64 of shape (d, d).
    whitening: NDArray[np.float64]
    #: Largest over smallest eigenvalue of the covariance.
    condition: float

    def distances(self, features: NDArray[np.float64]) -> NDArray[np.float64]:
        """Squared Mahalanobis distance from each class: float64 of shape (n, K) for features of shape (n, d)."""
        return np.asarray(cdist(features @ self.whitening, self.means @ self.whitening, "sqeuclidean"))


@dataclass(frozen=True, slots=True)
class Mahalanobis:
    """Tied Gaussians of L layers; the first is the latent, the others are levels of the network."""

    layers: tuple[TiedGaussians, ...]
    #: Mean and standard deviation of each layer's distance over known wafers, float64 of shape (L,).
    location: NDArray[np.float64]
    scale: NDArray[np.float64]

    def score(self, encodings: Encodings) -> NDArray[np.float64]:
        """Mean over layers of the standardised distance from the nearest class, float64 of shape (wafers,)."""
        return self.together(self.distances(encodings))

    def distances(self, encodings: Encodings) -> NDArray[np.float64]:
        """Squared distance from the nearest class in each layer, float64 of shape (wafers, L)."""
        found = zip(self.layers, features_of(encodings, len(self.layers)), strict=True)
        return np.stack([layer.distances(features).min(axis=1) for layer, features in found], axis=1)

    def together(self, distances: NDArray[np.float64]) -> NDArray[np.float64]:
        """A single score from the distances in all layers, (wafers, L) to (wafers,)."""
        return np.asarray(((distances - self.location) / self.scale).mean(axis=1))

    def standardised_on(self, distances: NDArray[np.float64]) -> "Mahalanobis":
        """The same layers, standardised on these distances of known wafers, (wafers, L)."""
        deviation = distances.std(axis=0)
        return replace(self, location=distances.mean(axis=0), scale=np.where(deviation > 0, deviation, 1.0))


def tied_gaussians(
    fitted: ClassGaussians, *, shrinkage: float = SHRINKAGE, class_weights: bool = False
) -> TiedGaussians:
    """Means, and the covariance that all classes share.

    Args:
        fitted: to known wafers, not shrunk.
        shrinkage: a in C + a tr(C)/d I, from 0.
        class_weights: equal weights of the classes, as in the paper's algorithm 2, else of the samples, as in eq. (1).

    Raises:
        ConfigError: a covariance that is singular in spite of the shrinkage.
    """
    n, d = fitted.counts.sum(), fitted.means.shape[1]
    plain = fitted.covariances.mean(axis=0) if class_weights else fitted.within
    covariance = plain + shrinkage * np.trace(plain) / d * np.eye(d)
    values = np.linalg.eigvalsh(covariance)
    if values[0] <= np.finfo(np.float64).eps * d * values[-1]:
        raise ConfigError(
            f"expected features whose covariance can be inverted, got eigenvalues of {values[0]:.3g} to "
            f"{values[-1]:.3g} from {n} wafers in {d} dimensions; more shrinkage than {shrinkage} helps"
        )
    factor = np.linalg.cholesky(covariance)
    whitening = solve_triangular(factor, np.eye(d), lower=True).T
    return TiedGaussians(fitted.means, whitening, float(values[-1] / values[0]))


def features_of(encodings: Encodings, layers: int) -> list[NDArray[np.float64]]:
    """Features of the wafers in each layer, float64 of shape (wafers, d): the latent, then levels.

    The logarithm of the wafer's active cells joins a level's features: pooled over active sites alone, they do not
    contain the number of sites.
    """
    active = encodings.occupied[:, :1]
    levels = [np.concatenate([level, active], axis=1) for level in encodings.levels[: layers - 1]]
    return [features.astype(np.float64) for features in (encodings.latent, *levels)]


def fit_mahalanobis(known: Encodings, labels: NDArray[np.int64], classes: int, seed: int = 0) -> Mahalanobis:  # noqa: ARG001
    """Distance in the latent; see `scorers.Fit`.

    Raises:
        ConfigError: see `class_gaussians` and `tied_gaussians`.
    """
    return _fit(known, labels, classes, 1)


def fit_mahalanobis_layers(known: Encodings, labels: NDArray[np.int64], classes: int, seed: int = 0) -> Mahalanobis:  # noqa: ARG001
    """Distances in the latent and in every level the head reads, together; see `scorers.Fit`.

    Raises:
        ConfigError: see `class_gaussians` and `tied_gaussians`.
    """
    return _fit(known, labels, classes, 1 + len(known.levels))


def _fit(known: Encodings, labels: NDArray[np.int64], classes: int, layers: int) -> Mahalanobis:
    gaussians = tuple(
        tied_gaussians(class_gaussians(features, labels, classes, 0.0)) for features in features_of(known, layers)
    )
    fitted = Mahalanobis(gaussians, np.zeros(layers), np.ones(layers))
    return fitted.standardised_on(fitted.distances(known))
