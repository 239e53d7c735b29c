"""The topic of patterns is read on and on; the newest record of a key counts, and what cannot be read harms nothing."""

import pickle
from collections.abc import Iterator

import numpy as np
import pytest

from sparsewatch.detectors.open_set.emerging import Cluster, whitening
from sparsewatch.detectors.wafers.emerging_pattern import Found, joined, raise_pattern
from sparsewatch.detectors.wafers.novel_wafers import embeddings_of
from sparsewatch.pipelines.wafer.pattern_book import (
    PatternBook,
    PatternTopic,
    decision_record,
    pattern_record,
    read_patterns,
)
from sparsewatch.pipelines.wafer.settings import PATTERN_RECORD_BYTES
from sparsewatch.schemas.patterns import Decision, Pattern
from sparsewatch.testing import FakeBroker
from tests.kit.novel_wafers import new_pattern_wafers
from tests.kit.wafer_models import tiny_model

TOPIC = "fab.patterns"


class Topic:
    """A topic whose readers are counted, read in small steps."""

    def __init__(self) -> None:
        self.broker = FakeBroker(step=2)
        self.broker.create(TOPIC)
        self.kafka = self.broker.settings
        self.writer = self.broker.writer()

    def write(self, key: bytes, value: bytes | None) -> None:
        self.writer.send(TOPIC, key, value)
        self.writer.flush()


@pytest.fixture
def topic() -> Iterator[Topic]:
    topic = Topic()
    with topic.broker:
        yield topic


def pattern(first: int, wafers: int = 5) -> Pattern:
    members = new_pattern_wafers(tiny_model(), list(range(first, first + wafers)), np.random.default_rng(first))
    found = Found("fab", "m/1", first, Cluster(np.arange(wafers), 9.0, 0.1), 5.0)
    return raise_pattern(found, members, whitening(tiny_model().novelty.within))


def test_what_came_since_the_last_look_is_read_and_the_newest_counts(topic: Topic) -> None:
    reading = PatternTopic(topic.kafka, TOPIC)
    assert reading().patterns == {}
    first, second = pattern(10), pattern(20)
    for one in (first, second):
        topic.write(*pattern_record(TOPIC, one)[1:])
    assert set(reading().patterns) == {first.id, second.id}
    topic.write(*decision_record(TOPIC, Decision(id=first.id, status="dismissed", decided_us=1))[1:])
    topic.write(f"pattern/{second.id}".encode(), None)
    book = reading()
    assert (set(book.patterns), book.status(first.id), topic.broker.readers[TOPIC]) == ({first.id}, "dismissed", 1)


def test_a_record_that_cannot_be_read_is_left_out(topic: Topic) -> None:
    good = pattern(10)
    topic.write(b"pattern/P1", b"{}")
    topic.write(b"decision/P1", b"\xff")
    topic.write(b"something else", b"1")
    topic.write(*pattern_record(TOPIC, good)[1:])
    assert read_patterns(topic.kafka, TOPIC) == PatternBook({good.id: good}, {})


def test_a_reader_of_the_topic_travels_without_its_connection(topic: Topic) -> None:
    reading = PatternTopic(topic.kafka, TOPIC)
    topic.write(*pattern_record(TOPIC, pattern(10))[1:])
    reading()
    assert len(pickle.loads(pickle.dumps(reading))().patterns) == 1
    assert topic.broker.readers[TOPIC] == 2


def test_patterns_merged_in_a_circle_are_still_found() -> None:
    first, second = pattern(10), pattern(20)
    book = PatternBook({p.id: p for p in (first, second)})
    for one, other in ((first, second), (second, first)):
        book.decisions[one.id] = Decision(id=one.id, status="merged", decided_us=0, into=other.id)
    assert book.status(first.id) == "open"


def test_the_id_comes_from_the_first_wafer_and_growing_twice_grows_once() -> None:
    one = pattern(10)
    assert (one.id, pattern(10)) == (pattern(10, wafers=4).id, one)
    white = whitening(tiny_model().novelty.within)
    more = new_pattern_wafers(tiny_model(), list(range(30, 33)), np.random.default_rng(1))
    grown = joined(one, more, white, 30)
    assert (grown.wafers, sum(grown.lots.values()), grown.last_seen_us) == (8, 8, more[-1].event_time_us)
    assert joined(grown, more, white, 30) is grown
    assert joined(grown, more, white, 40) is grown


def test_a_large_pattern_keeps_embeddings_of_the_first_wafers_and_some_maps() -> None:
    one, white = pattern(10), whitening(tiny_model().novelty.within)
    for turn in range(1, 6):
        numbers = list(range(100 * turn, 100 * turn + 60))
        one = joined(one, new_pattern_wafers(tiny_model(), numbers, np.random.default_rng(turn)), white, 1_000 * turn)
    assert (one.wafers, len(one.members), len(embeddings_of(one.members))) == (305, 200, 200)
    assert sum(bool(member.map.rows) for member in one.members) == 16
    assert np.frombuffer(one.total_map, dtype="<f4").max() == 305
    assert len(pattern_record(TOPIC, one).value) < PATTERN_RECORD_BYTES
