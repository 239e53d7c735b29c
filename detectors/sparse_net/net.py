"""The network: submanifold sparse convolutions from native resolution to a handful of cells.

Frittoli et al., "Deep Open-Set Recognition for Silicon Wafer Production Monitoring" (Pattern Recognition,
2022), name the layer type; Graham and van der Maaten, "Submanifold Sparse Convolutional Networks" (2017),
define it. Sizes are ours. A wafer's cost follows its defects, not its resolution.
"""

from dataclasses import dataclass
from itertools import pairwise
from typing import Annotated

import torch
from torch import Tensor, nn

from sparsewatch.detectors.sparse_net.engine import convolution_layer
from sparsewatch.detectors.sparse_net.grid import Grid, coarsen, pool_max, pool_mean
from sparsewatch.schemas.errors import ConfigError
from sparsewatch.schemas.settings import Count, Range, check_ranges

#: Channels that every level adds: 1, ln(1 + points), share of the cell filled, distance from the centre.
PLACE = 4
#: A level halves the side of the level before, quarters it from four times this side on, and takes an eighth from
#: sixteen times on.
_COARSE = 64
_SMALLEST = 4
#: Of the last levels; those before have 8 channels and one convolution, as few of their sites have neighbours.
_CHANNELS = (12, 16, 32, 48, 64)
_CONVOLUTIONS = (1, 2, 2, 2, 1)


@dataclass(frozen=True, slots=True, kw_only=True)
class NetConfig:
    """Sizes of a `WaferNet`."""

    #: Cells a side of each level after the first; the first is the wafer's own resolution.
    sides: tuple[Count, ...]
    #: Channels of each level, the first among them.
    channels: tuple[Count, ...]
    #: Convolutions of each level.
    convolutions: tuple[Count, ...]
    #: Levels at the end whose mean and maximum over a wafer reach the head.
    read_levels: Count = 3
    latent: Count = 48
    classes: Annotated[int, Range(at_least=2)]
    #: Whether a wafer may show several classes at once, so that each has a probability of its own.
    several: bool = False
    #: Whether there is an output more, for what belongs to no class.
    outlier: bool = False

    def __post_init__(self) -> None:
        check_ranges(self)
        levels = len(self.sides) + 1
        if len(self.channels) != levels or len(self.convolutions) != levels:
            raise ConfigError(
                f"channels, convolutions: expected those of {levels} levels, one more than sides, "
                f"got {len(self.channels)} and {len(self.convolutions)}"
            )
        if any(b >= a for a, b in pairwise(self.sides)):
            raise ConfigError(f"sides: expected falling numbers, got {self.sides}")
        if self.read_levels > levels:
            raise ConfigError(f"read_levels: expected a whole number from 1 to {levels}, got {self.read_levels}")

    @classmethod
    def for_grid(cls, side: int, classes: int, *, several: bool = False, outlier: bool = False) -> "NetConfig":
        """Levels for wafers of about `side` cells a side: in larger steps while fine, halves at last."""
        sides = []
        while side > _SMALLEST:
            side //= 8 if side >= 16 * _COARSE else 4 if side >= 4 * _COARSE else 2
            sides.append(max(side, _SMALLEST))
        levels = len(sides) + 1
        return cls(
            sides=tuple(sides),
            channels=((8,) * levels + _CHANNELS)[-levels:],
            convolutions=((1,) * levels + _CONVOLUTIONS)[-levels:],
            read_levels=min(3, levels),
            classes=classes,
            several=several,
            outlier=outlier,
        )


@dataclass(frozen=True, slots=True)
class Encoded:
    """Outputs of the network for a batch of wafers."""

    #: float32 of shape (wafers, latent).
    latent: Tensor
    #: float32 of shape (wafers, classes), with a column more where the network has an outlier output.
    logits: Tensor
    #: Mean and maximum over a wafer's sites at each level read, float32 of shape (wafers, 2 * channels).
    levels: tuple[Tensor, ...]
    #: ln(1 + active cells) at each level, float32 of shape (wafers, levels).
    occupied: Tensor


class _ActiveNorm(nn.BatchNorm1d):
    """Batch norm over the active sites.

    In evaluation torch's own is slower where there are many sites and few channels.
    """

    def forward(self, features: Tensor) -> Tensor:
        if self.training or self.running_mean is None or self.running_var is None:
            return super().forward(features)
        scale = self.weight * torch.rsqrt(self.running_var + self.eps)
        return torch.addcmul(self.bias - self.running_mean * scale, features, scale)


class Level(nn.Module):
    """Submanifold convolutions at one resolution, each followed by batch norm and ReLU."""

    def __init__(self, channels_in: int, channels: int, convolutions: int) -> None:
        super().__init__()
        sizes = [channels_in] + [channels] * convolutions
        layer = convolution_layer()
        self.convolutions = nn.ModuleList(layer(a, b) for a, b in pairwise(sizes))
        self.norms = nn.ModuleList(_ActiveNorm(channels) for _ in range(convolutions))
        self._book = layer.book

    def forward(self, features: Tensor, grid: Grid) -> Tensor:
        """Features of each site: (sites, channels_in) to (sites, channels)."""
        book = self._book(grid)
        for convolution, norm in zip(self.convolutions, self.norms, strict=True):
            features = torch.relu_(norm(convolution(features, book)))
        return features


class WaferNet(nn.Module):
    """Sites of wafers to latent vectors and class logits."""

    def __init__(self, config: NetConfig) -> None:
        super().__init__()
        self.config = config
        before = [0, *config.channels[:-1]]
        self.levels = nn.ModuleList(
            Level(b + PLACE, c, n) for b, c, n in zip(before, config.channels, config.convolutions, strict=True)
        )
        read = 2 * sum(config.channels[-config.read_levels :])
        self.to_latent = nn.Sequential(nn.BatchNorm1d(read), nn.Linear(read, config.latent))
        self.to_logits = nn.Linear(config.latent, config.classes + config.outlier)

    def forward(self, grid: Grid) -> Encoded:
        """Encode a batch; a wafer without a site gets the latent of an empty map."""
        features = grid.count.new_zeros(grid.sites, 0)
        first_read = len(self.levels) - self.config.read_levels
        read, occupied = [], []
        area = grid.shape.prod(dim=1).float()
        for i, level in enumerate(self.levels):
            if i:
                coarse, parent = coarsen(grid, self.config.sides[i - 1])
                features, grid = pool_max(features, parent, coarse.sites), coarse
            features = level(torch.cat([features, _place(grid, area)], dim=1), grid)
            occupied.append(torch.bincount(grid.wafer, minlength=grid.wafers))
            if i >= first_read:
                pooled = pool_mean(features, grid.wafer, grid.wafers), pool_max(features, grid.wafer, grid.wafers)
                read.append(torch.cat(pooled, dim=1))
        latent = self.to_latent(torch.cat(read, dim=1))
        return Encoded(
            latent,
            self.to_logits(torch.relu(latent)),
            tuple(read),
            torch.log1p(torch.stack(occupied, dim=1).float()),
        )


def _place(grid: Grid, area: Tensor) -> Tensor:
    """The channels a level adds, float32 of shape (sites, PLACE)."""
    rows, columns = grid.sides()
    x = (2 * grid.column + 1) / columns - 1
    y = (2 * grid.row + 1) / rows - 1
    cells = (area / grid.shape.prod(dim=1))[grid.wafer]
    place = (torch.ones_like(x), torch.log1p(grid.count), grid.count / cells, torch.hypot(x, y))
    return torch.stack(place, dim=1)
