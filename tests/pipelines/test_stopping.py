"""Commands that go on until they are stopped end with one line and exit code 0, by Ctrl-C and by SIGTERM."""

import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import polars as pl
import pytest
from kafka import KafkaConsumer, TopicPartition
from kafka.errors import KafkaError

from sparsewatch.testing import EmbeddedBroker
from tests.kit.job_files import write_click_job
from tests.kit.services import KafkaBroker
from tests.kit.topics import create_topic, produce
from tests.kit.waiting import wait_for
from tests.pipelines.run.test_repeat import START_MS, produce_clicks, windows_of

SIGNALS = pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM], ids=lambda number: number.name)


@contextmanager
def command(folder: Path, *arguments: object, **variables: str) -> Iterator[tuple[subprocess.Popen[bytes], Path]]:
    """A command in a process group of its own, and the file that takes all it prints."""
    log = folder / "log"
    with log.open("wb") as output:
        process = subprocess.Popen(
            [sys.executable, "-m", "sparsewatch", *map(str, arguments)],
            env={**os.environ, **variables},
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    try:
        yield process, log
    finally:
        process.kill()
        process.wait()


def says(log: Path, text: str) -> Callable[[], bool]:
    return lambda: text in log.read_text()


def end_of(bootstrap: str, topic: str) -> int:
    consumer = KafkaConsumer(bootstrap_servers=bootstrap)
    try:
        return sum(consumer.end_offsets([TopicPartition(topic, 0)]).values())
    except KafkaError:
        return 0
    finally:
        consumer.close()


def children_of(pid: int) -> list[int]:
    return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


@pytest.mark.kafka
def test_a_run_on_prism_ends_with_prism_and_says_how_it_stands(
    kafka_broker: KafkaBroker, prism_binary: Path, tmp_path: Path
) -> None:
    topic = "stopped-on-prism"
    create_topic(kafka_broker.bootstrap, topic, 2)
    job_file = write_click_job(tmp_path, kafka_broker.bootstrap, topic)
    produce_clicks(kafka_broker.bootstrap, topic, range(80))
    with command(tmp_path, "run", job_file, SPARSEWATCH_PRISM=str(prism_binary)) as (process, log):
        wait_for(windows_of(job_file, process), 60, "a window")
        [prism] = children_of(process.pid)
        # As a terminal sends it: to all of the group.
        os.killpg(process.pid, signal.SIGINT)
        assert process.wait(30) == 0, log.read_text()
        wait_for(lambda: not Path(f"/proc/{prism}").exists(), 10, "the end of Prism")
    [*before, last] = log.read_text().splitlines()
    assert last.startswith(f"stopped; {topic}: 600 read = 600 counted + 0 rejected + 0 late, in 1 window")
    assert "Traceback" not in log.read_text()
    assert [line for line in before if "rows, 0 late, 0 rejected" in line] == before[3:]


@SIGNALS
def test_what_follows_a_topic_ends_in_order(
    embedded_broker: EmbeddedBroker, tmp_path: Path, number: signal.Signals
) -> None:
    topic = f"followed-{number.name}"
    create_topic(embedded_broker.bootstrap, f"{topic}.alerts")
    produce(embedded_broker.bootstrap, f"{topic}.alerts", [(0, b'{"id": "1", "severity": "info"}')])
    job_file = write_click_job(tmp_path, embedded_broker.bootstrap, topic)
    with command(tmp_path, "alerts", "list", job_file, "--follow", "--json") as (process, log):
        wait_for(says(log, '"id"'), 60, "the first alert")
        process.send_signal(number)
        assert process.wait(30) == 0, log.read_text()
    assert log.read_text().splitlines() == ['{"id":"1","severity":"info"}', "sparsewatch: stopped"]


def test_publishing_that_is_stopped_says_how_far_it_came(embedded_broker: EmbeddedBroker, tmp_path: Path) -> None:
    pl.DataFrame({"t": [START_MS + i for i in range(1000)]}).write_parquet(tmp_path / "clicks.parquet")
    options = ["--topic", "paced", "--time-column", "t", "--rate", "10", "--partitions", "1"]
    publish = ["publish", tmp_path / "clicks.parquet", *options, "--bootstrap", embedded_broker.bootstrap]
    with command(tmp_path, *publish) as (process, log):
        wait_for(lambda: end_of(embedded_broker.bootstrap, "paced"), 60, "the first events")
        process.send_signal(signal.SIGTERM)
        assert process.wait(30) == 0, log.read_text()
    assert log.read_text().splitlines()[-1].startswith("stopped after ")


HELD = """
import threading
from sparsewatch.pipelines.console import stopping
stopping._GRACE_S = {grace}
stopping.install()
with stopping.gracefully("it was ended"):
    print("ready", flush=True)
    threading.Event().wait(60)
"""


def held(grace_s: float) -> subprocess.Popen[str]:
    """A command that takes no notice of having been asked to end."""
    code = [sys.executable, "-c", HELD.format(grace=grace_s)]
    process = subprocess.Popen(code, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    assert process.stdout is not None
    assert process.stdout.readline() == "ready\n"
    return process


@SIGNALS
def test_a_command_that_does_not_end_in_time_is_ended_with_its_line(number: signal.Signals) -> None:
    with held(grace_s=0.1) as process:
        process.send_signal(number)
        assert (process.communicate(timeout=30)[0], process.returncode) == ("it was ended\n", 0)


@SIGNALS
def test_a_second_signal_ends_a_command_at_once(number: signal.Signals) -> None:
    with held(grace_s=60) as process:
        process.send_signal(number)
        wait_for(lambda: not pending(process.pid, number), 10, "the first signal taken")
        process.send_signal(number)
        assert (process.communicate(timeout=30)[0], process.returncode) == ("", 130)


def pending(pid: int, number: signal.Signals) -> bool:
    """Whether a signal waits for the process; a second of its kind would be lost."""
    [mask] = [line.split()[1] for line in Path(f"/proc/{pid}/status").read_text().splitlines() if "ShdPnd" in line]
    return bool(int(mask, 16) >> (number - 1) & 1)
