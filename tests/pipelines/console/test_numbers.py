from typing import Annotated

import click
import pytest
from click.testing import CliRunner

from sparsewatch.pipelines.console.numbers import ranged
from sparsewatch.schemas.errors import ConfigError
from sparsewatch.schemas.settings import AlarmRate, Count, Range


@click.command()
@click.option("--rate", "-r", type=ranged(AlarmRate), default=0.01)
@click.option("--rows", type=ranged(Count))
@click.option("--port", type=ranged(Annotated[int, Range(at_least=0, at_most=65_535)]))
def _command(rate: float, rows: int | None, port: int | None) -> None:
    click.echo(f"{rate} {rows} {port}")


def _run(*arguments: str) -> str:
    return CliRunner().invoke(_command, arguments, catch_exceptions=False).output


def test_numbers_inside_their_range_arrive() -> None:
    assert _run("--rate", "0.5", "--rows", "3", "--port", "0") == "0.5 3 0\n"
    assert _run() == "0.01 None None\n"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--rate", "1"], r"^--rate: expected a number above 0 and below 1, got 1\.0$"),
        (["-r", "nan"], r"^--rate: expected a number above 0 and below 1, got nan$"),
        (["--rows", "0"], r"^--rows: expected a whole number of at least 1, got 0$"),
        (["--port", "70000"], r"^--port: expected a whole number from 0 to 65535, got 70000$"),
    ],
)
def test_others_are_refused_like_any_setting(arguments: list[str], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        _run(*arguments)


def test_what_is_no_number_is_refused_by_the_options_name() -> None:
    assert "'--rows': 'many' is not a valid integer" in _run("--rows", "many")


def test_the_help_states_the_range() -> None:
    answer = _run("--help")
    assert "0.0<x<1.0" in answer or "0<x<1" in answer
    assert "x>=1" in answer
    assert "0<=x<=65535" in answer
