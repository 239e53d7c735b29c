"""Whether scores of shifted rows can be trusted: the guard of mean-shift scoring.

Without labels mean shift can spoil a good score: once the variances collapse, the distance of the shift divided by them
outweighs all else, and on 12 of 20 public data sets the score of the probabilistic autoencoder became worse. Hence rows
are scored with shift only if no check speaks against it.
"""

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from sparsewatch.detectors.rows.methods.apre.mean_shift import Rows
from sparsewatch.detectors.rows.methods.apre.net import Autoencoder
from sparsewatch.detectors.rows.methods.apre.ranks import rank_correlation, roc_aucs
from sparsewatch.detectors.rows.methods.apre.score import ScoreConfig, score, variance
from sparsewatch.detectors.torch_threads import torch_threads
from sparsewatch.schemas.errors import SchemaError

#: Mean variance below which a network counts as collapsed.
_LEAST_VARIANCE = 1e-3
#: Rows given to a network at once.
_PART_ROWS = 4096


@dataclass(frozen=True, slots=True, kw_only=True)
class ShiftGuard:
    """Measurements on a fitted network and its shifted scores."""

    #: Over rows and features, without floor; None of a network without variances.
    mean_variance: float | None
    #: Of the scores with shift and without.
    rank_correlation: float
    #: ROC AUC without and with shift on labelled rows; None without labelled rows.
    plain_auc: float | None = None
    shifted_auc: float | None = None

    @property
    def refusal(self) -> str:
        """Why rows are to be scored without shift; empty if with."""
        if self.mean_variance is not None and not self.mean_variance > _LEAST_VARIANCE:
            return f"mean variance {self.mean_variance:.2g}, expected more than {_LEAST_VARIANCE:g}"
        if not self.rank_correlation >= 0:
            return f"rank correlation with the plain score {self.rank_correlation:.3f}, expected at least 0"
        if self.plain_auc is not None and self.shifted_auc is not None and not self.shifted_auc >= self.plain_auc:
            return f"ROC AUC {self.shifted_auc:.4f} on the labelled rows, {self.plain_auc:.4f} without shift"
        return ""


@dataclass(frozen=True, slots=True, eq=False)
class LabelledRows:
    """Encoded rows with labels, none of which was trained on."""

    #: Shape (n, d).
    X: Rows
    #: Shape (n,), at least one True and one False.
    outlier: NDArray[np.bool_]

    def __post_init__(self) -> None:
        if self.outlier.shape != self.X.shape[:1] or not 0 < self.outlier.sum() < len(self.outlier):
            raise SchemaError(
                f"labelled rows: expected a label for each row, and both labels, got {self.X.shape} rows, "
                f"{self.outlier.shape} labels, {int(self.outlier.sum())} outliers"
            )


def judged(
    net: Autoencoder, config: ScoreConfig, rows: Rows, moved: Rows, labelled: tuple[LabelledRows, Rows] | None = None
) -> ShiftGuard:
    """The guard's findings.

    Args:
        net: The fitted network.
        config: Weights of its score.
        rows: Ordinary rows, shape (n, d).
        moved: The same after mean shift.
        labelled: Labelled rows, and the same after mean shift.
    """
    plain, shifted, mean_variance = _both_scores(net, config, rows, moved)
    plain_auc = shifted_auc = None
    if labelled is not None:
        known, known_moved = labelled
        scores = np.stack(_both_scores(net, config, known.X, known_moved)[:2])
        plain_auc, shifted_auc = roc_aucs(known.outlier, scores).tolist()
    return ShiftGuard(
        mean_variance=mean_variance if net.probabilistic else None,
        rank_correlation=rank_correlation(plain, shifted),
        plain_auc=plain_auc,
        shifted_auc=shifted_auc,
    )


def _both_scores(
    net: Autoencoder, config: ScoreConfig, rows: Rows, moved: Rows
) -> tuple[NDArray[np.float32], NDArray[np.float32], float]:
    """Scores without and with shift, and the mean variance; 0 of a network without."""
    scores, total = [], 0.0
    with torch_threads(1), torch.inference_mode():
        for part, target in zip(*(torch.split(torch.from_numpy(X), _PART_ROWS) for X in (rows, moved)), strict=True):
            mean, raw = net(part)
            scores.append(score(mean, raw, torch.stack([part, target]), config))
            if raw is not None:
                total += float(variance(raw).sum(dtype=torch.float64))
    plain, shifted = torch.cat(scores, dim=1).numpy()
    return plain, shifted, total / rows.size
