"""Batches are fetched and decoded ahead by other threads, in bounds, and come in order whatever takes how long."""

import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Future

import pytest

from sparsewatch.schemas.errors import SourceError
from sparsewatch.testing import FakeRecord
from sparsewatch.testing.topic import as_fetched
from sparsewatch.transforms.codecs.decode import Decoded, decode
from sparsewatch.transforms.kafka.ahead import AHEAD, DECODERS, Ahead
from sparsewatch.transforms.kafka.watching import Batch
from tests.kit.handles import open_handles
from tests.transforms.codecs.test_decode import schema

_DEADLINE_S = 30.0


class _Batches:
    """Batch i is the record at offset i of partition i % 2; a test says what happens on its way."""

    def __init__(self) -> None:
        self.most = 1_000
        self.fetched = 0
        self.at_fetch: Callable[[int, Callable[[], bool]], object] = lambda number, is_dropped: None
        self.at_decode: Callable[[int], object] = lambda number: None

    def fetch(self, is_dropped: Callable[[], bool]) -> Batch:
        self.at_fetch(self.fetched, is_dropped)
        record = FakeRecord("t", None, b"{}", offset=self.fetched)
        self.fetched += 1
        return Batch([as_fetched((self.fetched - 1) % 2, [record], self.fetched)])

    def decode(self, batch: Batch) -> Decoded:
        self.at_decode(_number(batch))
        return decode("t", batch.fetched, schema())

    def has_more(self) -> bool:
        return self.fetched < self.most

    def ends(self) -> dict[int, int]:
        return {0: self.fetched}


def _number(batch: Batch) -> int:
    return int(batch.fetched[0].offsets[0])


def _taken(ahead: Ahead, batches: int) -> list[int]:
    return [_number(ahead.take().batch) for _ in range(batches)]


@pytest.fixture
def batches() -> _Batches:
    return _Batches()


@pytest.fixture
def ahead(batches: _Batches) -> Iterator[Ahead]:
    threads = open_handles(collected=True).threads
    ahead = Ahead(batches)
    yield ahead
    ahead.close()
    assert open_handles().threads <= threads


def test_a_batch_that_is_decoded_early_waits_for_those_before_it(batches: _Batches, ahead: Ahead) -> None:
    decoded = [threading.Event() for _ in range(100)]

    def late(number: int) -> None:
        # Each even batch is decoded after the one behind it.
        if number % DECODERS == 0 and not decoded[number + 1].wait(_DEADLINE_S):
            raise TimeoutError(number)
        decoded[number].set()

    batches.at_decode = late
    assert _taken(ahead, 50) == list(range(50))


def test_no_more_is_fetched_than_there_is_room_for(batches: _Batches, ahead: Ahead) -> None:
    for taken in range(1, 6):
        ahead.take()
        # Asked behind the fetches that were begun.
        while (fetched := ahead.ends()[0]) < taken + AHEAD:
            pass
        assert fetched == taken + AHEAD
        assert ahead.ends() == {0: fetched}


def test_nothing_is_fetched_behind_the_last_batch_but_what_is_asked_for(batches: _Batches, ahead: Ahead) -> None:
    batches.most = 3
    assert _taken(ahead, 3) == [0, 1, 2]
    assert ahead.ends() == {0: 3}
    assert _taken(ahead, 1) == [3]


def test_what_was_fetched_and_not_taken_waits(batches: _Batches, ahead: Ahead) -> None:
    batches.most = 2
    assert ahead.waiting() == set()
    _taken(ahead, 1)
    ahead.ends()
    assert ahead.waiting() == {1}
    _taken(ahead, 1)
    assert ahead.waiting() == set()


def test_an_error_of_a_fetch_is_raised_in_its_turn_and_nothing_is_fetched_behind_it(
    batches: _Batches, ahead: Ahead
) -> None:
    def fail(number: int, is_dropped: Callable[[], bool]) -> None:
        if number == 2:
            raise SourceError("the topic is refused")

    batches.at_fetch = fail
    assert _taken(ahead, 2) == [0, 1]
    for _ in range(2):
        with pytest.raises(SourceError, match="refused"):
            ahead.take()
    assert ahead.ends() == {0: 2}


def test_an_error_of_decoding_is_raised_in_its_turn(batches: _Batches, ahead: Ahead) -> None:
    def fail(number: int) -> None:
        if number == 1:
            raise MemoryError

    batches.at_decode = fail
    assert _taken(ahead, 1) == [0]
    with pytest.raises(MemoryError):
        ahead.take()


def test_closed_it_waits_for_a_fetch_that_knows_that_nobody_will_take_its_batch(
    batches: _Batches, ahead: Ahead
) -> None:
    begun, dropped = threading.Event(), Future[bool]()

    def until_dropped(number: int, is_dropped: Callable[[], bool]) -> None:
        if number == 1:
            begun.set()
            while not is_dropped():
                pass
            dropped.set_result(True)

    batches.at_fetch = until_dropped
    ahead.take()
    assert begun.wait(_DEADLINE_S)
    ahead.close()
    assert dropped.result(timeout=0)
    assert batches.fetched == 2
