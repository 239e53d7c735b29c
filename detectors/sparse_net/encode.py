"""Wafers through the network in evaluation mode, batched by their number of points."""

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from detectors.sparse_net.data import split_wafers, to_sites
from detectors.sparse_net.events import WaferPoints
from detectors.sparse_net.grid import to_grid
from detectors.sparse_net.net import WaferNet

#: Points a batch; about what stays in a core's cache.
BATCH_POINTS = 100_000


@dataclass(frozen=True, slots=True)
class Encodings:
    """What is known of a batch of wafers, one row each."""

    #: float32 of shape (wafers, latent).
    latent: NDArray[np.float32]
    #: float32 of shape (wafers, classes).
    logits: NDArray[np.float32]
    #: ln(1 + active cells) by level, float32 of shape (wafers, levels). How fast it falls from level to
    #: level says how the defects cluster, at every scale.
    occupied: NDArray[np.float32]
    #: ln(1 + points), mean and standard deviation of their radius, float32 of shape (wafers, 3).
    spread: NDArray[np.float32]

    @property
    def probabilities(self) -> NDArray[np.float64]:
        """Softmax of the logits, float64 of shape (wafers, classes)."""
        shifted = np.exp(self.logits - self.logits.max(axis=1, keepdims=True), dtype=np.float64)
        return np.asarray(shifted / shifted.sum(axis=1, keepdims=True))


def encode(net: WaferNet, points: WaferPoints, grid: int, batch_points: int = BATCH_POINTS) -> Encodings:
    """Latents, logits and plain statistics of wafers; `grid` is for those without one of their own."""
    device = next(net.parameters()).device
    net.eval()
    parts = []
    for wafers in split_wafers(points, batch_points):
        sites = to_sites(points.take(wafers), grid)
        with torch.inference_mode():
            said = net(to_grid(sites, device))
        parts.append([t.cpu().numpy() for t in (said.latent, said.logits, said.occupied)])
    if not parts:
        sizes = (net.config.latent, net.config.classes, len(net.levels))
        parts.append([np.zeros((0, size), dtype=np.float32) for size in sizes])
    latent, logits, occupied = (np.concatenate(column) for column in zip(*parts, strict=True))
    return Encodings(latent, logits, occupied, spread(points))


def spread(points: WaferPoints) -> NDArray[np.float32]:
    """ln(1 + points), mean and standard deviation of their distance from the centre in radii."""
    wafer = points.wafer
    radius = np.hypot(points.x, points.y).astype(np.float64)
    n = np.maximum(points.defects, 1)
    mean = np.bincount(wafer, radius, len(points)) / n
    square = np.bincount(wafer, radius * radius, len(points)) / n
    deviation = np.sqrt(np.maximum(square - mean * mean, 0))
    return np.stack([np.log1p(points.defects), mean, deviation], axis=1).astype(np.float32)
