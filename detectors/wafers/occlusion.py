"""Which defects carry a score: what it loses when defects are taken away.

Occlusion (Zeiler and Fergus, "Visualizing and Understanding Convolutional Networks", 2014, section 4.2) on a set of
points: a wafer without some of its defects is a wafer, so nothing has to be painted over, and any score of wafers can
be asked, the whole model's among them. Whole rings go first: the parts of an edge ring stand in for each other, and
none of them alone would be missed. Rings are split where they matter, and again, until one place is left or the budget
is spent.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from sparsewatch.detectors.sparse_net.encode import Encodings
from sparsewatch.detectors.sparse_net.points import WaferPoints, offsets_of
from sparsewatch.detectors.wafers.zones import BORDERS
from sparsewatch.schemas.errors import ConfigError
from sparsewatch.schemas.settings import Count, check_ranges

#: A number for each wafer of a batch, float64 of shape (wafers,); what the defects are to account for.
Score = Callable[[WaferPoints], NDArray[np.float64]]

Floats = NDArray[np.float64]
Indices = NDArray[np.int64]

#: Points in one call of a score.
_BATCH = 400_000
#: Parts around of a tile that is a whole ring; any other is halved around and outwards.
_AROUND = 4


@dataclass(frozen=True, slots=True, kw_only=True)
class OcclusionConfig:
    """How finely to look, and what it may cost."""

    #: Most parts of rings taken away; each is one scored wafer.
    tiles: Count = 400
    #: Most points in the wafers scored for that; fewer parts are taken from a wafer of very many defects.
    points: Count = 10_000_000
    #: Tiles split before the next wafers are scored.
    split: Count = 12
    #: A tile not wider than two radii by this is not split.
    finest: Count = 16_384

    def __post_init__(self) -> None:
        check_ranges(self)


@dataclass(frozen=True, slots=True)
class Occlusion:
    """What each defect of a wafer has of its score."""

    #: Of the whole wafer.
    score: float
    #: Share of each point in the score, float64 of shape (points,); below 0 where the point speaks against it.
    heat: Floats
    #: Tile of each point, int64 of shape (points,): the points of one were not told apart.
    tile: Indices
    #: What the score loses without the tile's points, float64 of shape (tiles,).
    drop: Floats
    #: Wafers that were scored.
    scored: int

    @property
    def evidence(self) -> Floats:
        """What speaks for the score, float64 of shape (points,), from 0."""
        return np.maximum(self.heat, 0)


def occlude(points: WaferPoints, score: Score, config: OcclusionConfig | None = None) -> Occlusion:
    """Share of each defect in a score, at native resolution where it matters.

    Each ring has what the score loses without its points, its drop. The tiles with most are split, first the rings into
    four around, then each into two by two: a part gets its own drop; what the parts leave over of their tile's share,
    because they stand in for each other, is shared evenly among the points; if their drops exceed it, all are scaled
    down. A tile that speaks against the score is not split. So the points of a ring always have its drop together.

    Args:
        points: one wafer with a point at least.
        score: see `Score`. Called with many variants of the wafer, some without a point.
        config: how finely to look.

    Raises:
        ConfigError: not one wafer, or one without points.
    """
    config = config or OcclusionConfig()
    if len(points) != 1 or not len(points.x):
        raise ConfigError(f"expected one wafer with defects, got {len(points)} wafers with {len(points.x)}")
    polar = np.stack([np.hypot(points.x, points.y), np.arctan2(points.y, points.x) / (2 * np.pi) % 1], axis=1)
    whole, tiles = float(score(points)[0]), _rings(polar.astype(np.float64))
    tiles.drop[:] = whole - _without(points, tiles.of, np.arange(len(tiles.count)), score)
    tiles.heat[:] = tiles.drop
    rings, spent = len(tiles.count), 0
    budget = min(config.tiles, config.points // len(points.x))
    while len(parents := _to_split(tiles, config)):
        split, parent = _split(polar, tiles, parents)
        # A part that holds all points of its tile has the tile's score drop: no need to score it again.
        new = np.flatnonzero(np.isnan(split.drop))
        if spent + len(new) > budget:
            break
        spent += len(new)
        split.drop[new] = whole - _without(points, split.of, new, score)
        _share_out(tiles, split, parent)
        tiles = _replaced(tiles, parents, split)
    return Occlusion(whole, (tiles.heat / tiles.count)[tiles.of], tiles.of, tiles.drop, 1 + rings + spent)


def class_margin(encodings: Encodings, wanted: int) -> Floats:
    """By how much a class leads the best other one, in nats; float64 of shape (wafers,).

    Where several classes may occur together, by how much it leads its absence. That a wafer belongs to no class is the
    matter of novelty and no rival here.

    Args:
        encodings: of the wafers.
        wanted: index of the class among the logits.
    """
    own = encodings.logits[:, wanted].astype(np.float64)
    if encodings.several:
        return own
    return np.asarray(own - np.delete(encodings.logits, wanted, axis=1).max(axis=1))


def variants(points: WaferPoints, keep: NDArray[np.bool_]) -> WaferPoints:
    """One wafer with some of its points only, in several variants.

    Args:
        points: the wafer.
        keep: which points, of shape (variants, points).
    """
    wafers = len(keep)
    x, y = (np.broadcast_to(at, keep.shape)[keep] for at in (points.x, points.y))
    own_grid, outside = np.repeat(points.own_grid, wafers, axis=0), np.repeat(points.outside, wafers)
    return WaferPoints(offsets_of(keep.sum(axis=1)), x, y, own_grid, outside)


@dataclass(slots=True)
class _Tiles:
    """Parts of a wafer that hold a point each."""

    #: Tile of each point; -1 for points elsewhere.
    of: Indices
    #: Lower and upper borders in radii and in turns, float64 of shape (tiles, 2).
    low: Floats
    high: Floats
    #: Points.
    count: Indices
    #: NaN before it is known.
    drop: Floats
    heat: Floats


def _rings(polar: Floats) -> _Tiles:
    ring = np.searchsorted(BORDERS, polar[:, 0], side="right")
    found, of, count = np.unique(ring, return_inverse=True, return_counts=True)
    # Corners of a grid of dies may lie beyond the rim by a rounding.
    borders = np.array([0, *BORDERS, np.nextafter(2, 3)])
    around = np.ones(len(found))
    low, high = np.stack([borders[found], 0 * around], axis=1), np.stack([borders[found + 1], around], axis=1)
    return _Tiles(of, low, high, count, np.full(len(found), np.nan), np.zeros(len(found)))


def _to_split(tiles: _Tiles, config: OcclusionConfig) -> Indices:
    """Tiles with the largest share among those that can be split."""
    wide = tiles.high[:, 0] - tiles.low[:, 0] > 2 / config.finest
    can = np.flatnonzero((tiles.count > 1) & (tiles.heat > 0) & wide)
    return can[np.argsort(-tiles.heat[can], kind="stable")[: config.split]]


def _split(polar: Floats, tiles: _Tiles, parents: Indices) -> tuple[_Tiles, Indices]:
    """Parts of some tiles that hold a point, and the tile of each."""
    at = np.flatnonzero(np.isin(tiles.of, parents))
    tile = tiles.of[at]
    whole = tiles.high[:, 1] - tiles.low[:, 1] == 1
    parts = np.where(whole[:, None], (1, _AROUND), (2, 2))
    size = (tiles.high - tiles.low) / parts
    step = np.clip(((polar[at] - tiles.low[tile]) / size[tile]).astype(np.int64), 0, parts[tile] - 1)
    key = np.column_stack([tile, step])
    found, of, count = np.unique(key, axis=0, return_inverse=True, return_counts=True)
    parent = found[:, 0]
    low = tiles.low[parent] + found[:, 1:] * size[parent]
    drop = np.where(count == tiles.count[parent], tiles.drop[parent], np.nan)
    everywhere = np.full(len(polar), -1)
    everywhere[at] = of.reshape(-1)
    return _Tiles(everywhere, low, low + size[parent], count, drop, np.zeros(len(count))), parent


def _share_out(tiles: _Tiles, split: _Tiles, parent: Indices) -> None:
    """Give the parts their tile's share."""
    own = np.maximum(split.drop, 0)
    total = np.bincount(parent, own, len(tiles.count))
    scale = np.minimum(1, tiles.heat / np.maximum(total, 1e-300))
    each = np.maximum(tiles.heat - total, 0) / tiles.count
    split.heat[:] = own * scale[parent] + each[parent] * split.count


def _replaced(tiles: _Tiles, parents: Indices, split: _Tiles) -> _Tiles:
    """The tiles with some of them replaced by their parts."""
    kept = np.setdiff1d(np.arange(len(tiles.count)), parents)
    number = np.full(len(tiles.count), -1)
    number[kept] = np.arange(len(kept))
    of = np.where(split.of >= 0, split.of + len(kept), number[tiles.of])
    old, new = ((t.low, t.high, t.count, t.drop, t.heat) for t in (tiles, split))
    return _Tiles(of, *(np.concatenate([a[kept], b]) for a, b in zip(old, new, strict=True)))


def _without(points: WaferPoints, tile: Indices, tiles: Indices, score: Score) -> Floats:
    """Score of the wafer without the points of each of these tiles."""
    wafers = max(1, _BATCH // len(points.x))
    runs = (tiles[i : i + wafers] for i in range(0, len(tiles), wafers))
    return np.concatenate([np.zeros(0), *(score(variants(points, tile != run[:, None])) for run in runs)])
