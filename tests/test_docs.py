"""What the docs name is there: files, modules, links, make targets, commands, their options, settings."""

import re
import shlex
from importlib import import_module
from pathlib import Path

import click
import pytest

from sparsewatch import load_job
from sparsewatch.detectors.clicks.feature_checks import RULES
from sparsewatch.detectors.incidents.causes import RULES as SUSPECTED
from sparsewatch.pipelines.cli import cli
from sparsewatch.pipelines.job.kinds import KINDS, kind_named
from sparsewatch.schemas.alerts import runbook_of
from sparsewatch.schemas.jobs import JobSettings
from sparsewatch.schemas.metrics import METRICS
from tests.kit.finding_rules import rules_of
from tests.kit.installed import REPO_ROOT

PAGES = [
    path.relative_to(REPO_ROOT)
    for pattern in ("*.md", "deploy/*.md", "docs/*.md", "changelog.d/*.md")
    for path in sorted(REPO_ROOT.glob(pattern))
]
PACKAGES = ("schemas", "detectors", "transforms", "pipelines", "testing")
#: Stands for a name that the reader chooses.
_PLACEHOLDER = re.compile(r"(^|/|_)x\.py$|\.toy\.|/toy/")
#: Options of the public `outrank` and of Kafka's tools.
_FOREIGN = {"--task", "--config", "--parallelism"}
#: By a table of a part of a job file: its kind, and tables that this kind needs besides.
_COLUMNS = '[columns]\nclick = "int"\nsite = "str"\n'
_NEEDED = {
    "[wafers": ("wafer", ""),
    "[rows]": ("rows", _COLUMNS),
    "[ranking]": ("ctr", _COLUMNS),
    "[stream]": ("ctr", _COLUMNS),
    "[alerts]": ("ctr", _COLUMNS),
}
_LABEL = 'label = "click"\n'
_JOB = """name = "part"
[kafka]
bootstrap_servers = ["localhost:9092"]
[source]
topic = "events"
time_column = "time"
[windows]
length = "5m"
"""

every_page = pytest.mark.parametrize("page", PAGES, ids=str)


@every_page
def test_files_links_and_make_targets_are_there(page: Path) -> None:
    text = (REPO_ROOT / page).read_text()
    files = re.findall(r"`((?:[\w.-]+/)+[\w-]+\.(?:py|md|toml))`", text)
    assert [name for name in files if not _PLACEHOLDER.search(name) and not (REPO_ROOT / name).exists()] == []
    links = re.findall(r"\]\((?!http)([^)#]*)#?([^)]*)\)", text)
    targets = [(REPO_ROOT / page.parent / file if file else REPO_ROOT / page, anchor) for file, anchor in links]
    assert [target for target in targets if not _is_there(*target)] == []
    recipes = (REPO_ROOT / "Makefile").read_text() + (REPO_ROOT / "deploy" / "services.mk").read_text()
    made = {*re.findall(r"^([\w-]+):", recipes, flags=re.MULTILINE)}
    made |= {f"bench-{path.stem}" for path in (REPO_ROOT / "benchmarks").glob("*.py")} | {"bench-X"}
    assert {*re.findall(r"`make (?:[A-Z]+=\S+ )*([a-z][\w-]*)", text)} <= made


def _is_there(file: Path, anchor: str) -> bool:
    if not file.exists() or not anchor:
        return file.exists()
    headings = re.findall(r"^#+ (.*)", file.read_text(), flags=re.MULTILINE)
    return anchor in {re.sub(r"[^\w -]", "", heading).lower().replace(" ", "-") for heading in headings}


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
        given = {word.split("=")[0] for word in words if word.startswith("--")} - {"--help", "--"}
        assert given <= _options(command), call


@pytest.mark.torch
@pytest.mark.parametrize("page", [page for page in PAGES if page.parent.name == "docs"], ids=str)
def test_options_in_a_sentence_are_those_of_a_command(page: Path) -> None:
    known = {"--help"}.union(*map(_options, _commands(cli).values()))
    options = re.findall(r"`(--[a-z-]+)(?![\w_])", (REPO_ROOT / page).read_text())
    assert set(options) <= known | _FOREIGN


@every_page
def test_settings_are_those_of_a_job(page: Path, tmp_path: Path) -> None:
    for block in re.findall(r"^```toml\n(.*?)^```", (REPO_ROOT / page).read_text(), flags=re.MULTILINE | re.DOTALL):
        # Settings that are off by default are shown behind a `#`.
        text = re.sub(r"^# (?=[a-z_]+ = )", "", block, flags=re.MULTILINE)
        for number, shown in enumerate((block, text)):
            job = tmp_path / f"{number}.toml"
            job.write_text(shown if shown.startswith(("kind", "# ")) else _whole(shown))
            load_job(job)


@every_page
def test_the_metrics_named_are_declared(page: Path) -> None:
    known = {metric.name for metric in METRICS}
    named = {*re.findall(r"`(sparsewatch_[a-z_]+)`", (REPO_ROOT / page).read_text())}
    assert named - known == set()


@pytest.mark.parametrize("kind", KINDS)
def test_a_kind_and_its_own_keys_are_among_those_of_job_files(kind: str) -> None:
    page = (REPO_ROOT / "docs" / "jobs.md").read_text()
    assert f'"{kind}"' in page
    own = set(kind_named(kind).__struct_fields__) - set(JobSettings.__struct_fields__)
    shown = {*re.findall(r"^ *(?:# )?\[?([a-z_]+)(?= =|[\].])|`([a-z_]+)`", page, flags=re.MULTILINE)}
    assert own - {word for words in shown for word in words} == set()


def test_the_rules_named_are_those_of_the_code() -> None:
    tables = re.findall(r"^\| (`[a-z_, `]+`) \|", (REPO_ROOT / "docs" / "alerts.md").read_text(), flags=re.MULTILINE)
    sources = [
        path for layer in ("detectors", "transforms", "pipelines") for path in REPO_ROOT.glob(f"{layer}/**/*.py")
    ]
    made = {rule for path in sources for rule in rules_of(path)} | {rule.__name__ for rule in RULES}
    assert {*re.findall(r"`(\w+)`", " ".join(tables))} == made


def test_the_runbook_has_a_section_for_each_rule_and_alerts_point_to_it() -> None:
    for rule in SUSPECTED:
        file, _, anchor = runbook_of(rule).partition("#")
        assert _is_there(REPO_ROOT / file, anchor), rule
    sections = re.split(r"^### ", (REPO_ROOT / "docs" / "runbook.md").read_text(), flags=re.MULTILINE)[1:]
    assert [section for section in sections if section.partition("\n")[0].strip("`") not in SUSPECTED] == []
    assert [
        section for section in sections if not re.search(r"\n\*\*Look at\*\* .*\n\*\*Do\*\* ", section, re.DOTALL)
    ] == []


@pytest.mark.torch
def test_the_methods_of_rows_are_those_of_the_code() -> None:
    section = (REPO_ROOT / "docs" / "rows.md").read_text().partition("## Methods\n")[2].partition("\n## ")[0]
    cells = re.findall(r"^\| ([^|]*`) (?:\(default\) )?\|", section, flags=re.MULTILINE)
    methods = import_module("sparsewatch.detectors.rows.methods.registry").METHODS
    assert {*re.findall(r"`(\w+)`", " ".join(cells))} - {"--method"} == set(methods)


def _whole(part: str) -> str:
    """A job file with the tables of `part`."""
    kind, needed = next(found for table, found in _NEEDED.items() if table in part)
    if kind == "wafer" and "[wafers]" not in part:
        needed = '[wafers]\nmodel = "models/wafer"\n'
    return f'kind = "{kind}"\n{"" if kind != "ctr" else _LABEL}{_JOB}{needed}{part}'


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
