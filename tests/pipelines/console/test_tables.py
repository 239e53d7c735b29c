import io

import pytest
from rich.console import Console
from rich.text import Text

from sparsewatch.pipelines.console.tables import output, table, uncut

LONG = "a message of many words, " * 40


def test_a_pipe_cuts_and_folds_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FORCE_COLOR", "1")
    monkeypatch.setenv("COLUMNS", "40")
    console = output(file=io.StringIO(), color_system=None)
    console.print(table(("id", "message"), [("1", LONG.rstrip())]))
    assert isinstance(console.file, io.StringIO)
    assert LONG.rstrip() in console.file.getvalue()


def test_a_terminal_folds_what_is_wider() -> None:
    file = io.StringIO()
    with uncut(console := Console(file=file, width=40, force_terminal=True, color_system=None)):
        console.print(table(("id", "message"), [("1", LONG)]))
    assert max(map(len, file.getvalue().splitlines())) <= 40


def test_cells_are_neither_markup_nor_control() -> None:
    console = output(file=io.StringIO())
    console.print(table(("a", "b"), [("[red]x[/red]", "\x1b[2J")], title="T"))
    assert isinstance(console.file, io.StringIO)
    assert "[red]x[/red]" in console.file.getvalue()
    assert r"\x1b[2J" in console.file.getvalue()


def test_columns_are_flush_right_where_asked_for() -> None:
    made = table(("a", "n"), [("x", Text("1", style="red"))], right=("n",))
    assert [column.justify for column in made.columns] == ["left", "right"]
