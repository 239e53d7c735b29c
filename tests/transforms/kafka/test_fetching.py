"""Small polls become one batch; a stop offset cuts it."""

from collections.abc import Mapping, Sequence

from sparsewatch.testing import FakeBroker, FakeReader, FakeRecord
from sparsewatch.testing.topic import as_fetched
from sparsewatch.transforms.kafka.fetching import fetch_batch, stop_before
from sparsewatch.transforms.records import Fetched


def run_of(first: int, values: Sequence[bytes]) -> Fetched:
    """A run of partition 0; keys are the offsets as text."""
    records = [FakeRecord("t", str(first + i).encode(), v, offset=first + i) for i, v in enumerate(values)]
    return as_fetched(0, records, first + len(values))


def reader_of(topic: Mapping[int, Sequence[bytes]], step: int = 1000) -> FakeReader:
    broker = FakeBroker(step=step, partitions=len(topic))
    writer = broker.writer()
    for partition, values in topic.items():
        for value in values:
            writer.send("t", None, value, partition=partition)
    writer.flush()
    return broker.reader("t")


def test_small_polls_of_two_partitions_become_runs_of_one_then_the_other() -> None:
    reader = reader_of({0: [b"a"] * 7, 1: [b"b"] * 3}, step=2)
    reader.assign({0: 0, 1: 0})
    runs = fetch_batch(reader, 10, 0.5)
    assert [run.partition for run in runs] == sorted(run.partition for run in runs)
    assert {p: [x for r in runs if r.partition == p for x in r.offsets] for p in (0, 1)} == {
        0: list(range(7)),
        1: [0, 1, 2],
    }
    assert {run.partition: run.next_offset for run in runs} == {0: 7, 1: 3}


def test_a_batch_never_holds_more_than_was_asked_for() -> None:
    reader = reader_of({0: [b"a"] * 100}, step=30)
    reader.assign({0: 0})
    assert sum(map(len, fetch_batch(reader, 50, 0.5))) == 50


def test_large_records_fill_a_batch_by_their_bytes() -> None:
    reader = reader_of({0: [b"a" * 1000] * 400}, step=400)
    reader.assign({0: 0})
    assert sum(map(len, fetch_batch(reader, 400, 0.5, max_bytes=50_000))) == 50


def test_a_record_larger_than_a_batch_is_read_all_the_same() -> None:
    reader = reader_of({0: [b"a" * 1000, b"b"]}, step=1)
    reader.assign({0: 0})
    assert [r.values for r in fetch_batch(reader, 400, 0.5, max_bytes=10)] == [[b"a" * 1000]]


def test_a_stop_offset_cuts_the_run_and_its_position() -> None:
    [cut] = stop_before([run_of(10, [b"a"] * 5)], {0: 12})
    assert (cut.offsets.tolist(), len(cut.values), cut.next_offset) == ([10, 11], 2, 12)


def test_a_stop_offset_beyond_the_run_changes_nothing() -> None:
    run = run_of(10, [b"a"] * 5)
    assert stop_before([run], {0: 99}) == [run]


def test_a_batch_ends_as_soon_as_it_is_enough() -> None:
    reader = reader_of({0: [b"a"] * 100}, step=5)
    reader.assign({0: 0})
    runs = fetch_batch(reader, 100, 60.0, is_enough=lambda runs: sum(map(len, runs)) >= 12)
    assert sum(map(len, runs)) == 15
    assert fetch_batch(reader, 100, 60.0, is_enough=lambda _: True) == []
