"""The file of alerts: lines that cannot be written are counted, said once, and never half there."""

import logging
import resource
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import msgspec
import pytest

from sparsewatch.schemas.alerts import Alert, Finding, raise_alert
from sparsewatch.transforms.window.alerts_file import AlertsFile


def alert(subject: str) -> Alert:
    finding = Finding(
        rule="volume_low",
        subject=subject,
        severity="warning",
        value=1.0,
        threshold=2.0,
        baseline=3.0,
        message="m",
        evidence={},
    )
    return raise_alert(finding, "job", 0, 60_000_000)


def subjects(path: Path) -> list[str]:
    return [msgspec.json.decode(line, type=Alert).subject for line in path.read_bytes().splitlines()]


@contextmanager
def full_after(size: int) -> Iterator[None]:
    """No file of this process grows beyond a size, as where a disk is full."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    handler = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
        signal.signal(signal.SIGXFSZ, handler)


def test_a_full_disk_costs_lines_that_are_counted_and_said_once(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path = tmp_path / "alerts.jsonl"
    file = AlertsFile(str(path))
    file.add([alert("a")])
    with full_after(path.stat().st_size + 30):
        file.add([alert("b")])
        file.add([alert("c"), alert("d")])
    assert subjects(path) == ["a"]
    file.add([alert("e")])
    assert subjects(path) == ["a", "e"]
    assert [(s.name, s.value) for s in file.metrics()] == [("sparsewatch_alerts_file_missed_total", 3)]
    said = [record.getMessage() for record in caplog.records if record.levelno >= logging.WARNING]
    assert len(said) == 2, said
    assert "cannot be written" in said[0]
    assert said[1].endswith("is written again, without 3 alerts")


@pytest.mark.parametrize("name", [".", "gone/alerts.jsonl"])
def test_a_file_that_cannot_be_opened_does_not_stop_the_job(tmp_path: Path, name: str) -> None:
    file = AlertsFile(str(tmp_path / name))
    file.add([alert("a")])
    assert file.missed == 1


def test_without_a_file_nothing_is_written_or_measured() -> None:
    file = AlertsFile(None)
    file.add([alert("a")])
    assert (file.missed, file.metrics()) == (0, [])
