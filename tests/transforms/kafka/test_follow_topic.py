"""A follower that was told to stop says nothing more: what it told may be closed."""

import threading
from types import TracebackType
from typing import Self

import pytest

from sparsewatch.schemas.errors import SourceError
from sparsewatch.schemas.jobs import KafkaSettings
from sparsewatch.transforms.kafka import follow_topic
from sparsewatch.transforms.kafka.follow_topic import Patience, Records, TopicFollower


class Told:
    """Counts how often the topic was lost."""

    def __init__(self) -> None:
        self.lost_times = 0

    def begin(self, records: Records) -> None:
        raise AssertionError(records)

    def take(self, records: Records) -> None:
        raise AssertionError(records)

    def seen(self) -> None:
        raise AssertionError

    def lost(self) -> None:
        self.lost_times += 1


def test_what_fails_after_the_stop_is_not_told(monkeypatch: pytest.MonkeyPatch) -> None:
    stop, tries = threading.Event(), []

    class Away:
        def __init__(self, *_: object) -> None:
            tries.append(self)

        def __enter__(self) -> Self:
            if len(tries) == 3:
                stop.set()
            raise SourceError("no broker answers")

        def __exit__(
            self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None
        ) -> None:
            raise AssertionError

    monkeypatch.setattr(follow_topic, "Compacted", Away)
    told = Told()
    kafka = KafkaSettings(bootstrap_servers=["127.0.0.1:1"])
    follower = TopicFollower(kafka, "clicks.windows", 1_000, told, Patience(retry_s=(0.0,)))
    follower.follow(stop)
    assert (len(tries), told.lost_times, follower.failures) == (3, 2, 2)
