"""Wafers through the network in evaluation mode, batched by their number of points."""

from dataclasses import dataclass, fields, replace
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from sparsewatch.detectors.sparse_net.data import split_wafers, to_sites
from sparsewatch.detectors.sparse_net.grid import to_grid
from sparsewatch.detectors.sparse_net.net import WaferNet
from sparsewatch.detectors.sparse_net.points import WaferPoints
from sparsewatch.detectors.sparse_net.statistics import statistics

#: Points a batch; about what stays in a core's cache.
BATCH_POINTS = 100_000


@dataclass(frozen=True, slots=True)
class Encodings:
    """Outputs of the network and plain statistics for a batch of wafers, a row each."""

    #: float32 of shape (wafers, latent).
    latent: NDArray[np.float32]
    #: float32 of shape (wafers, classes).
    logits: NDArray[np.float32]
    #: ln(1 + active cells) by level, float32 of shape (wafers, levels). How fast it falls from level to
    #: level shows how the defects cluster, at every scale.
    occupied: NDArray[np.float32]
    #: See `statistics.statistics`: float32 of shape (wafers, STATISTICS).
    statistics: NDArray[np.float32]
    #: Pooled features of each level read, float32 of shape (wafers, 2 * channels).
    levels: tuple[NDArray[np.float32], ...]
    #: Logit of "none of the classes", float32 of shape (wafers,); minus infinity where the network has no such output.
    outlier: NDArray[np.float32]
    #: Whether classes may occur together: each then has a probability of its own.
    several: bool = False

    def __len__(self) -> int:
        """Wafers in the batch."""
        return len(self.latent)

    @property
    def probabilities(self) -> NDArray[np.float64]:
        """Softmax, or sigmoid where several classes may occur: float64 of shape (wafers, classes)."""
        logits = self.logits.astype(np.float64)
        if self.several:
            return np.asarray(np.exp(-np.logaddexp(0, -logits)))
        return np.asarray(np.exp(logits - self._normaliser()[:, None]))

    @property
    def doubt(self) -> NDArray[np.float64]:
        """-ln of the probability of the most probable answer, float64 of shape (wafers,); 0 is sure.

        The answer is a class, or the set of classes above one half where several may occur; in both cases not "none of
        the classes".
        """
        logits = self.logits.astype(np.float64)
        if self.several:
            return np.asarray(np.logaddexp(0, -np.abs(logits)).sum(axis=1) + np.logaddexp(0, self.outlier))
        return np.asarray(self._normaliser() - logits.max(axis=1))

    def take(self, wafers: NDArray[np.int64] | NDArray[np.bool_]) -> "Encodings":
        """The wafers of these indices, in this order."""
        chosen: dict[str, Any] = {
            field.name: getattr(self, field.name)[wafers]
            for field in fields(self)
            if field.name not in ("levels", "several")
        }
        return replace(self, levels=tuple(level[wafers] for level in self.levels), **chosen)

    def _normaliser(self) -> NDArray[np.float64]:
        outputs = np.column_stack([self.logits, self.outlier]).astype(np.float64)
        return np.asarray(np.logaddexp.reduce(outputs, axis=1))


def encode(net: WaferNet, points: WaferPoints, grid: int, batch_points: int = BATCH_POINTS) -> Encodings:
    """Latents, logits and plain statistics of wafers; `grid` is for wafers without a grid of their own."""
    device = next(net.parameters()).device
    net.eval()
    batches = list(split_wafers(points, batch_points)) or [np.zeros(0, dtype=np.int64)]
    return _joined([_encode_batch(net, points.take(wafers), grid, device) for wafers in batches])


def _encode_batch(net: WaferNet, points: WaferPoints, grid: int, device: torch.device) -> Encodings:
    sites = to_sites(points, grid)
    cells = to_grid(sites, device)
    with torch.inference_mode():
        encoded = net(cells)
    logits = encoded.logits.cpu().numpy()
    classes, n = net.config.classes, len(points)
    return Encodings(
        encoded.latent.cpu().numpy(),
        logits[:, :classes],
        encoded.occupied.cpu().numpy(),
        statistics(points, sites, cells),
        tuple(level.cpu().numpy() for level in encoded.levels),
        logits[:, classes] if net.config.outlier else np.full(n, -np.inf, dtype=np.float32),
        net.config.several,
    )


def _joined(parts: list[Encodings]) -> Encodings:
    if len(parts) == 1:
        return parts[0]
    arrays = {
        field.name: np.concatenate([getattr(part, field.name) for part in parts])
        for field in fields(Encodings)
        if field.name not in ("levels", "several")
    }
    levels = tuple(np.concatenate(level) for level in zip(*(part.levels for part in parts), strict=True))
    return Encodings(levels=levels, several=parts[0].several, **arrays)
