"""Pictures of wafers: defects or dies with the share of each in a verdict, and where the defects of many wafers lie.

Colours run from blue over grey to orange, which colour-blind readers tell apart, and get darker to both ends. The notch
is below.
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from sparsewatch.detectors.sparse_net.points import WaferPoints
from sparsewatch.detectors.wafers.zones import BORDERS
from sparsewatch.pipelines.report.pictures import AMBER, BLUE, INK, ORANGE, SKY, axes_at, new_figure, png
from sparsewatch.pipelines.report.wording import shortened
from sparsewatch.schemas.errors import ConfigError

#: Dots an inch.
DPI = 110
#: Most points that are drawn as dots; more are drawn as the cells of a picture.
_MOST_DOTS = 20_000
#: Cells a side of that picture, and of the one of many wafers.
_CELLS, _DENSITY_CELLS = 480, 64
#: Standard deviations of the weights of neighbours: for heat in radii, for the density in cells.
_NEARBY, _SMOOTH = 0.03, 1.0
_DISC, _LINE = "#F1F3F5", "#B9BEC4"
_HEAT = ("#00487A", BLUE, SKY, "#C4C8CC", AMBER, ORANGE, "#7A2E00")
#: Inches a side, of them the picture's.
_SIDE, _MAP = 4.0, 3.6
_TITLE_CHARACTERS = 60

Floats = NDArray[np.float64]


def draw_wafer(points: WaferPoints, heat: Floats | None = None, title: str = "") -> bytes:
    """The map of one wafer as a PNG; the same wafer gives the same bytes.

    A wafer with its own grid is drawn die by die, others point by point. A point has the colour of the total of
    the points near it, since each of many points in a place has little.

    Args:
        points: one wafer.
        heat: the share of each point in a verdict, of shape (points,); orange speaks for it, blue against. Without it
            all points are drawn alike.
        title: above the map; a long one is cut.

    Raises:
        ConfigError: not exactly one wafer, or heat for another number of points.
    """
    if len(points) != 1 or (heat is not None and heat.shape != points.x.shape):
        shape = None if heat is None else heat.shape
        raise ConfigError(
            f"expected one wafer and heat of its points, got {len(points)} with {points.x.shape}, {shape}"
        )
    figure, axes = _wafer_axes(title)
    rows, columns = points.own_grid[0].tolist()
    if heat is not None:
        heat = _scaled(heat if rows else _nearby(points, heat))
    if rows or len(points.x) > _MOST_DOTS:
        _draw_cells(axes, points, heat, (rows, columns) if rows else (_CELLS, _CELLS))
    else:
        _draw_dots(axes, points, heat)
    if heat is not None:
        _draw_scale(figure)
    return png(figure, DPI)


def draw_density(points: WaferPoints, title: str = "") -> bytes:
    """Where the defects of several wafers lie, as a PNG: dark where they are dense; each wafer counts the same.

    Args:
        points: wafers with a defect at least, one or more.
        title: above the map; a long one is cut.
    """
    from matplotlib.colors import LinearSegmentedColormap
    from scipy.ndimage import gaussian_filter

    figure, axes = _wafer_axes(title)
    weight = 1 / np.maximum(points.defects, 1)[points.wafer]
    # Not finer than the dies: cells between their centres would stay empty.
    sides = points.own_grid[points.own_grid > 0]
    cells = min(_DENSITY_CELLS, int(sides.min(initial=_DENSITY_CELLS)))
    density, _, _ = np.histogram2d(points.y, points.x, cells, ((-1, 1), (-1, 1)), weights=weight)
    density = gaussian_filter(density, _SMOOTH)
    colours = LinearSegmentedColormap.from_list("density", (_DISC, *_HEAT[4:]))
    # Chance alone makes even wafers uneven: the scale ends at four times an even spread, or above.
    even = len(points) / (np.pi / 4 * cells**2)
    top = max(float(np.quantile(density, 0.995)), 4 * even)
    image = axes.imshow(density, cmap=colours, vmin=0, vmax=top, **_IMAGE)
    image.set_clip_path(axes.patches[0])
    return png(figure, DPI)


_IMAGE: dict[str, Any] = {
    "extent": (-1, 1, -1, 1),
    "origin": "lower",
    "interpolation": "nearest",
    "aspect": "equal",
    "zorder": 2,
}


def _wafer_axes(title: str) -> tuple[Any, Any]:
    """A figure, and axes in radii with the disc, its zones and the notch."""
    from matplotlib.patches import Circle, Polygon

    height = _SIDE + 0.5
    figure = new_figure(_SIDE, height)
    axes = axes_at(figure, (_SIDE - _MAP) / 2, 0.5, _MAP, _MAP)
    axes.set_axis_off()
    axes.set_xlim(-1.03, 1.03)
    axes.set_ylim(-1.03, 1.03)
    axes.add_patch(Circle((0, 0), 1, facecolor=_DISC, edgecolor="none", zorder=0))
    for border in BORDERS:
        axes.add_patch(Circle((0, 0), border, fill=False, edgecolor=_LINE, linewidth=0.7, linestyle=":", zorder=1))
    axes.add_patch(Circle((0, 0), 1, fill=False, edgecolor=INK, linewidth=1, zorder=4))
    axes.add_patch(Polygon([(-0.03, -1.01), (0, -0.95), (0.03, -1.01)], facecolor="white", edgecolor=INK, zorder=5))
    text = shortened(title, _TITLE_CHARACTERS)
    figure.text(0.5, 1 - 0.25 / height, text, ha="center", va="center", fontsize=9, color=INK, parse_math=False)
    return figure, axes


def _scaled(heat: Floats) -> Floats:
    """Heat by its largest size, in [-1, 1]; the hottest hundredth is cut, so that one point does not hide the rest."""
    size = np.abs(heat)
    most = np.quantile(size[size > 0], 0.99) if size.any() else 1.0
    return np.asarray(np.clip(heat / most, -1, 1))


def _nearby(points: WaferPoints, heat: Floats) -> Floats:
    """Heat about each point: summed with Gaussian weights of `_NEARBY` radii."""
    from scipy.ndimage import gaussian_filter

    at = tuple(np.clip(((z + 1) / 2 * _CELLS).astype(np.int64), 0, _CELLS - 1) for z in (points.y, points.x))
    total = np.zeros((_CELLS, _CELLS))
    np.add.at(total, at, heat)
    return np.asarray(gaussian_filter(total, _NEARBY * _CELLS / 2, mode="constant")[at])


def _draw_dots(axes: Any, points: WaferPoints, heat: Floats | None) -> None:
    if heat is None:
        axes.scatter(points.x, points.y, s=3, c=INK, linewidths=0, zorder=3)
        return
    # The hottest are drawn last, and larger.
    order = np.argsort(np.abs(heat), kind="stable")
    sizes = 3 + 9 * np.abs(heat[order])
    at = points.x[order], points.y[order]
    axes.scatter(*at, s=sizes, c=heat[order], cmap=_colours(), vmin=-1, vmax=1, linewidths=0, zorder=3)


def _draw_cells(axes: Any, points: WaferPoints, heat: Floats | None, shape: tuple[int, int]) -> None:
    value = np.zeros(len(points.x)) if heat is None else heat
    row, column = (
        np.clip(((at + 1) / 2 * side).astype(np.int64), 0, side - 1)
        for at, side in zip((points.y, points.x), shape, strict=True)
    )
    image = np.full(shape, np.nan)
    # The hottest of several points in a cell is written last.
    order = np.argsort(np.abs(value), kind="stable")
    image[row[order], column[order]] = value[order]
    colours = _colours() if heat is not None else _plain()
    axes.imshow(np.ma.masked_invalid(image), cmap=colours, vmin=-1, vmax=1, **_IMAGE)


def _colours() -> Any:
    from matplotlib.colors import LinearSegmentedColormap

    return LinearSegmentedColormap.from_list("heat", _HEAT)


def _plain() -> Any:
    from matplotlib.colors import ListedColormap

    return ListedColormap([INK])


def _draw_scale(figure: Any) -> None:
    """A strip of the colours below the map, its ends named."""
    height = figure.get_size_inches()[1]
    strip = figure.add_axes((0.35, 0.22 / height, 0.3, 0.1 / height))
    strip.imshow(np.linspace(-1, 1, 256)[None], cmap=_colours(), aspect="auto")
    strip.set_axis_off()
    for at, side, text in ((-0.04, "right", "speaks against"), (1.04, "left", "speaks for it")):
        strip.text(at, 0.5, text, transform=strip.transAxes, ha=side, va="center", fontsize=8, color=INK)
