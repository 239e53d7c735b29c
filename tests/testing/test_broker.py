"""The broker in memory keeps the promises of a real one, and breaks them as it is asked to."""

import threading

import pytest

from sparsewatch.schemas.errors import SinkError, SourceError
from sparsewatch.testing import Call, FakeBroker, FakeRecord, SimulatedClock
from sparsewatch.transforms.kafka.client import Admin, NewTopic, Reader, Writer
from sparsewatch.transforms.kafka.fetching import until_ends
from sparsewatch.transforms.kafka.open import open_admin, open_reader, open_writer
from sparsewatch.transforms.records import Fetched


def filled(keys: str, step: int = 100) -> FakeBroker:
    """A broker whose topic `t` has a record a character: its key, and as value key and place."""
    broker = FakeBroker(step=step)
    writer = broker.writer()
    for i, key in enumerate(keys):
        writer.send("t", key.encode(), None if key.isupper() else f"{key}{i}".encode())
    writer.flush()
    return broker


def read_topic(reader: Reader) -> list[Fetched]:
    """What there is, read from the beginning."""
    return list(until_ends(reader, "t", dict.fromkeys(reader.partitions(), 0), reader.end_offsets()))


def test_clients_fulfil_the_protocols() -> None:
    broker = FakeBroker()
    clients: tuple[Reader, Writer, Admin] = (broker.reader("t"), broker.writer(), broker.admin())
    for client in clients:
        client.close()


def test_settings_lead_here_while_the_broker_serves_and_no_longer() -> None:
    with FakeBroker() as broker:
        open_admin(broker.settings).create_topics([NewTopic("t", 2)])
        writer = open_writer(broker.settings)
        writer.send("t", None, b"x", partition=1)
        writer.close()
        reader = open_reader(broker.settings, "t", 100)
        reader.assign({0: 0, 1: 0})
        assert [f.values for f in read_topic(reader)] == [[b"x"]]
    with pytest.raises(SourceError, match="no broker answers"):
        open_admin(broker.settings)


def test_two_brokers_at_once_are_two() -> None:
    with FakeBroker() as one, FakeBroker() as other:
        other.create("t")
        writer = open_writer(one.settings)
        writer.send("t", None, b"x")
        writer.flush()
        assert (one.values("t"), other.values("t")) == ([b"x"], [])


def test_a_topic_that_is_not_there_is_named_with_those_that_are() -> None:
    broker = FakeBroker()
    for topic in ("visits.windows", "visits"):
        broker.create(topic)
    for look in (broker.records, broker.values, broker.newest):
        with pytest.raises(SourceError, match=r"^expected one of the topics visits, visits\.windows, got 'sites'"):
            look("sites")


def test_what_is_not_flushed_is_not_there() -> None:
    broker = FakeBroker()
    broker.writer().send("t", None, b"lost")
    writer = broker.writer()
    writer.send("t", None, b"kept")
    writer.close()
    assert broker.values("t") == [b"kept"]


def test_a_record_has_what_it_was_sent_with() -> None:
    broker = FakeBroker(clock=SimulatedClock(5_000_000), partitions=2)
    writer = broker.writer()
    writer.send("t", b"k", b"v", [("h", b"1")], partition=1, timestamp_ms=77)
    writer.send("t", b"k", b"w", partition=1)
    writer.flush()
    assert broker.records("t") == [
        FakeRecord("t", b"k", b"v", (("h", b"1"),), 1, 0, 77),
        FakeRecord("t", b"k", b"w", (), 1, 1, 5_000),
    ]
    reader = broker.reader("t")
    reader.assign({1: 0})
    [run] = reader.fetch(0.0, 10)
    assert (run.partition, run.offsets.tolist(), run.timestamps_ms.tolist(), run.values) == (
        1,
        [0, 1],
        [77, 5_000],
        [b"v", b"w"],
    )
    assert ([list(h) for h in run.headers], run.keys(1)) == ([[("h", b"1")], []], b"k")


def test_equal_keys_share_a_partition_and_records_without_one_take_turns() -> None:
    broker = FakeBroker(partitions=3)
    writer = broker.writer()
    for key in (b"a", b"b", b"a", None, None, None):
        writer.send("t", key, b"x")
    writer.flush()
    of_a = {record.partition for record in broker.records("t") if record.key == b"a"}
    assert len(of_a) == 1
    assert {record.partition for record in broker.records("t") if record.key is None} == {0, 1, 2}


def test_a_fetch_gives_no_more_than_was_asked_for_and_goes_on_there() -> None:
    broker = filled("abcdefg", step=3)
    reader = broker.reader("t")
    reader.assign({0: 1})
    assert [reader.fetch(0.0, most)[0].offsets.tolist() for most in (2, 9)] == [[1, 2], [3, 4, 5]]
    assert reader.fetch(0.0, 9)[0].next_offset == 7
    assert reader.fetch(0.0, 9) == []


def test_compaction_leaves_the_newest_and_readers_pass_over_the_rest() -> None:
    broker = filled("abaAcb")
    assert broker.newest("t") == {b"a": b"a2", b"b": b"b5", b"c": b"c4"}
    broker.compact("t", keep_tombstones=True)
    assert [(r.offset, r.value) for r in broker.records("t")] == [(2, b"a2"), (3, None), (4, b"c4"), (5, b"b5")]
    broker.compact("t")
    reader = broker.reader("t")
    reader.assign({0: 0})
    [run] = reader.fetch(0.0, 10)
    assert (run.offsets.tolist(), run.next_offset) == ([2, 4, 5], 6)
    assert reader.end_offsets() == {0: 6}


def test_offsets_at_the_end_that_hold_no_record_are_passed_over() -> None:
    broker = filled("ab")
    broker.pass_over("t", 0, 3)
    reader = broker.reader("t")
    reader.assign({0: 0})
    assert [run.next_offset for run in read_topic(reader)] == [5]
    broker.pass_over("t", 0)
    [run] = reader.fetch(0.0, 10)
    assert (len(run), run.next_offset) == (0, 6)


def test_retention_forgets_the_beginning() -> None:
    broker = filled("abcd")
    broker.trim("t", 0, 2)
    reader = broker.reader("t")
    reader.assign({0: 0})
    assert (reader.begin_offsets(), reader.end_offsets()) == ({0: 2}, {0: 4})
    assert [run.offsets.tolist() for run in read_topic(reader)] == [[2, 3]]


def test_offsets_are_found_by_time() -> None:
    clock = SimulatedClock(0)
    broker = FakeBroker(clock=clock)
    writer = broker.writer()
    for _ in range(3):
        writer.send("t", None, b"x")
        clock.advance(1.0)
    writer.flush()
    reader = broker.reader("t")
    reader.assign({0: 0})
    assert [reader.offsets_at(ms)[0] for ms in (0, 1, 1_000, 2_001)] == [0, 1, 1, 3]


def test_waiting_for_records_that_do_not_come_takes_simulated_time() -> None:
    clock = SimulatedClock(0)
    broker = FakeBroker(clock=clock)
    broker.create("t")
    reader = broker.reader("t")
    reader.assign({0: 0})
    assert reader.fetch(2.5, 10) == []
    assert clock() == 2.5


def test_a_silent_broker_has_records_and_does_not_give_them() -> None:
    broker = filled("ab")
    broker.silence(2)
    reader = broker.reader("t")
    reader.assign({0: 0})
    assert [len(reader.fetch(0.0, 10)) for _ in range(3)] == [0, 0, 1]


def test_a_refused_record_fails_its_flush_and_no_other_record() -> None:
    broker = FakeBroker()
    broker.create("small", max_record_bytes=10)
    broker.refuse(lambda record: record.key == b"bad", "not this one")
    writer = broker.writer()
    for topic, key, value in (("t", b"good", b"1"), ("t", b"bad", b"2"), ("small", b"k", b"x" * 10)):
        writer.send(topic, key, value)
    with pytest.raises(SinkError, match="not this one"):
        writer.flush()
    assert (broker.values("t"), broker.values("small")) == ([b"1"], [])
    writer.send("small", b"k", b"x" * 10)
    with pytest.raises(SinkError, match="'small' refused a record: 11 bytes, it takes 10"):
        writer.flush()
    broker.heal()
    writer.send("t", b"bad", b"2")
    writer.flush()
    assert broker.values("t") == [b"1", b"2"]


def test_a_broker_that_is_away_answers_nobody_until_it_is_back() -> None:
    broker = filled("ab")
    reader, writer, admin = broker.reader("t"), broker.writer(), broker.admin()
    reader.assign({0: 0})
    writer.send("t", None, b"x")
    broker.away = True
    assert reader.fetch(0.0, 10) == []
    for question in (reader.end_offsets, reader.begin_offsets, lambda: admin.partitions("t"), broker.admin):
        with pytest.raises(SourceError, match="away"):
            question()
    with pytest.raises(SinkError, match="away"):
        writer.flush()
    with pytest.raises(SinkError, match="away"):
        admin.commit_group("g", "t", {0: 1})
    broker.heal()
    assert reader.end_offsets() == {0: 2}


def test_calls_tell_what_was_asked_in_order() -> None:
    broker = FakeBroker(clock=SimulatedClock(1_000_000))
    writer = broker.writer()
    writer.send("t", b"k", b"v")
    writer.flush()
    broker.admin().commit_group("g", "t", {0: 1})
    assert broker.calls == [Call("send", "t", b"k", b"v", 1.0), Call("flush", at_s=1.0)]
    assert broker.groups == {"g": {"t": {0: 1}}}


def test_a_missing_topic_has_no_partitions_and_cannot_be_read() -> None:
    broker = FakeBroker()
    assert broker.admin().partitions("t") == ()
    reader = broker.reader("t")
    reader.assign({0: 0})
    with pytest.raises(SourceError, match="'t' has no partition 0"):
        reader.end_offsets()


def test_writers_of_several_threads_lose_nothing() -> None:
    broker = FakeBroker()

    def write(number: int) -> None:
        writer = broker.writer()
        for i in range(200):
            writer.send("t", None, b"%d/%d" % (number, i))
            writer.flush()

    threads = [threading.Thread(target=write, args=(n,)) for n in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(set(broker.values("t"))) == 800
    assert [record.offset for record in broker.records("t")] == list(range(800))


def test_a_record_larger_than_any_request_is_refused_when_it_is_sent() -> None:
    with pytest.raises(SinkError, match="the record cannot be sent"):
        FakeBroker().writer().send("t", None, bytes(65 << 20))
