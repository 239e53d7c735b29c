"""Seeded wafers with known patterns, for demonstrations and tests.

Shapes follow the names of WM-811K (Wu, Jang and Chen, 2015) and a few more; every size is drawn anew
for each wafer. Coordinates are in radii until the events are made.

`FINE_PATTERNS` come in twins that fill the bins of a coarse map alike and differ within a bin: 64 bins a side are 0.031
radii wide, 256 are 0.008, and the difference between twins is narrower than that.
"""

from collections.abc import Callable, Sequence
from functools import partial

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from sparsewatch.detectors.sparse_net.points import offsets_of
from sparsewatch.schemas.errors import ConfigError
from sparsewatch.schemas.wafers import WAFER_COLUMNS

#: Radius of a 300 mm wafer.
RADIUS_UM = 150_000.0
#: Wafers a lot.
LOT = 25
_TOOLS = 4

Floats = NDArray[np.float64]
#: Draws a number from a range for each wafer of the batch and repeats it for each of the wafer's points.
Draw = Callable[[float, float], Floats]
#: Draws n points of a pattern, in radii.
Shape = Callable[[np.random.Generator, Draw, int], tuple[Floats, Floats]]


def make_wafers(
    patterns: Sequence[str],
    rng: np.random.Generator,
    *,
    defects: int | tuple[int, int] = 1_000,
    background: tuple[float, float] = (0.1, 0.4),
    radius_um: float = RADIUS_UM,
    first: int = 0,
) -> pa.RecordBatch:
    """Draw one wafer for each name, as a list of points.

    Args:
        patterns: names out of `PATTERNS` and `FINE_PATTERNS`.
        rng: all chance comes from it.
        defects: points of each wafer, or the lowest and highest number of a uniform choice.
        background: lowest and highest share of points spread uniformly over the wafer.
        radius_um: radius of the wafers in micrometres.
        first: number of the first wafer; it names wafers, lots and tools.

    Returns:
        Columns of `WAFER_COLUMNS`.

    Raises:
        ConfigError: an unknown name, or a range whose ends are out of order or out of bounds.
    """
    unknown = sorted(set(patterns) - set(_ALL))
    low, high = (defects, defects) if isinstance(defects, int) else defects
    if unknown:
        raise ConfigError(f"no pattern {', '.join(unknown)}: expected {', '.join(_ALL)}")
    if not 0 <= low <= high or not 0 <= background[0] <= background[1] <= 1:
        raise ConfigError(f"expected rising ranges, got defects {defects}, background {background}")
    lengths = rng.integers(low, high + 1, len(patterns))
    x, y = _points(np.asarray(patterns, dtype=np.str_), lengths, background, rng)
    offsets = pa.array(offsets_of(lengths), pa.int32())
    number = np.arange(first, first + len(patterns))
    n = len(patterns)
    columns = {
        "wafer_id": pa.array([f"W{i:06d}" for i in number]),
        "lot": pa.array([f"L{i // LOT:05d}" for i in number]),
        "step": pa.repeat("inspection", n),
        "tool": pa.array([f"T{i // LOT % _TOOLS}" for i in number]),
        "radius_um": pa.array(np.full(n, radius_um)),
        "x_um": pa.ListArray.from_arrays(offsets, pa.array((x * radius_um).astype(np.float32))),
        "y_um": pa.ListArray.from_arrays(offsets, pa.array((y * radius_um).astype(np.float32))),
        "map_rows": pa.nulls(n, pa.int32()),
        "map_columns": pa.nulls(n, pa.int32()),
        "map": pa.nulls(n, pa.list_(pa.int8())),
    }
    return pa.RecordBatch.from_pydict(columns, schema=WAFER_COLUMNS)


def _points(
    patterns: NDArray[np.str_],
    lengths: NDArray[np.int64],
    background: tuple[float, float],
    rng: np.random.Generator,
) -> tuple[Floats, Floats]:
    """All points of all wafers, in radii, inside the disc; pattern by pattern over the whole batch."""
    wafer = np.repeat(np.arange(len(lengths)), lengths)
    x, y = _normal(rng, _draw_for(wafer, rng), len(wafer))
    is_background = rng.random(len(wafer)) < rng.uniform(*background, len(lengths))[wafer]
    for name in np.unique(patterns).tolist():
        at = np.flatnonzero((patterns[wafer] == name) & ~is_background)
        x[at], y[at] = _ALL[name](rng, _draw_for(wafer[at], rng), len(at))
    # Just inside the rim, so that rounding to float32 leaves no point outside.
    shrink = np.minimum(1, (1 - 1e-6) / np.maximum(np.hypot(x, y), 1e-12))
    return x * shrink, y * shrink


def _draw_for(wafer: NDArray[np.int64], rng: np.random.Generator) -> Draw:
    wafers = int(wafer.max(initial=-1)) + 1

    def draw(low: float, high: float) -> Floats:
        return rng.uniform(low, high, wafers)[wafer]

    return draw


def _polar(radius: Floats, angle: Floats) -> tuple[Floats, Floats]:
    return radius * np.cos(angle), radius * np.sin(angle)


def _normal(rng: np.random.Generator, _draw: Draw, n: int) -> tuple[Floats, Floats]:
    return _polar(np.sqrt(rng.random(n)), rng.uniform(0, 2 * np.pi, n))


def _center(rng: np.random.Generator, draw: Draw, n: int) -> tuple[Floats, Floats]:
    size = draw(0.08, 0.2)
    return size * rng.standard_normal(n), size * rng.standard_normal(n)


def _donut(rng: np.random.Generator, draw: Draw, n: int) -> tuple[Floats, Floats]:
    radius = draw(0.35, 0.55) + draw(0.03, 0.08) * rng.standard_normal(n)
    return _polar(radius, rng.uniform(0, 2 * np.pi, n))


def _edge_ring(rng: np.random.Generator, draw: Draw, n: int) -> tuple[Floats, Floats]:
    return _polar(1 - draw(0.03, 0.1) * rng.random(n), rng.uniform(0, 2 * np.pi, n))


def _edge_local(rng: np.random.Generator, draw: Draw, n: int) -> tuple[Floats, Floats]:
    angle = draw(0, 2 * np.pi) + draw(0.2, 0.5) * rng.uniform(-1, 1, n)
    return _polar(1 - draw(0.05, 0.15) * rng.random(n), angle)


def _cluster(rng: np.random.Generator, draw: Draw, n: int) -> tuple[Floats, Floats]:
    x, y = _polar(draw(0.35, 0.7), draw(0, 2 * np.pi))
    size = draw(0.03, 0.08)
    return x + size * rng.standard_normal(n), y + size * rng.standard_normal(n)


def _line(rng: np.random.Generator, draw: Draw, n: int, width: tuple[float, float]) -> tuple[Floats, Floats]:
    """A bent line: an arc of random heading, length and bend about a random centre.

    `width` is the range of the points' standard deviation from the arc.
    """
    x, y = _polar(draw(0.1, 0.5), draw(0, 2 * np.pi))
    along = draw(0.3, 0.8) * rng.uniform(-1, 1, n)
    heading = draw(0, 2 * np.pi)
    aside = draw(-0.5, 0.5) * along**2 + draw(*width) * rng.standard_normal(n)
    cos, sin = np.cos(heading), np.sin(heading)
    return x + cos * along - sin * aside, y + sin * along + cos * aside


def _grid(rng: np.random.Generator, draw: Draw, n: int) -> tuple[Floats, Floats]:
    """The same position in every exposure field: points close to the nodes of a lattice."""
    x, y = _normal(rng, draw, n)
    pitch, left, low = draw(0.12, 0.2), draw(0, 1), draw(0, 1)
    column, row = np.round(x / pitch - left), np.round(y / pitch - low)
    blur = draw(0.002, 0.005)
    x = (column + left) * pitch + blur * rng.standard_normal(n)
    return x, (row + low) * pitch + blur * rng.standard_normal(n)


def _half_moon(rng: np.random.Generator, draw: Draw, n: int) -> tuple[Floats, Floats]:
    """The part of the disc beyond a random straight line."""
    x, y = _normal(rng, draw, n)
    radius = np.hypot(x, y)
    angle = draw(0, 2 * np.pi) + draw(0.9, 1.5) * rng.uniform(-1, 1, n)
    return _polar(np.maximum(radius, radius**0.5), angle)


def _pairs(rng: np.random.Generator, draw: Draw, n: int, distance: tuple[float, float]) -> tuple[Floats, Floats]:
    """Uniform over the disc, but every second defect lies `distance` from the defect before it."""
    x, y = _normal(rng, draw, n)
    second = np.arange(n) % 2
    first = np.arange(n) - second
    aside, ahead = _polar(draw(*distance) * second, rng.uniform(0, 2 * np.pi, n))
    return x[first] + aside, y[first] + ahead


def _field(rng: np.random.Generator, draw: Draw, n: int, pitch: tuple[float, float] | None) -> tuple[Floats, Floats]:
    """A square of random position and angle: filled uniformly, or close to the nodes of a lattice of this pitch."""
    half = draw(0.06, 0.1)
    across, up = half * rng.uniform(-1, 1, n), half * rng.uniform(-1, 1, n)
    if pitch:
        step, blur = draw(*pitch), draw(0.0001, 0.0002)
        across = np.round(across / step) * step + blur * rng.standard_normal(n)
        up = np.round(up / step) * step + blur * rng.standard_normal(n)
    x, y = _polar(draw(0, 0.7), draw(0, 2 * np.pi))
    heading = draw(0, 2 * np.pi)
    cos, sin = np.cos(heading), np.sin(heading)
    return x + cos * across - sin * up, y + sin * across + cos * up


#: How each pattern's points are drawn.
PATTERNS: dict[str, Shape] = {
    "normal": _normal,
    "center": _center,
    "donut": _donut,
    "edge_ring": _edge_ring,
    "edge_local": _edge_local,
    "cluster": _cluster,
    "scratch": partial(_line, width=(0.001, 0.004)),
    "grid": _grid,
    "half_moon": _half_moon,
}

#: Twins that differ within a bin only.
FINE_PATTERNS: dict[str, Shape] = {
    "thin_scratch": partial(_line, width=(0.0001, 0.0002)),
    "broad_scratch": partial(_line, width=(0.0008, 0.0016)),
    "fine_grid": partial(_field, pitch=(0.004, 0.007)),
    "even_field": partial(_field, pitch=None),
    "close_pairs": partial(_pairs, distance=(0.0001, 0.0003)),
    "loose_pairs": partial(_pairs, distance=(0.001, 0.002)),
}
_ALL = PATTERNS | FINE_PATTERNS
