"""How well scores separate novel from known wafers. High is novel, and novel is the positive class."""

from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.metrics import average_precision_score, f1_score, roc_auc_score, roc_curve

from sparsewatch.schemas.errors import SchemaError
from sparsewatch.schemas.settings import Range, check_range

Scores = NDArray[np.floating[Any]]


def auroc(known: Scores, novel: Scores) -> float:
    """Probability that a novel wafer scores above a known wafer, ties by half; 0.5 for random scores.

    Args:
        known: scores of wafers of known classes, of shape (n,).
        novel: scores of novel wafers, of shape (m,).

    Raises:
        SchemaError: either is empty or not finite.

    References:
        Fawcett, "An introduction to ROC analysis", Pattern Recognition Letters 27, 2006, section 7.
    """
    return float(roc_auc_score(*_pooled(known, novel)))


def aupr(known: Scores, novel: Scores) -> float:
    """Mean precision among wafers called novel, over the novel wafers found; m / (n + m) for random scores.

    Arguments and errors as `auroc`.

    References:
        Davis and Goadrich, "The relationship between precision-recall and ROC curves", ICML 2006: points of the
        curve must not be joined by lines, so precisions are summed in steps of recall.
    """
    return float(average_precision_score(*_pooled(known, novel)))


def fpr_at_tpr(known: Scores, novel: Scores, tpr: float = 0.95) -> float:
    """Least share of known wafers called novel at a threshold that finds at least `tpr` of the novel wafers.

    Arguments and errors as `auroc`; papers in which known is the positive class state the other figure.

    Raises:
        ConfigError: tpr outside (0, 1].

    References:
        Fawcett 2006, section 5: the point of the curve at a given rate of true positives.
    """
    check_range(Range(above=0, at_most=1), tpr, "tpr")
    false, true, _ = roc_curve(*_pooled(known, novel), drop_intermediate=False)
    # The small number keeps a rate of 19 / 20 from falling below 0.95.
    return float(false[true >= tpr - 1e-12].min())


def oscr(known_scores: Scores, known_correct: NDArray[np.bool_], novel_scores: Scores) -> float:
    """Area under the share of known wafers accepted and rightly classified, over the share of novel wafers accepted.

    A wafer is accepted up to a threshold of its score. The area is at most the closed-set accuracy, and equals `auroc`
    if every known wafer is rightly classified.

    Args:
        known_scores: of shape (n,).
        known_correct: whether each known wafer's class is right, of shape (n,).
        novel_scores: of shape (m,).

    Raises:
        SchemaError: scores are empty or not finite, or the lengths differ.

    References:
        Dhamija, Guenther and Boult, "Reducing Network Agnostophobia", NeurIPS 2018, section 3: open-set
        classification rate; with a novelty score in place of the largest probability.
    """
    if known_correct.shape != known_scores.shape:
        raise SchemaError(f"expected {known_scores.shape} flags of right classes, got {known_correct.shape}")
    _, scores = _pooled(known_scores, novel_scores)
    thresholds = np.unique(scores)
    accepted = np.searchsorted(np.sort(novel_scores), thresholds, side="right") / len(novel_scores)
    right = np.searchsorted(np.sort(known_scores[known_correct]), thresholds, side="right") / len(known_scores)
    return float(np.trapezoid(np.append(0, right), np.append(0, accepted)))


def open_set_macro_f1(truth: NDArray[Any], predicted: NDArray[Any]) -> float:
    """Unweighted mean of the F1 of each class that occurs in `truth`, with novel as one more class.

    Args:
        truth: class of each wafer, of shape (n,), integers or names, the same for every novel wafer.
        predicted: class that each wafer was called, of shape (n,), of the same kind.

    Raises:
        SchemaError: empty, or the lengths differ.

    References:
        Geng, Huang and Chen, "Recent Advances in Open Set Recognition: A Survey", TPAMI 2021, on the F-measure;
        there novel wafers count as errors of known classes only, here as a class, too.
    """
    if truth.shape != predicted.shape or not len(truth):
        raise SchemaError(f"expected as many verdicts as wafers, at least one, got {predicted.shape} for {truth.shape}")
    return float(f1_score(truth, predicted, labels=np.unique(truth), average="macro", zero_division=0))


def _pooled(known: Scores, novel: Scores) -> tuple[NDArray[np.bool_], NDArray[np.float64]]:
    """Which wafers are novel, and all scores."""
    for what, scores in (("known", known), ("novel", novel)):
        if scores.ndim != 1 or not len(scores) or not np.isfinite(scores).all():
            raise SchemaError(f"expected finite scores of {what} wafers, at least one, got {_seen(scores)}")
    flags = np.concatenate([np.zeros(len(known), bool), np.ones(len(novel), bool)])
    return flags, np.concatenate([known, novel]).astype(np.float64)


def _seen(scores: Scores) -> str:
    return f"shape {scores.shape} with {np.count_nonzero(~np.isfinite(scores))} that are not finite"
