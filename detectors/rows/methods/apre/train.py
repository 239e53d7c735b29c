"""Training of the autoencoders: Adam on the Gaussian likelihood or the squared error, stopped early.

arXiv 2304.00709 trains 5,000 full-batch epochs and picks the best epoch with labels. Without labels the ranking is
best after 100 to 250 steps and declines afterwards, since the variance collapses where the fit becomes perfect;
hence the small default. Large samples are cut into mini-batches, of which each counts as one step.

The same rows, settings and seed give the same weights on the same machine. It runs on CUDA if there is a device, else
on one CPU thread: for nets of this size that costs little, and much less than two threads if other processes share the
cores.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Annotated

import numpy as np
import torch
from torch import Tensor

from sparsewatch.detectors.rows.methods.apre.loss import mean_loss, row_losses
from sparsewatch.detectors.rows.methods.apre.net import Autoencoder
from sparsewatch.detectors.torch_threads import torch_threads
from sparsewatch.schemas.settings import Count, CountOrNone, Positive, Range, check_ranges

#: Rows whose loss is computed at once when trimming.
_PART_ROWS = 65_536

#: Called after each step with the steps done and the loss of that step's rows (mean per row). True ends the training.
OnStep = Callable[[int, float], bool | None]


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainConfig:
    """Length, step size and batches of a training."""

    #: Adam steps.
    steps: Count = 150
    #: Adam's step size; from the paper's code.
    learning_rate: Positive = 1e-3
    #: Steps after which the step size is halved, again and again; 0 for never. The paper's code has 1,000.
    halve_every: CountOrNone = 0
    #: Rows of a step; samples of up to twice as many rows are taken whole in every step.
    batch_rows: Count = 4096
    #: Share of the rows with the highest loss that are left out from step `trim_after` on.
    trim_share: Annotated[float, Range(at_least=0, below=1)] = 0.0
    trim_after: CountOrNone = 50

    def __post_init__(self) -> None:
        check_ranges(self)


def train_net(
    X: np.ndarray, config: TrainConfig, seed: int, on_step: OnStep | None = None, *, probabilistic: bool = True
) -> Autoencoder:
    """Fit an autoencoder.

    Args:
        X: Encoded rows, float32 of shape (n, d), finite, n >= 1.
        config: Length, step size, batches.
        seed: Of the initial weights and of the batches, from 0.
        on_step: Called after each step.
        probabilistic: With variances, trained on the likelihood; else on the squared error.

    Returns:
        The network on the CPU.
    """
    rows = to_device(X)
    net = new_net(rows.shape[1], seed, probabilistic)
    fit_net(net, rows, config, seed, on_step)
    return net.cpu().eval()


def to_device(X: np.ndarray) -> Tensor:
    """A copy of rows as float32, on CUDA if there is a device."""
    return torch.from_numpy(np.array(X, dtype=np.float32, order="C")).to(_device())


def new_net(n_features: int, seed: int, probabilistic: bool) -> Autoencoder:
    """An untrained network, on CUDA if there is a device; the seed gives the same weights everywhere."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return Autoencoder(n_features, probabilistic).to(_device())


def fit_net(net: Autoencoder, rows: Tensor, config: TrainConfig, seed: int, on_step: OnStep | None = None) -> None:
    """Train a network in place.

    Args:
        net: As `new_net` gives it; `on_step` may use it.
        rows: Shape (n, d), on the network's device.
        config: Length, step size, batches.
        seed: Of the batches.
        on_step: Called after each step.
    """
    optimiser = torch.optim.Adam(net.parameters(), lr=config.learning_rate, fused=True)
    rng = np.random.default_rng(seed)
    batches = _batches(rows, config.batch_rows, rng)
    with torch_threads(1):
        for step in range(config.steps):
            if step == config.trim_after and config.trim_share > 0:
                batches = _batches(_trimmed(net, rows, config.trim_share), config.batch_rows, rng)
            if config.halve_every and step and step % config.halve_every == 0:
                optimiser.param_groups[0]["lr"] /= 2
            optimiser.zero_grad()
            loss = mean_loss(net, next(batches))
            loss.backward()  # type: ignore[no-untyped-call]
            optimiser.step()
            if on_step is not None and on_step(step + 1, float(loss.detach())):
                return


def steps_per_epoch(n: int, batch_rows: int) -> int:
    """Steps in which n rows are seen about once."""
    return 1 if n <= 2 * batch_rows else n // batch_rows


def _device() -> str:
    return "cuda" if torch.cuda.is_available() else "cpu"


def _batches(rows: Tensor, batch_rows: int, rng: np.random.Generator) -> Iterator[Tensor]:
    """Rows for one step after the other, without end: all of them, or slices of ever new permutations."""
    steps = steps_per_epoch(len(rows), batch_rows)
    while steps == 1:
        yield rows
    while True:
        order = torch.from_numpy(rng.permutation(len(rows))).to(rows.device)
        for start in range(0, steps * batch_rows, batch_rows):
            yield rows[order[start : start + batch_rows]]


def _trimmed(net: Autoencoder, rows: Tensor, share: float) -> Tensor:
    """`rows` without the given share of those with the highest loss; at least one row stays."""
    with torch.no_grad():
        losses = torch.cat([row_losses(net, part) for part in torch.split(rows, _PART_ROWS)])
    keep = max(1, rows.shape[0] - int(share * rows.shape[0]))
    return rows[torch.argsort(losses, stable=True)[:keep]]
