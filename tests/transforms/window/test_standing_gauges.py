"""Gauges of a window are withdrawn when the next window does not state them, also after a restart."""

from collections.abc import Iterator

import msgspec
import pytest

from sparsewatch.schemas.alerts import MetricSample
from sparsewatch.schemas.jobs import JobIdentity, Topics
from sparsewatch.schemas.metrics import FEATURE_SCORE, WINDOWS_CLOSED, WINDOWS_WAITING
from sparsewatch.testing import FakeBroker
from sparsewatch.transforms.window.standing_gauges import StandingGauges

TOPICS = Topics(source="t", prefix="j")


@pytest.fixture
def broker() -> Iterator[FakeBroker]:
    broker = FakeBroker()
    broker.create(TOPICS.metrics)
    with broker:
        yield broker


def identity(broker: FakeBroker) -> JobIdentity:
    return JobIdentity(job="j", settings_digest="d", kafka=broker.settings, topics=TOPICS)


def score(feature: str, job: str = "j") -> MetricSample:
    return FEATURE_SCORE.sample(0.5, feature=feature).of_job(job)


def counter(job: str = "j") -> MetricSample:
    return WINDOWS_CLOSED.sample(1).of_job(job)


def keys(samples: dict[str, MetricSample | None]) -> dict[str, bool]:
    return {key: sample is not None for key, sample in samples.items()}


def test_a_gauge_that_the_next_window_lacks_is_withdrawn_once(broker: FakeBroker) -> None:
    standing = StandingGauges(identity(broker))
    standing.of_window([score("a"), score("b"), counter()])
    assert keys(standing.of_window([score("b")])) == {score("a").key: False, score("b").key: True}
    assert keys(standing.of_window([])) == {score("b").key: False}
    assert standing.of_window([]) == {}


def test_what_an_earlier_run_left_is_withdrawn_and_nothing_else(broker: FakeBroker) -> None:
    samples = StandingGauges(identity(broker)).of_window([score("a"), score("b"), counter(), score("a", "other")])
    lag = WINDOWS_WAITING.sample(3).of_job("j")
    writer = broker.writer()
    for sample in [*samples.values(), lag]:
        assert sample is not None
        writer.send(TOPICS.metrics, sample.key.encode(), msgspec.json.encode(sample))
    writer.send(TOPICS.metrics, b"broken", b"no sample")
    writer.flush()
    later = StandingGauges(identity(broker))
    assert keys(later.of_window([score("b")])) == {score("a").key: False, score("b").key: True}
    later.forget()
    assert score("a").key in later.of_window([score("b")])
