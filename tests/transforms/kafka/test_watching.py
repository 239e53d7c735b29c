"""What is found out behind a fetch travels with its batch: the topic, idle partitions, and where a run stops."""

from collections.abc import Iterator

import msgspec
import pytest

from sparsewatch.schemas.accounts import OpenWindow, PartitionState, ReaderState
from sparsewatch.schemas.jobs import JobIdentity, SourceSettings, Topics, WindowTimes
from sparsewatch.testing import FakeBroker, FakeReader, SimulatedClock
from sparsewatch.transforms.codecs.events import EventColumns, event_schema
from sparsewatch.transforms.kafka import feed
from sparsewatch.transforms.kafka.client import Sight
from sparsewatch.transforms.kafka.closing import close_live
from sparsewatch.transforms.kafka.feed import Feed
from sparsewatch.transforms.kafka.fetching import IdleClock
from sparsewatch.transforms.kafka.reader_start import ReadSpec
from sparsewatch.transforms.kafka.watching import Batch, Idle, IdleRules, Watcher
from sparsewatch.transforms.records import Fetched

SCHEMA = event_schema(SourceSettings(topic="t", time_column="t", time_format="epoch_s"), EventColumns([]))


@pytest.fixture
def broker() -> Iterator[FakeBroker]:
    with FakeBroker(step=4, partitions=2) as broker:
        broker.create("t", 2)
        yield broker


def write(broker: FakeBroker, partition: int, records: int) -> None:
    writer = broker.writer()
    for second in range(records):
        writer.send("t", None, msgspec.json.encode({"t": 1_700_000_000 + second}), partition=partition)
    writer.flush()


def spec(broker: FakeBroker) -> ReadSpec:
    return ReadSpec(
        identity=JobIdentity(
            job="j", settings_digest="d", kafka=broker.settings, topics=Topics(source="t", prefix="j")
        ),
        windows=WindowTimes(length_us=60_000_000, disorder_us=0, idle_after_us=1_000_000),
        reader=0,
        partitions=(0, 1),
        block_rows=10,
        max_record_bytes=1 << 20,
        start="earliest",
    )


class Watched:
    """A watcher of both partitions by a clock that a test advances; partition 1 was read before up to offset 2."""

    def __init__(self, broker: FakeBroker) -> None:
        self.clock = SimulatedClock(start_us=0)
        self.reader = broker.reader("t")
        self.reader.assign({0: 0, 1: 0})
        rules = IdleRules(IdleClock(self.clock), 1_000_000, {0: 0, 1: 2})
        self.watcher = Watcher(self.reader, {0: 0, 1: 0}, rules, self.clock)

    def batch(self, later_s: float) -> Batch:
        self.clock.advance(later_s)
        return self.watcher.batch(lambda: self.reader.fetch(0.0, 100))


def test_a_batch_knows_which_partitions_were_idle_when_it_was_fetched(broker: FakeBroker) -> None:
    watched = Watched(broker)
    write(broker, 0, 1)
    assert watched.batch(0).idle.us == {}
    write(broker, 0, 1)
    # The records of partition 1 were read before: that it gives them now does not show that it is awake.
    write(broker, 1, 2)
    assert watched.batch(3).idle == Idle({1: 2_000_000}, {1})
    write(broker, 1, 1)
    assert watched.batch(3).idle == Idle({0: 2_000_000}, set())


def test_the_topic_is_looked_at_behind_each_batch_with_records_or_idle_partitions(broker: FakeBroker) -> None:
    watched = Watched(broker)
    seen = Sight(broker.id_of("t"), (0, 1))
    assert watched.batch(0).sight == seen
    assert watched.batch(0.1).sight is None
    write(broker, 0, 1)
    assert watched.batch(0.1).sight == seen
    assert [watched.batch(0.3).sight for _ in range(2)] == [None, None]
    idle = watched.batch(0.3)
    assert (set(idle.idle.us), idle.sight) == ({1}, seen)
    assert watched.batch(0.0).sight == seen


def test_nothing_is_idle_while_the_topic_or_the_broker_is_away(broker: FakeBroker) -> None:
    watched = Watched(broker)
    watched.batch(0)
    assert set(watched.batch(5).idle.us) == {0, 1}
    broker.away = True
    away = watched.batch(5)
    assert (away.fetched, away.idle.us, away.sight) == ([], {}, None)
    broker.away = False
    broker.topics.clear()
    gone = watched.batch(5)
    assert (gone.idle.us, gone.sight) == ({}, Sight("", ()))


def test_a_run_that_stops_fetches_nothing_behind_its_stops(broker: FakeBroker) -> None:
    write(broker, 0, 25)
    write(broker, 1, 7)
    reader = Polled(broker)
    parts = (PartitionState(0, 0, 0, 0), PartitionState(1, 5, 0, 0))
    state, offsets = ReaderState(parts, stop=(23, 6)), dict[int, list[int]]()
    reader.assign({0: 0, 1: 5})
    batches = Feed(reader, spec(broker), state, SCHEMA)
    while batches.has_more():
        for run in batches.decode(batches.fetch(lambda: False)).fetched:
            offsets.setdefault(run.partition, []).extend(run.offsets.tolist())
    assert offsets == {0: list(range(23)), 1: [5]}
    assert batches.fetch(lambda: False).fetched == []
    assert reader.found_nothing == 0


class Polled(FakeReader):
    """Counts the polls that find nothing, each of which waits."""

    def __init__(self, broker: FakeBroker) -> None:
        super().__init__(broker, "t")
        self.found_nothing = 0

    def fetch(self, timeout_s: float, max_records: int) -> list[Fetched]:
        runs = super().fetch(timeout_s, max_records)
        self.found_nothing += not runs
        return runs


def test_a_fetch_whose_batch_nobody_will_take_ends_at_once(broker: FakeBroker, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(feed, "_GATHER_S", 1e9)
    state = ReaderState((PartitionState(0, 0, 0, 0), PartitionState(1, 0, 0, 0)))
    reader = Polled(broker)
    reader.assign({0: 0, 1: 0})
    batches = Feed(reader, spec(broker), state, SCHEMA)
    assert batches.fetch(lambda: reader.found_nothing > 2).fetched == []
    assert reader.found_nothing == 3


@pytest.mark.parametrize(
    ("sight", "idle", "waiting", "closed"),
    [
        (True, {1: 0}, set(), 1),
        (False, {1: 0}, set(), 0),
        (True, {}, set(), 0),
        (True, {1: 0}, {1}, 0),
        (True, {1: 0}, {0}, 1),
    ],
    ids=["idle", "nobody has looked", "not idle", "idle with records that wait", "others wait"],
)
def test_an_idle_partition_lets_windows_close_where_the_topic_was_looked_at_and_none_of_its_records_wait(
    broker: FakeBroker, sight: bool, idle: dict[int, int], waiting: set[int], closed: int
) -> None:
    opened = OpenWindow(0, 0, 0, 5)
    state = ReaderState((PartitionState(0, 5, 60_000_000, 0, (opened,)), PartitionState(1, 5, 10_000_000, 0)))
    batch = Batch([], Sight("", (0, 1)) if sight else None, idle=Idle(idle, ()), at_us=0)
    after, markers = close_live(state, spec(broker), batch, waiting)
    assert len(markers) == closed
    assert after.markers == closed
