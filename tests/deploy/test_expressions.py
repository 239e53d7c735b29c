"""Rules and panels name only series that exporters of real jobs serve, by labels that those have."""

import json
import re
import shutil
import subprocess
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from types import SimpleNamespace

import pytest
from prometheus_client.samples import Sample

from deploy.generate.__main__ import generated
from deploy.generate.rules import ALERTS, RECORDINGS
from sparsewatch.pipelines.notify.tally import Tally, TallyCollector
from sparsewatch.schemas.metrics import METRICS
from tests.kit.exported_jobs import all_exported
from tests.kit.promql import Selector, named_in

#: The jobs have models.
pytestmark = pytest.mark.torch
BOARDS = {path.stem: json.loads(text) for path, text in generated().items() if path.suffix == ".json"}
PANELS = {
    f"{name}: {panel['title']}": panel
    for name, board in BOARDS.items()
    for panel in board["panels"]
    if panel["type"] != "row"
}
EXPRESSIONS = {
    **{rule.name: rule.expr for rule in (*RECORDINGS, *ALERTS)},
    **{
        f"{title} {target['refId']}": target["expr"].replace("$job", ".*")
        for title, panel in PANELS.items()
        for target in panel["targets"]
    },
}
each_expression = pytest.mark.parametrize("expression", EXPRESSIONS.values(), ids=EXPRESSIONS)
each_panel = pytest.mark.parametrize("panel", PANELS.values(), ids=PANELS)
#: Of Prometheus itself, which it adds to each target.
UP = ("up", {"job": "sparsewatch", "instance": "x"})


def told_series() -> Iterator[Sample]:
    """Series of `sparsewatch notify`."""
    sender = SimpleNamespace(receiver="tickets", tally=Tally(), waiting=0)
    yield from (sample for family in TallyCollector([sender]).collect() for sample in family.samples)


@cache
def served() -> tuple[tuple[str, dict[str, str]], ...]:
    """Series of all kinds of jobs with the labels that Prometheus has of them, and those that it records of them."""
    own = {metric.name for metric in METRICS if {"exporter", "notify"} & {*metric.of}}
    scraped = [
        UP,
        *((s.name, s.labels | ({"instance": "x", "job": s.labels.get("job", "sparsewatch")} if s.name in own else {}))
          for s in (*all_exported(), *told_series())),
    ]  # fmt: skip
    recorded = []
    for rule in RECORDINGS:
        named = named_in(rule.expr)
        for labels in (labels for selector in named.selectors for labels in _selected(selector, scraped)):
            recorded.append((rule.name, {label: labels[label] for label in named.labels if label in labels}))
    return (*scraped, *recorded)


def _selected(selector: Selector, series: list[tuple[str, dict[str, str]]]) -> list[dict[str, str]]:
    return [labels for name, labels in series if selector.selects(name, labels)]


@each_expression
def test_each_series_named_is_served(expression: str) -> None:
    named = named_in(expression)
    labels: set[str] = set()
    for selector in named.selectors:
        found = _selected(selector, [*served()])
        assert found, f"no job exports {selector}"
        labels.update(*found)
        assert {matcher.label for matcher in selector.matchers} <= set().union(*found)
    assert named.labels <= labels


@each_expression
def test_exporters_of_the_same_job_count_once(expression: str) -> None:
    of_jobs = {metric.name for metric in METRICS if "exporter" not in metric.of or "job" in metric.labels}
    once = r"(?:max|min) by \([\w, ]+\) \((?:\w+\()?"
    for name in of_jobs & {selector.name for selector in named_in(expression).selectors}:
        assert len(re.findall(rf"{once}{name}\b", expression)) == len(re.findall(rf"\b{name}\b", expression))


@each_panel
def test_legends_show_labels_that_there_are(panel: dict) -> None:  # type: ignore[type-arg]
    for target in panel["targets"]:
        shown = {*re.findall(r"\{\{(\w+)\}\}", target["legendFormat"])}
        selected = [labels for s in named_in(target["expr"].replace("$job", ".*")).selectors
                    for labels in _selected(s, [*served()])]  # fmt: skip
        assert shown
        assert shown <= set().union(*selected)


def test_each_metric_is_on_a_dashboard() -> None:
    shown = {selector.name for expression in EXPRESSIONS.values() for selector in named_in(expression).selectors}
    on_boards = {
        selector.name
        for panel in PANELS.values()
        for target in panel["targets"]
        for selector in named_in(target["expr"]).selectors
    }
    recorded = {rule.name: rule for rule in RECORDINGS}
    by_way = {s.name for name in on_boards & recorded.keys() for s in named_in(recorded[name].expr).selectors}
    assert {metric.name for metric in METRICS} - on_boards - by_way == set()
    assert recorded.keys() <= shown


def test_prometheus_itself_reads_every_panel(tmp_path: Path) -> None:
    program = shutil.which("promtool")
    if program is None:
        pytest.skip("needs promtool (Debian package prometheus)")
    # JSON is YAML.
    rules = [{"record": f"panel:{i}", "expr": expr} for i, expr in enumerate(EXPRESSIONS.values())]
    file = tmp_path / "panels.yml"
    file.write_text(json.dumps({"groups": [{"name": "panels", "rules": rules}]}))
    checked = subprocess.run([program, "check", "rules", str(file)], text=True, capture_output=True, check=False)
    assert checked.returncode == 0, checked.stdout + checked.stderr
