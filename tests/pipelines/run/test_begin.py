"""Bounded runs of a job over a topic that is made anew, cut short, trimmed or given partitions in between."""

import itertools
import logging
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest

from sparsewatch.pipelines.job.job_file import load_job
from sparsewatch.pipelines.run.run import load_job_progress, run_job
from sparsewatch.schemas.accounts import Account
from sparsewatch.testing import FakeBroker
from sparsewatch.transforms.kafka import reading
from sparsewatch.transforms.kafka.presence import STOP
from sparsewatch.transforms.kafka.routing import route
from tests.kit.job_files import write_click_job

MINUTE_MS = 60_000
DAY_MS = 1440 * MINUTE_MS
BATCHES_A_READER = 6
START_MS = 1_700_000_000_000 // MINUTE_MS * MINUTE_MS


UNCOMMITTED = {"books_unbalanced", "commits_behind"}
SOURCE_RULES = ("source_recreated", "source_truncated", "records_lost")


class Runs:
    """A job on a broker in memory, run again and again to the end of its topic `clicks`."""

    def __init__(self, broker: FakeBroker, folder: Path) -> None:
        self.broker = broker
        broker.create("clicks")
        self._file = write_click_job(
            folder, broker.settings.bootstrap_servers[0], "clicks", {"ad": "int", "label": "int"}
        )
        self.overrides: tuple[str, ...] = ()

    def send(self, minutes: range, partition: int = 0, label: object = 1) -> None:
        """Ten clicks a minute, sent a day later: a backlog, no stream that fell silent."""
        writer = self.broker.writer()
        for minute in minutes:
            for i in range(10):
                at = START_MS + minute * MINUTE_MS + i
                value = msgspec.json.encode({"t": at, "ad": i % 3, "label": label})
                writer.send("clicks", None, value, partition=partition, timestamp_ms=at + DAY_MS)
        writer.flush()

    def run(self, until: str = "latest", **how: Any) -> str:
        return run_job(load_job(self._file, list(self.overrides)), until, "inprocess", **how)

    @property
    def totals(self) -> Account:
        progress = load_job_progress(load_job(self._file, list(self.overrides)))
        assert progress is not None
        return progress.totals

    @property
    def rules(self) -> set[str]:
        return {msgspec.json.decode(value or b"")["rule"] for value in self.broker.values("clicks.alerts")}

    @property
    def alerts(self) -> list[tuple[str, float]]:
        """Rule and value, of what befell the source; silences and rejects are judged elsewhere."""
        found = [msgspec.json.decode(value or b"") for value in self.broker.values("clicks.alerts")]
        return [(alert["rule"], alert["value"]) for alert in found if alert["rule"] in SOURCE_RULES]

    @property
    def incidents(self) -> list[dict[str, Any]]:
        """What was told of incidents, in its order."""
        return [msgspec.json.decode(value or b"") for value in self.broker.values("clicks.incidents")]

    def metric(self, name: str) -> float | None:
        found = [msgspec.json.decode(value) for value in self.broker.newest("clicks.metrics").values()]
        return next((sample["value"] for sample in found if sample["name"] == name), None)


@pytest.fixture
def runs(tmp_path: Path) -> Iterator[Runs]:
    with FakeBroker() as broker:
        yield Runs(broker, tmp_path)


@pytest.mark.parametrize(("has_ids", "grown"), [(True, 2), (False, 5)], ids=["shorter", "longer, no ids"])
def test_a_topic_made_anew_is_read_from_its_begin_and_told_once(
    runs: Runs, has_ids: bool, grown: int, caplog: pytest.LogCaptureFixture
) -> None:
    runs.broker.has_topic_ids = has_ids
    runs.send(range(3))
    runs.run()
    runs.broker.recreate("clicks")
    runs.send(range(10, 10 + grown))
    runs.send(range(1))
    runs.send(range(20, 21), label="text")
    with caplog.at_level(logging.WARNING):
        runs.run()
        runs.run()
    assert runs.totals == Account(counted=30 + 10 * grown, late=10, rejected=10)
    assert runs.alerts == [("source_recreated", 1.0)]
    # It is over two windows later, and no run tells it again.
    assert [(one["id"], one["change"]) for one in runs.incidents if one["rule"] == "source_recreated"] == [
        ("clicks-1", "opened"),
        ("clicks-1", "resolved"),
    ]
    told = [text for record in caplog.records if not (text := record.getMessage()).startswith("ALERT")]
    assert told == ["clicks/0: the topic was deleted and made again: it is read from its begin, offset 0"]
    assert len(runs.broker.records("clicks.late")) == len(runs.broker.records("clicks.rejects")) == 10


def test_a_topic_made_anew_and_still_empty_is_told_and_read_when_it_is_written(runs: Runs) -> None:
    runs.send(range(3))
    runs.run()
    runs.broker.recreate("clicks")
    runs.run()
    runs.run()
    assert runs.alerts == [("source_recreated", 1.0)]
    runs.send(range(3, 5))
    assert "50 read = 50 counted + 0 rejected + 0 late" in runs.run()


def test_rows_of_windows_left_open_are_lost_with_their_topic(runs: Runs) -> None:
    runs.send(range(3))
    runs.run(close_at_end=False)
    runs.broker.recreate("clicks")
    runs.send(range(3, 5))
    assert runs.run().endswith("; up to 20 records lost before they were read")
    assert runs.totals == Account(counted=30, lost=20)


def test_a_topic_made_anew_with_fewer_partitions_is_read(runs: Runs) -> None:
    runs.broker.recreate("clicks", 3)
    for partition in range(3):
        runs.send(range(3), partition)
    runs.run()
    runs.broker.recreate("clicks", 1)
    runs.send(range(5, 6))
    runs.run()
    runs.broker.add_partitions("clicks", 3)
    runs.send(range(6, 8), 2)
    runs.run()
    assert runs.totals == Account(counted=90 + 10 + 20)


@pytest.mark.parametrize("left", [5, 0])
def test_records_deleted_before_they_were_read_are_lost_and_alerted(runs: Runs, left: int) -> None:
    runs.send(range(3))
    runs.run()
    runs.send(range(3, 6))
    runs.broker.trim("clicks", 0, 60 - left)
    summary = runs.run()
    assert summary.endswith(f"; up to {30 - left} records lost before they were read")
    assert runs.run() == summary
    assert runs.totals == Account(counted=30 + left, lost=30 - left)
    assert runs.alerts == [("records_lost", 30.0 - left)]
    assert runs.metric("sparsewatch_records_lost_total") == 30 - left
    assert runs.totals.read == 30 + left


def test_records_deleted_before_a_job_began_are_not_lost(runs: Runs) -> None:
    runs.send(range(3))
    runs.broker.trim("clicks", 0, 20)
    runs.run()
    assert runs.totals == Account(counted=10)
    assert runs.alerts == []


def test_a_compacted_topic_with_gaps_up_to_its_end_is_read_to_it(runs: Runs) -> None:
    runs.send(range(3))
    runs.run()
    runs.send(range(3, 6))
    partition = runs.broker.topics["clicks"].partitions[0]
    # The last record read, the first that was not, and the last of all are compacted away.
    partition.records = [record for record in partition.records if record.offset not in (29, 30, 31, 59)]
    runs.run()
    assert runs.totals == Account(counted=30 + 27)
    assert runs.alerts == []


def test_tombstones_are_rejects(runs: Runs) -> None:
    runs.send(range(1))
    writer = runs.broker.writer()
    writer.send("clicks", b"key", None)
    writer.flush()
    runs.run()
    assert runs.totals == Account(counted=10, rejected=1)
    [reject] = runs.broker.records("clicks.rejects")
    assert dict(reject.headers)["sparsewatch.code"] == b"null_value"


def test_a_topic_that_lost_its_newest_records_is_read_on_behind_them(runs: Runs) -> None:
    runs.send(range(3))
    runs.run()
    runs.broker.cut("clicks", 0, 25)
    runs.run()
    assert runs.alerts == [("source_truncated", 1.0)]
    runs.send(range(5, 9))
    runs.run()
    assert runs.totals == Account(counted=70)


def test_partitions_added_between_runs_are_read_from_their_begin(runs: Runs) -> None:
    runs.overrides = ("source.readers=3", "source.start=latest")
    runs.broker.recreate("clicks", 2)
    runs.run()
    runs.send(range(3))
    runs.run()
    runs.broker.add_partitions("clicks", 5)
    for partition in range(5):
        runs.send(range(4, 6), partition)
    runs.send(range(1), 4)
    runs.run()
    assert runs.totals == Account(counted=30 + 100, late=10)


def test_a_job_that_starts_at_the_newest_records_gets_on_from_run_to_run(runs: Runs) -> None:
    runs.overrides = ("source.start=latest", "source.readers=2")
    runs.broker.recreate("clicks", 2)
    runs.send(range(3))
    assert runs.run() == "clicks: no window closed yet"
    runs.send(range(3, 5))
    runs.run()
    assert runs.totals == Account(counted=20)
    runs.send(range(5, 6), partition=1)
    assert runs.run() == "clicks: 30 read = 30 counted + 0 rejected + 0 late, in 3 windows"


def test_a_topic_that_lost_its_newest_records_and_has_grown_again_is_noticed(runs: Runs) -> None:
    runs.send(range(3))
    runs.run()
    runs.broker.cut("clicks", 0, 25)
    runs.send(range(5, 9))
    runs.run()
    assert runs.totals == Account(counted=70)
    assert runs.alerts == [("source_truncated", 1.0)]


def test_the_first_window_of_a_job_that_began_before_is_still_incomplete(runs: Runs) -> None:
    runs.overrides = ("source.start=latest",)
    runs.run()
    runs.send(range(2))
    runs.run()
    windows = [msgspec.json.decode(value) for value in runs.broker.newest("clicks.windows").values()]
    assert [window["complete"] for window in windows] == [False, False]


def test_until_a_time_sees_the_same(runs: Runs) -> None:
    runs.send(range(3))
    runs.run("2023-11-15T22:15:00Z")
    runs.broker.recreate("clicks")
    runs.send(range(10, 14))
    runs.broker.trim("clicks", 0, 5)
    runs.run("2023-11-15T22:25:00Z")
    counted = sum(record.timestamp_ms < 1_700_000_700_000 + DAY_MS for record in runs.broker.records("clicks"))
    assert counted == 15
    assert runs.totals.counted == 20 + counted
    assert [rule for rule, _ in runs.alerts] == ["source_recreated"]


def test_a_run_that_keeps_windows_open_commits_though_partitions_end_apart(runs: Runs) -> None:
    runs.overrides = ("source.readers=2",)
    runs.broker.recreate("clicks", 2)
    runs.send(range(6), partition=0)
    runs.send(range(2), partition=1)
    runs.run(close_at_end=False)
    runs.send(range(2, 8), partition=1)
    runs.send(range(6, 8), partition=0)
    runs.run(close_at_end=False)
    runs.run()
    assert runs.totals == Account(counted=160)
    assert not runs.rules & UNCOMMITTED


def test_a_run_of_several_readers_that_is_stopped_reads_to_its_end(runs: Runs, monkeypatch: pytest.MonkeyPatch) -> None:
    runs.overrides = ("source.readers=2", "source.block_rows=10")
    runs.broker.recreate("clicks", 2)
    runs.send(range(BATCHES_A_READER), partition=0)
    runs.send(range(BATCHES_A_READER), partition=1)
    routed = itertools.count(1)

    def route_and_stop(*arguments: Any) -> Any:
        if next(routed) == BATCHES_A_READER:
            STOP.set()
        return route(*arguments)

    monkeypatch.setattr(reading, "route", route_and_stop)
    runs.run()
    monkeypatch.undo()
    STOP.clear()
    runs.run()
    assert runs.totals == Account(counted=20 * BATCHES_A_READER)
    assert not runs.rules & UNCOMMITTED


def test_what_is_deleted_behind_the_end_of_a_run_is_lost_once(runs: Runs, monkeypatch: pytest.MonkeyPatch) -> None:
    runs.overrides = ("source.block_rows=10",)
    runs.broker.recreate("clicks", 2)
    runs.send(range(2), partition=0)
    runs.send(range(20), partition=1)
    routed = itertools.count(1)

    def route_and_delete(*arguments: Any) -> Any:
        if next(routed) == BATCHES_A_READER:
            runs.send(range(2, 8), partition=0)
            runs.broker.trim("clicks", 0, 50)
        return route(*arguments)

    monkeypatch.setattr(reading, "route", route_and_delete)
    runs.run()
    assert runs.totals.lost == 0
    monkeypatch.undo()
    runs.run()
    assert runs.totals.lost == 30
    assert ("records_lost", 30.0) in runs.alerts
