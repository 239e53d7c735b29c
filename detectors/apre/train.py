"""Training of the probabilistic autoencoder: Adam on the Gaussian likelihood, stopped early.

arXiv 2304.00709 trains 5,000 full-batch epochs and picks the best one with labels. Without labels the ranking is
best after 100 to 250 steps and declines afterwards, since the variance collapses where the fit becomes perfect;
hence the small default. Large samples are cut into mini-batches, of which each counts as one step.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from detectors.apre.net import ProbabilisticAutoencoder
from detectors.apre.score import LIKELIHOOD, score
from detectors.torch_threads import torch_threads
from schemas.errors import ConfigError

#: Rows whose loss is computed at once when trimming.
_PART_ROWS = 65_536

#: Called after each step with the steps done and the loss of that step's rows (mean per row).
OnStep = Callable[[int, float], None]


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainConfig:
    """How long, how fast, on what."""

    #: Adam steps.
    steps: int = 150
    #: Adam's step size; from the paper's code.
    learning_rate: float = 1e-3
    #: Rows of a step; samples of up to twice as many rows are taken whole in every step.
    batch_rows: int = 4096
    #: Share of the rows with the highest loss that are left out from step `trim_after` on.
    trim_share: float = 0.0
    trim_after: int = 50

    def __post_init__(self) -> None:
        for name in ("steps", "batch_rows"):
            if getattr(self, name) < 1:
                raise ConfigError(f"{name}: expected at least 1, got {getattr(self, name)}")
        if not self.learning_rate > 0:
            raise ConfigError(f"learning_rate: expected a positive number, got {self.learning_rate}")
        if not 0 <= self.trim_share < 1:
            raise ConfigError(f"trim_share: expected a share below 1, got {self.trim_share}")
        if self.trim_after < 0:
            raise ConfigError(f"trim_after: expected a number not below 0, got {self.trim_after}")


def train_net(X: np.ndarray, config: TrainConfig, seed: int, on_step: OnStep | None = None) -> ProbabilisticAutoencoder:
    """Fit an autoencoder.

    The same rows and settings give the same weights on one machine: it runs on one thread, which for nets
    of this size costs little, and much less than two where other processes share the cores.

    Args:
        X: Encoded rows, float32 of shape (n, d), finite, n >= 1.
        config: Length, step size, batches.
        seed: Of the initial weights and of the batches, from 0.
        on_step: Called after each step.
    """
    rows = torch.from_numpy(np.array(X, dtype=np.float32, order="C"))
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        net = ProbabilisticAutoencoder(rows.shape[1])
    with torch_threads(1):
        _fit(net, rows, config, seed, on_step)
    return net.eval()


def _fit(net: ProbabilisticAutoencoder, rows: Tensor, config: TrainConfig, seed: int, on_step: OnStep | None) -> None:
    optimiser = torch.optim.Adam(net.parameters(), lr=config.learning_rate)
    rng = np.random.default_rng(seed)
    batches = _batches(rows, config.batch_rows, rng)
    for step in range(config.steps):
        if step == config.trim_after and config.trim_share > 0:
            batches = _batches(_trimmed(net, rows, config.trim_share), config.batch_rows, rng)
        optimiser.zero_grad()
        loss = _losses(net, next(batches)).mean()
        loss.backward()  # type: ignore[no-untyped-call]
        optimiser.step()
        if on_step is not None:
            on_step(step + 1, float(loss.detach()))


def _batches(rows: Tensor, batch_rows: int, rng: np.random.Generator) -> Iterator[Tensor]:
    """Rows for one step after the other, without end: all of them, or slices of ever new permutations."""
    n = rows.shape[0]
    if n <= 2 * batch_rows:
        while True:
            yield rows
    while True:
        order = torch.from_numpy(rng.permutation(n))
        for start in range(0, n - batch_rows + 1, batch_rows):
            yield rows[order[start : start + batch_rows]]


def _losses(net: ProbabilisticAutoencoder, rows: Tensor) -> Tensor:
    """Training loss of each row, shape (n,)."""
    mean, raw = net(rows)
    return score(mean, raw, rows, LIKELIHOOD)


def _trimmed(net: ProbabilisticAutoencoder, rows: Tensor, share: float) -> Tensor:
    """`rows` without the given share of those with the highest loss; at least one row stays."""
    with torch.no_grad():
        losses = torch.cat([_losses(net, part) for part in torch.split(rows, _PART_ROWS)])
    keep = max(1, rows.shape[0] - int(share * rows.shape[0]))
    return rows[torch.argsort(losses, stable=True)[:keep]]
