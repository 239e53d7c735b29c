"""Number, mean and scatter of each class, exactly mergeable: what Gaussians about the known classes need.

Moments are kept about the mean and moved by Chan's formula ("Updating formulae and a pairwise algorithm for
computing sample variances", 1979), so nothing cancels where a class lies far from the origin. The third and
fourth are there for the weight of shrinkage by Ledoit and Wolf ("A well-conditioned estimator for
large-dimensional covariance matrices", 2004), which then merges exactly, too.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from sparsewatch.schemas.errors import ConfigError, SchemaError


@dataclass(frozen=True, slots=True)
class ClassStatistics:
    """Moments of K classes in d dimensions, 8 K (d^2 + 2 d + 2) bytes; c is a sample less the mean of its class."""

    #: Samples, int64 of shape (K,).
    count: NDArray[np.int64]
    #: float64 of shape (K, d); 0 for a class without a sample.
    mean: NDArray[np.float64]
    #: Sum of c c^T, float64 of shape (K, d, d).
    scatter: NDArray[np.float64]
    #: Sum of |c|^2 c, float64 of shape (K, d).
    cubic: NDArray[np.float64]
    #: Sum of |c|^4, float64 of shape (K,).
    quartic: NDArray[np.float64]


def class_statistics(samples: NDArray[np.float64], labels: NDArray[np.int64], classes: int) -> ClassStatistics:
    """Moments of each class.

    Args:
        samples: finite, of shape (n, d).
        labels: class of each, of shape (n,), 0 to `classes` - 1.
        classes: K; those without a sample count 0.

    Raises:
        SchemaError: the lengths differ, or a label is no class.
    """
    check_labels(labels, len(samples), classes)
    members = [samples[labels == label] for label in range(classes)]
    mean = np.stack([own.mean(axis=0) if len(own) else np.zeros(samples.shape[1]) for own in members])
    centred = [own - centre for own, centre in zip(members, mean, strict=True)]
    square = [np.square(c).sum(axis=1) for c in centred]
    return ClassStatistics(
        count=np.array([len(c) for c in centred]),
        mean=mean,
        scatter=np.stack([c.T @ c for c in centred]),
        cubic=np.stack([s @ c for s, c in zip(square, centred, strict=True)]),
        quartic=np.array([s @ s for s in square]),
    )


def merge(a: ClassStatistics, b: ClassStatistics) -> ClassStatistics:
    """Moments of both sets of samples together; which comes first does not matter."""
    count = a.count + b.count
    share = b.count / np.maximum(count, 1)
    mean = a.mean + share[:, None] * (b.mean - a.mean)
    a, b = (_about(part, mean) for part in (a, b))
    return ClassStatistics(count, mean, a.scatter + b.scatter, a.cubic + b.cubic, a.quartic + b.quartic)


def covariances(statistics: ClassStatistics) -> NDArray[np.float64]:
    """Covariance of each class, divisor n, shrunk by Ledoit and Wolf: float64 of shape (K, d, d).

    The weight a of the scaled identity in (1 - a) C + a tr(C)/d I is the one with the least expected
    error; `sklearn.covariance.ledoit_wolf` gives the same.

    Raises:
        ConfigError: a class has fewer than 2 samples.
    """
    check_counts(statistics.count, 2, "a covariance")
    n, d = statistics.count, statistics.mean.shape[1]
    plain = statistics.scatter / n[:, None, None]
    scale = np.trace(plain, axis1=1, axis2=2) / d
    norm = np.square(plain).sum(axis=(1, 2))
    # Lemmas 3.3 and 3.4: squared distance of C from the identity's multiple, and the part of it that is chance.
    spread = norm / d - scale**2
    chance = np.minimum((statistics.quartic / n - norm) / (n * d), spread)
    weight = np.divide(chance, spread, out=np.zeros_like(spread), where=spread > 0)
    shrunk = (1 - weight)[:, None, None] * plain + (weight * scale)[:, None, None] * np.eye(d)
    return np.asarray(shrunk)


def check_labels(labels: NDArray[np.int64], samples: int, classes: int) -> None:
    """Refuse labels that are not one class from 0 to `classes` - 1 for each sample."""
    if labels.shape != (samples,):
        raise SchemaError(f"expected {samples} labels, one a sample, got an array of shape {labels.shape}")
    if len(labels) and not 0 <= labels.min() <= labels.max() < classes:
        raise SchemaError(f"expected labels from 0 to {classes - 1}, got {labels.min()} to {labels.max()}")


def check_counts(count: NDArray[np.int64], needed: int, what: str) -> None:
    """Refuse classes of fewer than `needed` samples; `what` needs them."""
    small = np.flatnonzero(count < needed)
    if len(small):
        found = ", ".join(f"{count[label]} of class {label}" for label in small)
        raise ConfigError(f"{what} needs {needed} wafers of each class, got {found}")


def _about(part: ClassStatistics, centre: NDArray[np.float64]) -> ClassStatistics:
    """The same moments about another centre, (K, d): each c grows by the mean's distance s from it."""
    n, s = part.count, part.mean - centre
    s2, total = np.square(s).sum(axis=1), np.trace(part.scatter, axis1=1, axis2=2)
    turned = np.einsum("kde,ke->kd", part.scatter, s)
    return ClassStatistics(
        n,
        centre,
        part.scatter + n[:, None, None] * s[:, :, None] * s[:, None, :],
        part.cubic + 2 * turned + (total + n * s2)[:, None] * s,
        part.quartic + 4 * (part.cubic * s).sum(axis=1) + 4 * (turned * s).sum(axis=1) + 2 * total * s2 + n * s2**2,
    )
