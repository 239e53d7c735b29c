"""`python -m sparsewatch` is the command line, under the same name; a number out of its range ends any command."""

import subprocess
import sys
from collections.abc import Iterator

import click
import pytest
from click.testing import CliRunner

from sparsewatch import __version__
from sparsewatch.pipelines.cli import cli
from tests.kit.command_line import Command, assert_refused


def said(*arguments: str) -> str:
    command = [sys.executable, "-m", "sparsewatch", *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout


def test_the_module_is_the_command() -> None:
    assert said("--version") == f"sparsewatch, version {__version__}\n"
    assert said("--help").startswith("Usage: sparsewatch [OPTIONS] COMMAND")
    assert said("rank", "--help").startswith("Usage: sparsewatch rank ")


@pytest.mark.parametrize(
    ("arguments", "near"), [(("rnu",), "run"), (("train", "row"), "rows"), (("train", "rowss"), "rows")]
)
def test_an_unknown_command_is_answered_with_those_there_are(
    sparsewatch: Command, arguments: tuple[str, ...], near: str
) -> None:
    code, error = sparsewatch(*arguments)
    assert code == 2
    assert f"no command '{arguments[-1]}', expected one of " in error
    assert f", {near}" in error


def _commands(group: click.Group, path: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], click.Command]]:
    context = click.Context(group)
    for name in group.list_commands(context):
        command = group.get_command(context, name)
        assert command is not None
        if isinstance(command, click.Group):
            yield from _commands(command, (*path, name))
        else:
            yield (*path, name), command


def _numbers() -> Iterator[tuple[tuple[str, ...], str, float]]:
    """Command, option and a number just outside its range, below and above it."""
    for path, command in _commands(cli):
        for option in command.params:
            if isinstance(option.type, click.IntRange | click.FloatRange):
                kind = option.type
                step = 1 if isinstance(kind, click.IntRange) else 1e-3
                if kind.min is not None:
                    yield path, option.opts[0], kind.min if kind.min_open else kind.min - step
                if kind.max is not None:
                    yield path, option.opts[0], kind.max if kind.max_open else kind.max + step


@pytest.mark.torch
def test_a_number_outside_its_range_ends_any_command_with_one_line(sparsewatch: Command) -> None:
    options = list(_numbers())
    assert len(options) >= 40
    for path, option, number in options:
        assert_refused(sparsewatch(*path, option, number), f"^sparsewatch: {option}: expected .* number .*, got")


def test_no_line_about_a_command_is_cut_off() -> None:
    for group in [[], *([name] for name in cli.commands)]:
        _, _, commands = CliRunner().invoke(cli, [*group, "--help"]).output.partition("Commands:")
        assert "..." not in commands, group
