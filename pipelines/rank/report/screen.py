"""A ranking on the screen: a table of the best features, then the other findings as plain lines."""

from collections.abc import Callable, Sequence
from typing import Literal, NamedTuple

from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

from sparsewatch.detectors.outrank.ranking import RankedFeature, ScoredFeature
from sparsewatch.pipelines.console.printable import printable
from sparsewatch.pipelines.console.tables import uncut
from sparsewatch.pipelines.rank.report import wording
from sparsewatch.pipelines.rank.result import RankResult
from sparsewatch.pipelines.report.facts import named_once
from sparsewatch.pipelines.report.wording import probability, score, share
from sparsewatch.schemas.alerts import counted, number

#: Features shown.
TOP = 30
#: Cells of the longest bar, and of a name before columns are left out for it.
_BAR_CELLS = 12
_NAME_CELLS = 24
_EIGHTHS = " ▏▎▍▌▋▊▉█"


class _Column(NamedTuple):
    """A column of numbers beside the name."""

    heading: str
    cell: Callable[[ScoredFeature], str]
    #: On a narrow screen the highest number is left out first; 0 is never left out.
    spare: int = 0
    justify: Literal["left", "right"] = "right"


def show(result: RankResult, console: Console, *, top: int = TOP) -> None:
    """Print a ranking.

    What is wider than a terminal loses columns, then the ends of names. A pipe takes any width, so that nothing is cut.

    Args:
        result: What was found.
        console: Where it is printed.
        top: Features to show.
    """
    shown: Sequence[ScoredFeature] = result.ranking[:top]
    columns = _columns(result, ascii_only=console.options.ascii_only)
    names = max((len(printable(one.feature)) for one in shown), default=0)
    with uncut(console):
        columns = _fitting(columns, shown, console.width - min(names, _NAME_CELLS))
        console.print(_heading(result), overflow="fold")
        console.print(_table(result, shown, columns))
        if len(result.ranking) > len(shown):
            console.print(Text(f"  ... and {number(len(result.ranking) - len(shown))} more\n", style="dim"))
        console.print(_facts(result))


def _heading(result: RankResult) -> Text:
    text = f"{printable(result.source)}: {counted(len(result.ranking), 'feature')} by {result.heuristic}"
    return Text(text, style="bold")


def _columns(result: RankResult, *, ascii_only: bool) -> list[_Column]:
    unit = wording.unit(result.heuristic)
    columns = [
        _Column("#", lambda one: str(one.rank)),
        _Column(f"score, {unit}" if unit else "score", lambda one: score(one.score)),
    ]
    if any(isinstance(one, RankedFeature) for one in result.ranking):
        columns += [
            _Column("of label", _ranked(lambda one: share(one.normalised)), spare=2),
            _Column("p", _ranked(lambda one: probability(one.p_value)), spare=3),
        ]
    most = max((one.score for one in result.ranking), default=0.0)
    return [
        *columns,
        _Column("values", wording.values, spare=1),
        _Column("coverage", lambda one: share(one.coverage), spare=4),
        _Column("", lambda one: _bar(one.score / most if most > 0 else 0.0, ascii_only=ascii_only), 5, "left"),
    ]


def _ranked(cell: Callable[[RankedFeature], str]) -> Callable[[ScoredFeature], str]:
    return lambda one: cell(one) if isinstance(one, RankedFeature) else ""


def _bar(part: float, *, ascii_only: bool) -> str:
    cells = max(part, 0.0) * _BAR_CELLS
    if ascii_only:
        return "#" * round(cells)
    return ("█" * int(cells) + _EIGHTHS[round(8 * (cells % 1))]).rstrip()


def _fitting(columns: list[_Column], shown: Sequence[ScoredFeature], room: int) -> list[_Column]:
    """Columns that fit into `room` cells; the highest `spare` is left out first."""
    spared = sorted((column for column in columns if column.spare), key=lambda column: -column.spare)
    for column in spared:
        if _width(columns, shown) <= room:
            break
        columns = [other for other in columns if other is not column]
    return columns


def _width(columns: list[_Column], shown: Sequence[ScoredFeature]) -> int:
    """Cells these columns take beside the name, gaps among them."""
    return 4 + sum(2 + max([len(column.heading), *(len(column.cell(one)) for one in shown)]) for column in columns)


def _table(result: RankResult, shown: Sequence[ScoredFeature], columns: list[_Column]) -> Table:
    table = Table(box=box.SIMPLE_HEAD, padding=(0, 1, 0, 1), header_style="bold", collapse_padding=True)
    rank, *others = columns
    table.add_column(rank.heading, justify="right", no_wrap=True, style="dim")
    table.add_column("feature", overflow="fold", min_width=4)
    for column in others:
        style = "cyan" if not column.heading else None
        table.add_column(column.heading, justify=column.justify, no_wrap=True, style=style)
    found = wording.significant(result.ranking)
    for one in shown:
        silent = isinstance(one, RankedFeature) and one.feature not in found
        cells = (column.cell(one) for column in others)
        table.add_row(rank.cell(one), Text(printable(one.feature)), *cells, style="dim" if silent else None)
    return table


def _facts(result: RankResult) -> Table:
    grid = Table.grid(padding=(0, 2, 0, 0))
    grid.add_column(style="dim", no_wrap=True)
    grid.add_column(overflow="fold")
    for fact in named_once(wording.facts(result)):
        grid.add_row(fact.about, Text(fact.text, style="yellow" if fact.warning else ""))
    return grid
