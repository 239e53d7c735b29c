"""Stretches without a fault: how often jobs alert all the same, in windows, alerts, incidents and episodes.

Incidents are those that a job opens, or opens again. An episode asks no job: windows with findings in a row, with at
most one silent window between two of them. Streams of public data are called free of faults since nobody says
otherwise; an alert on a real change of theirs counts against us.
"""

from collections.abc import Iterator, Sequence
from itertools import pairwise
from pathlib import Path

import msgspec
import polars as pl
from scipy import stats

from benchmarks.decisions_job import Decided, Measured, WindowedJob, measure_window
from benchmarks.decisions_learn import learning_job, reference_job, rows_job, some_rows
from benchmarks.decisions_streams import Stream, span_of
from sparsewatch.transforms.window.in_memory import Remembered

#: Silent windows inside an episode.
_GAP = 1


class Tally(msgspec.Struct, frozen=True, kw_only=True):
    """What a job made of the windows of a stretch."""

    windows: int = 0
    #: Windows that were compared with anything: a job may still have been learning.
    compared: int = 0
    alerts: int = 0
    #: Windows with an alert.
    alerting: int = 0
    incidents: int = 0
    episodes: int = 0
    #: Incidents that the labels of a stream confirm, where it has any.
    confirmed: int = 0
    #: Of the stream's own time; 0 where it has none.
    days: float = 0.0

    def __add__(self, other: "Tally") -> "Tally":
        """Sums."""
        return Tally(**{name: getattr(self, name) + getattr(other, name) for name in self.__struct_fields__})


def tally(decided: Sequence[Decided], days: float = 0.0) -> Tally:
    """The numbers of windows in a row."""
    alerting = [at for at, one in enumerate(decided) if one.alerts]
    return Tally(
        windows=len(decided),
        compared=sum(one.untold is None for one in decided),
        alerts=sum(len(one.alerts) for one in decided),
        alerting=len(alerting),
        incidents=sum(len(one.opened) for one in decided),
        episodes=episodes(alerting),
        days=days,
    )


def episodes(alerting: Sequence[int]) -> int:
    """Runs of windows.

    Args:
        alerting: Numbers of windows, ascending.

    >>> episodes([0, 1, 3, 6]), episodes([])
    (2, 0)
    """
    return bool(alerting) + sum(later - earlier > _GAP + 1 for earlier, later in pairwise(alerting))


def rate_bounds(events: int, exposure: float) -> tuple[float, float]:
    """Exact bounds of 95 % on the rate of a Poisson process (Garwood, Biometrika 28, 1936).

    >>> rate_bounds(0, 1.0)[0], round(rate_bounds(0, 1.0)[1], 2)
    (0.0, 3.69)
    """
    low = float(stats.chi2.ppf(0.025, 2 * events) / 2) if events else 0.0
    return low / exposure, float(stats.chi2.ppf(0.975, 2 * events + 2) / 2) / exposure


def clean(stream: Stream, learned: int, folder: Path) -> dict[str, Tally]:
    """What the jobs of a stream's kind make of it, by job.

    Args:
        stream: The stream.
        learned: Windows that are learned first, and not judged.
        folder: For references and models.
    """
    decided = _clicks(stream, learned, folder) if stream.kind == "ctr" else _rows(stream, learned, folder)
    found: dict[str, list[Decided]] = {}
    for name, one in decided:
        found.setdefault(name, []).append(one)
    per_day = stream.windows_a_day
    return {name: tally(them, 0.0 if per_day is None else len(them) / per_day) for name, them in found.items()}


def _clicks(stream: Stream, learned: int, folder: Path) -> Iterator[tuple[str, Decided]]:
    learning = Running(learning_job(stream))
    fixed: Running | None = None
    first: list[Measured] = []
    for number, rows in enumerate(stream.windows()):
        window = measure_window(learning.job.new, stream.columns, rows, span_of(number))
        own = learning.next(window)
        if number < learned:
            first.append(window)
            continue
        fixed = fixed or Running(reference_job(stream, first, folder))
        first.clear()
        yield "reference", fixed.next(window)
        yield "learning", own


def _rows(stream: Stream, learned: int, folder: Path) -> Iterator[tuple[str, Decided]]:
    fixed: Running | None = None
    first: list[pl.DataFrame] = []
    seen = 0
    for number, rows in enumerate(stream.windows()):
        if number < learned:
            first.append(some_rows(rows, learned))
            seen += rows.height
            continue
        fixed = fixed or Running(rows_job(stream, first, folder, seen))
        first.clear()
        yield "row model", fixed.next(measure_window(fixed.job.new, stream.columns, rows, span_of(number)))


class Running:
    """A job on its way through a stream.

    Args:
        job: The job.
        state: Where it continues; at its beginning if None.
    """

    def __init__(self, job: WindowedJob, state: Remembered | None = None) -> None:
        self.job = job
        self.state = job.first if state is None else state

    def next(self, window: Measured) -> Decided:
        """Decide the next window."""
        decided, self.state = self.job.decide(self.state, window)
        return decided

    def through(self, windows: Sequence[Measured]) -> list[Decided]:
        """Decide the next windows in turn."""
        return [self.next(window) for window in windows]
