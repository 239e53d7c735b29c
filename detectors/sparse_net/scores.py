"""Quality of a network's predictions."""

import numpy as np
from numpy.typing import NDArray
from sklearn.metrics import f1_score


def macro_f1(labels: NDArray[np.int64], logits: NDArray[np.float32]) -> float:
    """Unweighted mean of the F1 of the classes that occur; `labels` as in `train.Labelled`."""
    several = labels.ndim == 2
    predicted = (logits > 0).astype(np.int64) if several else logits.argmax(axis=1)
    occur = np.flatnonzero(labels.any(axis=0)) if several else np.unique(labels)
    return float(f1_score(labels, predicted, labels=occur, average="macro", zero_division=0.0))
