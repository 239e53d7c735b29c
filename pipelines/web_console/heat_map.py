"""A heat map of pairs, in the coordinates of an SVG that a template writes."""

from collections.abc import Sequence
from dataclasses import dataclass

from sparsewatch.pipelines.report.wording import shortened

#: Units of a cell's side, and the room left of the cells for names and above them for numbers.
CELL, LEFT, TOP = 18, 190, 20
#: Characters of a name beside its row.
_NAME_CHARACTERS = 24


@dataclass(frozen=True, slots=True)
class Cell:
    """A pair."""

    x: int
    y: int
    #: In [0, 1].
    depth: float
    told: str


@dataclass(frozen=True, slots=True)
class HeatMap:
    """All pairs once, below the diagonal."""

    cells: tuple[Cell, ...]
    #: Height of each row's middle, its number and its name, shortened.
    rows: tuple[tuple[int, int, str], ...]
    width: int
    height: int
    #: The most redundant pair in words, for those who do not see it.
    told: str


def heat_map(names: Sequence[str], percent: Sequence[Sequence[int]]) -> HeatMap:
    """Of things in an order.

    Args:
        names: At least two.
        percent: Of each with those before it, in [0, 100].
    """
    pairs = [(row, column, part) for row, parts in enumerate(percent) for column, part in enumerate(parts)]
    most = max(pairs, key=lambda pair: pair[2])
    side = CELL * len(names)
    return HeatMap(
        cells=tuple(
            Cell(LEFT + CELL * column, TOP + CELL * row, part / 100, _told(names, row, column, part))
            for row, column, part in pairs
        ),
        rows=tuple(
            (TOP + CELL * row + CELL // 2, row + 1, shortened(name, _NAME_CHARACTERS)) for row, name in enumerate(names)
        ),
        width=LEFT + side,
        height=TOP + side,
        told=f"{len(names)} features; most alike are {_told(names, *most)}",
    )


def _told(names: Sequence[str], row: int, column: int, part: int) -> str:
    one, other = (shortened(names[place], _NAME_CHARACTERS) for place in (column, row))
    return f"{one} and {other}: {part} %"
