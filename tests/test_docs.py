"""What the docs name is there: files, modules, links, make targets, commands and their options."""

import re
import shlex
from importlib import import_module
from pathlib import Path

import click
import pytest

from sparsewatch.pipelines.cli import cli
from tests.kit.installed import REPO_ROOT

PAGES = [
    path.relative_to(REPO_ROOT)
    for pattern in ("*.md", "deploy/*.md", "docs/*.md", "changelog.d/*.md")
    for path in sorted(REPO_ROOT.glob(pattern))
]
PACKAGES = ("schemas", "detectors", "transforms", "pipelines", "testing")
#: Stands for a name that the reader chooses.
_PLACEHOLDER = re.compile(r"(^|/|_)x\.py$|\.toy\.")
#: Options of the public `outrank` and of Kafka's tools.
_FOREIGN = {"--task", "--config"}

every_page = pytest.mark.parametrize("page", PAGES, ids=str)


@every_page
def test_files_links_and_make_targets_are_there(page: Path) -> None:
    text = (REPO_ROOT / page).read_text()
    files = re.findall(r"`((?:[\w.-]+/)+[\w-]+\.(?:py|md|toml))`", text)
    assert [name for name in files if not _PLACEHOLDER.search(name) and not (REPO_ROOT / name).exists()] == []
    links = re.findall(r"\]\((?!http)([^)#]+)(?:#[^)]*)?\)", text)
    assert [link for link in links if not (REPO_ROOT / page.parent / link).exists()] == []
    recipes = (REPO_ROOT / "Makefile").read_text() + (REPO_ROOT / "deploy" / "services.mk").read_text()
    targets = {*re.findall(r"^([\w-]+):", recipes, flags=re.MULTILINE)}
    targets |= {f"bench-{path.stem}" for path in (REPO_ROOT / "benchmarks").glob("*.py")} | {"bench-X"}
    assert {*re.findall(r"`make (?:[A-Z]+=\S+ )*([a-z][\w-]*)", text)} <= targets


@every_page
@pytest.mark.torch
def test_modules_and_their_names_are_there(page: Path) -> None:
    for dotted in re.findall(r"\bsparsewatch(?:\.\w+)+", (REPO_ROOT / page).read_text()):
        if dotted.split(".")[1] in PACKAGES and not _PLACEHOLDER.search(dotted):
            assert _imported(dotted), dotted


def _imported(dotted: str) -> bool:
    try:
        import_module(dotted)
    except ModuleNotFoundError:
        module, _, name = dotted.rpartition(".")
        return hasattr(import_module(module), name)
    return True


@every_page
@pytest.mark.torch
def test_calls_name_commands_and_their_options(page: Path) -> None:
    commands = _commands(cli)
    for call in _calls((REPO_ROOT / page).read_text()):
        words = [word.split("|")[0] for word in shlex.split(call)]
        command = commands.get(" ".join(words[:2])) or commands[words[0]]
        given = {word.split("=")[0] for word in words if word.startswith("--")} - {"--help"}
        assert given <= _options(command), call


@pytest.mark.torch
@pytest.mark.parametrize("page", [page for page in PAGES if page.parent.name == "docs"], ids=str)
def test_options_in_a_sentence_are_those_of_a_command(page: Path) -> None:
    known = {"--help"}.union(*map(_options, _commands(cli).values()))
    options = re.findall(r"`(--[a-z-]+)(?![\w_])", (REPO_ROOT / page).read_text())
    assert set(options) <= known | _FOREIGN


def _commands(group: click.Group, above: str = "") -> dict[str, click.Command]:
    """Commands below a group by their words, such as `train rows`."""
    context = click.Context(group)
    found: dict[str, click.Command] = {}
    for name in group.list_commands(context):
        command = group.get_command(context, name)
        assert command is not None
        found[above + name] = command
        if isinstance(command, click.Group):
            found |= _commands(command, f"{name} ")
    return found


def _options(command: click.Command) -> set[str]:
    return {option for parameter in command.params for option in (*parameter.opts, *parameter.secondary_opts)}


def _calls(text: str) -> list[str]:
    """Calls of the command: in lines of blocks, and as code within a sentence."""
    blocks = "\n".join(re.findall(r"^```\w*\n(.*?)^```", text, flags=re.MULTILINE | re.DOTALL))
    lines = re.findall(r"(?:^|\$ |&& |\*  )sparsewatch (?=[a-z])([^#>&\n]*)", blocks, flags=re.MULTILINE)
    return [*lines, *re.findall(r"`sparsewatch ([a-z][^`]*)`", text)]
