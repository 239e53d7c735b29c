"""Tables on the terminal. A terminal folds what is wider than it; a pipe or a file takes any width: nothing is cut."""

from collections.abc import Collection, Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from rich.box import Box
from rich.console import Console
from rich.table import Table
from rich.text import Text

from sparsewatch.pipelines.console.printable import printable

#: Cells of a line where no terminal limits it.
_ANY_WIDTH = 1 << 20


def output(**settings: Any) -> Console:
    """Standard output as wide as the terminal, or as any line where there is none.

    Args:
        settings: Further arguments of `rich.console.Console`.
    """
    console = Console(**settings)
    # `is_terminal` alone holds for a pipe, too, where FORCE_COLOR is set.
    if not console.file.isatty():
        console.width = _ANY_WIDTH
    return console


@contextmanager
def uncut(console: Console) -> Iterator[None]:
    """While the context lasts, lines are as wide as they need to be, unless `console` is a terminal."""
    before = console.width
    if not console.is_terminal:
        console.width = _ANY_WIDTH
    try:
        yield
    finally:
        console.width = before


def table(
    columns: Sequence[str],
    rows: Iterable[Sequence[str | Text]],
    *,
    title: str | None = None,
    right: Collection[str] = (),
    box: Box | None = None,
) -> Table:
    """Rows under headings.

    Args:
        columns: Headings.
        rows: Cells. Text is shown as it is: none of it is read as markup or reaches the terminal's controls.
        title: Stands above.
        right: Headings of the columns that are flush right.
        box: Its lines; with some, the title is flush left.
    """
    plain = {} if box is None else {"box": box, "title_justify": "left"}
    made = Table(title=title, **plain)  # type: ignore[arg-type]
    for name in columns:
        made.add_column(name, justify="right" if name in right else "left", overflow="fold")
    for row in rows:
        made.add_row(*(Text(printable(cell)) if isinstance(cell, str) else cell for cell in row))
    return made
