"""Streams of real wafers in which a class that training never saw begins, and how soon each raises its pattern.

An order of a stream is a single draw: of the first 200 wafers at 2 %, two to seven may be of the class. So besides the
run through Kafka other orders go window by window through the job's own recognition and search for patterns, without a
broker.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pyarrow as pa

from sparsewatch.detectors.wafers.model import WaferModel
from sparsewatch.detectors.wafers.thresholds import WaferCheck
from sparsewatch.detectors.wafers.training import lot_places
from sparsewatch.detectors.wafers.window_counts import WaferCounts
from sparsewatch.pipelines.job.model_in_use import ModelInUse
from sparsewatch.pipelines.wafer.emerging import PatternsView
from sparsewatch.pipelines.wafer.job import ConcludeWafers, LoadForJob, RecogniseBlock
from sparsewatch.pipelines.wafer.pattern_book import PatternBook
from sparsewatch.pipelines.wafer.settings import PatternSettings
from sparsewatch.pipelines.wafer_files.labelled import read_wafer_npz
from sparsewatch.schemas.block import EVENT_TIME_US, META, Block, Span
from sparsewatch.schemas.errors import ConfigError
from sparsewatch.schemas.wafers import WAFER_COLUMNS
from sparsewatch.transforms.window.measure import Window
from sparsewatch.transforms.window.panes import Pane

#: Apart from the seeds of training: the stream's lots stay the same whatever the model's seed.
_SPLIT_SEED, _TRAIN_SHARE = 811, 0.6
#: Of the withheld class once it has begun.
SHARE = 0.02
#: Wafers within which the pattern is to be raised.
TARGET_WAFERS = 200
#: Event time between wafers, and wafers of a window.
INTERVAL_S, WINDOW_WAFERS = 60, 20
DAY_WAFERS = 86_400 // INTERVAL_S
SETTINGS = PatternSettings(windows=10, history=180)


@dataclass(frozen=True)
class Lots:
    """Wafers with their labels, apart by lot."""

    #: What training sees: known classes only.
    train: pl.DataFrame
    known: pl.DataFrame
    withheld: pl.DataFrame

    @classmethod
    def of(cls, data: Path, withheld: str) -> "Lots":
        """Of an npz of die maps."""
        wafers = read_wafer_npz(data)
        rows = pl.DataFrame(wafers.rows).with_columns(pl.Series("label", wafers.labels))
        streamed = pl.Series(lot_places(wafers.rows["lot"].to_pylist(), _SPLIT_SEED) >= _TRAIN_SHARE)
        novel = rows["label"] == withheld
        return cls(rows.filter(~streamed & ~novel), rows.filter(streamed & ~novel), rows.filter(streamed & novel))


@dataclass(frozen=True)
class Parts:
    """A stream's wafers with their labels, in order."""

    #: Known classes alone, then with the withheld class; both before it is named.
    first: pl.DataFrame
    #: After it is named.
    rest: pl.DataFrame
    #: Wafers of `first` before the withheld class begins.
    begins: int


def ordered(lots: Lots, quiet: int, new: int, seed: int) -> Parts:
    """A stream in an order of its own.

    Args:
        lots: Its wafers.
        quiet: Known wafers before the class begins; fewer if there are too few.
        new: Wafers with the class among them, before it is named and as many after.
        seed: Of the order.

    Raises:
        ConfigError: If there are too few wafers.
    """
    rng = np.random.default_rng(seed)
    known, novel = (part[rng.permutation(part.height)] for part in (lots.known, lots.withheld))
    quiet = min(quiet, known.height - 2 * new)
    if quiet < 0 or novel.height < 2 * round(new * SHARE):
        raise ConfigError(
            f"2 x {new} wafers with the withheld class at {SHARE:.0%} are more than {known.height} known and "
            f"{novel.height} withheld ones give"
        )
    placed = [_with_novel(known[quiet + i * new : quiet + (i + 1) * new], novel, i, rng) for i in range(2)]
    return Parts(pl.concat([known[:quiet], placed[0]]), placed[1], quiet)


def _with_novel(known: pl.DataFrame, novel: pl.DataFrame, turn: int, rng: np.random.Generator) -> pl.DataFrame:
    """Known wafers, of which every fiftieth or so gave way to a wafer of the withheld class, the first included."""
    number = round(known.height * SHARE)
    at = np.concatenate([[0], 1 + np.sort(rng.choice(known.height - 1, number - 1, replace=False))])
    place = np.arange(known.height)
    rest = known.with_columns(pl.Series("place", place)).filter(~pl.Series(np.isin(place, at)))
    come = novel[turn * number : (turn + 1) * number].with_columns(pl.Series("place", at))
    return pl.concat([rest, come]).sort("place").drop("place")


@dataclass(frozen=True)
class Raised:
    """Patterns that an order raised."""

    #: From the class's first wafer to the end of the alert's window, and of the class among them; None if never.
    wafers: int | None
    of_class: int | None
    #: Share of the pattern's wafers that are of the class.
    members: float
    #: Patterns most of whose wafers are of known classes.
    false: int
    #: The class's pattern, empty if there is none.
    pattern: str = ""


def judge(parts: Parts, alerts: list[dict[str, Any]], ends: list[int], withheld: str) -> Raised:
    """The result of the `emerging_pattern` alerts.

    Args:
        parts: The stream.
        alerts: As JSON types, oldest first.
        ends: Wafers of `parts.first` until each alert's window ended.
        withheld: The class.
    """
    labels = dict(parts.first.select("wafer_id", "label").iter_rows())
    shares = [float(np.mean([labels[w["wafer_id"]] == withheld for w in a["evidence"]["wafers"]])) for a in alerts]
    hit = next((i for i, share in enumerate(shares) if share >= 0.5), None)
    false = sum(share < 0.5 for share in shares)
    if hit is None:
        return Raised(None, None, 0.0, false)
    end = min(ends[hit], parts.first.height)
    come = int((parts.first["label"][parts.begins : end] == withheld).sum())
    return Raised(end - parts.begins, come, shares[hit], false, alerts[hit]["subject"])


class _Book(PatternBook):
    """A pattern book that is its own reader."""

    def __call__(self) -> PatternBook:
        return self

    def close(self) -> None:
        """Nothing is open."""


def replay(parts: Parts, withheld: str, model: Path) -> Raised:
    """A stream through recognition and search for patterns, window by window."""
    recognise = RecogniseBlock(ModelInUse(str(model), LoadForJob(None, ())), level=SETTINGS.level)
    conclude = ConcludeWafers(WaferCheck(), "")
    book, version = _Book(), WaferModel.load(model)
    view = PatternsView("replay", "patterns", SETTINGS, book, lambda: version)
    panes: list[Pane] = []
    alerts: list[dict[str, Any]] = []
    ends: list[int] = []
    for window, block in _blocks(parts.first):
        recognised = recognise(block)
        counts = WaferCounts()
        counts.add(recognised.results, recognised.looking_novel)
        state = conclude(window, [counts.to_bytes()]).pane or b""
        pane = Pane(window.start_us, window.end_us, state, learned=True)
        look = view(pane, panes[1 - view.panes :])
        panes.append(pane)
        for record in look.records:
            book.take(record.key, record.value)
        raised = [found for found in look.findings if found.subject in look.summary["emerging"]["raised"]]
        alerts += [{"subject": f.subject, "evidence": f.evidence} for f in raised]
        ends += [window.end_us // 1_000_000 // INTERVAL_S] * len(raised)
    return judge(parts, alerts, ends, withheld)


def _blocks(wafers: pl.DataFrame) -> Iterator[tuple[Window, Block]]:
    """Windows of wafers, as the source of a job gives them."""
    table = wafers.select(WAFER_COLUMNS.names).to_arrow().cast(WAFER_COLUMNS)
    length_us = WINDOW_WAFERS * INTERVAL_S * 1_000_000
    for first in range(0, wafers.height, WINDOW_WAFERS):
        part = table.slice(first, WINDOW_WAFERS).combine_chunks().to_batches()[0]
        place = np.arange(first, first + part.num_rows)
        given = {EVENT_TIME_US: place * INTERVAL_S * 1_000_000}
        meta = [pa.array(given.get(f.name, place if f.name == "_offset" else 0 * place), f.type) for f in META]
        rows = pa.RecordBatch.from_arrays([*part.columns, *meta], schema=pa.schema([*WAFER_COLUMNS, *META]))
        start_us = first // WINDOW_WAFERS * length_us
        yield Window(start_us, start_us + length_us), Block((Span("replay", 0, first, first + part.num_rows),), rows)
