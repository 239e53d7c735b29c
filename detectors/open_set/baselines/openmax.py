"""OpenMax: the probability of a class that training never saw, from distances in the space of the logits.

Bendale and Boult, "Towards Open Set Deep Networks", CVPR 2016, algorithms 1 and 2. Each class has a mean activation
vector and a Weibull distribution of its members' largest distances from it; the farther a wafer is, the more of
its leading logits moves to the unknown class.

Departures: algorithm 2 as printed weighs by exp(-(...)^k), which would punish wafers that are near; here the weight is
1 - exp(-(...)^k), and the leading class has weight 1, as in the authors' published program. Distances are Euclidean.
The Weibull distribution starts at the largest distance outside the tail, so that scores follow the logits' scale.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import brentq
from scipy.spatial.distance import cdist
from scipy.special import softmax

from sparsewatch.detectors.open_set.class_gaussians import check_counts, check_labels
from sparsewatch.detectors.sparse_net.encode import Encodings
from sparsewatch.schemas.errors import ConfigError

#: Number of largest distances of a class that its tail is fitted to, and of classes revised; the paper's values.
TAIL = 20
ALPHA = 10
#: Fewest correctly recognised wafers of a class; half of them at most make up its tail.
_FEWEST = 6


@dataclass(frozen=True, slots=True)
class OpenMax:
    """Mean activation vectors and Weibull tails of K classes."""

    #: float64 of shape (K, K).
    means: NDArray[np.float64]
    #: Where each tail begins, its scale and its shape, float64 of shape (K,).
    location: NDArray[np.float64]
    scale: NDArray[np.float64]
    shape: NDArray[np.float64]
    #: Classes with the largest logits that are revised, 1 to K.
    alpha: int

    def score(self, encodings: Encodings) -> NDArray[np.float64]:
        """Probability of the unknown class, float64 of shape (wafers,) in [0, 1]."""
        return np.asarray(self.probabilities(encodings)[:, 0])

    def probabilities(self, encodings: Encodings) -> NDArray[np.float64]:
        """Probability of the unknown class first, then of each known class: float64 of shape (wafers, 1 + K)."""
        logits = encodings.logits.astype(np.float64)
        moved = logits * self._outlying(logits) * self._weights(logits)
        return np.asarray(softmax(np.column_stack([moved.sum(axis=1), logits - moved]), axis=1))

    def _outlying(self, logits: NDArray[np.float64]) -> NDArray[np.float64]:
        """Share of each class's tail that lies nearer its mean, (wafers, K)."""
        excess = (cdist(logits, self.means) - self.location) / self.scale
        # From exp(5) on the share is 1 to the last digit; the power itself may overflow.
        power = np.exp(np.minimum(self.shape * np.log(np.maximum(excess, 1e-300)), 5))
        return np.asarray(-np.expm1(-power))

    def _weights(self, logits: NDArray[np.float64]) -> NDArray[np.float64]:
        """1 for the largest logit, falling in equal steps to 0 for the logit after the last revised, (wafers, K)."""
        rank = np.argsort(np.argsort(-logits, axis=1, kind="stable"), axis=1)
        return np.asarray(np.maximum(self.alpha - rank, 0) / self.alpha)


def fit_openmax(
    known: Encodings,
    labels: NDArray[np.int64],
    classes: int,
    seed: int = 0,  # noqa: ARG001
    *,
    tail: int = TAIL,
    alpha: int = ALPHA,
) -> OpenMax:
    """Fit to the known wafers that the network recognises; see `scorers.Fit`.

    Args:
        known: encodings of known wafers.
        labels: class of each.
        classes: K, at least 2; as many as the logits.
        seed: not used.
        tail: number of largest distances that a Weibull distribution is fitted to, from 2; at most half of the class.
        alpha: classes revised, from 1; K if there are fewer.

    Raises:
        ConfigError: fewer than 6 recognised wafers of a class, or `tail` or `alpha` out of range.
    """
    if tail < 2 or alpha < 1:
        raise ConfigError(f"expected a tail from 2 and alpha from 1, got {tail} and {alpha}")
    check_labels(labels, len(known), classes)
    logits = known.logits.astype(np.float64)
    right = np.where(logits.argmax(axis=1) == labels, labels, classes)
    check_counts(np.bincount(right, minlength=classes)[:classes], _FEWEST, "OpenMax, of those the network recognises,")
    members = [logits[right == label] for label in range(classes)]
    means = np.stack([own.mean(axis=0) for own in members])
    distances = [np.linalg.norm(own - mean, axis=1) for own, mean in zip(members, means, strict=True)]
    location, scale, shape = np.transpose([_tail(own, tail) for own in distances])
    return OpenMax(means, location, scale, shape, min(alpha, classes))


def weibull(samples: NDArray[np.float64]) -> tuple[float, float]:
    """Scale and shape of the most likely Weibull distribution from 0 on.

    At the best scale, the shape k solves sum x^k ln x / sum x^k - 1/k = mean ln x, whose left side rises with k
    (Johnson, Kotz and Balakrishnan, "Continuous Univariate Distributions" 1, 1994, section 21.4). The simplex search
    of `scipy.stats.weibull_min.fit` is off by 2e-4, slower, and does not end if all are equal.

    Args:
        samples: positive, of shape (n,). If all are nearly equal the shape stops at 1,000.
    """
    top = samples.max()
    logs = np.log(samples / top)

    def slope(k: float) -> float:
        power = np.exp(k * logs)
        return float(power @ logs / power.sum() - 1 / k - logs.mean())

    low, high = 1e-3, 1e3
    k = high if slope(high) < 0 else float(brentq(slope, low, high)) if slope(low) < 0 else low
    return float(top * np.mean(np.exp(k * logs)) ** (1 / k)), k


def _tail(distances: NDArray[np.float64], tail: int) -> tuple[float, float, float]:
    """Location, scale and shape of the largest distances of one class."""
    ordered = np.sort(distances)
    most = min(tail, len(ordered) // 2)
    location = ordered[-most - 1]
    # Members at the same distance have no excess over the location; a Weibull distribution has no zeros.
    excess = np.maximum(ordered[-most:] - location, 1e-9 * max(float(ordered[-1]), 1.0))
    return float(location), *weibull(excess)
