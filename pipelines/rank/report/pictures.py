"""Pictures of a ranking: bars of the best features, heat map and tree of their redundancy.

Colours are of Okabe and Ito's palette and of cividis, which colour-blind readers tell apart. The pictures have the file
names of the public `outrank`.
"""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sparsewatch.detectors.outrank.pairs.pairwise import PairScores
from sparsewatch.detectors.outrank.pairs.twins import THRESHOLD, dendrogram
from sparsewatch.detectors.outrank.ranking import RankedFeature, ScoredFeature
from sparsewatch.pipelines.console.printable import printable
from sparsewatch.pipelines.rank.report import wording
from sparsewatch.pipelines.rank.result import RankResult
from sparsewatch.pipelines.report.pictures import BLUE, FORMATS, INK, ORANGE, axes_at, new_figure, save_picture
from sparsewatch.pipelines.report.wording import score, shortened
from sparsewatch.schemas.errors import ConfigError

#: Numbers of best features that are drawn, and above which all features are not.
BARS = (10, 25, 50, 100)
MOST_BARS = 500
#: Features in a heat map and a tree, at most: those of the best rank.
MOST_PAIRS = 500

_GREY = "#9A9A9A"
_BESIDE = {"textcoords": "offset points", "va": "center"}
_WHISKER = {"ecolor": INK, "elinewidth": 0.9, "capsize": 2}
_NAME_CHARACTERS = 40
#: Features up to which the cells of a heat map show their per cent, and the share from which the colour is light.
_MOST_ANNOTATED = 40
_LIGHT_FROM = 0.5
#: Inches of a feature's row, largest and smallest, and what text fits into it, in points an inch.
_ROW, _LEAST_ROW, _POINTS_A_ROW = 0.24, 0.09, 42.0
#: Height in rows from which a picture's rows become smaller.
_FULL_ROWS = 60


def bar_plot(result: RankResult, top: int = 25) -> Any:
    """Bars of the best features by score, as a matplotlib figure.

    Where chance is known a whisker is the standard error, a grey band two standard deviations of a feature without
    information, and a grey bar a score that is not significant.
    """
    shown = result.ranking[:top]
    row, font = _row(len(shown))
    height, names = row * max(len(shown), 2), _names_inches([one.feature for one in shown], font)
    figure = new_figure(names + 5.8, height + 1.1)
    axes = _axes(figure, names + 0.1, 0.6, 5.5, height)
    found = wording.significant(result.ranking)
    tested = any(isinstance(one, RankedFeature) for one in shown)
    colours = [BLUE if one.feature in found or not isinstance(one, RankedFeature) else _GREY for one in shown]
    places = np.arange(len(shown))
    axes.barh(places, [one.score for one in shown], height=0.62, color=colours, xerr=_errors(shown), error_kw=_WHISKER)
    if tested:
        noise = np.array([2 * getattr(one, "noise", 0.0) for one in shown])
        axes.barh(places, 2 * noise, left=-noise, height=0.9, color=_GREY, alpha=0.3, zorder=0)
    axes.set_yticks(places, [_name(one.feature) for one in shown], fontsize=font, parse_math=False)
    axes.set_ylim(len(shown) - 0.4, -0.6)
    axes.margins(x=0.13)
    for place, one in zip(places, shown, strict=True):
        end = max(one.score, 0.0) + getattr(one, "standard_error", 0.0)
        axes.annotate(score(one.score), (end, place), (6, 0), **_BESIDE, fontsize=0.85 * font, color=INK)
    unit = wording.unit(result.heuristic)
    whisker = "; whisker: standard error, grey: chance" if tested else ""
    axes.set_xlabel(f"{result.heuristic}{', ' if unit else ''}{unit}{whisker}", fontsize=9)
    _title(axes, f"Information about {printable(result.label)}")
    axes.axvline(0, color=INK, linewidth=0.8)
    _grid(axes)
    return figure


def _errors(shown: Sequence[ScoredFeature]) -> list[float] | None:
    errors = [one.standard_error if isinstance(one, RankedFeature) else 0.0 for one in shown]
    return errors if any(errors) else None


def heat_map(pairs: PairScores) -> Any:
    """Redundancy of all pairs, features in the order of the tree's leaves, as a matplotlib figure."""
    leaves = dendrogram(pairs).leaves
    place = {name: i for i, name in enumerate(pairs.names)}
    order = [place[name] for name in leaves]
    row, font = _row(len(leaves))
    side = max(row * len(leaves), 2.2)
    names = _names_inches(leaves, font)
    figure = new_figure(side + names + 1.1, side + names + 0.5)
    axes = _axes(figure, names + 0.1, names + 0.1, side, side)
    matrix = np.clip(pairs.matrix[np.ix_(order, order)], 0.0, 1.0)
    image = axes.imshow(matrix, cmap="cividis", vmin=0, vmax=1, interpolation="nearest", aspect="equal")
    ticks = np.arange(len(leaves))
    labels = [_name(name) for name in leaves]
    axes.set_xticks(ticks, labels, rotation=90, fontsize=font, parse_math=False)
    axes.set_yticks(ticks, labels, fontsize=font, parse_math=False)
    if len(leaves) <= _MOST_ANNOTATED:
        _annotate(axes, matrix)
    _title(axes, "Redundancy of each pair")
    scale = _axes(figure, names + side + 0.35, names + 0.1 + side / 4, 0.14, side / 2)
    bar = figure.colorbar(image, cax=scale)
    bar.outline.set_visible(False)
    scale.tick_params(labelsize=8, length=0)
    return figure


def _annotate(axes: Any, matrix: NDArray[np.float64]) -> None:
    for (i, j), value in np.ndenumerate(matrix):
        colour = "white" if value < _LIGHT_FROM else "black"
        axes.text(j, i, f"{100 * value:.0f}", ha="center", va="center", fontsize=7, color=colour)


def tree_plot(pairs: PairScores) -> Any:
    """The tree of complete linkage over 1 - redundancy, twins in orange, as a matplotlib figure."""
    from scipy.cluster import hierarchy

    tree, twins = dendrogram(pairs), 1 - THRESHOLD + 1e-9
    row, font = _row(len(tree.names))
    height, names = max(row * len(tree.names), 1.0), _names_inches(tree.names, font)
    figure = new_figure(5.2 + names, height + 1.1)
    axes = _axes(figure, 0.3, 0.6, 4.6, height)
    hierarchy.dendrogram(
        np.array(tree.merges, np.float64).reshape(-1, 4),
        orientation="left",
        no_labels=True,
        ax=axes,
        link_color_func=lambda node: ORANGE if tree.merges[node - len(tree.names)][2] <= twins else BLUE,
    )
    axes.set_xlim(1.0, -0.01)
    # From top to bottom as in the heat map.
    axes.invert_yaxis()
    axes.yaxis.set_ticks_position("right")
    axes.set_yticks(
        10 * np.arange(len(tree.leaves)) + 5, [_name(name) for name in tree.leaves], fontsize=font, parse_math=False
    )
    axes.set_xlabel(f"1 - redundancy; twins (up to {1 - THRESHOLD:.1f}) in orange", fontsize=9)
    _grid(axes)
    _title(axes, "Redundant features")
    return figure


def write_pictures(result: RankResult, folder: Path, image_format: str = "svg") -> list[Path]:
    """Write all pictures of a result.

    Args:
        result: What was found; heat map and tree need its `pairs`.
        folder: Made if it is missing.
        image_format: One of `FORMATS`.

    Returns:
        What was written: `barplot_top_N`, `heatmap` and `dendrogram_complete`, with the format as ending.

    Raises:
        ConfigError: If the format is unknown.
    """
    if image_format not in FORMATS:
        raise ConfigError(f"image format: expected one of {', '.join(FORMATS)}, got {image_format!r}")
    drawn: dict[str, Callable[[], Any]] = {}
    for top in sorted({*(n for n in BARS if n < len(result.ranking)), min(len(result.ranking), MOST_BARS)} - {0}):
        drawn[f"barplot_top_{top}"] = lambda top=top: bar_plot(result, top)  # type: ignore[misc]
    if (pairs := best_pairs(result)) is not None:
        drawn |= {"heatmap": lambda: heat_map(pairs), "dendrogram_complete": lambda: tree_plot(pairs)}
    folder.mkdir(parents=True, exist_ok=True)
    paths = [folder / f"{name}.{image_format}" for name in drawn]
    for path, draw in zip(paths, drawn.values(), strict=True):
        save_picture(draw(), path)
    return paths


def best_pairs(result: RankResult) -> PairScores | None:
    """Pairs of at most `MOST_PAIRS` features, those of the best rank; None where there are no pairs."""
    if result.pairs is None or len(result.pairs.names) < 2:
        return None
    place = {name: i for i, name in enumerate(result.pairs.names)}
    ranked = [one.feature for one in result.ranking if one.feature in place]
    chosen = (ranked + [name for name in result.pairs.names if name not in {*ranked}])[:MOST_PAIRS]
    at = [place[name] for name in chosen]
    return PairScores(tuple(chosen), result.pairs.measure, result.pairs.matrix[np.ix_(at, at)])


def _axes(figure: Any, left: float, bottom: float, width: float, height: float) -> Any:
    """Axes at a place in inches, without a frame."""
    axes = axes_at(figure, left, bottom, width, height)
    axes.tick_params(colors=INK, length=0)
    axes.xaxis.label.set_color(INK)
    for spine in axes.spines.values():
        spine.set_visible(False)
    return axes


def _row(n_rows: int) -> tuple[float, float]:
    """Inches of a row and points of its text: more rows are smaller."""
    row = min(_ROW, max(_LEAST_ROW, _ROW * (_FULL_ROWS / max(n_rows, 1)) ** 0.6))
    return row, min(9.0, row * _POINTS_A_ROW)


def _names_inches(names: Sequence[str], font: float) -> float:
    return max((len(_name(name)) for name in names), default=0) * font * 0.62 / 72 + 0.1


def _name(name: str) -> str:
    return shortened(name, _NAME_CHARACTERS)


def _grid(axes: Any) -> None:
    axes.set_axisbelow(True)
    axes.tick_params(axis="x", labelsize=9)
    axes.grid(axis="x", color=_GREY, alpha=0.35, linewidth=0.6)


def _title(axes: Any, text: str) -> None:
    axes.set_title(text, loc="left", fontsize=11, color=INK, fontweight="bold", parse_math=False)
