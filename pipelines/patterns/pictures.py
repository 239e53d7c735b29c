"""Pictures of emerging patterns: the mean map, and maps of some wafers beside it."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sparsewatch.detectors.wafers.novel_wafers import drawn, total_map
from sparsewatch.pipelines.console.printable import printable
from sparsewatch.pipelines.patterns.listing import about
from sparsewatch.pipelines.report.pictures import INK, axes_at, new_figure, save_picture
from sparsewatch.pipelines.wafer.pattern_book import PatternBook
from sparsewatch.schemas.alerts import counted
from sparsewatch.schemas.patterns import MAP_SIDE, NovelLooking

_MOST_WAFERS = 8
#: Inches of a map.
_SIDE, _SMALL = 3.0, 1.4


def pattern_picture(book: PatternBook, id_: str) -> Any:
    """A pattern as a matplotlib figure.

    Args:
        book: What the topic of patterns holds.
        id_: Of a pattern that was not merged into another.
    """
    parts, known = book.parts(id_), about(book, id_)
    shown = [member for part in parts for member in part.members if member.map.rows][:_MOST_WAFERS]
    figure = new_figure(_SIDE + 4 * _SMALL + 0.4, _SIDE + 0.7)
    mean = np.sum([total_map(part) for part in parts], axis=0) / max(known["wafers"], 1)
    width, height = figure.get_size_inches()
    _draw(axes_at(figure, 0.1, 0.1, _SIDE, _SIDE), mean, f"mean of {counted(known['wafers'], 'wafer')}")
    for place, member in enumerate(shown):
        left, low = _SIDE + 0.3 + place % 4 * _SMALL, 0.1 + (1 - place // 4) * (_SIDE / 2)
        _draw(axes_at(figure, left, low, _SMALL - 0.1, _SMALL - 0.1), drawn(member.map), _label(member))
    title = f"{id_}  {known['name'] or known['status']}, nearest to {next(iter(known['nearest']), '')}"
    figure.text(0.1 / width, 1 - 0.25 / height, printable(title), color=INK, weight="bold", parse_math=False)
    return figure


def write_pictures(book: PatternBook, ids: Sequence[str], folder: Path) -> list[Path]:
    """Draw patterns into `<folder>/<id>.png`; the folder is made if it is missing."""
    folder.mkdir(parents=True, exist_ok=True)
    paths = [folder / f"{id_}.png" for id_ in ids]
    for id_, path in zip(ids, paths, strict=True):
        save_picture(pattern_picture(book, id_), path)
    return paths


def _label(member: NovelLooking) -> str:
    return f"{member.lot} {member.wafer_id}"


def _draw(axes: Any, counts: NDArray[np.floating[Any]], title: str) -> None:
    from matplotlib.patches import Circle

    # The root, so that one crowded cell does not hide the shape.
    axes.imshow(np.sqrt(counts), cmap="cividis", vmin=0, interpolation="nearest", origin="lower")
    axes.add_patch(Circle(((MAP_SIDE - 1) / 2,) * 2, MAP_SIDE / 2, fill=False, color=INK, linewidth=0.6))
    axes.set_axis_off()
    axes.set_title(printable(title), fontsize=7, color=INK, pad=2, parse_math=False)
