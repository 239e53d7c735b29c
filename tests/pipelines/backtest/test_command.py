"""The command: what a run over a broker tells, labels, the page, and what it refuses."""

import json
import re
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import polars as pl
import pytest
from click.testing import CliRunner, Result

from sparsewatch.pipelines.cli import cli
from tests.kit.command_line import Command, assert_refused
from tests.kit.job_files import write_click_job
from tests.kit.services import KafkaBroker
from tests.kit.topics import create_topic, newest_by_key, produce, read_all
from tests.pipelines.init.topics import START_MS, clicks

COLUMNS = {"site": "str", "ad": "int", "click": "int"}
#: Windows of 600 events: from the 7th on one ad is a text, in the 10th nearly all events are lost, and from the 38th on
#: events hold a field more.
_TYPED, _LOST, _MORE = 7, 10, 38


def events(n: int = 9_000) -> list[dict[str, Any]]:
    kept = [event for at, event in enumerate(clicks(n)) if at // 600 != _LOST or at % 30 == 0]
    typed = [event | ({"ad": "x"} if event["ts"] >= START_MS + _TYPED * 60_000 else {}) for event in kept]
    return [event | ({"price_eur": 1.5} if event["ts"] >= START_MS + _MORE * 60_000 else {}) for event in typed]


def job_of(folder: Path, address: str = "none:1", name: str = "backtest") -> Path:
    path = write_click_job(folder, address, name, COLUMNS, time_column="ts")
    path.write_text(path.read_text().replace('label = "label"', 'label = "click"'))
    return path


def file_of(folder: Path, n: int = 9_000) -> Path:
    path = folder / "clicks.jsonl"
    path.write_bytes(b"\n".join(map(msgspec.json.encode, events(n))))
    return path


def backtest(*arguments: object) -> Result:
    result = CliRunner().invoke(cli, ["backtest", *map(str, arguments)], catch_exceptions=False)
    assert result.exit_code == 0, result.output
    return result


def test_the_same_events_through_kafka_give_the_same_bytes(kafka_broker: KafkaBroker, tmp_path: Path) -> None:
    create_topic(kafka_broker.bootstrap, "backtest")
    produce(kafka_broker.bootstrap, "backtest", ((0, msgspec.json.encode(event)) for event in events(24_000)))
    job, alerts = job_of(tmp_path, kafka_broker.bootstrap), tmp_path / "alerts.jsonl"
    ran = CliRunner().invoke(cli, ["run", str(job), "--until", "latest"], catch_exceptions=False)
    assert ran.exit_code == 0, ran.output
    told = json.loads(backtest(job, file_of(tmp_path, 24_000), "--json", "--alerts", alerts).stdout)
    expected = [record.value for record in read_all(kafka_broker.bootstrap, "backtest.alerts")]
    assert alerts.read_bytes().splitlines() == expected
    found = [(alert["rule"], alert["subject"]) for alert in map(json.loads, alerts.read_text().splitlines())]
    assert set(found) >= {("feature_type_changed", "ad")}
    assert found.count(("new_field", "price_eur")) == 1
    incidents = newest_by_key(read_all(kafka_broker.bootstrap, "backtest.incidents"))
    assert {incident["id"]: incident for incident in told["incidents"]} == incidents
    assert f"{told['rows']} counted + {told['rejected']} rejected + {told['late']} late" in ran.output.replace(",", "")


def test_incidents_rules_and_accounts_are_told(tmp_path: Path) -> None:
    said = backtest(job_of(tmp_path), file_of(tmp_path)).stdout
    assert "Incidents, last changed last (UTC)" in said
    assert re.search(r"backtest-1 +│ firing +│ 2026-01-01 00:07:00 .*feature_type_changed ad", said)
    assert re.search(r"feature_type_changed +│ +1 │ +8 ", said)
    assert "backtest: 15 windows from 2026-01-01 00:00:00 to 2026-01-01 00:15:00 (15 min); 8,420 read = 8,420" in said
    assert "1 incident, 96 a day; 8 alerts" in said


def test_settings_are_tried_and_times_chosen(tmp_path: Path) -> None:
    job, file = job_of(tmp_path), file_of(tmp_path)
    assert "0 incidents, 0 a day" in backtest(job, file, "--until", "2026-01-01T00:07Z").stdout
    assert "5 windows" in backtest(job, file, "--set", "windows.length=3m").stdout
    chosen = json.loads(backtest(job, file, "--since", "2026-01-01T00:12Z", "--json").stdout)
    assert (chosen["windows"], chosen["rows"], chosen["days"]) == (3, 1_800, 3 / 1_440)


def test_tables_of_other_forms_are_the_same_events(tmp_path: Path) -> None:
    frame = pl.DataFrame([event for event in events() if event["ad"] != "x"])
    job, csv, parquet = job_of(tmp_path), tmp_path / "clicks.csv", tmp_path / "clicks.parquet"
    frame.with_columns(pl.from_epoch("ts", "ms")).write_csv(csv)
    frame.with_columns(pl.from_epoch("ts", "ms")).write_parquet(parquet)
    lines = tmp_path / "iso.jsonl"
    lines.write_text(frame.with_columns(pl.from_epoch("ts", "ms").dt.to_string("iso")).write_ndjson())
    told = [json.loads(backtest(job, file, "--json").stdout) for file in (csv, parquet, lines)]
    assert told[0] == told[1] == told[2]
    assert told[0]["rows"] == frame.height


def test_events_out_of_order_are_late_and_it_says_so(tmp_path: Path) -> None:
    file = tmp_path / "clicks.jsonl"
    mixed = clicks(3_000)[1_500:] + clicks(3_000)[:1_500]
    file.write_bytes(b"\n".join(map(msgspec.json.encode, mixed)))
    late = json.loads(backtest(job_of(tmp_path), file, "--json").stdout)["late"]
    assert 1_000 < late <= 1_500
    said = backtest(job_of(tmp_path), file).stdout
    assert f"{late:,} events came behind the end of their windows: the files are not in order of time" in said


def test_labels_say_what_was_found(tmp_path: Path) -> None:
    labels = tmp_path / "labels.csv"
    labels.write_text(
        "start,end,kind,subject\n2026-01-01T00:06:30Z,2026-01-01T00:15Z,type,ad\n"
        "2026-01-01T00:02Z,2026-01-01T00:04Z,nothing,\n"
    )
    told = backtest(job_of(tmp_path), file_of(tmp_path), "--labels", labels)
    assert re.search(r"type +│ ad +│ yes +│ +1 │ backtest-1", told.stdout)
    assert re.search(r"nothing +│ +│ no ", told.stdout)
    assert "1 of the labelled stretches found, 1 missed, median delay 1 window" in told.stdout
    found = json.loads(backtest(job_of(tmp_path), file_of(tmp_path), "--labels", labels, "--json").stdout)["labels"]
    assert (found["found"], found["missed"], found["false_incidents"]) == (1, 1, [])
    assert found["clean_days"] == pytest.approx(4 / 1_440)


def test_budgets_are_compared_in_one_reading(tmp_path: Path) -> None:
    """More clicks in three of fifty windows: enough for a generous budget alone."""
    rng, file, labels = np.random.default_rng(4), tmp_path / "clicks.jsonl", tmp_path / "labels.csv"
    with file.open("wb") as out:
        for at in range(30_000):
            share = 0.095 if 40 <= at // 600 < 43 else 0.05
            event = {"ts": START_MS + at * 100, "site": f"s{at % 7}", "ad": at % 9, "click": int(rng.random() < share)}
            out.write(msgspec.json.encode(event) + b"\n")
    labels.write_text("start,end,subject\n2026-01-01T00:40Z,2026-01-01T00:43Z,stream\n")
    told = json.loads(backtest(job_of(tmp_path), file, "--labels", labels, "--budget", "0.001,1,1000", "--json").stdout)
    budgets = told["budgets"]
    assert [one["false_incidents_per_day"] for one in budgets] == [0.001, 1, 1_000]
    assert [one["labels"]["found"] for one in budgets][::2] == [0, 1]
    # One a day is the default.
    assert (budgets[1]["rules"], budgets[1]["labels"]) == (told["rules"], told["labels"])


def test_budgets_are_a_table(tmp_path: Path) -> None:
    said = backtest(job_of(tmp_path), file_of(tmp_path), "--budget", "0.5,1").stdout
    assert "Budgets of false incidents a day" in said
    # A declared type is a promise, whatever the budget.
    assert re.search(r"0\.5 │ +1 │ +96 │ +8 ", said)


def test_the_page_needs_nothing_else(tmp_path: Path) -> None:
    page, labels = tmp_path / "out" / "page.html", tmp_path / "labels.json"
    labels.write_text('[{"start": "2026-01-01T00:07Z", "end": "2026-01-01T00:15Z", "kind": "<type>"}]')
    backtest(job_of(tmp_path), file_of(tmp_path), "--labels", labels, "--html", page)
    html = page.read_text()
    assert not re.search(r'(src|href)="(?!data:)|https?://|@import', html)
    assert "prefers-color-scheme: dark" in html
    assert all(panel in html for panel in ("Rows a window", "Click rate"))
    assert re.search(r'<rect class="critical" x="[\d.]+"', html)
    assert "feature_type_changed ad" in html
    assert "&lt;type&gt;" in html
    assert "<type>" not in html
    again = tmp_path / "again.html"
    backtest(job_of(tmp_path), file_of(tmp_path), "--labels", labels, "--html", again)
    assert again.read_text() == html


def test_what_cannot_be_is_refused(tmp_path: Path, sparsewatch: Command) -> None:
    job, file, labels = job_of(tmp_path), file_of(tmp_path), tmp_path / "labels.csv"
    assert_refused(sparsewatch("backtest", job, tmp_path / "none.csv"), "none.csv: no such file or folder")
    assert_refused(sparsewatch("backtest", job, file, "--since", "noon"), "--since: expected a time such as")
    times = ("--since", "2026-01-02", "--until", "2026-01-01")
    assert_refused(sparsewatch("backtest", job, file, *times), "--until: expected a time behind --since 2026-01-02")
    assert_refused(sparsewatch("backtest", job, file, "--labels", labels), "labels.csv: expected labelled stretches")
    assert_refused(sparsewatch("backtest", job, file, "--budget", "1,few"), "--budget: expected numbers such as")
    assert_refused(sparsewatch("backtest", job, file, "--budget", "-1"), "alerts.false_incidents_per_day")
    for text, says in (
        ("start,end\n2026-01-01T00:00Z,2025-01-01\n", "stretch 1: expected an end behind its start"),
        ("begin,end\n2026-01-01T00:00Z,2026-01-02\n", "stretch 1: expected start, got only begin, end"),
        ("start,end\n2025-01-01,2025-01-02\n", "none of the stretches lies within the events"),
    ):
        labels.write_text(text)
        assert_refused(sparsewatch("backtest", job, file, "--labels", labels), says)
