import logging
import threading
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from sparsewatch.detectors.artefacts.artefact import WEIGHTS, load_artefact, save_artefact
from sparsewatch.detectors.artefacts.versions import CANDIDATE, clear_candidate, mark_candidate
from sparsewatch.pipelines.job.model_in_use import ShadowModel


class Clock:
    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


def load(version: Path) -> float:
    return float(load_artefact(version, "k").tensors["number"].item())


def save(folder: Path, number: float) -> str:
    return save_artefact(folder, kind="k", tensors={"number": np.array(number)}, meta={}, promote=number == 1).name


def mark(folder: Path, version: str) -> None:
    mark_candidate(folder, version, lambda _: None)


def damage(version: Path) -> None:
    path = version / WEIGHTS
    path.write_bytes(path.read_bytes()[:-1] + b"\x01")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Version 0001 is the latest, 0002 and 0003 wait."""
    for number in (1.0, 2.0, 3.0):
        save(tmp_path / "m", number)
    return tmp_path / "m"


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def later(folder: Path, clock: Clock) -> Callable[[], float | None]:
    """What the candidate is after the time between two looks."""
    live = ShadowModel(folder, load, clock=clock, every_s=3)

    def look() -> float | None:
        clock.now += 3
        return live.current()

    return look


def test_a_candidate_comes_changes_and_goes(folder: Path, later: Callable[[], float | None]) -> None:
    assert later() is None
    mark(folder, "0002")
    assert [later(), later()] == [2, 2]
    mark(folder, "0003")
    assert later() == 3
    clear_candidate(folder)
    assert later() is None


def test_a_job_that_starts_in_a_shadow_run_has_the_candidate_at_once_and_looks_seldom(
    folder: Path, clock: Clock
) -> None:
    mark(folder, "0002")
    live = ShadowModel(folder, load, clock=clock, every_s=3)
    assert live.current() == 2
    clear_candidate(folder)
    clock.now = 2.9
    assert live.current() == 2
    clock.now = 3
    assert live.current() is None


def test_a_damaged_candidate_is_refused_once_and_the_job_goes_on(
    folder: Path, later: Callable[[], float | None], caplog: pytest.LogCaptureFixture
) -> None:
    mark(folder, "0002")
    damage(folder / "0002")
    assert [later() for _ in range(4)] == [None] * 4
    [record] = caplog.records
    assert record.levelno == logging.ERROR
    assert "0002 is refused and not scored" in record.getMessage()
    mark(folder, "0003")
    assert later() == 3


@pytest.mark.parametrize("content", ["", "0009\n", "../m/0001\n"])
def test_a_candidate_that_leads_nowhere_is_none(
    folder: Path, later: Callable[[], float | None], content: str, caplog: pytest.LogCaptureFixture
) -> None:
    (folder / CANDIDATE).write_text(content)
    assert [later() for _ in range(3)] == [None] * 3
    assert len(caplog.records) == 1


def test_a_model_named_by_its_version_has_no_candidates(folder: Path, clock: Clock) -> None:
    mark(folder, "0002")
    assert ShadowModel(folder / "0001", load, clock=clock).current() is None


def test_others_go_on_without_while_one_thread_loads(folder: Path, clock: Clock) -> None:
    loading, go_on = threading.Event(), threading.Event()

    def slowly(version: Path) -> str:
        loading.set()
        assert go_on.wait(30)
        return version.name

    live = ShadowModel(folder, slowly, clock=clock, every_s=3)
    mark(folder, "0002")
    got: list[str | None] = []
    thread = threading.Thread(target=lambda: got.append(live.current()))
    thread.start()
    assert loading.wait(30)
    clock.now = 100
    assert live.current() is None
    go_on.set()
    thread.join(30)
    assert got == ["0002"]
    assert live.current() == "0002"
