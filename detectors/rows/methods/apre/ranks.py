"""Measures of the ranks of scores: ROC AUC and rank correlation."""

import numpy as np
from numpy.typing import NDArray
from scipy.stats import rankdata


def roc_aucs(outlier: NDArray[np.bool_], scores: NDArray[np.floating]) -> NDArray[np.float64]:
    """ROC AUC of each of several scores, shape (m, n) to (m,); ties count half.

    Args:
        outlier: Shape (n,), at least one True and one False.
        scores: High is anomalous.
    """
    ranks = rankdata(scores, axis=1)
    n, positive = len(outlier), int(outlier.sum())
    rank_sum = ranks[:, outlier].sum(axis=1)
    return np.asarray((rank_sum - positive * (positive + 1) / 2) / (positive * (n - positive)), dtype=np.float64)


def rank_correlation(first: NDArray[np.floating], second: NDArray[np.floating]) -> float:
    """Spearman's correlation of two scores of shape (n,), from -1 to 1; 0 if either is constant."""
    ranks = rankdata(np.stack([first, second]), axis=1)
    ranks -= ranks.mean(axis=1, keepdims=True)
    lengths = float(np.sqrt(np.square(ranks).sum(axis=1)).prod())
    return float(ranks[0] @ ranks[1]) / lengths if lengths > 0 else 0.0
