"""Shells complete commands, options and files by the script that is printed."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import click
import pytest
from click.testing import CliRunner

from sparsewatch.pipelines.cli import cli
from sparsewatch.pipelines.completion.command import SHELLS
from sparsewatch.pipelines.console.lazy_commands import LazyGroup

#: Asks the function that the script has registered, as a press of the tabulator does.
_ASK = """
eval "$(sparsewatch completion bash)"
COMP_WORDS=({words} '{last}') COMP_CWORD={at}
$(complete -p sparsewatch | sed 's/.*-F \\([^ ]*\\) .*/\\1/') sparsewatch
printf '%s\\n' "${{COMPREPLY[@]}}"
"""


@pytest.fixture(scope="module")
def path(tmp_path_factory: pytest.TempPathFactory) -> str:
    """Where `sparsewatch` is found, of this tree."""
    folder = tmp_path_factory.mktemp("bin")
    program = folder / "sparsewatch"
    program.write_text(f"#!{sys.executable}\nfrom sparsewatch.pipelines.cli import main\nmain()\n")
    program.chmod(0o755)
    return f"{folder}:{os.environ['PATH']}"


def completed(path: str, *words: str, cwd: Path | None = None) -> list[str]:
    """What bash offers for the last of the words."""
    script = _ASK.format(words=" ".join(words[:-1]), last=words[-1], at=len(words) - 1)
    done = subprocess.run(
        ["bash", "-c", script],
        env={**os.environ, "PATH": path},
        cwd=cwd,
        capture_output=True,
        text=True,
        check=True,
    )
    return done.stdout.split()


@pytest.mark.skipif(shutil.which("bash") is None, reason="bash is not here")
@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (("sparsewatch", "ba"), ["backtest", "baseline"]),
        (("sparsewatch", "baseline", "e"), ["exclude"]),
        (("sparsewatch", "wafers", ""), ["convert", "explain", "import"]),
        (("sparsewatch", "models", "list", "--j"), ["--json"]),
        (("sparsewatch", "run", "--runner", "in"), ["inprocess"]),
    ],
)
def test_bash_completes_commands_options_and_choices(path: str, words: tuple[str, ...], expected: list[str]) -> None:
    assert completed(path, *words) == expected


@pytest.mark.parametrize("shell", SHELLS)
def test_each_shell_has_its_script(shell: str) -> None:
    if shell == "bash" and shutil.which("bash") is None:
        pytest.skip("bash is not here")
    script = CliRunner().invoke(cli, ["completion", shell]).stdout
    assert "_SPARSEWATCH_COMPLETE" in script
    if shutil.which(shell) is not None:
        subprocess.run([shell, "-n"], input=script, text=True, check=True)


def test_without_a_name_it_is_that_of_the_login_shell(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SHELL", "/usr/bin/fish")
    assert CliRunner().invoke(cli, ["completion"]).stdout == CliRunner().invoke(cli, ["completion", "fish"]).stdout
    monkeypatch.setenv("SHELL", "/bin/tcsh")
    error = CliRunner().invoke(cli, ["completion"]).exception
    assert "expected one of bash, zsh, fish, got '/bin/tcsh' as $SHELL; name one" in str(error)


def test_no_command_is_imported_to_complete_its_name() -> None:
    done = subprocess.run(
        [
            sys.executable,
            "-c",
            "import sys, click\n"
            "from sparsewatch.pipelines.cli import cli\n"
            "found = {item.value for item in cli.shell_complete(click.Context(cli), '')}\n"
            "assert {'run', 'console', 'train'} <= found, found\n"
            "sys.exit(any(name in sys.modules for name in ('torch', 'apache_beam', 'polars')))",
        ],
        check=False,
    )
    assert done.returncode == 0


def test_every_command_that_lists_gives_json() -> None:
    def lists(command: click.Command, name: str) -> list[tuple[str, click.Command]]:
        if not isinstance(command, click.Group):
            return [(name, command)]
        context = click.Context(command)
        assert isinstance(command, LazyGroup) or command.list_commands(context)
        below = ((own, command.get_command(context, own)) for own in command.list_commands(context))
        return [one for own, found in below if found is not None for one in lists(found, f"{name} {own}".strip())]

    listing = {name: one for name, one in lists(cli, "") if name.split()[-1] in ("list", "show", "status", "backtest")}
    assert {"models list", "rejects list", "incidents show", "status"} <= set(listing)
    without = [name for name, one in listing.items() if not any("--json" in param.opts for param in one.params)]
    assert without == []
