"""The peer of the sparse network: a plain CNN on wafer maps of few bins a side.

Head, loss, outlier exposure, augmentation, batches, optimiser and the correction for priors are those of the sparse
network (`sparse_net.train`); only input and body differ, so a difference between the two is due to maps against native
resolution. The budget of a training is CPU seconds, not epochs: a busy machine changes nothing, and both networks may
cost the same.
"""

import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from itertools import pairwise

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn.functional import max_pool2d

from sparsewatch.detectors.sparse_net.augment import augment
from sparsewatch.detectors.sparse_net.data import to_sites
from sparsewatch.detectors.sparse_net.encode import Encodings
from sparsewatch.detectors.sparse_net.grid import to_grid
from sparsewatch.detectors.sparse_net.net import Encoded, NetConfig
from sparsewatch.detectors.sparse_net.points import WaferPoints
from sparsewatch.detectors.sparse_net.scores import macro_f1
from sparsewatch.detectors.sparse_net.statistics import SHAPE_SIDE, statistics
from sparsewatch.detectors.sparse_net.train import (
    Labelled,
    TrainConfig,
    batches,
    correct_priors,
    loss_for,
    with_outliers,
)
from sparsewatch.detectors.torch_threads import torch_threads
from sparsewatch.schemas.errors import ConfigError

#: Failures, and whether the bin is on the disc.
PLANES = 2
SMALLEST = 16
#: Of the last blocks, from 64 bins a side on; those before are as narrow as the sparse network's first levels.
_CHANNELS, _NARROW = (16, 32, 48, 64), 8
_CONVOLUTIONS = 1
#: Wafers at once in evaluation.
_BATCH = 64


@dataclass(frozen=True, slots=True)
class Progress:
    """Progress after a pass over the training wafers, or after the part that the budget allowed."""

    #: From 1.
    epoch: int
    cpu_seconds: float
    #: Mean training loss.
    loss: float
    #: On the validation wafers, see `scores.macro_f1`.
    macro_f1: float


class DenseNet(nn.Module):
    """Maps to latent vectors and class logits."""

    def __init__(self, config: NetConfig, side: int) -> None:
        super().__init__()
        self.config = config
        #: Bins a side.
        self.side = side
        sizes = [PLANES, *config.channels]
        self.blocks = nn.ModuleList(
            _block(a, b, n) for (a, b), n in zip(pairwise(sizes), config.convolutions, strict=True)
        )
        read = 2 * sum(config.channels[-config.read_levels :])
        self.to_latent = nn.Sequential(nn.BatchNorm1d(read), nn.Linear(read, config.latent))
        self.to_logits = nn.Linear(config.latent, config.classes + config.outlier)
        # A fifth faster on a CPU.
        self.to(memory_format=torch.channels_last)

    def forward(self, maps: Tensor) -> Encoded:
        """Encode maps of shape (wafers, PLANES, side, side)."""
        features, filled = maps.contiguous(memory_format=torch.channels_last), (maps[:, :1] > 0).float()
        levels, occupied = [], []
        for i, block in enumerate(self.blocks):
            if i:
                features, filled = max_pool2d(features, 2), max_pool2d(filled, 2)
            features = block(features)
            levels.append(torch.cat([features.mean(dim=(2, 3)), features.amax(dim=(2, 3))], dim=1))
            occupied.append(filled.sum(dim=(1, 2, 3)))
        levels = levels[-self.config.read_levels :]
        latent = self.to_latent(torch.cat(levels, dim=1))
        counts = torch.log1p(torch.stack(occupied, dim=1))
        return Encoded(latent, self.to_logits(torch.relu(latent)), tuple(levels), counts)


def dense_sizes(side: int, classes: int, *, several: bool = False, outlier: bool = False) -> NetConfig:
    """Blocks for maps of `side` bins a side, each of half the bins of the block before, down to about 8.

    Raises:
        ConfigError: `side` is below `SMALLEST`.
    """
    if side < SMALLEST:
        raise ConfigError(f"expected a side from {SMALLEST} bins, got {side}")
    sides = []
    while side >= SMALLEST:
        side //= 2
        sides.append(side)
    blocks = len(sides) + 1
    return NetConfig(
        sides=tuple(sides),
        channels=((_NARROW,) * blocks + _CHANNELS)[-blocks:],
        convolutions=(_CONVOLUTIONS,) * blocks,
        read_levels=min(3, blocks),
        classes=classes,
        several=several,
        outlier=outlier,
    )


def to_maps(points: WaferPoints, side: int) -> NDArray[np.float32]:
    """Wafers binned to `side` x `side`: float32 of shape (wafers, PLANES, side, side).

    The first plane holds ln(1 + defects) of the bin; for a die map of more dies a side the share of the bin's dies that
    fail, for a map of fewer 1 where the die in the bin's middle fails. The second is 1 on the disc.
    """
    maps = np.zeros((len(points), PLANES, side, side), dtype=np.float32)
    at = (2 * np.arange(side) + 1) / side - 1
    maps[:, 1] = np.hypot(at[:, None], at) <= 1
    mapped, small = points.own_grid[:, 0] > 0, points.own_grid.max(axis=1) <= side
    counts = _counts(replace(points, own_grid=np.zeros_like(points.own_grid)), side)
    dies = points.own_grid.prod(axis=1) / side**2
    shares = np.minimum(counts / np.maximum(dies, 1)[:, None, None], 1)
    maps[:, 0] = np.where(mapped[:, None, None], shares, np.log1p(counts))
    enlarged = np.flatnonzero(mapped & small)
    maps[enlarged, 0] = _enlarged(points.take(enlarged), side)
    return maps


def train_dense(
    train: Labelled,
    validation: Labelled,
    classes: int,
    *,
    cpu_seconds: float,
    side: int = 64,
    seed: int,
    config: TrainConfig | None = None,
    report: Callable[[Progress], object] | None = None,
    clock: Callable[[], float] = time.process_time,
) -> DenseNet:
    """Train within a budget and keep the weights of the best epoch, by macro-F1 on the validation wafers.

    Args:
        train: wafers to learn from; every class must occur.
        validation: other wafers.
        classes: number of classes.
        cpu_seconds: budget, validation included; the learning rate falls to 0 over it.
        side: bins a side, from `SMALLEST`.
        seed: of weights, order and augmentation.
        config: as the sparse network's; `epochs`, `patience`, `threads` and `seed` are not used.
        report: Progress callback, called after each epoch.
        clock: what the budget is measured by.

    Returns:
        The network in evaluation mode, on the CPU.

    Raises:
        ConfigError: the budget is not above 0, `side` is too small or a class does not occur.
    """
    if not cpu_seconds > 0:
        raise ConfigError(f"expected cpu_seconds above 0, got {cpu_seconds}")
    settings = config or TrainConfig()
    sizes = dense_sizes(side, classes, several=train.labels.ndim == 2, outlier=settings.outliers > 0)
    with torch_threads(1):
        torch.manual_seed(seed)
        training = _Training(DenseNet(sizes, side), settings, train, np.random.default_rng(seed), cpu_seconds, clock)
        return _best(training, validation, report or (lambda _: None))


def encode_dense(net: DenseNet, points: WaferPoints) -> Encodings:
    """As `sparse_net.encode`, of the maps; statistics are those of the points."""
    net.eval()
    classes = net.config.classes
    with torch_threads(1), torch.inference_mode():
        encoded = [net(torch.from_numpy(to_maps(part, net.side))) for part in _parts(points)]
        seen = [_statistics(part) for part in _parts(points)]
    logits = _joined([part.logits for part in encoded])
    return Encodings(
        latent=_joined([part.latent for part in encoded]),
        logits=logits[:, :classes],
        occupied=_joined([part.occupied for part in encoded]),
        statistics=np.concatenate(seen),
        levels=tuple(_joined(list(level)) for level in zip(*(part.levels for part in encoded), strict=True)),
        outlier=logits[:, classes] if net.config.outlier else np.full(len(points), -np.inf, dtype=np.float32),
        several=net.config.several,
    )


class _Training:
    """A network in training against a clock."""

    def __init__(
        self,
        net: DenseNet,
        config: TrainConfig,
        train: Labelled,
        rng: np.random.Generator,
        budget: float,
        clock: Callable[[], float],
    ) -> None:
        self.net, self.config, self.train, self.rng = net, config, train, rng
        self.loss_of = loss_for(net.config, config, train.labels)
        self.optimiser = torch.optim.AdamW(net.parameters(), lr=config.learning_rate, weight_decay=config.weight_decay)
        self.budget, self.clock, self.started = budget, clock, clock()

    @property
    def spent(self) -> float:
        """CPU seconds so far."""
        return self.clock() - self.started

    def epoch(self) -> float:
        """A pass over the training wafers, shorter where the budget ends; the mean loss of its batches."""
        self.net.train()
        losses = []
        for points, labels in batches(self.train, self.config, self.rng):
            losses.append(self._step(points, labels))
            if self.spent >= self.budget:
                break
        return float(np.mean(losses))

    def _step(self, points: WaferPoints, labels: NDArray[np.int64]) -> float:
        share = min(self.spent / self.budget, 1.0)
        for group in self.optimiser.param_groups:
            group["lr"] = self.config.learning_rate * (1 + np.cos(np.pi * share)) / 2
        points = augment(points, self.config.augment, self.rng)
        points, targets = with_outliers(points, labels, self.net.config, self.config, self.rng)
        loss = self.loss_of(self.net(torch.from_numpy(to_maps(points, self.net.side))).logits, targets)
        self.optimiser.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(self.net.parameters(), 1.0)
        self.optimiser.step()
        return float(loss.item())


def _best(training: _Training, validation: Labelled, report: Callable[[Progress], object]) -> DenseNet:
    net = training.net
    best, best_score, number = net.state_dict(), -1.0, 0
    while training.spent < training.budget:
        number += 1
        loss = training.epoch()
        score = macro_f1(validation.labels, _logits(net, validation.points))
        if score >= best_score:
            best, best_score = {name: tensor.clone() for name, tensor in net.state_dict().items()}, score
        report(Progress(number, training.spent, loss, score))
    net.load_state_dict(best)
    correct_priors(net.to_logits, net.config, training.train.labels, validation.labels, _logits(net, validation.points))
    return net.eval()


def _logits(net: DenseNet, points: WaferPoints) -> NDArray[np.float32]:
    net.eval()
    with torch.inference_mode():
        logits = [net(torch.from_numpy(to_maps(part, net.side))).logits for part in _parts(points)]
    return _joined(logits)[:, : net.config.classes]


def _block(channels_in: int, channels: int, convolutions: int) -> nn.Sequential:
    sizes = [channels_in] + [channels] * convolutions
    layers: list[nn.Module] = []
    for a, b in pairwise(sizes):
        layers += [nn.Conv2d(a, b, 3, padding=1, bias=False), nn.BatchNorm2d(b), nn.ReLU()]
    return nn.Sequential(*layers)


def _counts(points: WaferPoints, side: int) -> NDArray[np.float32]:
    sites = to_sites(points, side)
    counts = np.zeros((len(points), side, side), dtype=np.float32)
    counts[sites.wafer, sites.row, sites.column] = sites.count
    return counts


def _enlarged(points: WaferPoints, side: int) -> NDArray[np.float32]:
    """Die maps of at most `side` dies a side, each bin as the die in its middle."""
    sites = to_sites(points, side)
    rows, columns = points.own_grid.max(axis=0, initial=1).tolist()
    dies = np.zeros((len(points), rows, columns), dtype=np.float32)
    dies[sites.wafer, sites.row, sites.column] = 1
    middle = (2 * np.arange(side) + 1)[None]
    row, column = (middle * points.own_grid[:, axis, None] // (2 * side) for axis in (0, 1))
    return np.asarray(dies[np.arange(len(points))[:, None, None], row[:, :, None], column[:, None, :]])


def _parts(points: WaferPoints) -> list[WaferPoints]:
    starts = range(0, max(len(points), 1), _BATCH)
    return [points.take(np.arange(start, min(start + _BATCH, len(points)))) for start in starts]


def _statistics(points: WaferPoints) -> NDArray[np.float32]:
    sites = to_sites(points, SHAPE_SIDE)
    return statistics(points, sites, to_grid(sites))


def _joined(parts: list[Tensor]) -> NDArray[np.float32]:
    return np.concatenate([part.numpy() for part in parts])
