"""The demo's parts, and a short one end to end."""

import json
from pathlib import Path

import numpy as np
import polars as pl
from click.testing import CliRunner

from sparsewatch.pipelines.demo import clicks, fab
from sparsewatch.pipelines.demo.clicks import Clicks
from sparsewatch.pipelines.demo.command import demo
from sparsewatch.pipelines.demo.fab import Fab
from sparsewatch.pipelines.demo.faults import Fault, judge
from sparsewatch.schemas.alerts import Alert, Finding, raise_alert

START = 1_700_000_100_000_000 // 3_600_000_000 * 3_600_000_000
FAULT = Fault(name="f", stream="s", rules=("feature_nulls", "feature_vanished"), subject="ad", start_us=100, end_us=200)
#: As the demo's jobs allow, in microseconds.
DISORDER_US = 120_000_000


def alert(rule: str = "feature_nulls", subject: str = "ad", job: str = "s", start_us: int = 100) -> Alert:
    finding = Finding(
        rule=rule, subject=subject, severity="warning", value=1.0, threshold=0.5, baseline=0.0, message="m"
    )
    return raise_alert(finding, job, start_us, start_us + 50)


def test_an_alert_on_the_same_subject_rule_and_time_finds_a_fault() -> None:
    verdict = judge([FAULT], [alert(), alert("feature_vanished", start_us=160)])
    assert verdict.passed
    assert verdict.found == (FAULT,)


def test_an_alert_about_anything_else_is_a_false_alarm_and_finds_nothing() -> None:
    for other in (
        alert("feature_unseen_values"),
        alert(subject="site"),
        alert(job="t"),
        alert(start_us=200),
        alert(start_us=49),
    ):
        verdict = judge([FAULT], [other])
        assert verdict.missed == (FAULT,)
        assert verdict.false_alarms == (other,)
        assert not verdict.passed


def test_a_missed_fault_fails_the_demo() -> None:
    assert not judge([FAULT], []).passed


def test_clicks_repeat_by_their_seed_and_have_the_columns_they_promise() -> None:
    first, again, other = (Clicks(seed, START, 40, 500).plant() for seed in (1, 1, 2))
    assert first.records(7) == again.records(7)
    assert first.records(7) != other.records(7)
    rows = first.window(7)
    assert set(rows.columns) == {clicks.TIME, *clicks.COLUMNS}
    assert len(clicks.RANKED) >= 30
    assert max(n for n, *_ in clicks.FEATURES.values()) == 100_000


def test_every_fault_shows_in_its_windows_and_only_there() -> None:
    stream = Clicks(3, START, 60, 800).plant()
    planted = [f for f in stream.faults if f.rules != ("source_recreated",)]
    faulty = {(f.start_us - START) // clicks.WINDOW_US + i for f in planted for i in range(3)}
    assert len(faulty) == 3 * len(planted) == 30
    for window in range(60):
        clean, shown = Clicks(3, START, 60, 800).clean(window), stream.window(window)
        assert clean.equals(shown) == (window not in faulty), window


def test_records_hold_as_many_late_and_broken_ones_as_they_say() -> None:
    stream = Clicks(4, START, 60, 3000)
    lines, late, broken = stream.records(30)
    parsed = []
    for line in lines:
        try:
            parsed.append(json.loads(line))
        except json.JSONDecodeError:
            continue
    assert len(lines) - len(parsed) == broken > 0
    begin = (START + 30 * clicks.WINDOW_US) // 1000
    old = sum(event[clicks.TIME] < begin - clicks.WINDOW_US // 1000 for event in parsed)
    assert old == late > 0


def test_event_times_run_out_of_order_only_within_the_allowance() -> None:
    times = np.array(
        [json.loads(line)[clicks.TIME] for line in Clicks(5, START, 9, 2000).records(3)[0] if line.endswith(b"}")]
    )
    behind = np.maximum.accumulate(times) - times
    assert behind.max() > 0
    assert behind.max() * 1000 <= DISORDER_US


def test_the_fab_shows_the_withheld_pattern_only_where_it_is_planted() -> None:
    stream = Fab(1, START, 20, 50)
    assert fab.WITHHELD not in fab.KNOWN
    assert [f.rules for f in stream.faults] == [("novel_pattern",), ("emerging_pattern",), ("pattern_rate_high",)]
    assert stream.window(3).equals(Fab(1, START, 20, 50).window(3))
    times = pl.concat(stream.window(w) for w in range(3))[fab.TIME]
    assert times.is_sorted()
    assert times.n_unique() == 150


def test_the_demo_finds_all_it_planted_with_repeated_bounded_runs(tmp_path: Path) -> None:
    report = tmp_path / "report.json"
    arguments = [
        "--hours",
        "4",
        "--pace",
        "0.4",
        "--runner",
        "inprocess",
        "--report",
        str(report),
        "--keep",
        str(tmp_path),
    ]
    result = CliRunner().invoke(demo, arguments)
    assert result.exit_code == 0, result.output[-3000:]
    told = json.loads(report.read_text())
    assert all(planted["found"] for planted in told["planted"])
    assert all(one["planted"] for one in told["alerts"])
    assert set(told) == {"planted", "alerts", "incidents", "accounts", "written", "exported", "rates"}
    state = {incident["id"]: incident["state"] for incident in told["incidents"]}
    # What was planted is over, and so is each incident that tells of it, but for those of the last windows.
    assert sum(state[one] == "resolved" for planted in told["planted"] for one in planted["incidents"]) > 0
    assert all(planted["incidents"] for planted in told["planted"])
    for stream in ("ctr", "wafer"):
        account = told["accounts"][stream]
        assert account == told["written"][stream] == told["exported"][stream]
        assert account["read"] == account["counted"] + account["rejected"] + account["late"] > 0
