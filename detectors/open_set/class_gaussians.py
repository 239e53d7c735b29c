"""A Gaussian for each class, for the novelty detector and for the baselines.

Covariances have the divisor n. They are shrunk towards a multiple of the identity, (1 - a) C + a tr(C)/d I, by a stated
weight a, or by the weight with the least expected error (Ledoit and Wolf, "A well-conditioned estimator for
large-dimensional covariance matrices", 2004; scikit-learn's).
"""

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from sklearn.covariance import ledoit_wolf

from sparsewatch.detectors.open_set.gmm import shrunk
from sparsewatch.schemas.errors import ConfigError, SchemaError

Floats = NDArray[np.float64]
#: Weight a of the identity in a covariance, in [0, 1], or how it is found.
Shrinkage = float | Literal["ledoit-wolf"]


@dataclass(frozen=True, slots=True)
class ClassGaussians:
    """K Gaussians in d dimensions."""

    #: Samples of each class, int64 of shape (K,).
    counts: NDArray[np.int64]
    #: float64 of shape (K, d).
    means: Floats
    #: Shrunk, float64 of shape (K, d, d).
    covariances: Floats
    #: Mean of the covariances before they are shrunk, each sample of the same weight: float64 of shape (d, d).
    within: Floats


def class_gaussians(samples: Floats, labels: NDArray[np.int64], classes: int, shrinkage: Shrinkage) -> ClassGaussians:
    """Fit a Gaussian to each class.

    Args:
        samples: Finite, of shape (n, d).
        labels: Class of each, of shape (n,), 0 to `classes` - 1.
        classes: K, each with at least 2 samples.
        shrinkage: How far covariances are shrunk.

    Raises:
        SchemaError: The lengths differ, or a label is not a class.
        ConfigError: A class has fewer than 2 samples.
    """
    check_labels(labels, len(samples), classes)
    counts = np.bincount(labels, minlength=classes)
    check_counts(counts, 2, "a Gaussian for each class")
    members = [samples[labels == label] for label in range(classes)]
    plain = np.stack([np.atleast_2d(np.cov(own.T, bias=True)) for own in members])
    if shrinkage == "ledoit-wolf":
        covariances = np.stack([ledoit_wolf(own)[0] for own in members])
    else:
        covariances = shrunk(plain, shrinkage)
    within = np.einsum("c,cde->de", counts / counts.sum(), plain)
    return ClassGaussians(counts, np.stack([own.mean(axis=0) for own in members]), covariances, within)


def check_labels(labels: NDArray[np.int64], samples: int, classes: int) -> None:
    """Refuse labels that do not give each sample a class from 0 to `classes` - 1.

    Raises:
        SchemaError: If they are not.
    """
    if labels.shape != (samples,):
        raise SchemaError(f"expected {samples} labels, one for each sample, got an array of shape {labels.shape}")
    if len(labels) and not 0 <= labels.min() <= labels.max() < classes:
        raise SchemaError(f"expected labels from 0 to {classes - 1}, got {labels.min()} to {labels.max()}")


def check_counts(counts: NDArray[np.int64], needed: int, what: str) -> None:
    """Refuse classes of fewer than `needed` samples; `what` names the method that needs them.

    Raises:
        ConfigError: If there are such classes; it names each.
    """
    small = np.flatnonzero(counts < needed)
    if len(small):
        found = ", ".join(f"{counts[label]} of class {label}" for label in small)
        raise ConfigError(f"{what} needs {needed} wafers of each class, got {found}")
