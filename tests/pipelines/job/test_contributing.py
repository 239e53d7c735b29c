"""The kind of job that CONTRIBUTING.md shows is one: its code runs as it stands there."""

import json
import re
import sys
import textwrap
from pathlib import Path
from types import ModuleType

import msgspec
import pytest

from sparsewatch.pipelines.job import kinds
from sparsewatch.pipelines.job.kinds import KINDS, parse_job
from sparsewatch.pipelines.run.run import run_job
from sparsewatch.testing import FakeBroker

PAGE = (Path(__file__).resolve().parents[3] / "CONTRIBUTING.md").read_text(encoding="utf-8")
ROOM = "sparsewatch.pipelines.toy"
MINUTE_MS, START_MS = 60_000, 1_700_000_040_000


@pytest.fixture(autouse=True)
def toy(monkeypatch: pytest.MonkeyPatch) -> None:
    """The room that the page shows, and its line in the table."""
    section = PAGE.partition("## A new kind of job")[2].partition("\n## ")[0]
    blocks = re.findall(r"```python\n(.*?)```", section, re.DOTALL)
    monkeypatch.setitem(sys.modules, ROOM, ModuleType(ROOM))
    for name, block in zip(("settings", "job"), blocks, strict=True):
        module = ModuleType(f"{ROOM}.{name}")
        monkeypatch.setitem(sys.modules, module.__name__, module)
        exec(compile(textwrap.dedent(block), module.__name__, "exec"), module.__dict__)
    [(kind, struct)] = re.findall(r'`"(\w+)": "(sparsewatch\.pipelines\.toy\S+)"`', section)
    monkeypatch.setattr(kinds, "KINDS", {**KINDS, kind: struct})


def test_the_kind_that_is_shown_counts_rows_and_alerts() -> None:
    with FakeBroker() as broker:
        writer = broker.writer()
        for row in range(90):
            writer.send("events", None, json.dumps({"t": START_MS + row * MINUTE_MS // 60, "a": row}).encode())
        writer.flush()
        settings = {
            "kind": "toy",
            "name": "toy",
            "kafka": msgspec.to_builtins(broker.settings),
            "source": {"topic": "events", "time_column": "t"},
            "windows": {"length": "1m"},
            "columns": {"a": "int"},
            "most_rows": 40,
        }
        run_job(parse_job(settings, "toy.toml"), "latest", "inprocess")
        windows = [json.loads(value or b"") for value in broker.values("toy.windows")]
        alerts = [json.loads(value or b"") for value in broker.values("toy.alerts")]
    assert [window["rows"] for window in windows] == [60, 30]
    assert [(alert["rule"], alert["value"]) for alert in alerts] == [("too_many_rows", 60)]
