"""Novelty by the distance from the nearest known wafers in the latent.

Sun, Ming, Zhu and Li, "Out-of-Distribution Detection with Deep Nearest Neighbors", ICML 2022: latents of length 1,
distance from the k-th nearest. A pattern between two known classes is far from all wafers but near their mean.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from sparsewatch.detectors.neighbours.search import k_nearest
from sparsewatch.detectors.open_set.class_gaussians import check_labels
from sparsewatch.detectors.sparse_net.encode import Encodings
from sparsewatch.schemas.errors import ConfigError

#: Neighbours compared.
NEIGHBOURS = 10


@dataclass(frozen=True, slots=True)
class Neighbours:
    """Latents of the known wafers, 8 bytes a number; each scored wafer costs a distance from each of them."""

    #: float64 of shape (known, latent); of length 1 if `normalise`.
    known: NDArray[np.float64]
    #: Neighbours compared, from 1 to the number of known wafers.
    k: int
    #: Whether latents are scaled to length 1 first.
    normalise: bool

    def score(self, encodings: Encodings) -> NDArray[np.float64]:
        """Distance from the k-th nearest known wafer, float64 of shape (wafers,), at least 0."""
        if not len(encodings):
            return np.zeros(0)
        distances, _ = k_nearest(_prepared(encodings, self.normalise), self.known, self.k)
        return distances[:, -1].astype(np.float64)


def fit_neighbours(
    known: Encodings,
    labels: NDArray[np.int64],
    classes: int,
    seed: int = 0,  # noqa: ARG001
    *,
    k: int = NEIGHBOURS,
    normalise: bool = True,
) -> Neighbours:
    """Store the latents of the known wafers; see `scorers.Fit`.

    Args:
        known: encodings of known wafers.
        labels: class of each; only checked.
        classes: K.
        seed: not used.
        k: neighbours compared, from 1.
        normalise: scale latents to length 1, as the paper does.

    Raises:
        ConfigError: k below 1, or fewer than k known wafers.
    """
    check_labels(labels, len(known), classes)
    if k < 1 or len(known) < k:
        raise ConfigError(f"expected k from 1 and at least k known wafers, got k = {k} and {len(known)} wafers")
    return Neighbours(_prepared(known, normalise), k, normalise)


def _prepared(encodings: Encodings, normalise: bool) -> NDArray[np.float64]:
    latent = encodings.latent.astype(np.float64)
    if normalise:
        latent /= np.maximum(np.linalg.norm(latent, axis=1, keepdims=True), 1e-12)
    return latent
