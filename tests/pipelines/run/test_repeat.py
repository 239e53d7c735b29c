"""Bounded runs again and again: what later runs may not meet is waited for, what stays wrong ends them."""

import logging
import random
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from click.testing import CliRunner

from sparsewatch.pipelines.cli import cli
from sparsewatch.pipelines.job.job_file import load_job
from sparsewatch.pipelines.run.repeat import repeat
from sparsewatch.pipelines.run.run import load_job_progress
from sparsewatch.schemas.errors import ConfigError, ModelError, SourceError
from tests.kit.services import KafkaBroker
from tests.kit.topics import create_topic, produce
from tests.kit.waiting import wait_for
from tests.pipelines.ctr.test_job import FEATURES, click, write_job


def runs(*results: str | Exception) -> Callable[[], str]:
    left: Iterator[str | Exception] = iter(results)

    def run() -> str:
        result = next(left)
        if isinstance(result, Exception):
            raise result
        return result

    return run


def wrapped(error: Exception) -> Exception:
    """As Beam hands an error on that it could not make anew."""
    outer = RuntimeError("while running a step")
    outer.__cause__ = error
    return outer


def test_a_summary_is_shown_when_it_changes() -> None:
    shown: list[str] = []
    with pytest.raises(ConfigError):
        repeat(runs("0 read", "0 read", "5 read", "5 read", ConfigError("end")), 0.0, shown.append)
    assert shown == ["0 read", "5 read"]


@pytest.mark.parametrize("error", [SourceError("away"), wrapped(SourceError("away"))])
def test_an_error_that_may_pass_is_logged_and_the_runs_go_on(
    error: Exception, caplog: pytest.LogCaptureFixture
) -> None:
    shown: list[str] = []
    with caplog.at_level(logging.WARNING), pytest.raises(ModelError):
        repeat(runs("0 read", error, "5 read", ModelError("damaged")), 0.0, shown.append)
    assert shown == ["0 read", "5 read"]
    assert [record.getMessage() for record in caplog.records] == [f"{error}; the next run begins in 0 s"]


@pytest.mark.parametrize("error", [SourceError("away"), ConfigError("wrong")])
def test_the_first_run_raises_any_error(error: Exception) -> None:
    with pytest.raises(type(error)):
        repeat(runs(error, "5 read"), 0.0, print)


def test_an_error_of_the_code_ends_the_runs() -> None:
    with pytest.raises(ZeroDivisionError):
        repeat(runs("0 read", ZeroDivisionError()), 0.0, print)


@pytest.mark.parametrize("until", [(), ("--until", "2026-01-01")])
def test_only_what_there_is_now_is_read_again_and_again(until: tuple[str, ...]) -> None:
    with pytest.raises(ConfigError, match="--repeat: expected --until latest"):
        CliRunner().invoke(cli, ["run", "job.toml", "--repeat", "30s", *until], catch_exceptions=False)


def test_a_pause_is_a_duration() -> None:
    with pytest.raises(ConfigError, match="expected a duration such as '500ms'"):
        CliRunner().invoke(cli, ["run", "x", "--until", "latest", "--repeat", "often"], catch_exceptions=False)


@pytest.mark.kafka
def test_a_job_goes_on_after_its_broker_was_away(tmp_path: Path) -> None:
    try:
        broker = KafkaBroker()
    except Exception as missing:  # noqa: BLE001
        pytest.skip(str(missing))
    rng, topic, start = random.Random(8), "goes-on", 1_700_000_000_000

    def send(part: int) -> None:
        times = range(start + part * 100_000, start + (part + 1) * 100_000, 100)
        produce(broker.bootstrap, topic, ((i % 2, click(rng, t)) for i, t in enumerate(times)))

    with broker:
        create_topic(broker.bootstrap, topic, 2)
        job_file = write_job(tmp_path, broker.bootstrap, topic, FEATURES)
        job_file.write_text(job_file.read_text().replace("[kafka]", '[kafka]\ntimeout = "3s"'))
        job = load_job(job_file)
        send(0)
        log = tmp_path / "log"
        with log.open("w") as output:
            command = [sys.executable, "-m", "sparsewatch", "run", str(job_file)]
            process = subprocess.Popen(
                [*command, "--until", "latest", "--repeat", "200ms"], stdout=output, stderr=subprocess.STDOUT
            )

        def said(text: str) -> Callable[[], bool]:
            def look() -> bool:
                assert process.poll() is None, log.read_text()
                return text in log.read_text()

            return look

        try:
            wait_for(said("in 1 window"), 60, "a first window")
            broker.kill()
            wait_for(said("the next run begins in 0.2 s"), 60, "a run without a broker")
            broker.start()
            send(1)
            wait_for(said("in 3 windows"), 60, "windows after the broker came back")
            process.send_signal(signal.SIGTERM)
            assert process.wait(30) == 130
            assert "stopped; the next run resumes" in log.read_text()
        finally:
            process.kill()
            process.wait()
        progress = load_job_progress(job)
        assert progress is not None
        assert progress.windows == 3
