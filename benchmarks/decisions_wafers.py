"""Wafers without a fault, for `benchmarks.decisions`: seeded ones, whose lots lean to patterns, and real ones.

Seeded wafers are those of the demo: normal, and a few of each known pattern, more or fewer of them from lot to lot and
from window to window, as tools wear. Real ones are lots of WM-811K in the order of the file; a model learns the first
of them. A model recognises each wafer once, whatever the windows and the order.
"""

import os
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from functools import lru_cache
from pathlib import Path

import msgspec
import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from benchmarks.decisions_clean import Running, Tally, tally
from benchmarks.decisions_job import Decided, Measured, WindowedJob
from benchmarks.decisions_streams import SEEDS, START_US, WINDOW_US, Part, span_of
from sparsewatch.detectors.sparse_net.train import TrainConfig
from sparsewatch.detectors.wafers.drawn import make_wafers
from sparsewatch.detectors.wafers.model import WaferModel
from sparsewatch.detectors.wafers.training import WaferTrainingConfig, train_wafer_model
from sparsewatch.detectors.wafers.window_counts import WaferCounts
from sparsewatch.pipelines.wafer_files.labelled import read_labelled_wafers
from sparsewatch.schemas.alerts import Alert
from sparsewatch.schemas.block import META, Block, Span

#: Wafers a window, windows that are judged, and wafers of a seeded lot.
WINDOWS = {25: 240, 100: 96, 500: 48}
_LOT = 25
#: Drawn as they are needed, and read from `SPARSEWATCH_DATA`: those without a fault, and all, with their patterns.
STREAMS = ("drawn", "wm811k")
WITH_PATTERNS = "wm811k_patterns"
_KNOWN = ("normal", "center", "edge_ring", "scratch", "cluster", "donut")
#: Share of each known pattern but the first, and how far it wanders from window to window and between lots.
_SHARE, _PERSISTENCE, _WANDER, _OF_LOTS = 0.05, 0.95, 0.3, 0.5
_TRAINING = 1_200
#: Of real wafers: the file of each part, and windows below which a size is left out.
FILES: dict[Part, str] = {"choose": "wm811k_dev_small.npz", "report": "wm811k_train_37348.npz"}
_LEAST_WINDOWS = 6
#: Label of a real wafer without a pattern.
NO_PATTERN = "none"
#: Times as many wafers with a pattern as before that confirm an alert on it.
_MORE = 2.0
#: Of real wafers the first are learned, so many, and more until there are so many of each pattern.
_LEARNED, _OF_EACH = 2_000, 10


class Wafers:
    """Wafers behind those that a model learned, as the job of it sees them.

    Args:
        stream: One of `STREAMS`, or `WITH_PATTERNS`.
        part: Of the streams.
        a_window: Wafers a window.
        is_shuffled: Whether they are dealt out anew over all windows.
        folder: For the model.
    """

    def __init__(self, stream: str, part: Part, a_window: int, *, is_shuffled: bool, folder: Path) -> None:
        model, wafers, labels = (
            _drawn(part, a_window) if stream == "drawn" else _real(part, a_window, all_of=stream == WITH_PATTERNS)
        )
        self.count = wafers.num_rows // a_window
        order = np.arange(self.count * a_window)
        if is_shuffled:
            order = np.random.default_rng(SEEDS[part][0]).permutation(order)
        self._wafers, self._order, self._a_window = wafers, order, a_window
        self._labels = np.array(labels)
        self._settings = {
            "kind": "wafer",
            "wafers": {"model": str(model.save(folder / "wafers", metrics={}, training={}))},
        }

    def job(self, budget: float = 1.0) -> Running:
        """The job at its defaults, of a budget."""
        return Running(WindowedJob({**self._settings, "alerts": {"false_incidents_per_day": budget}}, WINDOW_US))

    def windows(self, job: WindowedJob) -> Iterator[Measured]:
        """Each window as a job's readers give it."""
        for number in range(self.count):
            at = self._order[number * self._a_window : (number + 1) * self._a_window]
            start_us, end_us = span_of(number)
            found = job.recognise(_block(self._wafers.take(pa.array(at)), number))
            counts = WaferCounts()
            counts.add(found.results, found.looking_novel)
            yield Measured(
                start_us=start_us, end_us=end_us, state=counts.to_bytes(), rows=at.size, results=len(found.results)
            )

    def labels(self, number: int) -> dict[str, str]:
        """Patterns of the wafers of a window by their names, and of those before it."""
        at = self._order[: (number + 1) * self._a_window]
        return dict(
            zip(self._wafers["wafer_id"].take(pa.array(at)).to_pylist(), self._labels[at].tolist(), strict=True)
        )


def clean_wafers(wafers: Wafers) -> Tally:
    """What the job at its defaults makes of them."""
    running, decided, confirmed = wafers.job(), list[Decided](), 0
    for number, window in enumerate(wafers.windows(running.job)):
        decided.append(one := running.next(window))
        labels = wafers.labels(number) if one.opened else {}
        true = {alert.incident for alert in one.alerts if is_confirmed(alert, labels, window.rows)}
        confirmed += len(true.intersection(one.opened))
    return msgspec.structs.replace(tally(decided), confirmed=confirmed)


def is_confirmed(alert: Alert, labels: Mapping[str, str], rows: int) -> bool:
    """Whether labels say what an alert says: most wafers that it names have a pattern, or more have that one.

    Args:
        alert: Of a window.
        labels: Patterns of its wafers, the last ones, and of those before it, by their names.
        rows: Wafers of the window.
    """
    # Of a share that is high it is their number.
    if isinstance(named := alert.evidence.get("wafers"), list):
        return 2 * sum(labels.get(one["wafer_id"], NO_PATTERN) != NO_PATTERN for one in named) > len(named)
    patterns = list(labels.values())
    before, now = patterns[:-rows], patterns[-rows:]
    return now.count(alert.subject) > _MORE * rows * before.count(alert.subject) / max(len(before), 1)


def opened(wafers: Wafers, budgets: Sequence[float]) -> tuple[Counter[float], int]:
    """Incidents that a job of each budget opens, and the windows that were judged."""
    jobs, found = {budget: wafers.job(budget) for budget in budgets}, Counter[float]()
    for window in wafers.windows(jobs[budgets[0]].job):
        for budget, job in jobs.items():
            found[budget] += len(job.next(window).opened)
    return found, wafers.count


def sizes(stream: str, part: Part) -> list[int]:
    """Wafers a window; of real ones those that make enough windows, none where they are not at hand."""
    if stream == "drawn":
        return list(WINDOWS)
    if not _file(part).exists():
        return []
    left = len(_behind(part, all_of=stream == WITH_PATTERNS))
    return [a_window for a_window in WINDOWS if left // a_window >= _LEAST_WINDOWS]


def learned_of(labels: Sequence[str], first: int = _LEARNED, of_each: int = _OF_EACH) -> int:
    """How many wafers from the first on are learned: the lots of one product may hold a single wafer of a pattern.

    Args:
        labels: Pattern of each wafer, in order.
        first: At least so many, or all.
        of_each: Wafers of each pattern that must be among them, or all of it.
    """
    places: dict[str, list[int]] = {}
    for place, label in enumerate(labels):
        places.setdefault(label, []).append(place)
    reached = (found[:of_each][-1] + 1 for found in places.values())
    return max((min(first, len(labels)), *reached))


def _file(part: Part) -> Path:
    return Path(os.environ.get("SPARSEWATCH_DATA", "../shared/data")) / "wafers" / FILES[part]


@lru_cache(maxsize=1)
def _labelled(part: Part) -> tuple[pa.RecordBatch, Sequence[str]]:
    found = read_labelled_wafers(_file(part))
    return found.rows, found.labels


@lru_cache(maxsize=1)
def _real_model(part: Part) -> WaferModel:
    rows, labels = _labelled(part)
    learned = learned_of(labels)
    return _trained(rows.slice(0, learned), labels[:learned])


def _real(part: Part, a_window: int, *, all_of: bool) -> tuple[WaferModel, pa.RecordBatch, Sequence[str]]:
    rows, labels = _labelled(part)
    at = _behind(part, all_of=all_of)[: WINDOWS[a_window] * a_window]
    return _real_model(part), rows.take(pa.array(at)), [labels[place] for place in at]


def _behind(part: Part, *, all_of: bool) -> list[int]:
    """Places of the wafers behind those that are learned: all, or those without a pattern."""
    labels = _labelled(part)[1]
    return [place for place in range(learned_of(labels), len(labels)) if all_of or labels[place] == NO_PATTERN]


@lru_cache(maxsize=1)
def _drawn_model(part: Part) -> WaferModel:
    rng = np.random.default_rng([SEEDS[part][0], 1])
    labels = rng.choice(_KNOWN, _TRAINING).tolist()
    return _trained(make_wafers(labels, rng, defects=(120, 260)), labels)


def _drawn(part: Part, a_window: int) -> tuple[WaferModel, pa.RecordBatch, Sequence[str]]:
    rng = np.random.default_rng([SEEDS[part][0], a_window])
    labels = lots(rng, WINDOWS[a_window], a_window)
    return _drawn_model(part), make_wafers(labels, rng, defects=(120, 260), first=_TRAINING), labels


def _trained(rows: pa.RecordBatch, labels: Sequence[str]) -> WaferModel:
    return train_wafer_model(rows, labels, WaferTrainingConfig(grid=128, train=TrainConfig(epochs=4)))[0]


def lots(rng: np.random.Generator, windows: int, a_window: int) -> list[str]:
    """Patterns of wafers in the order of lots, whose shares wander from window to window and from lot to lot."""
    wander: NDArray[np.float64] = np.zeros(len(_KNOWN) - 1)
    labels: list[str] = []
    for at in range(-(-windows * a_window // _LOT)):
        if at * _LOT % a_window == 0:
            step = rng.normal(size=wander.size) * _WANDER * np.sqrt(1 - _PERSISTENCE**2)
            wander = _PERSISTENCE * wander + step
        shares = np.minimum(_SHARE * np.exp(wander + _OF_LOTS * rng.normal(size=wander.size)), 0.15)
        labels += rng.choice(_KNOWN, _LOT, p=[1 - shares.sum(), *shares]).tolist()
    return labels[: windows * a_window]


def _block(wafers: pa.RecordBatch, number: int) -> Block:
    rows = wafers.num_rows
    times = START_US + number * WINDOW_US + np.arange(rows) * WINDOW_US // rows
    zeros = np.zeros(rows, np.int64)
    meta = [zeros, number * rows + np.arange(rows), zeros, times]
    arrays = [pa.array(values, field.type) for values, field in zip(meta, META, strict=True)]
    batch = pa.RecordBatch.from_arrays([*wafers.columns, *arrays], schema=pa.schema([*wafers.schema, *META]))
    return Block((Span("wafers", 0, 0, rows),), batch)
