"""Training of the network: an explicit loop, seeded, with early stopping on held-out wafers."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Annotated

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from sparsewatch.detectors.sparse_net.augment import AugmentConfig, augment
from sparsewatch.detectors.sparse_net.checkpoint import Checkpoint, Training
from sparsewatch.detectors.sparse_net.data import split_wafers, to_sites
from sparsewatch.detectors.sparse_net.encode import encode
from sparsewatch.detectors.sparse_net.grid import to_grid
from sparsewatch.detectors.sparse_net.net import NetConfig, WaferNet
from sparsewatch.detectors.sparse_net.outliers import random_outliers
from sparsewatch.detectors.sparse_net.points import WaferPoints
from sparsewatch.detectors.sparse_net.priors import add_to_logits, best_correction
from sparsewatch.detectors.sparse_net.scores import macro_f1
from sparsewatch.detectors.torch_threads import torch_threads
from sparsewatch.schemas.errors import ConfigError
from sparsewatch.schemas.settings import Count, NotNegative, Positive, Range, Share, check_ranges


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainConfig:
    """How to train; defaults are ours, the paper states none."""

    epochs: Count = 40
    #: Points a batch; wafers of very different sizes then cost alike.
    batch_points: Count = 12_000
    #: Most wafers a batch.
    batch_wafers: Count = 64
    learning_rate: Positive = 3e-3
    weight_decay: NotNegative = 0.05
    label_smoothing: Annotated[float, Range(at_least=0, below=1)] = 0.05
    #: Epochs without a better macro-F1 after which training stops.
    patience: Count = 15
    #: CPU threads; with more than one thread the last digits differ from run to run.
    threads: Count = 1
    seed: int = 0
    augment: AugmentConfig = field(default_factory=AugmentConfig)
    #: Synthetic outliers for each wafer of a batch (see `outliers`); 0 trains without.
    outliers: Share = 0.3

    def __post_init__(self) -> None:
        check_ranges(self)


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
    #: Index of the class, int64 of shape (wafers,); or, where several may occur, 1 for those that do and else 0, int64
    #: of shape (wafers, classes).
    labels: NDArray[np.int64]


def train_net(
    sizes: NetConfig,
    config: TrainConfig,
    train: Labelled,
    validation: Labelled,
    grid: int,
    report: Callable[[Epoch], bool] = lambda _: True,
    *,
    resume: Checkpoint | None = None,
    keep: Callable[[Checkpoint], None] | None = None,
) -> WaferNet:
    """Train a network and keep the weights of its best epoch.

    Args:
        sizes: the network's.
        config: how to train.
        train: wafers to learn from; every class must occur.
        validation: other wafers, for early stopping.
        grid: cells a side for wafers without a grid of their own.
        report: Progress callback, called after each epoch; training ends if it returns False.
        resume: checkpoint of an earlier training with the same settings and wafers; the result is the same as without
            the interruption.
        keep: Callback, called with a checkpoint after each epoch.

    Returns:
        The network in evaluation mode, on a CUDA device if there is one.

    Raises:
        ConfigError: a class does not occur.
        ModelError: `resume` is of another training.
    """
    with torch_threads(config.threads):
        training = _begin(sizes, config)
        if resume is not None:
            training.resume(resume)
        loss_of = loss_for(sizes, config, train.labels).to(next(training.net.parameters()).device)
        while training.epoch < config.epochs and training.epoch - training.best_at < config.patience:
            training.epoch += 1
            loss = _train_epoch(training, loss_of, train, grid, config)
            score = macro_f1(validation.labels, encode(training.net, validation.points, grid).logits)
            training.keep_if_best(score)
            if keep is not None:
                keep(training.checkpoint())
            if not report(Epoch(training.epoch, config.epochs, loss, score)):
                break
        net = training.net.eval()
        net.load_state_dict(training.best)
        logits = encode(net, validation.points, grid).logits
        correct_priors(net.to_logits, sizes, train.labels, validation.labels, logits)
        return net


def _begin(sizes: NetConfig, config: TrainConfig) -> Training:
    torch.manual_seed(config.seed)
    net = WaferNet(sizes).to("cuda" if torch.cuda.is_available() else "cpu")
    optimiser = torch.optim.AdamW(net.parameters(), lr=config.learning_rate, weight_decay=config.weight_decay)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimiser, config.epochs)
    return Training(net, optimiser, schedule, np.random.default_rng(config.seed))


def _train_epoch(training: Training, loss_of: nn.Module, train: Labelled, grid: int, config: TrainConfig) -> float:
    """A pass over the training wafers in random order; the mean loss of its batches."""
    net, rng = training.net.train(), training.rng
    device = next(net.parameters()).device
    losses = []
    for points, labels in batches(train, config, rng):
        points, targets = with_outliers(augment(points, config.augment, rng), labels, net.config, config, rng)
        loss = loss_of(net(to_grid(to_sites(points, grid), device)).logits, targets.to(device))
        training.optimiser.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(net.parameters(), 1.0)
        training.optimiser.step()
        losses.append(loss.item())
    if not losses or not np.isfinite(losses).all():
        raise ConfigError(f"training does not go on: {len(losses)} batches, loss {np.mean(losses or [np.nan]):.3g}")
    training.schedule.step()
    return float(np.mean(losses))


def correct_priors(
    output: nn.Linear,
    sizes: NetConfig,
    learned: NDArray[np.int64],
    held: NDArray[np.int64],
    logits: NDArray[np.float32],
) -> None:
    """Put the class priors back, see `priors`; where several classes may occur, no class was weighted up.

    Args:
        output: the layer of the logits, changed in place.
        sizes: the network's.
        learned: labels of the training wafers.
        held: labels of held-out wafers.
        logits: the network's outputs for these, of shape (wafers, classes).
    """
    if not sizes.several:
        weights = _class_weights(learned, sizes.classes).numpy().astype(np.float64)
        add_to_logits(output, best_correction(held, logits, weights))


def loss_for(sizes: NetConfig, config: TrainConfig, labels: NDArray[np.int64]) -> nn.Module:
    """Binary cross-entropy where several classes may occur, else cross-entropy weighted by class."""
    if sizes.several:
        _check_all_occur(labels.sum(axis=0))
        return nn.BCEWithLogitsLoss()
    weights = _class_weights(labels, sizes.classes)
    if sizes.outlier:
        weights = torch.cat([weights, torch.ones(1)])
    return nn.CrossEntropyLoss(weights, label_smoothing=config.label_smoothing)


def with_outliers(
    points: WaferPoints, labels: NDArray[np.int64], sizes: NetConfig, config: TrainConfig, rng: np.random.Generator
) -> tuple[WaferPoints, torch.Tensor]:
    """The batch and what the loss compares with; where the network has an outlier output, synthetic outliers follow."""
    strange = 0
    if sizes.outlier:
        strange = max(1, round(config.outliers * len(points)))
        points = points.joined(random_outliers(points.own_grid[rng.integers(len(points), size=strange)], rng))
    if not sizes.several:
        return points, torch.from_numpy(np.concatenate([labels, np.full(strange, sizes.classes)]))
    targets = np.zeros((len(points), sizes.classes + sizes.outlier), dtype=np.float32)
    targets[: len(labels), : sizes.classes] = labels
    targets[len(labels) :, sizes.classes :] = 1
    return points, torch.from_numpy(targets)


def batches(
    train: Labelled, config: TrainConfig, rng: np.random.Generator
) -> Iterator[tuple[WaferPoints, NDArray[np.int64]]]:
    """The training wafers once, in random order: batches of points and labels."""
    order = rng.permutation(len(train.labels))
    points, labels = train.points.take(order), train.labels[order]
    for wafers in _pairs_at_least(_cuts(points, config)):
        yield points.take(wafers), labels[wafers]


def _cuts(points: WaferPoints, config: TrainConfig) -> Iterator[NDArray[np.int64]]:
    for run in split_wafers(points, config.batch_points):
        yield from np.array_split(run, -(-len(run) // config.batch_wafers))


def _pairs_at_least(cuts: Iterator[NDArray[np.int64]]) -> Iterator[NDArray[np.int64]]:
    """A wafer alone joins the next ones: batch norm over pooled features needs two wafers, and none is left out."""
    ready, waiting = np.zeros(0, dtype=np.int64), np.zeros(0, dtype=np.int64)
    for wafers in cuts:
        waiting = np.concatenate([waiting, wafers])
        if len(waiting) > 1:
            if len(ready):
                yield ready
            ready, waiting = waiting, ready[:0]
    if len(ready):
        yield np.concatenate([ready, waiting])


def _class_weights(labels: NDArray[np.int64], classes: int) -> torch.Tensor:
    """Weights in proportion to 1 / sqrt(wafers of the class), 1 on average over the wafers."""
    counts = np.bincount(labels, minlength=classes)
    _check_all_occur(counts)
    weights = 1 / np.sqrt(counts)
    return torch.from_numpy(weights * len(labels) / (weights * counts).sum()).float()


def _check_all_occur(counts: NDArray[np.int64]) -> None:
    if counts.min() == 0:
        missing = np.flatnonzero(counts == 0).tolist()
        raise ConfigError(f"expected training wafers of every class, got none of {missing}")
