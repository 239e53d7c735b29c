"""Saved windows outlive the process, whole or not at all."""

from collections.abc import Iterator

import msgspec
import pytest

from sparsewatch.schemas.errors import SinkError
from sparsewatch.testing import FakeBroker
from sparsewatch.transforms.window.panes import CHUNK_BYTES, Pane, PaneLog, _Chunk, load_panes

LENGTH = 10


@pytest.fixture
def broker() -> Iterator[FakeBroker]:
    with FakeBroker() as broker:
        yield broker


def put(broker: FakeBroker, log: PaneLog, *panes: Pane) -> None:
    writer = broker.writer()
    for p in panes:
        log.put(p, writer)
    writer.close()


def read(broker: FakeBroker, job: str = "j") -> list[Pane]:
    return load_panes(broker.settings, "j.panes", job)


def pane(start: int, state: bytes = b"s", learned: bool = True) -> Pane:
    return Pane(start, start + LENGTH, state, learned)


def test_a_view_reaches_over_its_windows_and_no_further(broker: FakeBroker) -> None:
    log = PaneLog("j", "j.panes", 3)
    put(broker, log, *map(pane, (0, 10, 20, 30)))
    assert [p.start_us for p in log.before(40, LENGTH)] == [20, 30]
    assert [p.start_us for p in log.before(50, LENGTH)] == [30]
    assert log.before(1_000, LENGTH) == []


def test_panes_are_read_back_whatever_their_size(broker: FakeBroker) -> None:
    large = bytes(range(256)) * (CHUNK_BYTES // 128)
    kept = [pane(10, large, learned=False), pane(20, b""), pane(30, b"x")]
    put(broker, PaneLog("j", "j.panes", 3), *kept)
    assert all(len(value or b"") < CHUNK_BYTES + 100 for value in broker.values("j.panes"))
    assert read(broker) == kept
    assert read(broker, "other") == []


def test_slots_come_round_again_and_the_old_pane_goes(broker: FakeBroker) -> None:
    put(broker, PaneLog("j", "j.panes", 2), pane(0, b"a" * (2 * CHUNK_BYTES)), pane(10), pane(20, b"short"))
    assert read(broker) == [pane(10), pane(20, b"short")]
    assert len({record.key for record in broker.records("j.panes")}) == 3


def test_a_compacted_topic_holds_the_same_panes(broker: FakeBroker) -> None:
    put(broker, PaneLog("j", "j.panes", 2), *(pane(start, b"a" * start) for start in (0, 10, 20, 30, 40)))
    before = read(broker)
    broker.compact("j.panes")
    assert len(broker.records("j.panes")) == 2
    assert read(broker) == before == [pane(30, b"a" * 30), pane(40, b"a" * 40)]


def test_a_pane_that_was_cut_off_is_none(broker: FakeBroker) -> None:
    writer = broker.writer()
    PaneLog("j", "j.panes", 3).put(pane(10, b"b" * (2 * CHUNK_BYTES)), writer)
    broker.refuse(lambda record: bool(record.key and record.key.endswith(b"/1")))
    with pytest.raises(SinkError, match="refused"):
        writer.close()
    assert len(broker.records("j.panes")) == 1
    assert read(broker) == []


def test_writing_a_pane_again_writes_the_same(broker: FakeBroker) -> None:
    put(broker, PaneLog("j", "j.panes", 3), pane(10, b"state"))
    put(broker, PaneLog("j", "j.panes", 3, read(broker)), pane(10, b"state"))
    first, again = broker.records("j.panes")
    assert (first.key, first.value) == (again.key, again.value)


def test_a_pane_older_than_all_that_are_kept_is_passed_over(broker: FakeBroker) -> None:
    put(broker, PaneLog("j", "j.panes", 2), *map(pane, (20, 30, 10)))
    assert [p.start_us for p in read(broker)] == [20, 30]


def test_a_chunk_that_states_billions_of_others_takes_no_memory_for_them(broker: FakeBroker) -> None:
    put(broker, PaneLog("j", "j.panes", 3), pane(0))
    writer = broker.writer()
    for place, chunks in ((0, 1 << 60), (0, -1)):
        chunk = _Chunk(10, 20, True, place, chunks, b"s")
        writer.send("j.panes", f"j/1/{place}".encode(), msgspec.msgpack.encode(chunk))
        writer.flush()
        assert read(broker) == [pane(0)]
    writer.close()
