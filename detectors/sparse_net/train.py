"""Training of the network: one explicit loop, seeded, with early stopping on held-out wafers."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

import numpy as np
import torch
from numpy.typing import NDArray
from sklearn.metrics import f1_score
from torch import nn

from detectors.sparse_net.augment import AugmentConfig, augment
from detectors.sparse_net.data import split_wafers, to_sites
from detectors.sparse_net.encode import encode
from detectors.sparse_net.events import WaferPoints
from detectors.sparse_net.grid import to_grid
from detectors.sparse_net.net import NetConfig, WaferNet
from detectors.torch_threads import torch_threads
from schemas.errors import ConfigError


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainConfig:
    """How to train; defaults are ours, the paper states none."""

    epochs: int = 40
    #: Points a batch; wafers of very different sizes then cost alike.
    batch_points: int = 12_000
    #: Most wafers a batch.
    batch_wafers: int = 64
    learning_rate: float = 3e-3
    weight_decay: float = 0.05
    label_smoothing: float = 0.05
    #: Epochs without a better macro-F1 after which training stops.
    patience: int = 15
    #: CPU threads; with more than one the last digits differ from run to run.
    threads: int = 1
    seed: int = 0
    augment: AugmentConfig = field(default_factory=AugmentConfig)

    def __post_init__(self) -> None:
        if min(self.epochs, self.batch_points, self.batch_wafers, self.patience, self.threads) < 1:
            raise ConfigError("epochs, batch_points, batch_wafers, patience, threads start at 1")
        if not self.learning_rate > 0 or self.weight_decay < 0:
            raise ConfigError("expected learning_rate above 0 and weight_decay from 0")
        if not 0 <= self.label_smoothing < 1:
            raise ConfigError(f"expected label_smoothing in [0, 1), got {self.label_smoothing}")


@dataclass(frozen=True, slots=True)
class Epoch:
    """Progress after one pass over the training wafers."""

    #: From 1.
    number: int
    epochs: int
    #: Mean training loss.
    loss: float
    #: Unweighted mean of the classes' F1 on the validation wafers.
    macro_f1: float


@dataclass(frozen=True, slots=True)
class Labelled:
    """Wafers and their classes."""

    points: WaferPoints
    #: int64 of shape (wafers,), index of the class.
    labels: NDArray[np.int64]


def train_net(
    sizes: NetConfig,
    config: TrainConfig,
    train: Labelled,
    validation: Labelled,
    grid: int,
    report: Callable[[Epoch], bool] = lambda _: True,
) -> WaferNet:
    """Train a network and keep the weights of its best epoch.

    Args:
        sizes: the network's.
        config: how to train.
        train: wafers to learn from; every class must occur.
        validation: other wafers, for early stopping.
        grid: cells a side for wafers without a grid of their own.
        report: called after each epoch; training ends where it answers False.

    Returns:
        The network in evaluation mode, on a CUDA device if there is one.
    """
    with torch_threads(config.threads):
        return _train(sizes, config, train, validation, grid, report)


def macro_f1(labels: NDArray[np.int64], logits: NDArray[np.float32]) -> float:
    """Unweighted mean of the F1 of the classes that occur."""
    return float(f1_score(labels, logits.argmax(axis=1), labels=np.unique(labels), average="macro"))


def _train(
    sizes: NetConfig,
    config: TrainConfig,
    train: Labelled,
    validation: Labelled,
    grid: int,
    report: Callable[[Epoch], bool],
) -> WaferNet:
    torch.manual_seed(config.seed)
    rng = np.random.default_rng(config.seed)
    net = WaferNet(sizes).to("cuda" if torch.cuda.is_available() else "cpu")
    loss_of = nn.CrossEntropyLoss(
        _class_weights(train.labels, sizes.classes), label_smoothing=config.label_smoothing
    ).to(next(net.parameters()).device)
    optimiser = torch.optim.AdamW(net.parameters(), lr=config.learning_rate, weight_decay=config.weight_decay)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimiser, config.epochs)
    best, best_score, best_at = net.state_dict(), -1.0, 0
    for number in range(1, config.epochs + 1):
        loss = _train_epoch(net, loss_of, optimiser, train, grid, config, rng)
        schedule.step()
        score = macro_f1(validation.labels, encode(net, validation.points, grid).logits)
        if score >= best_score:
            best = {name: tensor.clone() for name, tensor in net.state_dict().items()}
            best_score, best_at = score, number
        if not report(Epoch(number, config.epochs, loss, score)):
            break
        if number - best_at >= config.patience:
            break
    net.load_state_dict(best)
    return net.eval()


def _train_epoch(
    net: WaferNet,
    loss_of: nn.Module,
    optimiser: torch.optim.Optimizer,
    train: Labelled,
    grid: int,
    config: TrainConfig,
    rng: np.random.Generator,
) -> float:
    """One pass over the training wafers in chance order; the mean loss of its batches."""
    net.train()
    device = next(net.parameters()).device
    losses = []
    for points, labels in _batches(train, config, rng):
        sites = to_sites(augment(points, config.augment, rng), grid)
        loss = loss_of(net(to_grid(sites, device)).logits, torch.from_numpy(labels).to(device))
        optimiser.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(net.parameters(), 1.0)
        optimiser.step()
        losses.append(loss.item())
    return float(np.mean(losses))


def _batches(
    train: Labelled, config: TrainConfig, rng: np.random.Generator
) -> Iterator[tuple[WaferPoints, NDArray[np.int64]]]:
    order = rng.permutation(len(train.labels))
    points, labels = train.points.take(order), train.labels[order]
    for run in split_wafers(points, config.batch_points):
        for wafers in np.array_split(run, -(-len(run) // config.batch_wafers)):
            # Batch norm over the wafers' pooled features needs two.
            if len(wafers) > 1:
                yield points.take(wafers), labels[wafers]


def _class_weights(labels: NDArray[np.int64], classes: int) -> torch.Tensor:
    """Weights in proportion to 1 / sqrt(wafers of the class), 1 on average over the wafers."""
    counts = np.bincount(labels, minlength=classes)
    if counts.min() == 0:
        missing = np.flatnonzero(counts == 0).tolist()
        raise ConfigError(f"expected training wafers of every class, got none of {missing}")
    weights = 1 / np.sqrt(counts)
    return torch.from_numpy(weights * len(labels) / (weights * counts).sum()).float()
