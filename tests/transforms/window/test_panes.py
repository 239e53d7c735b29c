"""Panes outlive the process, whole or not at all."""

from typing import Any

import pytest

from sparsewatch.schemas.jobs import KafkaSettings
from sparsewatch.transforms.records import Fetched
from sparsewatch.transforms.window import panes
from sparsewatch.transforms.window.panes import CHUNK_BYTES, Pane, PaneLog, load_panes
from tests.kit.fake_reader import FakeReader

SETTINGS = KafkaSettings(bootstrap_servers=["nowhere:1"])
LENGTH = 10


class Topic:
    """A compacted topic in memory: a writer that its reader reads."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.records: list[tuple[bytes | None, bytes | None]] = []
        monkeypatch.setattr(panes, "open_reader", lambda *_: self._reader())

    def send(self, topic: str, key: bytes | None, value: bytes | None, *rest: Any) -> None:
        self.records.append((key, value))

    def flush(self) -> None: ...

    def close(self) -> None: ...

    def _reader(self) -> "Keyed":
        return Keyed(self.records)


class Keyed(FakeReader):
    """A fake reader of one partition with keys."""

    def __init__(self, records: list[tuple[bytes | None, bytes | None]]) -> None:
        super().__init__({0: [value for _, value in records]})
        self._keys = [key for key, _ in records]

    def fetch(self, timeout_s: float, max_records: int) -> list[Fetched]:
        return [
            Fetched(f.partition, f.offsets, f.timestamps_ms, f.values, f.headers, self._key_of(f), f.next_offset)
            for f in super().fetch(timeout_s, max_records)
        ]

    def _key_of(self, fetched: Fetched) -> Any:
        return lambda i: self._keys[fetched.offsets[i]]


def pane(start: int, state: bytes = b"s", learned: bool = True) -> Pane:
    return Pane(start, start + LENGTH, state, learned)


def test_a_view_reaches_over_its_windows_and_no_further(monkeypatch: pytest.MonkeyPatch) -> None:
    topic, log = Topic(monkeypatch), PaneLog("j", "j.panes", 3)
    for start in (0, 10, 20, 30):
        log.put(pane(start), topic)
    assert [p.start_us for p in log.before(40, LENGTH)] == [20, 30]
    assert [p.start_us for p in log.before(50, LENGTH)] == [30]
    assert log.before(1_000, LENGTH) == []


def test_panes_are_read_back_whatever_their_size(monkeypatch: pytest.MonkeyPatch) -> None:
    topic, log = Topic(monkeypatch), PaneLog("j", "j.panes", 3)
    large = bytes(range(256)) * (CHUNK_BYTES // 128)
    kept = [pane(10, large, learned=False), pane(20, b""), pane(30, b"x")]
    for p in kept:
        log.put(p, topic)
    assert all(len(value or b"") < CHUNK_BYTES + 100 for _, value in topic.records)
    assert load_panes(SETTINGS, "j.panes", "j") == kept
    assert load_panes(SETTINGS, "j.panes", "other") == []


def test_slots_come_round_again_and_the_old_pane_goes(monkeypatch: pytest.MonkeyPatch) -> None:
    topic, log = Topic(monkeypatch), PaneLog("j", "j.panes", 2)
    log.put(pane(0, b"a" * (2 * CHUNK_BYTES)), topic)
    log.put(pane(10), topic)
    log.put(pane(20, b"short"), topic)
    assert load_panes(SETTINGS, "j.panes", "j") == [pane(10), pane(20, b"short")]
    assert len({key for key, _ in topic.records}) == 3


def test_a_pane_that_was_cut_off_is_none(monkeypatch: pytest.MonkeyPatch) -> None:
    topic, log = Topic(monkeypatch), PaneLog("j", "j.panes", 3)
    log.put(pane(10, b"b" * (2 * CHUNK_BYTES)), topic)
    topic.records.pop()
    assert load_panes(SETTINGS, "j.panes", "j") == []


def test_writing_a_pane_again_writes_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    topic = Topic(monkeypatch)
    PaneLog("j", "j.panes", 3).put(pane(10, b"state"), topic)
    PaneLog("j", "j.panes", 3, load_panes(SETTINGS, "j.panes", "j")).put(pane(10, b"state"), topic)
    assert topic.records[0] == topic.records[1]


def test_a_pane_older_than_all_that_are_kept_is_passed_over(monkeypatch: pytest.MonkeyPatch) -> None:
    topic, log = Topic(monkeypatch), PaneLog("j", "j.panes", 2)
    for start in (20, 30, 10):
        log.put(pane(start), topic)
    assert [p.start_us for p in load_panes(SETTINGS, "j.panes", "j")] == [20, 30]
