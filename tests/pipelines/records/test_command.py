"""What a job wrote: listed once, newest last, and followed."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import click
import pytest
from click.testing import CliRunner, Result

from sparsewatch.pipelines.incidents.command import incidents
from sparsewatch.pipelines.records.command import alerts, results, windows
from sparsewatch.pipelines.records.reading import Recent, following_records, newest_records, read_record
from sparsewatch.schemas.errors import ConfigError
from sparsewatch.schemas.jobs import KafkaSettings
from sparsewatch.testing import EmbeddedBroker
from sparsewatch.transforms.kafka.compacted import Compacted
from sparsewatch.transforms.kafka.open import open_writer
from tests.kit.job_files import write_click_job, write_rows_job, write_wafer_job
from tests.kit.topics import create_topic

MINUTE_US = 60_000_000
START_US = 1_767_225_600_000_000


def write(bootstrap: str, topic: str, records: Sequence[tuple[str, dict[str, Any] | bytes]], new: bool = True) -> None:
    if new:
        create_topic(bootstrap, topic)
    writer = open_writer(KafkaSettings(bootstrap_servers=[bootstrap]))
    for key, record in records:
        writer.send(topic, key.encode(), record if isinstance(record, bytes) else json.dumps(record).encode())
    writer.close()


def window(number: int, **found: Any) -> tuple[str, dict[str, Any]]:
    start = START_US + number * MINUTE_US
    record = {"window_start_us": start, "window_end_us": start + MINUTE_US, "rows": 300, "complete": True}
    return f"clicks/{start}", {"job": "clicks", "alerts": [], **record, **found}


def alert(
    number: int, rule: str = "volume_low", severity: str = "critical", **about: Any
) -> tuple[str, dict[str, Any]]:
    key, record = window(number)
    del record["alerts"]
    message = {"subject": "stream", "message": "12 rows in the window, 300 in the reference", "evidence": {"n": number}}
    return f"{rule}-{key}", {"id": f"{number}", "rule": rule, "severity": severity, **record, **message, **about}


def ask(group: click.Group, job: Path, *options: str) -> Result:
    return CliRunner().invoke(group, ["list", str(job), *options], catch_exceptions=False)


def cells(result: Result) -> list[list[str]]:
    return [[cell.strip() for cell in line.split("│")[1:-1]] for line in result.stdout.splitlines() if "│" in line]


def test_windows_are_listed_once_with_what_was_found(embedded_broker: EmbeddedBroker, tmp_path: Path) -> None:
    ranking = [{"feature": "site", "normalised": 0.123}, {"feature": "ad", "normalised": 0.02}]
    found = [window(0, ranking=ranking), window(1, rows=0), window(0, ranking=ranking), window(2, alerts=["a", "b"])]
    write(embedded_broker.bootstrap, "listed-clicks.windows", found)
    job = write_click_job(tmp_path, embedded_broker.bootstrap, "listed-clicks")
    result = ask(windows, job)
    assert cells(result) == [
        ["2026-01-01 00:00:00", "2026-01-01 00:01:00", "300", "yes", "0", "best features site 12.3%, ad 2.0%"],
        ["2026-01-01 00:01:00", "2026-01-01 00:02:00", "0", "yes", "0", ""],
        ["2026-01-01 00:02:00", "2026-01-01 00:03:00", "300", "yes", "2", ""],
    ]
    assert "3 windows of job 'listed-clicks', topic 'listed-clicks.windows'" in result.stderr
    assert cells(ask(windows, job, "--last", "1"))[0][0] == "2026-01-01 00:02:00"
    assert len(cells(ask(windows, job, "--since", "2026-01-01T00:02:30Z"))) == 1


def test_json_is_the_record_as_the_job_wrote_it(embedded_broker: EmbeddedBroker, tmp_path: Path) -> None:
    found = [window(i) for i in range(30)]
    write(embedded_broker.bootstrap, "json-clicks.windows", found)
    job = write_click_job(tmp_path, embedded_broker.bootstrap, "json-clicks")
    lines = ask(windows, job, "--json").stdout.splitlines()
    assert [json.loads(line) for line in lines] == [record for _, record in found]
    assert len(cells(ask(windows, job))) == 20


def test_alerts_are_chosen_by_rule_subject_and_severity(embedded_broker: EmbeddedBroker, tmp_path: Path) -> None:
    found = [
        alert(0),
        alert(1, "feature_nulls", "warning", subject="site"),
        alert(2, "rank_drift", "info", subject="\x1b[2Jad"),
    ]
    write(embedded_broker.bootstrap, "chosen.alerts", found)
    job = write_click_job(tmp_path, embedded_broker.bootstrap, "chosen")

    def rules(*options: str) -> list[str]:
        return [row[2] for row in cells(ask(alerts, job, *options))]

    assert rules() == ["volume_low", "feature_nulls", "rank_drift"]
    assert rules("--severity", "warning") == ["volume_low", "feature_nulls"]
    assert rules("--rule", "rank_drift", "--rule", "volume_low") == ["volume_low", "rank_drift"]
    assert rules("--subject", "site") == ["feature_nulls"]
    assert "\x1b" not in ask(alerts, job).stdout


def incident(number: int, *, firing: bool, severity: str, message: str) -> tuple[str, dict[str, Any]]:
    start, end = START_US + number * MINUTE_US, START_US + (number + 2) * MINUTE_US
    found = [
        {
            "rule": rule,
            "subject": "site",
            "severity": severity,
            "since_us": start,
            "until_us": end,
            "message": message,
            **p_value,
        }
        for rule, p_value in (("feature_vanished", {"p_value": 1.3e-9}), ("feature_signal_lost", {}))
    ]
    record = {
        "id": f"incidents-{number}",
        "state": "firing" if firing else "resolved",
        "started_us": start,
        "ended_us": None if firing else end,
        "window_end_us": end,
        "findings": found,
        "left_out": 0,
        **{name: found[0][name] for name in ("rule", "subject", "severity", "message")},
    }
    return f"incidents-{number}", record


def test_incidents_are_listed_as_they_stand_and_shown_with_all_that_was_found(
    embedded_broker: EmbeddedBroker, tmp_path: Path
) -> None:
    message = "0.0% of rows have a value"
    found = [
        incident(1, firing=True, severity="warning", message=message),
        incident(2, firing=True, severity="critical", message=message),
        incident(1, firing=False, severity="warning", message=message),
    ]
    found[2][1]["where"] = "site = 14 and sdk = 3.2"
    write(embedded_broker.bootstrap, "incidents.incidents", found)
    job = write_click_job(tmp_path, embedded_broker.bootstrap, "incidents")
    firing = ["incidents-2", "firing", "2026-01-01 00:02:00", "", "critical", "feature_vanished site"]
    over = ["incidents-1", "resolved", "2026-01-01 00:01:00", "2026-01-01 00:03:00", "warning", "feature_vanished site"]
    assert [row[:6] for row in cells(ask(incidents, job))] == [firing, over]
    assert [row[0] for row in cells(ask(incidents, job, "--firing"))] == ["incidents-2"]
    assert [row[0] for row in cells(ask(incidents, job, "--severity", "critical"))] == ["incidents-2"]
    shown = CliRunner().invoke(incidents, ["show", str(job), "incidents-1"], catch_exceptions=False)
    assert [row[3] for row in cells(shown)] == ["feature_vanished", "feature_signal_lost"]
    assert [row[5] for row in cells(shown)] == ["1.3e-09", ""]
    assert "where: site = 14 and sdk = 3.2\nwhat to do: docs/runbook.md#feature_vanished\n" in shown.stdout
    shown = CliRunner().invoke(incidents, ["show", str(job), "incidents-2", "--json"], catch_exceptions=False)
    assert json.loads(shown.stdout) == found[1][1]
    with pytest.raises(ConfigError, match=r"got 'incidents-9'; did you mean .*; firing: incidents-2 "):
        CliRunner().invoke(incidents, ["show", str(job), "incidents-9"], catch_exceptions=False)


def test_results_of_rows_and_wafers(embedded_broker: EmbeddedBroker, tmp_path: Path) -> None:
    row = {"id": "r/0/7/0", "event_time_us": START_US, "score": 4.25, "p_value": 0.002, "model": "m/0001"}
    write(embedded_broker.bootstrap, "r.rows", [("a", {**row, "columns": {"x": 0.1, "y": 2.0}, "identity": {"k": 3}})])
    job = write_rows_job(tmp_path, embedded_broker.bootstrap, "r", {"x": "float"}, tmp_path / "model")
    assert cells(ask(results, job)) == [["r/0/7/0", "2026-01-01 00:00:00", "4.25", "0.002", "y 2, x 0.1", "k=3"]]
    wafer = {"id": "w/0/1/0", "wafer_id": "W1", "lot": "L", "step": "s", "tool": "T", "event_time_us": START_US}
    verdict = {"defects": 12, "verdict": "novel", "pattern": "Scratch", "p_value": 0.001}
    write(embedded_broker.bootstrap, "w.wafers", [("a", {**wafer, **verdict})])
    job = write_wafer_job(tmp_path, embedded_broker.bootstrap, "w", tmp_path / "model")
    assert cells(ask(results, job)) == [["L", "W1", "2026-01-01 00:00:00", "12", "novel", "Scratch", "0.001", "T"]]


def test_what_cannot_be_listed_says_why(embedded_broker: EmbeddedBroker, tmp_path: Path) -> None:
    job = write_click_job(tmp_path, embedded_broker.bootstrap, "never-ran")
    with pytest.raises(ConfigError, match=r"no topic 'never-ran.windows': has the job run yet"):
        ask(windows, job)
    with pytest.raises(ConfigError, match=r"expected `rows.model`"):
        ask(results, job)
    write(embedded_broker.bootstrap, "foreign.alerts", [("k", b"no json")])
    with pytest.raises(ConfigError, match=r"topic 'foreign\.alerts': expected records of a job"):
        ask(alerts, write_click_job(tmp_path, embedded_broker.bootstrap, "foreign"))


def test_following_gives_each_new_record_once(embedded_broker: EmbeddedBroker) -> None:
    kafka = KafkaSettings(bootstrap_servers=[embedded_broker.bootstrap])
    write(embedded_broker.bootstrap, "followed", [window(0)])
    with Compacted(kafka, "followed", 1 << 20) as topic:
        assert len(list(newest_records(topic, 5, lambda _: True))) == 1
        following = following_records(topic, lambda record: record["rows"] > 0)
        write(embedded_broker.bootstrap, "followed", [window(1), window(1), window(2, rows=0), window(3)], new=False)
        assert [next(following) for _ in range(2)] == [window(1)[1], window(3)[1]]


def test_memory_is_that_of_the_newest_records() -> None:
    recent = Recent(2)
    for key, value in [(b"a", b"1"), (b"b", b"1"), (b"a", b"2"), (b"c", b"3")]:
        assert recent.put(key, value)
    assert list(recent.values()) == [b"1", b"3"]
    assert not recent.put(b"c", b"3")
    assert not recent.put(b"c", None)


@pytest.mark.parametrize("value", [b'{"job": "\xff"}', b"[" * 5000, b"3"])
def test_a_record_that_is_no_json_object_is_named_by_its_topic(value: bytes) -> None:
    with pytest.raises(ConfigError, match=r"topic 'clicks\.windows': expected records of a job"):
        read_record(value, "clicks.windows")
