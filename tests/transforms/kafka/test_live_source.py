"""A live reader on a broker in memory whose topic is made anew, trimmed, cut short or gets partitions meanwhile."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest

from sparsewatch.pipelines.job.job_file import load_job
from sparsewatch.pipelines.job.ready import ready
from sparsewatch.pipelines.run.run import read_specs
from sparsewatch.schemas.accounts import Account, Marker, ReaderState
from sparsewatch.schemas.errors import SourceError
from sparsewatch.schemas.side_records import SideRecord
from sparsewatch.testing import FakeBroker
from sparsewatch.transforms.kafka import ahead, feed, fetching, source, watching
from sparsewatch.transforms.kafka.fetching import IdleClock
from sparsewatch.transforms.kafka.reader_start import Until, initial_state
from sparsewatch.transforms.kafka.source import ASIDE, MARKERS, _ReadBounded, _ReadForever
from tests.kit.job_files import write_click_job

MINUTE_MS = 60_000
START_MS = 1_700_000_000_000 // MINUTE_MS * MINUTE_MS


class _Claims:
    """A tracker that always agrees."""

    def __init__(self, state: ReaderState) -> None:
        self.state = state

    def current_restriction(self) -> ReaderState:
        return self.state

    def try_claim(self, state: ReaderState) -> bool:
        self.state = state
        return True

    def defer_remainder(self, delay: Any) -> None: ...


class _Watermark:
    def set_watermark(self, at: Any) -> None: ...


class Live:
    """One reader of a job, stepped by a test; a minute is a window, nothing is idle unless `idle_after` is set."""

    def __init__(
        self,
        broker: FakeBroker,
        job_file: Path,
        *overrides: str,
        reader: int = 0,
        partitions: int = 1,
        until: Until = "forever",
    ) -> None:
        made = ready(load_job(job_file, ["windows.disorder=0s", "windows.idle_after=1h", *overrides]))
        self.spec = read_specs(made, range(partitions), until)[reader]
        self.broker = broker
        self.dofn = (_ReadForever if until == "forever" else _ReadBounded)(made.events)
        self.state = initial_state(self.spec)
        self.rows = 0
        self.sources: list[str] = []
        self.aside: list[SideRecord] = []
        self.markers: list[Marker] = []

    def step(self, times: int = 1, after_block: Callable[[], None] | None = None) -> None:
        """So many steps behind what was fetched ahead before."""
        for _ in range(times + ahead.AHEAD):
            claims = _Claims(self.state)
            for output in self.dofn.read(msgspec.json.encode(self.spec), claims, _Watermark()):
                self._take(output)
                if after_block is not None:
                    after_block()
                    after_block = None
            self.state = claims.state

    def _take(self, output: Any) -> None:
        tag = getattr(output, "tag", "")
        if tag == MARKERS:
            self.markers.append(output.value.value)
        elif tag == ASIDE:
            self.aside += output.value.value.records
        else:
            self.rows += output.value.num_rows
            self.sources += [span.topic for span in output.value.spans]

    @property
    def account(self) -> Account:
        return sum((marker.account for marker in self.markers), Account())

    @property
    def rules(self) -> list[str]:
        return [notice.rule for marker in self.markers for notice in marker.notices]

    def positions(self) -> dict[int, int]:
        return {part.partition: part.position for part in self.state.partitions}


@pytest.fixture(autouse=True, params=[0, ahead.AHEAD], ids=["one at a time", "ahead"])
def _at_once(monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest) -> None:
    """Every step is a bundle, with a look at the topic; what a test writes is seen by the next, or some steps later."""
    monkeypatch.setattr(source, "_BUNDLE_S", 0.0)
    monkeypatch.setattr(feed, "_GATHER_S", 0.01)
    monkeypatch.setattr(ahead, "AHEAD", request.param)
    monkeypatch.setattr(watching, "_LOOK_EVERY_S", 0.0)
    monkeypatch.setattr(fetching, "_ASK_EVERY_S", 0.0)


@pytest.fixture
def broker() -> Iterator[FakeBroker]:
    with FakeBroker() as broker:
        broker.create("clicks")
        broker.create("clicks.progress", compact=True)
        yield broker


@pytest.fixture
def job_file(broker: FakeBroker, tmp_path: Path) -> Path:
    return write_click_job(tmp_path, broker.settings.bootstrap_servers[0], "clicks", {"ad": "int", "label": "int"})


def send(broker: FakeBroker, minutes: range, partition: int = 0, label: object = 1, each: int = 10) -> None:
    """Ten clicks a minute."""
    writer = broker.writer()
    for minute in minutes:
        for i in range(each):
            at = START_MS + minute * MINUTE_MS + i
            click = {"t": at, "ad": i % 3, "label": label}
            writer.send("clicks", None, msgspec.json.encode(click), partition=partition, timestamp_ms=at)
    writer.flush()


@pytest.mark.parametrize("grown", [1, 9], ids=["shorter", "longer than it was"])
def test_a_topic_made_anew_while_it_is_read_is_read_from_its_begin(
    broker: FakeBroker, job_file: Path, grown: int
) -> None:
    live = Live(broker, job_file)
    send(broker, range(3))
    live.step(2)
    assert (live.positions(), live.rows) == ({0: 30}, 30)
    broker.recreate("clicks")
    send(broker, range(4, 4 + grown))
    live.step(3)
    send(broker, range(4 + grown, 8 + grown))
    live.step(2)
    assert live.rows == 30 + 10 * grown + 40
    assert live.rules == ["source_recreated"]
    # The rows of the third minute were counted and are in a window that closed later.
    assert live.account == Account(counted=30 + 10 * grown + 30)


def test_rejects_and_late_events_of_a_topic_made_anew_leave_their_trace(broker: FakeBroker, job_file: Path) -> None:
    live = Live(broker, job_file)
    send(broker, range(5))
    live.step(2)
    broker.recreate("clicks")
    send(broker, range(1), each=3)
    send(broker, range(9, 10), label="text", each=2)
    send(broker, range(9, 11))
    live.step(3)
    assert sorted((record.code, record.offset) for record in live.aside) == [
        ("late", 0), ("late", 1), ("late", 2), ("wrong_type", 3), ("wrong_type", 4),
    ]  # fmt: skip
    assert (live.account.late, live.account.rejected) == (3, 2)


def test_records_of_a_topic_made_anew_have_ids_of_their_own(broker: FakeBroker, job_file: Path) -> None:
    live = Live(broker, job_file)
    ids: list[str] = []
    for minute in (0, 2, 4):
        send(broker, range(minute, minute + 1), label="text", each=1)
        send(broker, range(minute, minute + 1), each=1)
        live.step(3)
        ids += [record.id for record in live.aside]
        live.aside.clear()
        era = broker.id_of("clicks")[:8]
        assert live.sources[-1] == ("clicks" if minute == 0 else f"clicks@{era}")
        assert ids[-1] == f"{live.sources[-1]}/0/0/-1/wrong_type"
        broker.recreate("clicks")
    assert len(set(ids)) == 3


def test_a_topic_that_is_away_is_waited_for(broker: FakeBroker, job_file: Path, caplog: Any) -> None:
    live = Live(broker, job_file)
    send(broker, range(2))
    live.step(2)
    kept = broker.topics.pop("clicks").created
    live.step(3)
    assert [r.getMessage() for r in caplog.records] == ["topic clicks is gone: it is read on when it is there again"]
    broker.make(kept)
    send(broker, range(5, 7))
    live.step(3)
    assert live.rows == 40
    assert live.rules == ["source_recreated"]


def test_a_topic_made_anew_with_fewer_partitions_is_read(broker: FakeBroker, job_file: Path) -> None:
    broker.recreate("clicks", 3)
    live = Live(broker, job_file, partitions=3)
    for partition in range(3):
        send(broker, range(3), partition)
    live.step(2)
    broker.recreate("clicks", 1)
    send(broker, range(9, 13))
    live.step(3)
    assert live.account.counted == 90 + 30
    assert live.positions() == {0: 40}


def test_records_trimmed_while_the_job_runs_are_lost(broker: FakeBroker, job_file: Path) -> None:
    live = Live(broker, job_file)
    send(broker, range(3))
    live.step(2)
    with broker.lock:
        send(broker, range(3, 6))
        broker.trim("clicks", 0, 47)
    live.step(2)
    send(broker, range(6, 10))
    live.step(2)
    assert live.account == Account(counted=30 + 13 + 30, lost=17)
    assert live.rules == ["records_lost"]


def test_all_records_trimmed_are_lost_though_none_is_left(broker: FakeBroker, job_file: Path) -> None:
    live = Live(broker, job_file)
    send(broker, range(3))
    broker.trim("clicks", 0, 30)
    live.step(2)
    assert (live.positions(), live.state.lost) == ({0: 30}, 30)


def test_gaps_of_compaction_and_transactions_are_not_lost(broker: FakeBroker, job_file: Path) -> None:
    live = Live(broker, job_file)
    send(broker, range(3))
    broker.pass_over("clicks", 0, 5)
    partition = broker.topics["clicks"].partitions[0]
    partition.records = [record for record in partition.records if record.offset not in (0, 7, 8, 29)]
    live.step(3)
    assert (live.positions(), live.rows, live.state.lost) == ({0: 35}, 26, 0)


def test_a_topic_cut_short_is_read_on_behind_the_cut(broker: FakeBroker, job_file: Path) -> None:
    live = Live(broker, job_file)
    send(broker, range(5))
    live.step(2)
    broker.cut("clicks", 0, 40)
    live.step(2)
    assert (live.positions(), live.rows) == ({0: 40}, 50)
    send(broker, range(6, 8))
    live.step(2)
    assert live.rows == 70
    assert live.rules == ["source_truncated"]
    assert live.account == Account(counted=60)


@pytest.mark.parametrize("readers", [1, 2, 3])
def test_added_partitions_are_read_by_one_reader_and_hold_the_windows_until_then(
    broker: FakeBroker, job_file: Path, readers: int
) -> None:
    broker.recreate("clicks", 3)
    all_readers = [
        Live(broker, job_file, f"source.readers={readers}", "windows.idle_after=0s", reader=r, partitions=3)
        for r in range(readers)
    ]
    for live in all_readers:
        live.step()
    broker.add_partitions("clicks", 7)
    for partition in range(7):
        send(broker, range(3), partition)
    for live in all_readers:
        live.step(5)
    positions = {p: at for live in all_readers for p, at in live.positions().items()}
    assert positions == dict.fromkeys(range(7), 30)
    assert sum(len(live.positions()) for live in all_readers) == 7
    assert sum(live.rows for live in all_readers) == 210
    assert not [record for live in all_readers for record in live.aside]


def test_no_window_closes_while_a_new_partition_is_unread(
    broker: FakeBroker, job_file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    live = Live(broker, job_file, "windows.idle_after=0s")
    send(broker, range(2))
    live.step()
    closed = len(live.markers)
    # The next look would come much later, but for the window that is to close.
    monkeypatch.setattr(watching, "_LOOK_EVERY_S", 1e9)
    monkeypatch.setattr(IdleClock, "idle_us", lambda *_: {0: 120_000_000})
    broker.add_partitions("clicks", 2)
    send(broker, range(1, 2), partition=1)
    live.step()
    assert len(live.markers) == closed
    live.step(2)
    assert live.positions() == {0: 20, 1: 10}
    assert not live.aside


def test_no_window_closes_while_the_broker_does_not_say_whether_partitions_were_added(
    broker: FakeBroker, job_file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    live = Live(broker, job_file)
    send(broker, range(2))
    live.step()
    monkeypatch.setattr(watching, "_LOOK_EVERY_S", 1e9)
    monkeypatch.setattr(IdleClock, "idle_us", lambda *_: {0: 120_000_000})
    closed = len(live.markers)
    broker.away = True
    live.step()
    assert len(live.markers) == closed
    broker.away = False
    live.step(2)
    assert len(live.markers) > closed


def test_a_topic_made_anew_in_a_bounded_run_is_read_to_its_end(broker: FakeBroker, job_file: Path) -> None:
    send(broker, range(6))
    live = Live(broker, job_file, "source.block_rows=10", until="latest")

    def recreate() -> None:
        broker.recreate("clicks")
        send(broker, range(8, 12))

    live.step(after_block=recreate)
    before = live.rows - 40
    assert before in range(10, 60, 10)
    assert (live.positions(), live.state.finished, live.rules) == ({0: 40}, True, ["source_recreated"])
    assert live.account == Account(counted=before + 40)


def test_a_topic_deleted_in_a_bounded_run_ends_it(broker: FakeBroker, job_file: Path) -> None:
    send(broker, range(6))
    live = Live(broker, job_file, "source.block_rows=10", until="latest")
    with pytest.raises(SourceError, match="topic 'clicks' was deleted while it was read"):
        live.step(after_block=lambda: broker.topics.clear())


def test_partitions_are_added_to_runs_until_windows_close(broker: FakeBroker, job_file: Path) -> None:
    send(broker, range(1))
    live = Live(broker, job_file, "source.block_rows=10", until="window")

    def add() -> None:
        broker.add_partitions("clicks", 2)
        for partition in (0, 1):
            send(broker, range(1, 4), partition)

    live.step(after_block=add)
    assert live.positions() == {0: 40, 1: 30}
    assert not live.aside
