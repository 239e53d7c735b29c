"""How soon a lower click rate is found, and how seldom one is that does not change: beside the best possible test.

Clicks are drawn; all else is the product's: what a reference of two weeks of hours knows of its rate, the check of
one window, and evidence added up over windows. Beside it stands the best possible test of as many false alarms, which
knows the rate and the change (`benchmarks.decisions_cusum`).
"""

from dataclasses import dataclass

import msgspec
import numpy as np
from numpy.typing import NDArray
from scipy.signal import lfilter

from benchmarks.decisions_cusum import Cusum
from benchmarks.decisions_streams import SEEDS, START_US, WINDOW_US, Part
from sparsewatch.detectors.clicks.checks import check_click_rate
from sparsewatch.detectors.clicks.reference import Reference
from sparsewatch.detectors.clicks.slow_changes import watched_click_rate
from sparsewatch.detectors.clicks.strays import rate_steadiness
from sparsewatch.detectors.clicks.thresholds import ClickThresholds
from sparsewatch.detectors.clicks.tolerances import statistic
from sparsewatch.detectors.sequential.judge import MOST_WATCHED, judge_shares
from sparsewatch.schemas.slow_changes import Observed, Watched

RATES = (0.002, 0.005, 0.02, 0.1, 0.33)
ROWS = (500, 2_000, 20_000, 100_000)
CHANGES = (-0.03, -0.1, -0.3, -0.5, -1.0)
#: Windows of a reference, and those without a change before one.
LEARNED, BEFORE = 336, 12
#: Windows within which the best possible test finds a change that counts here.
REACH = 48
#: Streams that are drawn of each cell: no more than a job remembers evidence on.
STREAMS = 200
_SETTINGS = ClickThresholds()
_ALPHA = _SETTINGS.slow_alpha(WINDOW_US)
Counts = NDArray[np.int64]


class Delay(msgspec.Struct, frozen=True, kw_only=True):
    """Mean windows from a change to the end of that which finds it."""

    rate: float
    rows: int
    change: float
    #: None where the best possible test does not find it within `REACH`.
    best: float | None
    own: float | None = None
    #: Share of the streams in which it was not found within ten times as many windows as the best test takes.
    missed: float = 0.0

    @property
    def ratio(self) -> float | None:
        """Of the delays."""
        return None if self.best is None or self.own is None else self.own / self.best


class FalseAlarms(msgspec.Struct, frozen=True, kw_only=True):
    """Streams without a change."""

    name: str
    #: Up to the first false alarm of each stream, or the end.
    windows: int
    alarms: int
    #: Windows that one false alarm is asked for in.
    asked: float


class DelayTask(msgspec.Struct, frozen=True, kw_only=True, tag=True):
    """All changes at a rate and a volume."""

    part: Part
    rate: float
    rows: int
    streams: int = STREAMS


class AlarmTask(msgspec.Struct, frozen=True, kw_only=True, tag=True):
    """A stream without a change."""

    part: Part
    rate: float
    rows: int
    learned: int
    #: Variance of a window over that by chance, and correlation of neighbours in what is not chance.
    unrest: float = 1.0
    alike: float = 0.0
    windows: int = 1_200
    streams: int = STREAMS

    @property
    def name(self) -> str:
        """What varies."""
        unrest = f", {self.unrest:g} times the variance by chance" if self.unrest > 1 else ""
        alike = f", neighbours alike by {self.alike:g}" if self.alike else ""
        return f"rate {self.rate:g}, {self.rows:,} rows, {self.learned} windows learned{unrest}{alike}"


@dataclass
class Streams:
    """Jobs of the same settings beside one another, each with its own reference.

    Args:
        learned: Clicks of the windows of each reference, of shape (n_windows, n_streams).
        rows: Of each window.
    """

    learned: Counts
    rows: int

    def __post_init__(self) -> None:
        assert self.learned.shape[1] <= MOST_WATCHED
        self._references = [_reference(clicks, self.rows) for clicks in self.learned.T]
        self._watched: tuple[Watched, ...] = ()
        self._number = 0

    def find(self, clicks: Counts) -> NDArray[np.bool_]:
        """Whether anything is found in the next window of each stream."""
        start_us = START_US + self._number * WINDOW_US
        end_us = start_us + WINDOW_US
        self._number += 1
        alone, shares = set(), []
        for place, (own, reference) in enumerate(zip(clicks.tolist(), self._references, strict=True)):
            if check_click_rate(own, self.rows, reference, _SETTINGS, start_us=start_us) is not None:
                alone.add(str(place))
            share = watched_click_rate(own, self.rows, reference, _SETTINGS, start_us, end_us)
            assert share is not None
            shares.append(msgspec.structs.replace(share, subject=str(place)))
        found, self._watched = judge_shares(Observed(tuple(shares)), self._watched, (start_us, end_us), alone)
        told = alone | {finding.subject for finding in found}
        return np.array([str(place) in told for place in range(clicks.size)])


def _reference(clicks: Counts, rows: int) -> Reference:
    """What `fit_reference` keeps of the click rate."""
    rates, volumes = (clicks / rows).tolist(), [float(rows)] * clicks.size
    return Reference(
        label="click",
        windows=clicks.size,
        volume=statistic(volumes),
        click_rate=statistic(rates),
        features={},
        known_values={},
        hash_limits={},
        abundances={},
        window_us=WINDOW_US,
        click_rate_steadiness=rate_steadiness(rates, volumes, None, None),
    )


def delays(task: DelayTask) -> list[Delay]:
    """The delays of a task."""
    return [_delay(task, change) for change in CHANGES]


def _delay(task: DelayTask, change: float) -> Delay:
    rng = np.random.default_rng([SEEDS[task.part][0], task.rows, round(1e4 * task.rate), round(-100 * change)])
    cusum = Cusum(rate=task.rate, rows=task.rows, change=change, alpha=_ALPHA)
    if cusum.shortest > 2 * REACH or (best := cusum.delay(rng, BEFORE, 4 * REACH)) > REACH:
        return Delay(rate=task.rate, rows=task.rows, change=change, best=None)
    streams = Streams(rng.binomial(task.rows, task.rate, (LEARNED, task.streams)), task.rows)
    told = np.zeros(task.streams, bool)
    for _ in range(BEFORE):
        told |= streams.find(rng.binomial(task.rows, task.rate, task.streams))
    # A false alarm before the change says nothing of the delay.
    found, left, most = np.zeros(task.streams, np.int64), ~told, max(20, round(10 * best))
    for window in range(1, most + 1):
        now = streams.find(rng.binomial(task.rows, task.rate * (1 + change), task.streams)) & left
        found[now], left = window, left & ~now
        if not left.any():
            break
    taken = np.where(left, most, found)[~told]
    missed = float(left.sum() / (~told).sum())
    return Delay(rate=task.rate, rows=task.rows, change=change, best=best, own=float(taken.mean()), missed=missed)


def false_alarms(task: AlarmTask) -> FalseAlarms:
    """The false alarms of a task."""
    rng = np.random.default_rng([SEEDS[task.part][0], task.rows, task.learned, round(10 * task.unrest)])
    clicks = _unchanging(task, rng)
    streams = Streams(clicks[: task.learned], task.rows)
    left, windows = np.ones(task.streams, bool), 0
    for of_window in clicks[task.learned :]:
        windows += int(left.sum())
        left &= ~streams.find(of_window)
    return FalseAlarms(name=task.name, windows=windows, alarms=int((~left).sum()), asked=1 / _ALPHA)


def _unchanging(task: AlarmTask, rng: np.random.Generator) -> Counts:
    """Clicks of each window and stream, of a rate that strays but does not change."""
    shape = (task.learned + task.windows, task.streams)
    spread = np.sqrt((task.unrest - 1) * (1 - task.rate) / (task.rate * task.rows))
    start = rng.standard_normal((1, task.streams)) * task.alike
    stray, _ = lfilter([np.sqrt(1 - task.alike**2)], [1, -task.alike], rng.standard_normal(shape), axis=0, zi=start)
    counts: Counts = rng.binomial(task.rows, np.clip(task.rate * (1 + spread * stray), 0, 1))
    return counts


def delay_tasks(part: Part, *, quick: bool) -> list[DelayTask | AlarmTask]:
    """The tasks; a quick run has fewer streams of two rates."""
    if quick:
        few = [DelayTask(part=part, rate=rate, rows=2_000, streams=40) for rate in (0.005, 0.1)]
        return [*few, AlarmTask(part=part, rate=0.05, rows=2_000, learned=168, windows=300, streams=100)]
    alarms = [
        AlarmTask(part=part, rate=rate, rows=rows, learned=learned, unrest=unrest, alike=alike)
        for rate, rows, unrest, alike in ((0.005, 2_000, 1.0, 0.0), (0.05, 2_000, 3.0, 0.0), (0.1, 20_000, 3.0, 0.5))
        for learned in (24, 168, LEARNED)
    ]
    return [*(DelayTask(part=part, rate=rate, rows=rows) for rate in RATES for rows in ROWS), *alarms]
