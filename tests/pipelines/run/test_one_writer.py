"""Instances of one job at once: the newest goes on, those before it stop, and the accounts are those of one."""

import json
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from sparsewatch.pipelines.job.job_file import load_job
from sparsewatch.pipelines.run.run import load_job_progress
from sparsewatch.schemas.accounts import Account
from tests.kit.job_files import write_click_job
from tests.kit.services import KafkaBroker
from tests.kit.topics import read_all
from tests.pipelines.run.test_backlog import ROWS, SPARSEWATCH, Stream


class Instance:
    """A process that runs the job."""

    def __init__(self, job_file: Path, log: Path, *options: str) -> None:
        self.log = log
        with log.open("wb") as out:
            self.process = subprocess.Popen([SPARSEWATCH, "run", job_file, *options], stdout=out, stderr=out)

    def runs(self) -> bool:
        return self.process.poll() is None

    def is_fenced_by(self, other: "Instance") -> None:
        """Wait until it has stopped, and see that it says why."""
        assert self.process.wait(60) == 3, self.log.read_text()
        said = [line for line in self.log.read_text().splitlines() if line.startswith("sparsewatch: ")]
        assert len(said) == 1, self.log.read_text()
        assert f"was taken over by process {other.process.pid} on " in said[0]
        assert "Traceback" not in self.log.read_text()


@contextmanager
def ended(*instances: Instance) -> Iterator[None]:
    try:
        yield
    finally:
        for instance in instances:
            instance.process.kill()
            instance.process.wait()


def test_the_newest_of_several_instances_goes_on_and_the_accounts_are_those_of_one(
    prism_binary: Path, kafka_broker: KafkaBroker, tmp_path: Path
) -> None:
    stream = Stream(kafka_broker.bootstrap, "one-writer")
    stream.send(4 * ROWS)
    job_file = write_click_job(tmp_path, stream.bootstrap, stream.topic)
    first = Instance(job_file, tmp_path / "first.log", "--runner", "prism")
    with ended(first):
        stream.wait_until_committed(3, first.runs, first.log.read_text)
        second = Instance(job_file, tmp_path / "second.log", "--repeat", "1s")
        with ended(second):
            first.is_fenced_by(second)
            stream.wait_until_committed(6, second.runs, second.log.read_text)
            third = Instance(job_file, tmp_path / "third.log", "--until", "latest", "--keep-open")
            with ended(third):
                second.is_fenced_by(third)
                assert third.process.wait(60) == 0, third.log.read_text()
    last = Instance(job_file, tmp_path / "last.log", "--until", "latest")
    assert last.process.wait(60) == 0, last.log.read_text()

    progress = load_job_progress(load_job(job_file))
    assert progress is not None
    assert progress.totals == Account(counted=stream.sent)
    said: dict[bytes | None, set[int]] = {}
    for record in read_all(stream.bootstrap, f"{stream.topic}.windows"):
        said.setdefault(record.key, set()).add(json.loads(record.value or b"")["rows"])
    assert [rows for rows in said.values() if len(rows) > 1] == [], "a window was written with other numbers"
    assert sum(rows.pop() for rows in said.values()) == stream.sent
    ends = [progress.closed_end_us for _, progress in stream.commits()]
    assert ends == sorted(ends)


@pytest.mark.parametrize("options", [("--until", "latest"), ("--repeat", "0.1s")])
def test_a_run_of_other_settings_is_refused_and_stops_nobody(
    kafka_broker: KafkaBroker, tmp_path: Path, options: tuple[str, ...]
) -> None:
    stream = Stream(kafka_broker.bootstrap, f"one-writer-settings-{len(options[1])}")
    stream.send(2 * ROWS)
    job_file = write_click_job(tmp_path, stream.bootstrap, stream.topic)
    running = Instance(job_file, tmp_path / "running.log", "--repeat", "0.1s")
    with ended(running):
        stream.wait_until_committed(1, running.runs, running.log.read_text)
        other = Instance(job_file, tmp_path / "other.log", *options, "--set", "windows.length=2m")
        assert other.process.wait(60) == 2, other.log.read_text()
        stream.wait_until_committed(3, running.runs, running.log.read_text)
        assert running.runs()
