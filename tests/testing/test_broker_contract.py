"""What clients promise holds on the broker in memory as on real ones."""

from collections.abc import Iterator
from contextlib import closing
from typing import Any
from uuid import uuid4

import pytest

from sparsewatch.schemas.jobs import KafkaSettings
from sparsewatch.testing import FakeBroker
from sparsewatch.transforms.kafka.client import NewTopic, Reader
from sparsewatch.transforms.kafka.fetching import until_ends
from sparsewatch.transforms.kafka.open import open_admin, open_reader, open_writer
from sparsewatch.transforms.records import Fetched
from tests.kit.waiting import wait_for

BEGAN_MS = 1_700_000_000_000


# Marked here: a broker that is asked for by its name is not seen among a test's fixtures.
FAKE = pytest.param("fake")
EMBEDDED = pytest.param("embedded", marks=pytest.mark.broker)
KAFKA = pytest.param("kafka", marks=[pytest.mark.broker, pytest.mark.kafka])


@pytest.fixture(params=[FAKE, EMBEDDED, KAFKA])
def settings(request: pytest.FixtureRequest) -> Iterator[KafkaSettings]:
    if request.param == "fake":
        with FakeBroker() as broker:
            yield broker.settings
    else:
        real: Any = request.getfixturevalue(f"{request.param}_broker")
        yield KafkaSettings(bootstrap_servers=[real.bootstrap])


@pytest.fixture
def topic(settings: KafkaSettings) -> str:
    name = f"contract-{uuid4()}"
    with closing(open_admin(settings)) as admin:
        admin.create_topics([NewTopic(name, 2)])
    return name


def send(settings: KafkaSettings, topic: str, numbers: range, partition: int = 0) -> None:
    """Records whose key, header, value and timestamp say their number."""
    with closing(open_writer(settings)) as writer:
        for i in numbers:
            key, value, header = b"k%d" % i, b"v%d" % i, ("n", b"%d" % i)
            writer.send(topic, key, value, [header], partition=partition, timestamp_ms=BEGAN_MS + i)


def read_from(reader: Reader, topic: str, positions: dict[int, int]) -> list[Fetched]:
    """What there is from these offsets on."""
    reader.assign(positions)
    return list(until_ends(reader, topic, positions, reader.end_offsets()))


def test_a_topic_has_the_partitions_it_was_made_with_and_keeps_them(settings: KafkaSettings, topic: str) -> None:
    with closing(open_admin(settings)) as admin:
        admin.create_topics([NewTopic(f"{topic}-first", 3), NewTopic(topic, 5), NewTopic(f"{topic}-last", 1)])
        assert admin.partitions(topic) == (0, 1)
        assert (admin.partitions(f"{topic}-first"), admin.partitions(f"{topic}-last")) == ((0, 1, 2), (0,))
        assert admin.partitions(f"{topic}-missing") == ()
    for name, partitions in ((topic, (0, 1)), (f"{topic}-missing", ())):
        with closing(open_reader(settings, name, 1000)) as reader:
            assert reader.partitions() == partitions


def test_a_topic_made_like_another_has_one_partition_and_is_deleted_alone(settings: KafkaSettings, topic: str) -> None:
    with closing(open_admin(settings)) as admin:
        admin.create_like(topic, f"{topic}-like", {"cleanup.policy": "compact"})
        wait_for(lambda: admin.partitions(f"{topic}-like") == (0,), 10, "the likeness is there")
        assert admin.settings_of(f"{topic}-like")["cleanup.policy"] == "compact"
        assert admin.settings_of(topic).get("cleanup.policy", "delete") == "delete"
        for _ in range(2):
            admin.delete_topic(f"{topic}-like")
            wait_for(lambda: not admin.partitions(f"{topic}-like"), 10, "the likeness is gone")
        assert admin.partitions(topic) == (0, 1)


# The embedded broker takes no change of settings.
@pytest.mark.parametrize("settings", [FAKE, KAFKA], indirect=True)
def test_a_topic_told_to_compact_compacts(settings: KafkaSettings, topic: str) -> None:
    with closing(open_admin(settings)) as admin:
        assert admin.settings_of(topic).items() >= {"cleanup.policy": "delete", "retention.ms": "604800000"}.items()
        admin.change_settings(topic, {"cleanup.policy": "compact"})
        wait_for(lambda: admin.settings_of(topic)["cleanup.policy"] == "compact", 10, "the policy is told")


def test_records_arrive_whole_and_in_order(settings: KafkaSettings, topic: str) -> None:
    send(settings, topic, range(5))
    with closing(open_reader(settings, topic, 1000)) as reader:
        runs = read_from(reader, topic, {0: 2, 1: 0})
    assert {run.partition for run in runs} == {0}
    assert [x for run in runs for x in run.offsets] == [2, 3, 4]
    assert [x for run in runs for x in run.timestamps_ms] == [BEGAN_MS + i for i in (2, 3, 4)]
    assert [x for run in runs for x in run.values] == [b"v2", b"v3", b"v4"]
    assert [run.keys(i) for run in runs for i in range(len(run.offsets))] == [b"k2", b"k3", b"k4"]
    assert [list(run.headers_at(i)) for run in runs for i in range(len(run))] == [
        [("n", b"2")],
        [("n", b"3")],
        [("n", b"4")],
    ]
    assert runs[-1].next_offset == 5


def test_a_tombstone_is_a_record_without_a_value(settings: KafkaSettings, topic: str) -> None:
    with closing(open_writer(settings)) as writer:
        writer.send(topic, b"k", None, partition=1)
    with closing(open_reader(settings, topic, 1000)) as reader:
        [run] = read_from(reader, topic, {1: 0})
    assert (list(run.values), run.keys(0), list(run.headers_at(0))) == ([None], b"k", [])


def test_a_reader_knows_where_its_partitions_begin_and_end(settings: KafkaSettings, topic: str) -> None:
    send(settings, topic, range(3), partition=1)
    with closing(open_reader(settings, topic, 1000)) as reader:
        reader.assign({0: 0, 1: 0})
        assert reader.begin_offsets() == {0: 0, 1: 0}
        assert reader.end_offsets() == {0: 0, 1: 3}
        send(settings, topic, range(3, 5), partition=1)
        read_from(reader, topic, {0: 0, 1: 0})
        assert reader.end_offsets() == {0: 0, 1: 5}


# The embedded broker answers 0 whatever the time, see docs/brokers.md.
@pytest.mark.parametrize("settings", [FAKE, KAFKA], indirect=True)
def test_offsets_are_found_by_time(settings: KafkaSettings, topic: str) -> None:
    send(settings, topic, range(0, 30, 10))
    with closing(open_reader(settings, topic, 1000)) as reader:
        reader.assign({0: 0, 1: 0})
        assert reader.offsets_at(BEGAN_MS) == {0: 0, 1: 0}
        assert reader.offsets_at(BEGAN_MS + 21) == {0: 3, 1: 0}


def test_a_fetch_gives_no_more_than_was_asked_for(settings: KafkaSettings, topic: str) -> None:
    send(settings, topic, range(4), 0)
    send(settings, topic, range(4), 1)
    with closing(open_reader(settings, topic, 1000)) as reader:
        reader.assign({0: 0, 1: 0})
        got: list[int] = []
        while len(got) < 8:
            runs = reader.fetch(0.5, 3)
            assert sum(len(run.offsets) for run in runs) <= 3
            got += [x for run in runs for x in run.offsets]
    assert sorted(got) == [0, 0, 1, 1, 2, 2, 3, 3]
