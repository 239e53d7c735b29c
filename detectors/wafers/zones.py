"""Zones of a wafer, and in which of them its defects, or the evidence for its verdict, lie.

Four rings times eight sectors, seen with the notch down: 12 o'clock is where y is largest, 3 o'clock where x is. Shares
are compared with those of the area, or of the dies on a wafer that has a grid of its own.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from sparsewatch.detectors.sparse_net.points import WaferPoints

#: Rings from the centre outwards, and the radii between them.
RINGS = ("centre", "middle", "outer", "edge")
BORDERS = (1 / 3, 2 / 3, 0.9)
#: Sectors of 45 degrees clockwise; the first has 12 o'clock in its middle.
SECTORS = ("N", "NE", "E", "SE", "S", "SW", "W", "NW")
#: Steps of half an hour in which a block of zones is searched.
_STEPS = 24
#: Hours from which an arc is called nearly all around, without its ends.
_NEARLY_ALL = 11
#: Probability that a block is named although the weight is spread evenly.
_ALPHA = 0.01
#: Least divergence of weights in nats, about that of 60 % on 30 % of the area.
_LEAST = 0.2

Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Zones:
    """Distribution of a weight over a wafer."""

    #: Share of the weight in each ring and sector, float64 of shape (4, 8), sum 1; all 0 if there is no weight.
    share: Floats
    #: Share of the area, likewise.
    area: Floats
    #: -1 if all lies in the centre, 0 as if spread evenly, 1 if all lies on the rim: 2 mean(r^2) - 1.
    radial: float
    #: 0 if no direction is preferred, 1 if all lies in one direction: length of the mean direction (Mardia and Jupp,
    #: "Directional Statistics", 2000, section 2.3).
    angular: float
    #: The mean direction on the clock, in [0, 12).
    hour: float

    @property
    def density(self) -> Floats:
        """Density of each zone by that of the whole wafer, float64 of shape (4, 8); 0 for a zone without area."""
        return np.divide(self.share, self.area, out=np.zeros_like(self.share), where=self.area > 0)


@dataclass(frozen=True, slots=True)
class Block:
    """Neighbouring zones that hold more than their area's share."""

    #: First and last ring.
    rings: tuple[int, int]
    #: From and to on the clock, clockwise; None for all around.
    hours: tuple[float, float] | None
    share: float
    area: float
    #: Divergence of the shares in nats; 0 if the block's share is that of its area.
    divergence: float


def wafer_zones(points: WaferPoints, weight: Floats | None = None) -> Zones:
    """Zones of one wafer.

    Args:
        points: one wafer.
        weight: of each point, from 0, such as evidence; by default each point counts 1.
    """
    weight = _weight(points, weight)
    angle, radius = _clockwise(points.x, points.y), np.hypot(points.x, points.y).astype(np.float64)
    mean = (weight * np.exp(1j * angle)).sum()
    hour = float(np.angle(mean) / (2 * np.pi) * 12 % 12)
    radial = float(2 * (weight * radius**2).sum() - weight.sum())
    share = _shares(points.x, points.y, weight, len(SECTORS), centred=True)
    area = _area(points, len(SECTORS), centred=True)
    return Zones(share, area, radial, float(abs(mean)), hour % 12)


def strongest_block(points: WaferPoints, weight: Floats | None = None) -> Block:
    """The block of zones whose share exceeds that of its area most.

    A scan over all runs of rings and of half hours for the largest likelihood ratio (Kulldorff, "A spatial scan
    statistic", 1997), of shares s and a: s ln(s/a) + (1 - s) ln((1 - s)/(1 - a)), where s > a.

    Args:
        points: one wafer.
        weight: see `wafer_zones`.
    """
    share = _blocks(_shares(points.x, points.y, _weight(points, weight), _STEPS))
    area = _blocks(_area(points, _STEPS))
    divergence = np.where(share > area, _divergence(share, area), 0.0)
    best = int(divergence.argmax())
    pair, start, length = np.unravel_index(best, divergence.shape)
    first, last = np.triu_indices(len(RINGS))
    hours = None if length + 1 == _STEPS else (start * 12 / _STEPS, (start + length + 1) % _STEPS * 12 / _STEPS)
    found = (float(of.flat[best]) for of in (share, area, divergence))
    return Block((int(first[pair]), int(last[pair])), hours, *found)


def standing_out(points: WaferPoints, weight: Floats | None = None) -> Block | None:
    """The strongest block, if it is significant.

    Its defects must exceed what chance would give to any block, by Chernoff's bound over all blocks searched. Weights
    are not a sample: they need a least divergence.

    Args:
        points: one wafer.
        weight: see `wafer_zones`.
    """
    block = strongest_block(points, weight)
    searched = len(np.triu_indices(len(RINGS))[0]) * (_STEPS * (_STEPS - 1) + 1)
    least = _LEAST if weight is not None else np.log(searched / _ALPHA) / max(len(points.x), 1)
    return block if block.divergence > least else None


def within(points: WaferPoints, block: Block) -> NDArray[np.bool_]:
    """Which points of a wafer lie in a block, of shape (points,)."""
    ring = _ring(points.x, points.y)
    inside = (ring >= block.rings[0]) & (ring <= block.rings[1])
    if block.hours is None:
        return inside
    start, end = (round(hour * _STEPS / 12) for hour in block.hours)
    step = _step(points.x, points.y, _STEPS)
    return np.asarray(inside & ((step - start) % _STEPS < (end - start) % _STEPS))


def describe(points: WaferPoints, weight: Floats | None = None, what: str = "defects") -> str:
    """Where the defects or the evidence lie, in one line.

    Such as `72 % of the defects in the edge zone between 2 and 5 o'clock, 5 % of the area`.

    Args:
        points: one wafer.
        weight: see `wafer_zones`.
        what: name of what is weighed.
    """
    if not len(points.x) or (weight is not None and not weight.any()):
        return f"no {what}"
    block = standing_out(points, weight)
    if block is None:
        why = "no zone has more than chance explains" if weight is None else "no zone stands out"
        return f"{what} over the whole wafer, {why}"
    return f"{_percent(block.share)} of the {what} {place(block)}, {_percent(block.area)} of the area"


def place(block: Block) -> str:
    """Where a block lies, in words.

    >>> place(Block((3, 3), (2.0, 4.5), 0.7, 0.04, 1.0))
    "in the edge zone between 2 and 4:30 o'clock"
    """
    first, last = block.rings
    rings = f"in the {RINGS[first]} zone"
    if last > first:
        rings = f"from {RINGS[first]} to {RINGS[last]}"
    if block.hours is None:
        return rings if (first, last) == (0, 0) else f"{rings} all around"
    start, end = block.hours
    if (end - start) % 12 >= _NEARLY_ALL:
        return f"{rings} nearly all around"
    return f"{rings} between {_clock(start)} and {_clock(end)} o'clock"


def _clock(hour: float) -> str:
    whole = int(hour) % 12 or 12
    return f"{whole}:30" if hour % 1 else str(whole)


def _percent(share: float) -> str:
    return f"{100 * share:.0f} %" if share >= 0.01 or share == 0 else "<1 %"


def _weight(points: WaferPoints, weight: Floats | None) -> Floats:
    """Weights with the sum 1, or all 0."""
    weight = np.ones(len(points.x)) if weight is None else weight
    return weight / max(float(weight.sum()), 1e-300)


def _clockwise(x: NDArray[np.float32], y: NDArray[np.float32]) -> Floats:
    """Angle from 12 o'clock, clockwise, in [0, 2 pi)."""
    return np.asarray(np.arctan2(x, y, dtype=np.float64) % (2 * np.pi))


def _ring(x: NDArray[np.float32], y: NDArray[np.float32]) -> NDArray[np.int64]:
    return np.searchsorted(BORDERS, np.hypot(x, y), side="right")


def _step(x: NDArray[np.float32], y: NDArray[np.float32], steps: int, *, centred: bool = False) -> NDArray[np.int64]:
    """Step of the clock: step 0 begins at 12, or has 12 in its middle."""
    turned = _clockwise(x, y) / (2 * np.pi) * steps + (0.5 if centred else 0)
    return np.asarray(turned.astype(np.int64) % steps)


def _shares(
    x: NDArray[np.float32], y: NDArray[np.float32], weight: Floats, steps: int, *, centred: bool = False
) -> Floats:
    """Weight in each ring and step of the clock, float64 of shape (4, steps)."""
    zone = _ring(x, y) * steps + _step(x, y, steps, centred=centred)
    shares = np.bincount(zone, weight, len(RINGS) * steps).astype(np.float64)
    return shares.reshape(len(RINGS), steps)


def _area(points: WaferPoints, steps: int, *, centred: bool = False) -> Floats:
    """Share of the disc in each zone; if there is a grid, share of the dies by their centres."""
    rows, columns = points.own_grid[0].tolist()
    if not rows:
        rings = np.diff(np.square([0, *BORDERS, 1]))
        return np.asarray(np.repeat(rings[:, None] / steps, steps, axis=1))
    y, x = np.meshgrid(*((2 * np.arange(side) + 1) / side - 1 for side in (rows, columns)), indexing="ij")
    inside = np.hypot(x, y) <= 1
    return _shares(x[inside], y[inside], np.full(inside.sum(), 1 / inside.sum()), steps, centred=centred)


def _blocks(zones: Floats) -> Floats:
    """Sums over all runs of rings and of steps: float64 of shape (10, steps, steps) by rings, start and length - 1."""
    steps = zones.shape[1]
    first, last = np.triu_indices(len(zones))
    rings = np.concatenate([np.zeros((1, steps)), zones.cumsum(axis=0)])
    runs = rings[last + 1] - rings[first]
    around = np.concatenate([np.zeros((len(runs), 1)), np.tile(runs, 2).cumsum(axis=1)], axis=1)
    start, length = np.arange(steps), np.arange(1, steps + 1)
    sums = around[:, start[:, None] + length] - around[:, start, None]
    # Sums of cumulated shares may leave the range by a rounding.
    return np.asarray(np.clip(sums, 0, 1))


def _divergence(share: Floats, area: Floats) -> Floats:
    from_0, to_1 = np.maximum(share, 1e-300), np.maximum(1 - share, 1e-300)
    held = share * np.log(from_0 / np.maximum(area, 1e-12))
    left = (1 - share) * np.log(to_1 / np.maximum(1 - area, 1e-12))
    return np.asarray(held + left)
