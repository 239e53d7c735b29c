"""Novelty by the classifier's own doubt: maximum softmax probability and energy.

Both use the network's output and have nothing to fit. Hendrycks and Gimpel, "A Baseline for Detecting
Misclassified and Out-of-Distribution Examples in Neural Networks", ICLR 2017; Liu et al., "Energy-based
Out-of-distribution Detection", NeurIPS 2020.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.special import logsumexp

from sparsewatch.detectors.open_set.class_gaussians import check_labels
from sparsewatch.detectors.sparse_net.encode import Encodings


@dataclass(frozen=True, slots=True)
class MaxSoftmax:
    """Doubt in the most probable answer."""

    def score(self, encodings: Encodings) -> NDArray[np.float64]:
        """-ln of its probability, at least 0; see `Encodings.doubt`.

        It orders wafers like 1 - the probability, but still separates wafers for which that rounds to 0.
        """
        return encodings.doubt


@dataclass(frozen=True, slots=True)
class Energy:
    """Free energy of the logits at temperature 1."""

    def score(self, encodings: Encodings) -> NDArray[np.float64]:
        """-ln of the sum of exp(logit) over the known classes, eq. (4) of Liu et al.; any real number."""
        return np.asarray(-logsumexp(encodings.logits.astype(np.float64), axis=1))


def fit_max_softmax(known: Encodings, labels: NDArray[np.int64], classes: int, seed: int = 0) -> MaxSoftmax:  # noqa: ARG001
    """The doubt in the most probable class; see `scorers.Fit`."""
    check_labels(labels, len(known), classes)
    return MaxSoftmax()


def fit_energy(known: Encodings, labels: NDArray[np.int64], classes: int, seed: int = 0) -> Energy:  # noqa: ARG001
    """The energy of the logits; see `scorers.Fit`."""
    check_labels(labels, len(known), classes)
    return Energy()
