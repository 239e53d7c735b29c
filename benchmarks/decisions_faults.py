"""Planted faults: are they found, how soon, in how many alerts and incidents, and is the root suspect the right one?

Each run has a twin without the fault, the same to the row: an alert counts for the fault if the twin has none of that
rule and subject in that window. Rows are drawn from a table or from a recipe in which nothing changes but by chance, so
findings before the fault are false.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import msgspec
import numpy as np
import polars as pl
from numpy.typing import NDArray

from benchmarks.decisions_clean import Running
from benchmarks.decisions_job import Decided, Measured, WindowedJob, measure_window
from benchmarks.decisions_learn import learning_job, reference_job, rows_job
from benchmarks.decisions_slices import is_same
from benchmarks.decisions_streams import START_US, WINDOW_US, Stream, span_of
from benchmarks.faults.library import Fault
from benchmarks.faults.stretch import TIME, Stretch, Target
from sparsewatch.schemas.alerts import Alert
from sparsewatch.schemas.incidents import SEVERITIES
from sparsewatch.transforms.window.in_memory import Remembered

#: Windows that are learned, then those before the fault, then those in which it lasts.
LEARNED, BEFORE, DURING = 16, 5, 6
WINDOWS = LEARNED + BEFORE + DURING


class Outcome(msgspec.Struct, frozen=True, kw_only=True):
    """What a job made of one fault of one strength in one stretch."""

    fault: str
    strength: float
    stream: str
    job: str
    seed: int
    #: Windows from the start of the fault to the end of the first that found it, less one; None if none did.
    delay: int | None
    #: Alerts that the twin has not, windows with one of them, and their incidents.
    alerts: int
    alerting: int
    incidents: int
    #: Whether in the first such window the root suspect of the worst incident is a planted subject; likewise the
    #: subject of any alert.
    named: bool
    named_by_any: bool
    #: Where it was planted in a slice of rows and is found: what the root suspect's alert in the first such window says
    #: of it, and whether that is right. Empty if it says nothing.
    place: str | None = None
    is_placed: bool = False


class Before(msgspec.Struct, frozen=True, kw_only=True):
    """What a job found where nothing was planted: before the fault, and in the twin."""

    stream: str
    job: str
    seed: int
    windows: int
    alerts: int


@dataclass(frozen=True)
class Base:
    """A stream, and where faults are planted in it."""

    stream: Stream
    target: Target
    seed: int


@dataclass(frozen=True)
class _Ready:
    """A job at the start of the fault, and what it would find without it."""

    job: WindowedJob
    state: Remembered
    twin: list[Decided]


class FaultBench:
    """Plants faults in a base stream.

    Args:
        base: The stream, of `WINDOWS` windows.
        folder: For references and models.
    """

    def __init__(self, base: Base, folder: Path) -> None:
        self.base = base
        windows = list(base.stream.windows())
        self._stretch = pl.concat(windows[LEARNED + BEFORE :])
        self._jobs: dict[str, _Ready] = {}
        self._before: list[Before] = []
        for name, job, state in _learned(base.stream, windows[:LEARNED], folder):
            running = Running(job, state)
            clean = running.through(_measure_all(job, base.stream, windows[LEARNED:][:BEFORE], LEARNED))
            twin = Running(job, running.state).through(self._windows(job, Stretch(self._stretch)))
            self._jobs[name] = _Ready(job, running.state, twin)
            self._before.append(self._as_before(name, [*clean, *twin]))

    @property
    def before(self) -> list[Before]:
        """What was found where nothing was planted."""
        return self._before

    def plant(self, fault: Fault, strength: float) -> Iterator[Outcome]:
        """The outcomes of a fault, one a job."""
        rng = np.random.default_rng([self.base.seed, *fault.name.encode()])
        stretch = fault.plant(self._stretch, self.base.target, strength, rng)
        new = next(iter(self._jobs.values())).job
        measured = self._windows(new, stretch)
        for name, ready in self._jobs.items():
            decided = Running(ready.job, ready.state).through(measured)
            extra = [_new_alerts(one, twin) for one, twin in zip(decided, ready.twin, strict=True)]
            outcome = self._outcome(fault, strength, name, decided, extra)
            yield outcome if stretch.slice is None else self._placed(outcome, stretch, decided, extra)

    def _outcome(
        self, fault: Fault, strength: float, job: str, decided: Sequence[Decided], extra: Sequence[list[Alert]]
    ) -> Outcome:
        delay = next((at for at, found in enumerate(extra) if found), None)
        subjects = fault.subjects(self.base.target)
        first = [] if delay is None else extra[delay]
        return Outcome(
            fault=fault.name,
            strength=strength,
            stream=self.base.stream.name,
            job=job,
            seed=self.base.seed,
            delay=delay,
            alerts=sum(map(len, extra)),
            alerting=sum(map(bool, extra)),
            incidents=len({alert.incident for found in extra for alert in found}),
            named=delay is not None and _root(decided[delay], first) in subjects,
            named_by_any=any(alert.subject in subjects for alert in first),
        )

    def _placed(
        self, outcome: Outcome, stretch: Stretch, decided: Sequence[Decided], extra: Sequence[list[Alert]]
    ) -> Outcome:
        if outcome.delay is None or stretch.slice is None:
            return outcome
        root = _root(decided[outcome.delay], extra[outcome.delay])
        told = [
            one.evidence["slice"] for one in extra[outcome.delay] if one.subject == root and "slice" in one.evidence
        ]
        planted = {name: value for name, value in stretch.slice.items() if name in self.base.stream.columns}
        rows = pl.concat([self._stretch, stretch.rows.select(self._stretch.columns)])
        return msgspec.structs.replace(
            outcome,
            place=told[0]["where"] if told else "",
            is_placed=bool(told) and is_same(told[0]["conditions"], planted, rows),
        )

    def _as_before(self, job: str, decided: Sequence[Decided]) -> Before:
        alerts = sum(len(one.alerts) for one in decided)
        return Before(stream=self.base.stream.name, job=job, seed=self.base.seed, windows=len(decided), alerts=alerts)

    def _windows(self, job: WindowedJob, stretch: Stretch) -> list[Measured]:
        return divided(job, self.base.stream.columns, stretch, LEARNED + BEFORE, DURING, self.base.target.label)


def _learned(
    stream: Stream, windows: Sequence[pl.DataFrame], folder: Path
) -> Iterator[tuple[str, WindowedJob, Remembered]]:
    """The jobs of a stream's kind, at the end of what is learned; all of a kind measure alike."""
    if stream.kind == "rows":
        job = rows_job(stream, windows, folder, sum(rows.height for rows in windows))
        measured = _measure_all(job, stream, windows)
        # A job of rows knows the volume of its own windows.
        yield "row model", job, _after(job, measured)
        return
    learning = learning_job(stream)
    measured = _measure_all(learning, stream, windows)
    fixed = reference_job(stream, measured, folder, windows)
    yield "reference", fixed, _after(fixed, measured)
    yield "learning", learning, _after(learning, measured)


def _measure_all(job: WindowedJob, stream: Stream, windows: Sequence[pl.DataFrame], first: int = 0) -> list[Measured]:
    return [measure_window(job.new, stream.columns, rows, span_of(at)) for at, rows in enumerate(windows, first)]


def _after(job: WindowedJob, windows: Sequence[Measured]) -> Remembered:
    running = Running(job)
    running.through(windows)
    return running.state


def _new_alerts(decided: Decided, twin: Decided) -> list[Alert]:
    known = {(alert.rule, alert.subject) for alert in twin.alerts}
    return [alert for alert in decided.alerts if (alert.rule, alert.subject) not in known]


def _root(decided: Decided, alerts: Sequence[Alert]) -> str:
    """The root suspect of the incident with the worst of some alerts; of several the one that came first."""
    worst = max(alerts, key=lambda alert: SEVERITIES.index(alert.severity))
    return decided.roots[worst.incident]


def divided(
    job: WindowedJob, columns: Mapping[str, str], stretch: Stretch, first: int, count: int, label: str | None
) -> list[Measured]:
    """The windows of a stretch as the job's reader gives them.

    A row that arrives when its window has closed is late, and a row without a label is a reject; both are accounted in
    the window in which they arrive. Rows of windows behind the stretch are left out.

    Args:
        job: Its measure is filled.
        columns: Type of each column.
        stretch: The rows.
        first: Number of its first window.
        count: Number of its windows.
        label: Column without which an event cannot be used, if any.
    """
    rows = stretch.rows
    own = _numbers(rows[TIME])
    arrived = own if stretch.arrived is None else _numbers(stretch.arrived)
    usable = np.ones(rows.height, np.bool_) if label is None else rows[label].is_not_null().to_numpy()
    late = usable & (own < arrived)
    counted = usable & ~late
    measured = []
    for number in range(first, first + count):
        here = np.flatnonzero(counted & (own == number))
        wrong = {name: values[here] for name, values in stretch.wrong.items()}
        window = measure_window(job.new, columns, rows[here], span_of(number), wrong=wrong)
        aside = arrived == number
        measured.append(replace(window, late=int((late & aside).sum()), rejected=int((~usable & aside).sum())))
    return measured


def _numbers(times: pl.Series) -> NDArray[np.int64]:
    numbers: NDArray[np.int64] = (times.to_numpy() - START_US) // WINDOW_US
    return numbers
