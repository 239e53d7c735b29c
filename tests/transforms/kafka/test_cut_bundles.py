"""A continuous run whose bundles end anywhere, in any worker: the rows, side records and accounts of a slow recount."""

import threading
from collections.abc import Iterator, Sequence
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sparsewatch.schemas.accounts import Account, Marker, ReaderState
from sparsewatch.schemas.block import EVENT_TIME_US, OFFSET, PARTITION
from sparsewatch.schemas.jobs import JobIdentity, SourceSettings, Topics, WindowTimes
from sparsewatch.testing import FakeBroker
from sparsewatch.transforms.codecs.events import EventColumns, event_schema
from sparsewatch.transforms.kafka import feed, source
from sparsewatch.transforms.kafka.reader_start import ReadSpec, initial_state
from sparsewatch.transforms.kafka.source import ASIDE, MARKERS, _ReadForever
from tests.oracles.accounts import Record, recount

START_S = 1_700_000_040
LENGTH_US, DISORDER_US = 60_000_000, 20_000_000
SCHEMA = event_schema(SourceSettings(topic="t", time_column="t", time_format="epoch_s"), EventColumns([]))
PARTITIONS = 3
#: Bundles in which everything is read.
_ENOUGH = 5_000


class _Claims:
    """A tracker that agrees so many times, after which the runner has taken the rest back."""

    def __init__(self, state: ReaderState, claims: int) -> None:
        self.state = state
        self._claims = claims

    def current_restriction(self) -> ReaderState:
        return self.state

    def try_claim(self, state: ReaderState) -> bool:
        if self._claims == 0:
            return False
        self._claims -= 1
        self.state = state
        return True

    def defer_remainder(self, delay: Any) -> None: ...


class _Watermark:
    def set_watermark(self, at: Any) -> None: ...


class Cut:
    """One reader on several workers, and all that it has given."""

    def __init__(
        self, broker: FakeBroker, block_rows: int, workers: Sequence[_ReadForever], reader: int = 0, readers: int = 1
    ) -> None:
        identity = JobIdentity(
            job="j", settings_digest="d", kafka=broker.settings, topics=Topics(source="t", prefix="j")
        )
        self.spec = ReadSpec(
            identity=identity,
            windows=WindowTimes(length_us=LENGTH_US, disorder_us=DISORDER_US, idle_after_us=10**15),
            reader=reader,
            readers=readers,
            partitions=tuple(range(reader, PARTITIONS, readers)),
            block_rows=block_rows,
            max_record_bytes=1 << 20,
            start="earliest",
        )
        self.workers = workers
        self.state = initial_state(self.spec)
        #: Partition and offset of each row, by window, as they came.
        self.rows: dict[int, list[tuple[int, int]]] = {}
        self.aside: list[tuple[str, int, int]] = []
        self.markers: list[Marker] = []

    def bundle(self, worker: int, claims: int | None = None) -> None:
        """A bundle of one step, or one that the runner takes back after so many."""
        tracker = _Claims(self.state, 1 if claims is None else claims)
        source._BUNDLE_S = 0.0 if claims is None else 1e9
        for output in self.workers[worker].read(msgspec.json.encode(self.spec), tracker, _Watermark()):
            tag = getattr(output, "tag", "")
            if tag == MARKERS:
                self.markers.append(output.value.value)
            elif tag == ASIDE:
                self.aside += [(r.kind, r.partition, r.offset) for r in output.value.value.records]
            else:
                self._count(output.value.rows)
        self.state = tracker.state

    def _count(self, rows: Any) -> None:
        columns = [rows.column(name).to_pylist() for name in (EVENT_TIME_US, PARTITION, OFFSET)]
        for time, partition, offset in zip(*columns, strict=True):
            self.rows.setdefault(time // LENGTH_US * LENGTH_US, []).append((partition, offset))

    def behind(self, topic: dict[int, list[Record]]) -> bool:
        return any(part.position < len(topic[part.partition]) for part in self.state.partitions)


@pytest.fixture(scope="module", autouse=True)
def _soon() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(source, "_BUNDLE_S", 0.0)
        patch.setattr(feed, "_GATHER_S", 0.001)
        yield


records = st.lists(st.tuples(st.integers(0, PARTITIONS - 1), st.one_of(st.none(), st.integers(0, 200))), max_size=30)
#: What is written before a bundle, the worker that takes the bundle, and the claims after which it is taken back.
bundles = st.lists(
    st.tuples(records, st.sampled_from([0, 0, 0, 1]), st.sampled_from([None, None, None, 0, 1, 4])), max_size=12
)


@settings(max_examples=60)
@given(bundles, st.integers(1, 8))
def test_bundles_that_end_anywhere_give_each_record_once_and_the_same_accounts(
    written: list[tuple[list[tuple[int, int | None]], int, int | None]], block_rows: int
) -> None:
    threads = set(threading.enumerate())
    topic: dict[int, list[Record]] = {p: [] for p in range(PARTITIONS)}
    with FakeBroker(step=5) as broker:
        broker.create("t", PARTITIONS)
        broker.create("j.progress")
        writer, cut = broker.writer(), Cut(broker, block_rows, [_ReadForever(SCHEMA) for _ in range(2)])
        for step, (batch, worker, claims) in enumerate(written):
            for partition, second in batch:
                # Time goes on by a window with every third bundle.
                at = None if second is None else START_S + step * 20 + second
                topic[partition].append(None if at is None else [at * 1_000_000])
                writer.send("t", None, msgspec.json.encode({"t": at}), partition=partition)
            writer.flush()
            cut.bundle(worker, claims)
        for _ in range(_ENOUGH):
            cut.bundle(0)
            if not cut.behind(topic):
                break
        for worker_ in cut.workers:
            worker_.teardown()
    assert set(threading.enumerate()) <= threads
    _agree(cut, topic)


def _agree(cut: Cut, topic: dict[int, list[Record]]) -> None:
    truth = recount(topic, LENGTH_US, DISORDER_US)
    late = [("late", p, o) for p, o, _ in truth.late]
    assert sorted(cut.aside) == sorted([*late, *(("reject", p, o) for p, o in truth.rejected)])
    assert {window: len(rows) for window, rows in cut.rows.items()} == truth.windows
    once = [place for rows in cut.rows.values() for place in rows] + [(p, o) for _, p, o in cut.aside]
    assert sorted(once) == [(p, o) for p in topic for o in range(len(topic[p]))]
    for rows in cut.rows.values():
        # A stable sort: it changes nothing where the rows of each partition came in order.
        assert sorted(rows) == sorted(rows, key=lambda place: place[0])
    closed = {m.window_us: m.account.counted for m in cut.markers if not m.is_preface}
    assert closed == {window: truth.windows[window] for window in closed}
    assert [m.sequence for m in cut.markers] == list(range(1, len(cut.markers) + 1))
    stated = sum((m.account for m in cut.markers), Account())
    assert stated.late + cut.state.late == len(truth.late)
    assert stated.rejected + cut.state.rejected == len(truth.rejected)


def test_readers_that_take_turns_keep_their_places() -> None:
    with FakeBroker(step=5) as broker:
        broker.create("t", PARTITIONS)
        broker.create("j.progress")
        writer, worker = broker.writer(), _ReadForever(SCHEMA)
        for partition in range(PARTITIONS):
            for second in range(100):
                writer.send("t", None, msgspec.json.encode({"t": START_S + second}), partition=partition)
        writer.flush()
        turns = [Cut(broker, 7, [worker], reader, 2) for reader in range(2)]
        opened = broker.readers["t"]
        for _ in range(40):
            for reader in turns:
                reader.bundle(0)
        worker.teardown()
    assert broker.readers["t"] == opened + 2
    assert sorted(place for reader in turns for rows in reader.rows.values() for place in rows) == [
        (p, o) for p in range(PARTITIONS) for o in range(100)
    ]
