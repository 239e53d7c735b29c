"""A broker that is away and comes back, again and again: nothing is lost, each is told once, nothing is left behind."""

from collections.abc import Callable
from contextlib import closing
from typing import Literal

import pytest

from sparsewatch.schemas.jobs import KafkaSettings
from sparsewatch.transforms.kafka.open import open_reader, open_writer
from sparsewatch.transforms.kafka.presence import broker_at
from tests.kit.guarded_broker import GuardedBroker
from tests.kit.handles import open_handles
from tests.kit.topics import create_topic
from tests.kit.waiting import wait_for

pytest.importorskip("confluent_kafka", reason="needs the extra `confluent`")

_CLIENTS = pytest.mark.parametrize("client", ["kafka-python", "confluent"])
_OUTAGES = 5


def _told(caplog: pytest.LogCaptureFixture) -> list[str]:
    """What was said of brokers, without places and reasons."""
    lines = [line for line in caplog.messages if line.startswith("the broker at")]
    return ["away" if " is away: " in line else "back" for line in lines]


@_CLIENTS
def test_reader_and_writer_go_on_after_each_outage(
    guarded_broker: GuardedBroker, caplog: pytest.LogCaptureFixture, client: Literal["kafka-python", "confluent"]
) -> None:
    topic, way = f"outages-{client}", guarded_broker.way
    create_topic(guarded_broker.bootstrap, topic)
    settings = KafkaSettings(bootstrap_servers=[guarded_broker.address("WAY")], client=client, timeout="10s")
    broker = broker_at(settings.bootstrap_servers[0])
    values: list[bytes | None] = []
    handles = []

    def fetched(until: Callable[[], bool]) -> bool:
        values.extend(value for run in reader.fetch(0.1, 10) for value in run.values)
        return until()

    with closing(open_reader(settings, topic, 1000)) as reader, closing(open_writer(settings)) as writer:
        reader.assign({0: 0})
        # A producer waits with the first record of a topic until it has seen the topic.
        writer.send(topic, None, b"first")
        writer.flush()
        wait_for(lambda: fetched(lambda: bool(values)), 30, "the first record", poll_s=0)
        for i in range(_OUTAGES):
            way.cut()
            wait_for(lambda: fetched(lambda: broker.is_away), 30, "that the broker is away", poll_s=0)
            writer.send(topic, None, b"%d" % i)
            way.mend()
            writer.flush()
            wait_for(lambda: fetched(lambda: len(values) > i + 1 and not broker.is_away), 30, "its return", poll_s=0)  # noqa: B023
            handles.append(open_handles(collected=True))
    assert values == [b"first", *(b"%d" % i for i in range(_OUTAGES))]
    assert _told(caplog) == ["away", "back"] * _OUTAGES
    # A connection that is being closed may show once: a leak grows with each outage.
    assert handles[-1].threads <= handles[0].threads
    assert handles[-1].files <= handles[0].files + _OUTAGES - 2
