"""A broker that is away is told once, and so is its return; what needs it waits."""

from collections.abc import Iterator
from contextlib import closing
from typing import Literal

import pytest

from sparsewatch.schemas.errors import ConfigError, SourceError
from sparsewatch.schemas.jobs import KafkaSettings
from sparsewatch.testing import SimulatedClock
from sparsewatch.testing.child_process import free_port
from sparsewatch.transforms.kafka.open import open_admin, open_reader, open_writer
from sparsewatch.transforms.kafka.presence import STOP, Presence, patiently
from tests.kit.handles import open_handles


def test_what_is_away_is_told_once_and_with_how_long() -> None:
    clock, said = SimulatedClock(), list[str]()
    broker = Presence("the broker", clock, said.append)
    broker.answers()
    for _ in range(3):
        broker.away("refused")
        clock.advance(20)
    broker.answers()
    broker.answers()
    assert said == ["the broker is away: refused; waiting for it", "the broker answers again after 60 s"]


def test_a_call_is_made_again_until_the_broker_is_back_or_trying_cannot_help() -> None:
    answers: Iterator[str | Exception] = iter(
        [SourceError("away"), SourceError("away"), "here", ConfigError("wrong"), SourceError("away")]
    )

    def call() -> str:
        answer = next(answers)
        if isinstance(answer, Exception):
            raise answer
        return answer

    assert patiently(call, 0.0) == "here"
    with pytest.raises(ConfigError):
        patiently(call, 0.0)
    STOP.set()
    try:
        with pytest.raises(SourceError):
            patiently(call, 60.0)
    finally:
        STOP.clear()


@pytest.mark.parametrize("client", ["kafka-python", "confluent"])
def test_a_start_waits_for_as_long_as_the_settings_say_and_leaves_nothing_behind(
    caplog: pytest.LogCaptureFixture, client: Literal["kafka-python", "confluent"]
) -> None:
    if client == "confluent":
        pytest.importorskip("confluent_kafka", reason="needs the extra `confluent`")
    address = f"127.0.0.1:{free_port()}"
    settings = KafkaSettings(bootstrap_servers=[address], client=client, timeout="2s")
    handles = open_handles(collected=True)
    for open_one in (open_admin, open_writer, lambda settings: open_reader(settings, "t", 1000)):
        with (
            # Where the machine is busy the time may be up within a try.
            pytest.raises(SourceError, match=rf"no broker answers at {address}: Connection (refused|timed out)"),
            closing(open_one(settings)),
        ):
            pass
    assert open_handles() <= handles
    told = [line for line in caplog.messages if line.startswith("the broker at")]
    assert told == [f"the broker at {address} is away: Connection refused; waiting for it"]
