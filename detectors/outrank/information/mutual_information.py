"""Entropy and mutual information of counts, in nats: the plug-in (maximum likelihood) estimates."""

import numpy as np
from numpy.typing import NDArray
from scipy.special import entr, kl_div

from sparsewatch.detectors.counts.counts import Counts


def entropy(counts: Counts) -> float:
    """Entropy of a distribution given by its counts.

    Args:
        counts: Shape (n_values,), >= 0. Zeros add nothing.

    Returns:
        Nats, in [0, ln n_values]; 0 without any count.
    """
    total = counts.sum()
    return float(entr(counts / total).sum()) if total else 0.0


def mutual_information(joint: Counts) -> float:
    """Mutual information of two variables given by their contingency table.

    Args:
        joint: Shape (n_values, n_labels), >= 0. Rows or columns of zeros add nothing.

    Returns:
        Nats, >= 0 and at most the smaller of the two entropies; 0 without any count.
    """
    total = joint.sum()
    if not total:
        return 0.0
    expected = np.outer(joint.sum(axis=1), joint.sum(axis=0) / total)
    # Sum of k ln(k/e) - k + e: the last two cancel over the table, and keep every term >= 0.
    return float(kl_div(joint, expected).sum() / total)


def values_information(rows: Counts, clicks: Counts, rate: float) -> NDArray[np.float64]:
    """Part of each value in n times the mutual information with a binary label.

    Args:
        rows: Rows of each value, shape (n_values,), >= 0.
        clicks: Those of label 1.
        rate: Share of label 1 in all rows, inside (0, 1).

    Returns:
        Nats, >= 0, shape (n_values,).
    """
    information: NDArray[np.float64] = kl_div(clicks, rows * rate) + kl_div(rows - clicks, rows * (1 - rate))
    return information
