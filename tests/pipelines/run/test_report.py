"""What a run says: what it reads and with what, its windows, and that rejects do not end in silence."""

import logging
from dataclasses import replace
from pathlib import Path

import pytest
from rich.console import Console

from sparsewatch.pipelines.job.job_file import load_job
from sparsewatch.pipelines.job.ready import ready
from sparsewatch.pipelines.run import report
from sparsewatch.pipelines.run.report import RunReport, incident_line, start_lines, window_line
from sparsewatch.pipelines.run.run import run_job
from sparsewatch.schemas.accounts import Account, Progress, ResumePoint
from sparsewatch.schemas.alerts import Finding
from sparsewatch.schemas.incidents import Decided, Incident, incident_record, member_of
from sparsewatch.schemas.side_records import SideRecord
from sparsewatch.testing import FakeBroker
from sparsewatch.transforms.listening import WindowClosed, listening, report_aside, report_window
from tests.kit.job_files import write_click_job, write_rows_job
from tests.kit.watched_jobs import WatchedJob

MINUTE_US = 60_000_000
START_US = 1_767_225_600_000_000


def window(number: int = 0, *rules: str, counted: int = 1_200, rejected: int = 1) -> WindowClosed:
    start = START_US + number * MINUTE_US
    return WindowClosed(start, start + MINUTE_US, Account(counted=counted, late=2, rejected=rejected), rules)


def reject(code: str, offset: int = 0) -> SideRecord:
    return SideRecord(
        kind="reject",
        topic="clicks",
        partition=0,
        offset=offset,
        timestamp_ms=0,
        key=None,
        value=b"x",
        headers=(),
        code=code,
        message="",
    )


def progress(windows: int, offsets: dict[int, int]) -> Progress:
    points = {p: ResumePoint(offset=offset, newest_us=0, high=offset) for p, offset in offsets.items()}
    return Progress(
        job="clicks",
        topic="clicks",
        settings="",
        closed_end_us=0,
        partitions=points,
        sequences={},
        totals=Account(),
        windows=windows,
    )


def test_the_start_says_what_is_read_from_where_with_what_and_where_it_goes(tmp_path: Path) -> None:
    for version in ("0001", "0002"):
        (tmp_path / "model" / version).mkdir(parents=True)
        (tmp_path / "model" / version / "manifest.json").write_text("{}")
    made = ready(load_job(write_rows_job(tmp_path, "broker:9092", "clicks", {"a": "int"}, tmp_path / "model")))
    first, windows, written = start_lines(made, "prism", "forever", progress(3, {0: 120, 1: 7}), [0, 1])
    assert first == (
        "clicks: reads 'clicks' at broker:9092, 2 partitions, resumed, offsets 0:120, 1:7, until stopped; on Prism"
    )
    assert windows == f"windows of 1m, disorder 10s; row model {tmp_path / 'model'}, version 0002"
    assert written == "writes 'clicks.windows', incidents 'clicks.incidents', rejects 'clicks.rejects'"


def test_the_start_of_a_first_run_and_of_a_bounded_run(tmp_path: Path) -> None:
    made = ready(load_job(write_click_job(tmp_path, "broker:9092", "clicks")))
    [line, *_] = start_lines(made, "inprocess", "latest", None, [0])
    assert "1 partition, from the earliest records, up to the newest record; in this process" in line
    [line, *_] = start_lines(made, "repeat", START_US // 1000, progress(0, dict.fromkeys(range(9), 5)), range(9))
    assert "from the earliest records, offsets 0:5, 1:5, 2:5, 3:5, 4:5, 5:5 and 3 more" in line
    assert "until records written at 2026-01-01 00:00:00" in line


def test_a_window_is_a_line_with_its_alerts_by_rule() -> None:
    closed = window(0, "feature_nulls", "volume_low", "feature_nulls")
    assert window_line(closed, closed.end_us / 1e6 + 4) == (
        "2026-01-01 00:00:00 to 00:01:00  1,200 rows, 2 late, 1 rejected, 4 s behind; 2 feature_nulls, volume_low"
    )


def test_what_a_job_reports_in_this_process_is_printed(capsys: pytest.CaptureFixture[str]) -> None:
    shown = RunReport("clicks.toml")
    with listening(shown):
        report_window(window())
        report_aside([reject("bad_time"), reject("broken_json"), reject("bad_time", 1)])
    report_window(window(1))
    assert capsys.readouterr().out.count("1,200 rows") == 1
    assert shown.reasons() == "2 bad_time, 1 broken_json"


def test_quiet_prints_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    shown = RunReport("clicks.toml", quiet=True)
    with shown.live():
        shown.say("a line")
        shown.on_window(window())
    assert capsys.readouterr().out == ""


@pytest.mark.parametrize(
    ("counted", "rejected", "says"),
    [
        (0, 5, "5 of 7 events became rejects, most often for bad_time"),
        (4, 5, None),
    ],
)
def test_a_run_of_rejects_does_not_end_in_silence(
    caplog: pytest.LogCaptureFixture, counted: int, rejected: int, says: str | None
) -> None:
    shown = RunReport("clicks.toml", quiet=True)
    shown.on_window(window(counted=counted, rejected=rejected))
    shown.on_aside([reject("bad_time")])
    with caplog.at_level(logging.WARNING):
        shown.warn_of_rejects()
    expected = [] if says is None else [f"{says}: see `sparsewatch rejects list --job clicks.toml`"]
    assert [record.getMessage() for record in caplog.records] == expected


def test_columns_without_a_value_in_any_window_are_named_once(caplog: pytest.LogCaptureFixture) -> None:
    shown = RunReport("clicks.toml", quiet=True)
    unfilled = [("ad", "countri"), ("countri",), ("ad", "countri", "z")]
    with caplog.at_level(logging.WARNING):
        for number, columns in enumerate(unfilled):
            shown.on_window(replace(window(number), without_value=columns))
        # It says nothing of columns.
        shown.on_window(window(3, counted=0))
        assert caplog.records == []
        for _ in range(2):
            shown.warn_of_columns()
    [record] = caplog.records
    assert record.getMessage() == "column 'countri' had no value in any of 3 windows: is it spelled as in the events?"


def test_a_run_without_end_names_columns_once_it_may_be_sure(caplog: pytest.LogCaptureFixture) -> None:
    filled, unfilled = RunReport("clicks.toml", quiet=True), RunReport("clicks.toml", quiet=True)
    names = tuple(f"column-{number}" for number in range(8))
    with caplog.at_level(logging.WARNING):
        for number in range(30):
            unfilled.on_window(replace(window(number), without_value=names))
            filled.on_window(replace(window(number), without_value=names if number != 5 else ()))
    [record] = caplog.records
    assert "'column-5' and 2 more had no value in any of 12 windows: are they" in record.getMessage()


def test_a_column_that_no_event_has_is_named_by_a_run(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    with FakeBroker() as broker:
        job = WatchedJob(broker, tmp_path)
        columns = {"ad": "int", "countri": "str", "label": "int"}
        file = write_click_job(tmp_path, broker.settings.bootstrap_servers[0], "clicks", columns)
        job.send(range(3))
        shown = RunReport("clicks.toml", quiet=True)
        with caplog.at_level(logging.WARNING):
            run_job(load_job(file), "latest", "inprocess", report=shown)
            shown.warn_of_columns()
    assert "column 'countri' had no value in any of 3 windows: is it spelled as in the events?" in caplog.messages


def test_a_terminal_shows_a_table_of_the_last_windows(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    with (tmp_path / "screen").open("w+") as file:
        monkeypatch.setattr(file, "isatty", lambda: True, raising=False)
        console = Console(file=file, force_terminal=True, force_interactive=True, width=100)
        monkeypatch.setattr(report, "output", lambda: console)
        shown = RunReport("clicks.toml")
        with shown.live():
            for number in range(30):
                shown.on_window(window(number, "volume_low"))
        file.seek(0)
        last = file.read().split("window, UTC")[-1]
    assert last.count("volume_low") == 12
    assert "00:29:00 to 00:30:00" in last
    assert "36,090 read = 36,000 counted + 30 rejected + 60 late" in last


def test_what_a_person_decided_about_an_incident_names_them() -> None:
    found = Finding(rule="r", subject="s", severity="info", value=1, threshold=1, baseline=0, message="odd")
    incident = Incident(3, (member_of(found, 0, 1),), 0, 1, acked=Decided("ada", 5, "known"))
    assert incident_line(incident_record(incident, "acked", "j", 0, 1)) == "  j-3 acked by ada: info, r s, odd"
    assert incident_line(incident_record(incident, "grew", "j", 0, 1)) == "  j-3 grew: info, r s, odd"
