"""A job of rows beside its model: a change for good is told once, then usual; what goes further is told again."""

import functools
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import polars as pl
import pyarrow as pa
import pytest

from benchmarks.decisions_job import Decided, WindowedJob, measure_window
from benchmarks.faults.stretch import TIME
from sparsewatch.detectors.rows.training import train_row_model
from sparsewatch.schemas.orders import Order, identified

WINDOW_US, START_US, ROWS = 300_000_000, 1_700_006_400_000_000, 600
COLUMNS = {"temperature": "float", "flow": "float", "speed": "float"}
#: Windows that a change lasts before it is usual, and two more in which its incident still fires.
LASTS = 12


def rows_of(rng: np.random.Generator, moved: float = 0.0, share: float = 1.0, n: int = ROWS) -> pl.DataFrame:
    """Readings, of which the flow of a share has moved."""
    temperature, flow, speed = rng.normal(size=(3, n))
    return pl.DataFrame(
        {
            "temperature": temperature,
            "flow": flow + moved * (np.arange(n) < share * n),
            "speed": speed,
            TIME: np.zeros(n, np.int64),
        }
    )


@functools.cache
def saved_model(folder: Path) -> str:
    rows = rows_of(np.random.default_rng(1), n=3_000).drop(TIME)
    model = train_row_model(pa.table({name: rows[name].to_arrow() for name in COLUMNS}), method="hbos")
    return str(model.save(folder / "rows"))


class Run:
    """A job and what it remembers; windows come one after the other."""

    def __init__(self, folder: Path, **learning: object) -> None:
        rows = {"model": saved_model(folder), "learning": learning}
        self.job = WindowedJob({"kind": "rows", "columns": COLUMNS, "rows": rows}, WINDOW_US)
        self.state, self.count = self.job.first, 0

    @property
    def next_us(self) -> int:
        return START_US + self.count * WINDOW_US

    def reads(self, count: int, moved: float = 0.0, share: float = 1.0, orders: Sequence[Order] = ()) -> list[Decided]:
        found = []
        for _ in range(count):
            rows = rows_of(np.random.default_rng([7, self.count]), moved, share)
            window = measure_window(self.job.new, COLUMNS, rows, (self.next_us, self.next_us + WINDOW_US))
            decided, self.state = self.job.decide(self.state, window, orders)
            self.count += 1
            found.append(decided)
        return found


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("models")


def subjects(found: Sequence[Decided]) -> list[set[str]]:
    return [{alert.subject for alert in one.alerts} for one in found]


def opened(found: Sequence[Decided]) -> int:
    return sum(len(one.opened) for one in found)


def test_a_change_from_the_beginning_is_told_once_and_usual_when_it_has_lasted(folder: Path) -> None:
    run = Run(folder)
    # The first window may be incomplete, and is not learned.
    first = run.reads(1 + LASTS, moved=3.5, share=0.2)
    assert opened(first) == 1
    assert all("flow" in named for named in subjects(first))
    assert subjects(run.reads(20, moved=3.5, share=0.2)) == [set()] * 20
    assert run.reads(1, moved=3.5, share=0.2)[0].summary["baseline"]["usual"] == ["rows_unlike_training flow"]
    # As far again, and another column's fault, are told.
    further = run.reads(2, moved=3.5)
    assert opened(further) == 1
    assert all("flow" in named for named in subjects(further))


def test_without_learning_it_is_told_of_every_window(folder: Path) -> None:
    run = Run(folder, enabled=False)
    found = run.reads(30, moved=3.5, share=0.2)
    assert all("flow" in named for named in subjects(found))
    assert "baseline" not in found[-1].summary


def test_a_change_behind_a_whole_baseline_is_told_until_a_person_accepts_it(folder: Path) -> None:
    run = Run(folder)
    assert opened(run.reads(26)) == 0
    since_us = run.next_us
    found = run.reads(40, moved=3.5, share=0.2)
    assert opened(found) == 1
    assert all("flow" in named for named in subjects(found))
    accepted = identified(
        Order(job="bench", verb="accept", by="me", at_us=0, from_us=run.next_us, since_us=since_us, incident="bench-1")
    )
    assert subjects(run.reads(20, moved=3.5, share=0.2, orders=[accepted])) == [set()] * 20
    assert opened(run.reads(2, moved=3.5, orders=[accepted])) == 1


def test_the_repaired_stream_is_silent_and_the_same_fault_is_told_again(folder: Path) -> None:
    run = Run(folder)
    run.reads(26)
    assert opened(run.reads(6, moved=3.5)) == 1
    assert opened(run.reads(10)) == 0
    assert opened(run.reads(2, moved=3.5)) == 1


def test_windows_that_are_read_again_decide_the_same(folder: Path) -> None:
    run = Run(folder)
    run.reads(20, moved=3.5, share=0.2)
    behind, count = run.state, run.count
    first = run.reads(8, moved=3.5, share=0.2)
    run.state, run.count = behind, count
    assert run.reads(8, moved=3.5, share=0.2) == first
