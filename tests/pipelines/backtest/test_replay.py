"""A backtest of files and a run over the topic that they were published to tell the same, byte for byte."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import polars as pl
import pytest

from sparsewatch import run_job
from sparsewatch.pipelines.backtest.history import open_history, time_rule
from sparsewatch.pipelines.backtest.replay import Passed, Told, Windows
from sparsewatch.pipelines.backtest.run import replay
from sparsewatch.pipelines.job.job_file import load_job
from sparsewatch.pipelines.job.kind import Job
from sparsewatch.pipelines.job.kinds import parse_job
from sparsewatch.pipelines.job.ready import prepare, ready
from sparsewatch.pipelines.publish.command import Plan, publish_batches
from sparsewatch.pipelines.publish.event_files import TimeRule, open_events, read_events
from sparsewatch.pipelines.tables.settings import PLAIN
from sparsewatch.schemas.errors import SchemaError
from sparsewatch.testing import FakeBroker
from sparsewatch.transforms.codecs.stretch import Stretch
from tests.kit.job_files import write_click_job
from tests.kit.kind_examples import example_of, job_file
from tests.pipelines.init.topics import START_MS, clicks

pytestmark = pytest.mark.torch
_WINDOWS, _A_WINDOW = 32, 20
#: Behind all events: none of them is of a clock that is ahead.
_NOW_S = START_MS / 1_000 + 86_400
_ALL = Stretch()


def told(job: Job, file: Path, stretch: Stretch = _ALL) -> list[Told]:
    made = ready(job)
    history = open_history(job, [file], time_rule(job, None, None, 1), PLAIN, lambda _done, _total: None)
    return [one for [one] in replay([(made, prepare(made))], history, stretch)]


def records(found: list[Told]) -> tuple[list[bytes], list[bytes]]:
    """Alerts and incidents."""
    raised = [one.decided.raised for one in found]
    return (
        [msgspec.json.encode(alert) for one in raised for alert in one.alerts],
        [msgspec.json.encode(incident) for one in raised for incident in one.incidents],
    )


def written(broker: FakeBroker, job: Job) -> tuple[list[bytes], list[bytes]]:
    topics = ready(job).topics
    alerts, incidents = ([r.value or b"" for r in broker.records(t)] for t in (topics.alerts, topics.incidents))
    return alerts, incidents


def _events(kind: str) -> pl.DataFrame:
    """Windows of which some in the middle lose all rows."""
    events = pl.DataFrame(example_of(kind).events(_WINDOWS * _A_WINDOW, 3))
    place = np.arange(events.height)
    timed = events.with_columns(t=pl.Series(START_MS + place * 60_000 // _A_WINDOW))
    return timed.filter(pl.Series(abs(place // _A_WINDOW - 22) > 4))


@pytest.mark.parametrize("kind", ["ctr", "rows", "wafer"])
def test_each_kind_tells_the_same_as_over_its_topic(kind: str, tmp_path: Path) -> None:
    file = tmp_path / "events.parquet"
    _events(kind).write_parquet(file)
    with FakeBroker(clock=lambda: _NOW_S) as broker:
        own = job_file(kind, example_of(kind).all_settings(tmp_path))
        job = parse_job(own | {"kafka": {"bootstrap_servers": list(broker.settings.bootstrap_servers)}}, "example")
        _publish(broker, job, file)
        run_job(job, "latest", "inprocess")
        expected = written(broker, job)
    found = told(job, file)
    assert expected[0]
    assert records(found) == expected
    assert sum(one.account.counted for one in found) == _events(kind).height


def _publish(broker: FakeBroker, job: Job, file: Path) -> None:
    broker.create("events")
    rule = TimeRule(column="t")
    events = read_events(open_events(file, job=job, rule=rule), rule)
    publish_batches(broker.writer(), events, Plan(topic="events", partitions=1))


def _lines(number: int = 12_000) -> Iterator[bytes]:
    """Clicks among which some are late, broken, or hold a value of another type; at the end they lose their site."""
    for at, event in enumerate(clicks(number)):
        if at > 6_000 and at % 3 == 0:
            event["ad"] = "x"
        if at > 9_600:
            event["site"] = None
        if at % 500 == 7:
            event["ts"] -= 300_000
        yield b"{" if at % 900 == 5 else msgspec.json.encode(event)


def _click_job(folder: Path, address: str, *overrides: str) -> Job:
    columns = {"site": "str", "ad": "int", "click": "int"}
    path = write_click_job(folder, address, "clicks", columns, time_column="ts")
    return load_job(path, ("label=click", *overrides))


def test_lines_are_the_records_that_they_would_be(tmp_path: Path) -> None:
    file = tmp_path / "clicks.jsonl"
    lines = list(_lines())
    file.write_bytes(b"\n".join(lines) + b"\n")
    with FakeBroker(clock=lambda: _NOW_S) as broker:
        broker.create("clicks")
        writer = broker.writer()
        for line in lines:
            writer.send("clicks", None, line)
        writer.close()
        job = _click_job(tmp_path, broker.settings.bootstrap_servers[0])
        run_job(job, "latest", "inprocess")
        expected = written(broker, job)
    found = told(job, file)
    rules = {msgspec.json.decode(alert)["rule"] for alert in expected[0]}
    # The one is promised by the job, the other it has learned.
    assert rules >= {"feature_type_changed", "feature_vanished"}
    assert records(found) == expected
    assert sum(one.account.late for one in found) == 23
    assert sum(one.account.rejected for one in found) == 14


def test_windows_are_closed_as_they_pass_and_leave_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Memory is that of the open windows."""
    file = tmp_path / "clicks.jsonl"
    file.write_bytes(b"\n".join(map(msgspec.json.encode, clicks(9_000))))
    job = _click_job(tmp_path, "none:1", "source.block_rows=200")
    most, passed = 0, Windows._passed

    def counting(run: Windows, marker: Any) -> Passed:
        nonlocal most
        most = max(most, len(run._open))
        return passed(run, marker)

    monkeypatch.setattr(Windows, "_passed", counting)
    assert len(told(job, file)) == 15
    assert most <= 2


def test_a_stretch_holds_its_events_and_the_rejects_among_them(tmp_path: Path) -> None:
    lines = list(_lines())
    file = tmp_path / "clicks.jsonl"
    file.write_bytes(b"\n".join(lines))
    since, until = START_MS + 240_000, START_MS + 700_000
    events = [(at, msgspec.json.decode(line)["ts"]) for at, line in enumerate(lines) if line != b"{"]
    inside = [at for at, time in events if since <= time < until]
    found = told(_click_job(tmp_path, "none:1"), file, Stretch(since * 1_000, until * 1_000))
    assert min(one.closed.window.start_us for one in found if not one.closed.is_preface) == since * 1_000
    assert sum(one.account.counted + one.account.late for one in found) == len(inside)
    assert sum(one.account.rejected for one in found) == lines[inside[0] : inside[-1]].count(b"{")
    with pytest.raises(SchemaError, match=r"clicks\.jsonl: expected events that the job can use, got none in this"):
        told(_click_job(tmp_path, "none:1"), file, Stretch(until_us=since // 2))
