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

START = 1_700_000_100_000_000 // 3_600_000_000 * 3_600_000_000
#: As the demo's jobs allow, in microseconds.
DISORDER_US = 120_000_000


def test_clicks_repeat_by_their_seed_and_have_the_columns_they_promise() -> None:
    first, again, other = (Clicks(seed, START, 80, 500).plant() for seed in (1, 1, 2))
    assert first.records(7) == again.records(7)
    assert first.records(7) != other.records(7)
    rows = first.window(7)
    assert set(rows.columns) == {clicks.TIME, *clicks.COLUMNS}
    assert len(clicks.RANKED) >= 30
    assert max(n for n, *_ in clicks.FEATURES.values()) == 100_000


def test_every_fault_shows_in_its_windows_and_only_there() -> None:
    stream = Clicks(3, START, 84, 800).plant()
    planted = [f for f in stream.faults if f.rules != ("source_recreated",)]
    faulty = {(f.start_us - START) // clicks.WINDOW_US + i for f in planted for i in range(3)}
    # Behind the hour of whole windows that the job learns.
    assert min(faulty) > 12
    assert len(faulty) == 3 * len(planted) == 33
    for window in range(84):
        clean, shown = Clicks(3, START, 84, 800).clean(window), stream.window(window)
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
        "7",
        "--pace",
        "0.2",
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
    assert set(told) == {"planted", "alerts", "incidents", "accounts", "written", "exported", "rates"}
    incidents = {one["id"]: one for one in told["incidents"]}
    for planted in told["planted"]:
        assert planted["found"], planted
        root = incidents[planted["incidents"][0]["id"]]
        assert root["state"] == "resolved"
        assert planted["subject"] in (None, root["subject"])
    assert {one["incident"] for one in told["alerts"]} == set(incidents)
    (in_a_slice,) = (one for one in told["planted"] if one["where"])
    assert incidents[in_a_slice["incidents"][0]["id"]]["where"] == in_a_slice["where"] == "device_type = device_type-1"
    (campaigns,) = (one for one in told["planted"] if one["subject"] == "campaign")
    assert campaigns["incidents"][0]["moved"]
    for stream in ("ctr", "wafer"):
        account = told["accounts"][stream]
        assert account == told["written"][stream] == told["exported"][stream]
        assert account["read"] == account["counted"] + account["rejected"] + account["late"] > 0
