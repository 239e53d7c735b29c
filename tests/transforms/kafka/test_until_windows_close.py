"""Runs until windows close: they leave open windows to the next run, read little twice, and silence outlasts them."""

import itertools
import json
from collections.abc import Iterator

import apache_beam as beam
import msgspec
import pytest
from apache_beam.io.watermark_estimators import ManualWatermarkEstimator

from sparsewatch.schemas.accounts import Marker
from sparsewatch.schemas.jobs import JobIdentity, KafkaSettings, SourceSettings, Topics, WindowTimes
from sparsewatch.testing import FakeBroker, SimulatedClock
from sparsewatch.transforms.codecs.events import EventColumns, event_schema
from sparsewatch.transforms.kafka import feed, source
from sparsewatch.transforms.kafka.fetching import IdleClock
from sparsewatch.transforms.kafka.instances import no_progress
from sparsewatch.transforms.kafka.open import served_by
from sparsewatch.transforms.kafka.presence import STOP
from sparsewatch.transforms.kafka.progress import advance
from sparsewatch.transforms.kafka.reader_start import ReadSpec, initial_state
from sparsewatch.transforms.kafka.source import MARKERS, ReaderProvider

START_S = 1_700_000_040
KAFKA = KafkaSettings(bootstrap_servers=["memory:1"])
SPEC = ReadSpec(
    identity=JobIdentity(job="j", settings_digest="d", kafka=KAFKA, topics=Topics(source="t", prefix="j")),
    windows=WindowTimes(length_us=60_000_000, disorder_us=0, idle_after_us=10_000_000),
    reader=0,
    partitions=(0,),
    block_rows=1_000,
    max_record_bytes=1 << 20,
    start="earliest",
    until="window",
)
SCHEMA = event_schema(SourceSettings(topic="t", time_column="t", time_format="epoch_s"), EventColumns([]))


class Repeated:
    """A job of one reader whose runs are committed as they end."""

    def __init__(self, broker: FakeBroker) -> None:
        self._writer = broker.writer()
        self.progress = no_progress(SPEC.identity)
        self.broker = broker
        broker.create("t", 1)
        broker.create("j.progress", 1)

    def publish(self, *seconds: int) -> None:
        for second in seconds:
            self._writer.send("t", None, json.dumps({"t": START_S + second}).encode(), partition=0)
        self._writer.flush()

    def run(self) -> tuple[int, list[Marker]]:
        """Rows that a run read, and its markers."""
        element, rows, markers = msgspec.json.encode(SPEC), 0, []
        tracker = ReaderProvider(bounded=True).create_tracker(initial_state(SPEC))
        read = source._ReadBounded(SCHEMA)
        for output in read.process(element, tracker, ManualWatermarkEstimator(None)):
            if isinstance(output, beam.pvalue.TaggedOutput):
                assert output.tag == MARKERS
                markers.append(output.value.value)
            else:
                rows += output.value.rows.num_rows
        tracker.check_done()
        read.teardown()
        for marker in markers:
            self.progress = advance(self.progress, (marker,))
        self._writer.send("j.progress", b"j", msgspec.json.encode(self.progress))
        self._writer.flush()
        return rows, markers


@pytest.fixture
def job(monkeypatch: pytest.MonkeyPatch) -> Iterator[Repeated]:
    STOP.clear()
    monkeypatch.setattr(feed, "_idle_clocks", {})
    monkeypatch.setattr(feed, "_GATHER_S", 0.01)
    broker = FakeBroker()
    with served_by("memory:1", broker):
        yield Repeated(broker)
    STOP.clear()


def test_a_run_ends_when_a_window_has_closed_and_the_next_reads_only_the_open_window_again(job: Repeated) -> None:
    job.publish(*range(60), 60, 61)
    assert [(rows, [m.account.counted for m in markers]) for rows, markers in [job.run()]] == [(62, [60])]
    job.publish(*range(62, 121))
    rows, [marker] = job.run()
    assert (rows, marker.account.counted) == (2 + 59, 60)
    assert (job.progress.windows, job.progress.totals.counted) == (2, 120)


def test_behind_a_backlog_a_run_closes_all_windows_that_have_ended(job: Repeated) -> None:
    job.publish(*range(3_000))
    rows, markers = job.run()
    assert (rows, len(markers)) == (3_000, 49)


def test_silence_is_counted_on_from_the_run_before(job: Repeated, monkeypatch: pytest.MonkeyPatch) -> None:
    clock = SimulatedClock()
    monkeypatch.setattr(feed, "_idle_clocks", {msgspec.json.encode(SPEC): IdleClock(clock)})
    job.publish(*range(60), 60, 61)
    assert len(job.run()[1]) == 1
    # Silent for ten seconds, then idle for another minute: the window that is open has ended by the clock.
    clock.advance(70)
    rows, [marker] = job.run()
    assert (rows, marker.account.counted) == (2, 2)


def test_a_run_that_is_asked_to_stop_leaves_its_windows_open(job: Repeated, monkeypatch: pytest.MonkeyPatch) -> None:
    # By this clock it is 10 s later at each look.
    ticks = itertools.count(step=10)
    monkeypatch.setattr(feed, "_idle_clocks", {msgspec.json.encode(SPEC): IdleClock(lambda: float(next(ticks)))})
    job.publish(1, 2, 3)
    STOP.set()
    assert job.run() == (3, [])
    STOP.clear()
    job.publish(60)
    assert job.run()[0] == 4
    assert job.progress.totals.counted == 3
