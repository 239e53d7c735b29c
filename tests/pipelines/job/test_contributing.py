"""The kind of job that CONTRIBUTING.md shows is one: its code runs as it stands there, and meets the contract."""

import inspect
import json
import re
import sys
import textwrap
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import msgspec
import pytest

from sparsewatch.pipelines.job import kinds
from sparsewatch.pipelines.job.kinds import KINDS, parse_job
from sparsewatch.pipelines.run.run import run_job
from sparsewatch.schemas.errors import ConfigError
from sparsewatch.testing import FakeBroker
from tests.kit.kind_examples import example_of, job_file
from tests.pipelines.job import test_kinds

PAGE = (Path(__file__).resolve().parents[3] / "CONTRIBUTING.md").read_text(encoding="utf-8")
MINUTE_MS, START_MS = 60_000, 1_700_000_040_000
#: Tests of the contract, but those of other processes: the toy is in this one alone.
CONTRACT = [
    test
    for name, test in vars(test_kinds).items()
    if name.startswith("test_")
    and {"kind"} <= set(inspect.signature(test).parameters) <= {"kind", "whole"}
    and "subprocess" not in inspect.getsource(test)
]


@pytest.fixture(autouse=True)
def toy(monkeypatch: pytest.MonkeyPatch) -> None:
    """The modules that the page shows, and the line of the table."""
    section = PAGE.partition("## A new kind of job")[2].partition("\n## ")[0]
    found = re.findall(r"^\d\. (?:`((?:\w+/)*)(\w+)\.py`)?.*?\n(.*?)(?=^\d\. |\Z)", section, re.DOTALL | re.MULTILINE)
    for folders, name, text in found:
        for block in re.findall(r"```python\n(.*?)```", text, re.DOTALL) if name else ():
            package = f"{'' if folders.startswith('tests/') else 'sparsewatch.'}{folders.rstrip('/').replace('/', '.')}"
            module = ModuleType(f"{package}.{name}")
            monkeypatch.setitem(sys.modules, package, ModuleType(package))
            monkeypatch.setitem(sys.modules, module.__name__, module)
            exec(compile(textwrap.dedent(block), module.__name__, "exec"), module.__dict__)
    [(kind, struct)] = re.findall(r'^ +"(\w+)": "(sparsewatch\.pipelines\.toy\S+)",$', section, re.MULTILINE)
    monkeypatch.setattr(kinds, "KINDS", {**KINDS, kind: struct})


@pytest.mark.torch
@pytest.mark.parametrize("test", CONTRACT, ids=lambda test: test.__name__)
def test_the_kind_that_is_shown_meets_the_contract(test: Callable[..., None], tmp_path: Path) -> None:
    whole = parse_job(job_file("toy", example_of("toy").all_settings(tmp_path)), "x.toml")
    given: dict[str, Any] = {"kind": "toy", "whole": whole}
    test(**{name: given[name] for name in inspect.signature(test).parameters})


def test_the_check_that_is_shown_names_file_and_key() -> None:
    settings = job_file("toy", {**example_of("toy").settings, "column": "y"})
    with pytest.raises(ConfigError, match=r"^x\.toml: column: expected one of x, got 'y'$"):
        parse_job(settings, "x.toml")


def test_the_kind_that_is_shown_counts_nulls_and_alerts() -> None:
    with FakeBroker() as broker:
        writer = broker.writer()
        for row in range(90):
            event = {"t": START_MS + row * MINUTE_MS // 60, "a": None if row < 5 or row == 70 else row}
            writer.send("events", None, json.dumps(event).encode())
        writer.flush()
        settings = {
            "kind": "toy",
            "name": "toy",
            "kafka": msgspec.to_builtins(broker.settings),
            "source": {"topic": "events", "time_column": "t"},
            "windows": {"length": "1m"},
            "columns": {"a": "int"},
            "column": "a",
            "most_nulls": 4,
        }
        run_job(parse_job(settings, "toy.toml"), "latest", "inprocess")
        windows = [json.loads(value or b"") for value in broker.values("toy.windows")]
        alerts = [json.loads(value or b"") for value in broker.values("toy.alerts")]
    assert [(window["rows"], window["nulls"]) for window in windows] == [(60, 5), (30, 1)]
    assert [(alert["rule"], alert["value"]) for alert in alerts] == [("too_many_nulls", 5)]
