"""Stretches of partitions are read whole, in order and no further, unless they are ended."""

from collections import defaultdict

from hypothesis import given
from hypothesis import strategies as st

from sparsewatch.testing import FakeBroker
from sparsewatch.transforms.kafka.spans import Spans


def _filled(broker: FakeBroker, sizes: list[int]) -> None:
    broker.create("t", len(sizes))
    writer = broker.writer()
    for partition, size in enumerate(sizes):
        for at in range(size):
            writer.send("t", None, b"%d" % at, partition=partition)
    writer.close()


@given(st.lists(st.tuples(st.integers(0, 30), st.integers(0, 30)), min_size=1, max_size=4), st.integers(1, 9))
def test_what_lies_between_the_offsets_is_read_once(ends: list[tuple[int, int]], most: int) -> None:
    spans = {partition: (min(pair), max(pair)) for partition, pair in enumerate(ends)}
    with FakeBroker() as broker:
        _filled(broker, [30] * len(ends))
        reading, found = Spans(broker.reader("t"), spans), defaultdict[int, list[int]](list)
        for run in reading.runs(lambda: most):
            found[run.partition] += run.offsets.tolist()
        assert not reading.left
    assert dict(found) == {p: list(range(*span)) for p, span in spans.items() if span[0] < span[1]}


def test_a_partition_that_is_ended_is_read_no_further_and_nothing_is_asked_for_nothing() -> None:
    with FakeBroker() as broker:
        _filled(broker, [20, 20])
        reading, found = Spans(broker.reader("t"), {0: (0, 20), 1: (0, 20)}), defaultdict[int, int](int)
        for run in reading.runs(lambda: 5):
            found[run.partition] += len(run)
            if run.partition == 0:
                reading.end(0)
        assert found[0] <= 5
        assert found[1] == 20
        assert list(Spans(broker.reader("t"), {0: (0, 20)}).runs(lambda: 0)) == []
