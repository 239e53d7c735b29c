"""Densities of the known wafers' latents: one Gaussian for each class, or one mixture over all of them.

    s(z) = -ln sum_j pi_j N(z; m_j, C_j)      (wafer_open_set, sections 2 and 6)

The class Gaussians are fitted as those of `novelty`, with the shrinkage weight of Ledoit and Wolf.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from sparsewatch.detectors.open_set.class_gaussians import ClassGaussians, check_counts, check_labels, class_gaussians
from sparsewatch.detectors.open_set.gmm import (
    SAMPLES_PER_DIMENSION,
    Mixture,
    fit_mixture,
    mixture_of,
    negative_log_likelihood,
)
from sparsewatch.detectors.open_set.novelty import principal_components
from sparsewatch.detectors.sparse_net.encode import Encodings

#: Gaussians of the joint mixture for each known class.
COMPONENTS_PER_CLASS = 3
#: Added to each variance of standardised latents: a class of identical wafers still has a density.
REGULARISATION = 1e-3
#: Share of the variance retained if there are few wafers.
_VARIANCE_KEPT = 0.95
#: Wafers scored at a time; with 24 Gaussians in 48 dimensions 40 MB.
_BLOCK = 4_096


@dataclass(frozen=True, slots=True)
class LatentDensity:
    """Gaussians over projected latents."""

    #: Latents are centred, then projected: float64 of shapes (latent,) and (latent, d).
    centre: NDArray[np.float64]
    projection: NDArray[np.float64]
    mixture: Mixture

    def score(self, encodings: Encodings) -> NDArray[np.float64]:
        """Negative log-likelihood of each wafer, float64 of shape (wafers,)."""
        projected = (encodings.latent - self.centre) @ self.projection
        blocks = [projected[first : first + _BLOCK] for first in range(0, max(len(projected), 1), _BLOCK)]
        return np.concatenate([negative_log_likelihood(self.mixture, block) for block in blocks])


def gaussians_of(fitted: ClassGaussians, regularisation: float = REGULARISATION) -> Mixture:
    """One Gaussian for each class, all of the same weight: a rare class is as known as a frequent class.

    Args:
        fitted: to samples on comparable scales.
        regularisation: added to each variance.
    """
    classes, d = fitted.means.shape
    return mixture_of(np.full(classes, 1 / classes), fitted.means, fitted.covariances + regularisation * np.eye(d))


def fit_class_gaussians(
    known: Encodings,
    labels: NDArray[np.int64],
    classes: int,
    seed: int = 0,  # noqa: ARG001
) -> LatentDensity:
    """One shrunk Gaussian for each class on standardised latents; see `scorers.Fit`.

    Raises:
        ConfigError: fewer than 2 wafers of a class.
    """
    latent = known.latent.astype(np.float64)
    centre, projection = principal_components(latent, 1.0)
    fitted = class_gaussians((latent - centre) @ projection, labels, classes, "ledoit-wolf")
    return LatentDensity(centre, projection, gaussians_of(fitted))


def fit_joint_gmm(known: Encodings, labels: NDArray[np.int64], classes: int, seed: int = 0) -> LatentDensity:
    """One mixture of 3 Gaussians for each class over standardised latents, without labels; see `scorers.Fit`.

    Latents are reduced to 95 % of their variance if the smallest class has fewer than 5 wafers for each dimension.

    Raises:
        ConfigError: a class without wafers, or too few wafers for the mixture, see `gmm.fit_mixture`.
    """
    check_labels(labels, len(known), classes)
    smallest = np.bincount(labels, minlength=classes)
    check_counts(smallest, 1, "a joint mixture")
    latent = known.latent.astype(np.float64)
    few = smallest.min() < SAMPLES_PER_DIMENSION * latent.shape[1]
    centre, projection = principal_components(latent, _VARIANCE_KEPT if few else 1.0)
    mixture = fit_mixture((latent - centre) @ projection, COMPONENTS_PER_CLASS * classes, seed=seed)
    return LatentDensity(centre, projection, mixture)
