"""Orders by the command line, from a shell to Apache Kafka and back."""

from pathlib import Path

import msgspec
from click.testing import CliRunner

from sparsewatch.pipelines.cli import cli
from tests.kit.command_line import Command, assert_refused, sparsewatch
from tests.kit.job_files import write_click_job
from tests.kit.services import KafkaBroker
from tests.kit.topics import create_topic, newest_by_key, produce, read_all

__all__ = ["sparsewatch"]

MINUTE_MS = 60_000
START_MS = 1_700_000_000_000 // MINUTE_MS * MINUTE_MS
TOPIC = "ordered"


def send(broker: KafkaBroker, minute: int, ad: object) -> None:
    """A minute of clicks."""
    at = START_MS + minute * MINUTE_MS
    clicks = [msgspec.json.encode({"t": at + i, "ad": ad, "label": i % 2}) for i in range(40)]
    produce(broker.bootstrap, TOPIC, [(0, click) for click in clicks])


def done(*arguments: object) -> str:
    """What `sparsewatch` prints with these arguments."""
    return CliRunner().invoke(cli, [str(argument) for argument in arguments], catch_exceptions=False).output


def test_a_fault_is_told_muted_closed_and_told_again(
    kafka_broker: KafkaBroker, tmp_path: Path, sparsewatch: Command
) -> None:
    """Ads of the wrong type: what no reference is needed for."""
    create_topic(kafka_broker.bootstrap, TOPIC)
    job = write_click_job(tmp_path, kafka_broker.bootstrap, TOPIC, {"ad": "int", "label": "int"})

    def alerts_of_run(minute: int, ad: object) -> int:
        send(kafka_broker, minute, ad)
        before = len(read_all(kafka_broker.bootstrap, f"{TOPIC}.alerts"))
        done("run", job, "--until", "latest", "-q")
        return len(read_all(kafka_broker.bootstrap, f"{TOPIC}.alerts")) - before

    assert_refused(sparsewatch("incidents", "ack", job, "ordered-1"), "has not committed a window yet")
    assert (alerts_of_run(0, 7), alerts_of_run(1, "seven")) == (0, 1)
    assert_refused(sparsewatch("incidents", "mute", job, "ordered-2"), "did you mean 'ordered-1'")
    done("incidents", "mute", job, "ordered-1", "--why", "known")
    assert alerts_of_run(2, "seven") == 0
    done("incidents", "unmute", job, "1")
    assert alerts_of_run(3, "seven") == 1
    assert "become the baseline" in done("baseline", "accept", job, "--incident", "1")
    assert alerts_of_run(4, "seven") == 0
    [incident] = newest_by_key(read_all(kafka_broker.bootstrap, f"{TOPIC}.incidents")).values()
    assert (incident["change"], incident["state"]) == ("accepted", "resolved")
    assert_refused(sparsewatch("incidents", "ack", job, "1"), "is resolved")
    assert "ordered-1" in done("baseline", "show", job)
