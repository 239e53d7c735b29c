"""Repeated runs: a job runs without end and without Prism, whatever becomes of its broker and its stream."""

import logging
import os
import random
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from sparsewatch.pipelines.cli import cli
from sparsewatch.pipelines.console import stopping
from sparsewatch.pipelines.job.job_file import load_job
from sparsewatch.pipelines.run.repeat import repeat
from sparsewatch.pipelines.run.run import load_job_progress
from sparsewatch.schemas.errors import ConfigError, ModelError, SourceError
from tests.kit.services import KafkaBroker
from tests.kit.topics import create_topic, newest_by_key, produce, read_all
from tests.kit.waiting import wait_for
from tests.pipelines.ctr.test_job import FEATURES, click, write_job

START_MS = 1_700_000_040_000


def runs(*results: Exception | None) -> Callable[[], None]:
    left = iter(results)

    def run() -> None:
        if (error := next(left)) is not None:
            raise error

    return run


def wrapped(error: Exception) -> Exception:
    """As Beam hands an error on that it could not make anew."""
    outer = RuntimeError("while running a step")
    outer.__cause__ = error
    return outer


@pytest.mark.parametrize("error", [SourceError("away"), wrapped(SourceError("away"))])
def test_an_error_that_may_pass_is_logged_and_the_runs_go_on(
    error: Exception, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    waits: list[float] = []
    monkeypatch.setattr(stopping, "wait_asked", waits.append)
    with caplog.at_level(logging.WARNING), pytest.raises(ModelError):
        repeat(runs(None, error, error, None, error, ModelError("damaged")), 0.0)
    assert waits == [0.0, 1.0, 1.0, 0.0, 1.0]
    # Once, however often a run finds it in a row.
    assert [record.getMessage() for record in caplog.records] == [f"{error}; runs begin again until they succeed"] * 2


def test_an_error_of_the_code_ends_the_runs() -> None:
    with pytest.raises(ZeroDivisionError):
        repeat(runs(None, ZeroDivisionError()), 0.0)


def test_what_was_asked_to_stop_does_not_run_again(monkeypatch: pytest.MonkeyPatch) -> None:
    asked = iter([False, True])
    monkeypatch.setattr(stopping, "asked", lambda: next(asked))
    repeat(runs(None), 0.0)


def test_a_pause_is_a_duration() -> None:
    with pytest.raises(ConfigError, match="--repeat: expected a duration such as '500ms'"):
        CliRunner().invoke(cli, ["run", "x", "--repeat", "often"], catch_exceptions=False)


@contextmanager
def running(job_file: Path, *options: str) -> Iterator[subprocess.Popen[str]]:
    """`sparsewatch run` where no Prism can be found."""
    process = subprocess.Popen(
        [sys.executable, "-m", "sparsewatch", "run", str(job_file), *options],
        env={**os.environ, "SPARSEWATCH_PRISM": "/nowhere"},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    try:
        yield process
    finally:
        process.kill()
        process.communicate()


def windows_of(job_file: Path, process: subprocess.Popen[Any]) -> Callable[[], int]:
    """Windows that the job has committed."""
    job = load_job(job_file)

    def windows() -> int:
        assert process.poll() is None, "it ended"
        progress = load_job_progress(job)
        return 0 if progress is None else progress.windows

    return windows


def produce_clicks(bootstrap: str, topic: str, seconds: range, partitions: int = 2) -> None:
    """Ten clicks a second of event time."""
    rng = random.Random(8)
    times = range(START_MS + seconds.start * 1000, START_MS + seconds.stop * 1000, 100)
    produce(bootstrap, topic, ((i % partitions, click(rng, t)) for i, t in enumerate(times)))


@pytest.mark.kafka
def test_without_prism_a_job_runs_until_it_is_stopped_and_closes_windows_when_the_stream_falls_silent(
    kafka_broker: KafkaBroker, tmp_path: Path
) -> None:
    bootstrap, topic = kafka_broker.bootstrap, "no-prism"
    create_topic(bootstrap, topic, 2)
    job_file = write_job(tmp_path, bootstrap, topic, FEATURES)
    settings = 'length = "5s"\ndisorder = "1s"\nidle_after = "1s"'
    job_file.write_text(job_file.read_text().replace('length = "1m"\ndisorder = "10s"', settings))
    produce_clicks(bootstrap, topic, range(7))
    with running(job_file) as process:
        windows = windows_of(job_file, process)
        wait_for(lambda: windows() >= 1, 60, "the window that ended with the stream")
        produce_clicks(bootstrap, topic, range(7, 12))
        wait_for(lambda: windows() >= 3, 60, "the last window, in silence")
        process.send_signal(signal.SIGTERM)
        output, _ = process.communicate(timeout=30)
    assert process.returncode == 0, output
    assert output.splitlines()[-1].startswith("stopped; no-prism: 120 read = 120 counted + 0 rejected + 0 late")
    assert output.splitlines()[0].startswith("Without Prism, this process repeats runs")
    assert [line.split("  ")[1].split(",")[0] for line in output.splitlines() if " to 22:" in line] == [
        "50 rows",
        "50 rows",
        "20 rows",
    ]
    assert "Traceback" not in output
    found = newest_by_key(read_all(bootstrap, f"{topic}.windows"))
    assert [found[key]["rows"] for key in sorted(found)] == [50, 50, 20]


@pytest.mark.kafka
def test_a_job_goes_on_after_its_broker_was_away(tmp_path: Path) -> None:
    try:
        broker = KafkaBroker()
    except Exception as missing:  # noqa: BLE001
        pytest.skip(str(missing))
    topic = "goes-on"
    with broker:
        create_topic(broker.bootstrap, topic, 2)
        job_file = write_job(tmp_path, broker.bootstrap, topic, FEATURES)
        job_file.write_text(job_file.read_text().replace("[kafka]", '[kafka]\ntimeout = "3s"'))
        produce_clicks(broker.bootstrap, topic, range(100))
        with running(job_file, "--repeat", "200ms") as process:
            windows = windows_of(job_file, process)
            wait_for(windows, 60, "a first window")
            broker.kill()
            broker.start()
            produce_clicks(broker.bootstrap, topic, range(100, 200))
            wait_for(lambda: windows() >= 3, 60, "windows after the broker came back")
            process.send_signal(signal.SIGINT)
            assert process.wait(30) == 0
