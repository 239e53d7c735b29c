"""Which defects account for a score: how far it drops when defects are removed.

Occlusion (Zeiler and Fergus, "Visualizing and Understanding Convolutional Networks", 2014, section 4.2) on a set of
points: a wafer without some of its defects is a wafer, so nothing has to be painted over, and any score of wafers can
be explained, the whole model's included. Whole rings come first: the parts of an edge ring are redundant, and removing
a single part would change nothing. Rings are split where they matter, and again, until a single place is left or the
budget is spent.
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

#: A number for each wafer of a batch, float64 of shape (wafers,); the defects are to account for it.
Score = Callable[[WaferPoints], NDArray[np.float64]]

Floats = NDArray[np.float64]
Indices = NDArray[np.int64]

#: Points in one call of a score.
_BATCH = 400_000
#: Sectors into which a tile that is a whole ring is split; any other tile is halved in angle and in radius.
_AROUND = 4


@dataclass(frozen=True, slots=True, kw_only=True)
class OcclusionConfig:
    """Resolution and cost of the search."""

    #: Most parts of rings removed; each is one scored wafer.
    tiles: Count = 400
    #: Most points in the wafers scored for that; fewer parts are removed from a wafer of very many defects.
    points: Count = 10_000_000
    #: Tiles split before the next wafers are scored.
    split: Count = 12
    #: A tile no wider than two radii divided by this is not split.
    finest: Count = 16_384

    def __post_init__(self) -> None:
        check_ranges(self)


@dataclass(frozen=True, slots=True)
class Occlusion:
    """Share of each defect of a wafer in its score."""

    #: Score of the whole wafer.
    score: float
    #: Share of each point in the score, float64 of shape (points,); below 0 if the point is evidence against it.
    heat: Floats
    #: Tile of each point, int64 of shape (points,): the points of a tile share the same heat.
    tile: Indices
    #: Drop of the score without the tile's points, float64 of shape (tiles,).
    drop: Floats
    #: Wafers that were scored.
    scored: int

    @property
    def evidence(self) -> Floats:
        """Evidence for the score, float64 of shape (points,), from 0."""
        return np.maximum(self.heat, 0)


def occlude(points: WaferPoints, score: Score, config: OcclusionConfig | None = None) -> Occlusion:
    """Share of each defect in a score, at native resolution where it matters.

    The drop of a ring is by how much the score falls without its points. The tiles with the largest shares are split,
    first the rings into four sectors, then each tile into two by two: a part gets its own drop. If the drops of the
    parts fall short of their tile's share, because the parts are redundant, the rest is spread evenly over the points;
    if they exceed it, all are scaled down. A tile that is evidence against the score is not split. So the shares of a
    ring's points always add up to its drop.

    Args:
        points: one wafer with at least one point.
        score: see `Score`. Called with many variants of the wafer, some without points.
        config: resolution and cost.

    Raises:
        ConfigError: not a single wafer, or a wafer without points.
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
    """By how much a class leads the best other class, in nats; float64 of shape (wafers,).

    If several classes may occur together, by how much it leads its absence. That a wafer belongs to no class is a
    matter of novelty and not compared here.

    Args:
        encodings: encodings of the wafers.
        wanted: index of the class among the logits.
    """
    own = encodings.logits[:, wanted].astype(np.float64)
    if encodings.several:
        return own
    return np.asarray(own - np.delete(encodings.logits, wanted, axis=1).max(axis=1))


def variants(points: WaferPoints, keep: NDArray[np.bool_]) -> WaferPoints:
    """Several variants of a wafer, each with some of its points only.

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
    """Parts of a wafer, each with at least one point."""

    #: Tile of each point; -1 for points elsewhere.
    of: Indices
    #: Lower and upper borders in radii and in turns, float64 of shape (tiles, 2).
    low: Floats
    high: Floats
    #: Number of points.
    count: Indices
    #: NaN until it is known.
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
    """Divide their tile's share among the parts."""
    own = np.maximum(split.drop, 0)
    total = np.bincount(parent, own, len(tiles.count))
    scale = np.minimum(1, tiles.heat / np.maximum(total, 1e-300))
    each = np.maximum(tiles.heat - total, 0) / tiles.count
    split.heat[:] = own * scale[parent] + each[parent] * split.count


def _replaced(tiles: _Tiles, parents: Indices, split: _Tiles) -> _Tiles:
    """The tiles with some of them replaced by their parts."""
    rest = np.setdiff1d(np.arange(len(tiles.count)), parents)
    number = np.full(len(tiles.count), -1)
    number[rest] = np.arange(len(rest))
    of = np.where(split.of >= 0, split.of + len(rest), number[tiles.of])
    old, new = ((t.low, t.high, t.count, t.drop, t.heat) for t in (tiles, split))
    return _Tiles(of, *(np.concatenate([a[rest], b]) for a, b in zip(old, new, strict=True)))


def _without(points: WaferPoints, tile: Indices, tiles: Indices, score: Score) -> Floats:
    """Score of the wafer without the points of each of these tiles."""
    wafers = max(1, _BATCH // len(points.x))
    runs = (tiles[i : i + wafers] for i in range(0, len(tiles), wafers))
    return np.concatenate([np.zeros(0), *(score(variants(points, tile != run[:, None])) for run in runs)])
