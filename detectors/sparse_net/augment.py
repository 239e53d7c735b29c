"""Random variants of wafers for training. Coordinates are turned, never a raster (wafer_open_set, section 5)."""

from dataclasses import dataclass
from typing import Annotated

import numpy as np
from numpy.typing import NDArray

from sparsewatch.detectors.sparse_net.points import WaferPoints, offsets_of
from sparsewatch.schemas.settings import NotNegative, Range, check_ranges


@dataclass(frozen=True, slots=True, kw_only=True)
class AugmentConfig:
    """How much a variant differs from its wafer."""

    #: Turn and mirror; off where a class is defined by its orientation.
    turn: bool = True
    #: Standard deviation of each point's shift in radii; die maps keep their dies.
    jitter: NotNegative = 0.0001
    #: Largest share of points left out; each wafer draws its own from 0 up to this.
    thinning: Annotated[float, Range(at_least=0, below=1)] = 0.2

    def __post_init__(self) -> None:
        check_ranges(self)


def augment(points: WaferPoints, config: AugmentConfig, rng: np.random.Generator) -> WaferPoints:
    """A random variant of each wafer: turned, mirrored, jittered, thinned.

    Wafers on a die grid turn by quarters, so that each die stays in one cell; others by any angle.
    """
    if config.turn:
        points = _turned(points, rng)
    return _thinned(_jittered(points, config.jitter, rng), config.thinning, rng)


def _turned(points: WaferPoints, rng: np.random.Generator) -> WaferPoints:
    mapped = points.own_grid[:, 0] > 0
    quarter = rng.integers(4, size=len(points))
    angle = np.where(mapped, 0.5 * np.pi * quarter, rng.uniform(0, 2 * np.pi, len(points)))
    mirror = rng.choice(np.array([-1.0, 1.0]), len(points))
    wafer = points.wafer
    # An exact 0 or 1 for quarter turns: a die's centre must come to lie on a centre.
    cos, sin = (np.where(mapped, np.round(f(angle)), f(angle)) for f in (np.cos, np.sin))
    cos, sin = cos.astype(np.float32)[wafer], sin.astype(np.float32)[wafer]
    x = points.x * mirror.astype(np.float32)[wafer]
    own_grid = np.where((quarter % 2 == 1)[:, None], points.own_grid[:, ::-1], points.own_grid)
    return WaferPoints(points.offsets, cos * x - sin * points.y, sin * x + cos * points.y, own_grid, points.outside)


def _jittered(points: WaferPoints, jitter: float, rng: np.random.Generator) -> WaferPoints:
    free = np.repeat(points.own_grid[:, 0] == 0, points.defects)
    if not free.any() or jitter == 0:
        return points

    def moved(at: NDArray[np.float32]) -> NDArray[np.float32]:
        shift = rng.standard_normal(len(at), dtype=np.float32) * np.float32(jitter)
        return np.clip(np.where(free, at + shift, at), -1, 1)

    return WaferPoints(points.offsets, moved(points.x), moved(points.y), points.own_grid, points.outside)


def _thinned(points: WaferPoints, most: float, rng: np.random.Generator) -> WaferPoints:
    share = rng.uniform(0, most, len(points)) if most else np.zeros(len(points))
    wafer = points.wafer
    keep = rng.random(len(wafer)) >= share[wafer]
    offsets = offsets_of(np.bincount(wafer[keep], minlength=len(points)))
    return WaferPoints(offsets, points.x[keep], points.y[keep], points.own_grid, points.outside)
