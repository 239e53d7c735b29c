"""Class priors put back into a network that was trained with rare classes weighted up.

Weights w_k in the loss make the network answer as if class k were w_k times as common as it is. Where one class holds
most wafers, as the normal class does, too many of them are then classified as rare. Adding -t ln w_k to the logits
undoes it, wholly for t = 1 (Menon et al., "Long-tail learning via logit adjustment", ICLR 2021, section 4, read
backwards). How far is best for the mean F1 is chosen on held-out wafers. Weights are taken against the classes' mean,
so where classes differ much the share of "none of the classes" falls a little with it.
"""

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from sparsewatch.detectors.sparse_net.scores import macro_f1

#: Shares of the correction that are tried.
STEPS = (0.0, 0.25, 0.5, 0.75, 1.0)


def best_correction(
    labels: NDArray[np.int64], logits: NDArray[np.float32], weights: NDArray[np.float64]
) -> NDArray[np.float32]:
    """What to add to the logits of the classes, float32 of shape (classes,).

    Args:
        labels: Class of each held-out wafer, of shape (wafers,).
        logits: Of the same wafers, of shape (wafers, classes).
        weights: Of the classes in the loss.
    """
    full = -np.log(weights / weights.mean())
    scores = [macro_f1(labels, (logits + t * full).astype(np.float32)) for t in STEPS]
    # Ties go to the least correction.
    return np.asarray(STEPS[int(np.argmax(scores))] * full, dtype=np.float32)


def add_to_logits(output: torch.nn.Linear, correction: NDArray[np.float32]) -> None:
    """Add to the first outputs of a layer, in place."""
    with torch.no_grad():
        bias: Tensor = output.bias
        bias[: len(correction)] += torch.from_numpy(correction).to(bias.device)
