"""Small polls become one batch; a stop offset cuts it."""

from tests.kit.fake_reader import FakeReader, fetched
from transforms.kafka.fetching import fetch_batch, merge, stop_before


def test_small_polls_of_two_partitions_become_one_run_each() -> None:
    reader = FakeReader({0: [b"a"] * 7, 1: [b"b"] * 3}, step=2)
    reader.assign({0: 0, 1: 0})
    runs = fetch_batch(reader, 10, 0.5)
    assert [(r.partition, r.offsets, r.next_offset) for r in runs] == [(0, list(range(7)), 7), (1, [0, 1, 2], 3)]


def test_a_batch_never_holds_more_than_was_asked_for() -> None:
    reader = FakeReader({0: [b"a"] * 100}, step=30)
    reader.assign({0: 0})
    assert [len(r.offsets) for r in fetch_batch(reader, 50, 0.5)] == [50]


def test_keys_of_merged_runs_are_found_by_position() -> None:
    merged = merge([fetched(0, 0, [b"a"] * 2), fetched(0, 2, [b"b"] * 3)])
    assert [merged.keys(i) for i in range(5)] == [b"0", b"1", b"2", b"3", b"4"]


def test_a_stop_offset_cuts_the_run_and_its_position() -> None:
    [cut] = stop_before([fetched(0, 10, [b"a"] * 5)], {0: 12})
    assert (cut.offsets, len(cut.values), cut.next_offset) == ([10, 11], 2, 12)


def test_a_stop_offset_beyond_the_run_changes_nothing() -> None:
    run = fetched(0, 10, [b"a"] * 5)
    assert stop_before([run], {0: 99}) == [run]
