"""Streams for `benchmarks.decisions`: real tables and seeded ones, cut into windows; which part each belongs to.

Real tables are read below `SPARSEWATCH_DATA`; one that is absent is left out, and a line says so. Settings are chosen
by what the part `choose` shows, and reported is the part `report`: no table and no seed is in both.
"""

import os
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from itertools import pairwise
from pathlib import Path
from typing import Literal, TypeAlias

import numpy as np
import polars as pl

from benchmarks.faults.stretch import TIME

Part: TypeAlias = Literal["choose", "report"]
Kind: TypeAlias = Literal["ctr", "rows", "wafer"]
WINDOW_US = 3_600_000_000
#: Start of the first window, a midnight.
START_US = 1_700_006_400_000_000
LABEL = "click"
#: Of the volume of windows to which rows are dealt out.
_SPREAD = 0.03
_TYPES = {pl.Float32: "float", pl.Float64: "float", pl.String: "str", pl.Boolean: "bool"}
#: Of what draws or deals out in a part.
SEEDS: dict[Part, tuple[int, ...]] = {"choose": (101, 102, 103), "report": (201, 202, 203)}


@dataclass(frozen=True, kw_only=True)
class Stream:
    """A stream as windows of an hour each, whatever its real rhythm is."""

    name: str
    kind: Kind
    #: Type of each column but `TIME`, the label among them.
    columns: Mapping[str, str]
    #: Number of windows.
    count: int
    #: The rows of each window in turn, with the columns and `TIME`.
    windows: Callable[[], Iterator[pl.DataFrame]]
    #: Windows in a day of the stream's own time; None where it has none.
    windows_a_day: float | None

    @property
    def features(self) -> list[str]:
        """Columns but the label."""
        return [name for name in self.columns if name != LABEL]


@dataclass(frozen=True, kw_only=True)
class RealTable:
    """A public table."""

    name: str
    kind: Kind
    part: Part
    file: str
    #: To the features, the label as `LABEL`, in order of time or of the file.
    read: Callable[[pl.DataFrame], pl.DataFrame]
    #: Days that it spans, where it states times.
    days: float | None = field(default=None)


def _clicks(*left_out: str) -> Callable[[pl.DataFrame], pl.DataFrame]:
    return lambda table: table.drop(*left_out).rename({"label": LABEL})


def _longest_clean(series: str) -> Callable[[pl.DataFrame], pl.DataFrame]:
    """The longest stretch of a series outside of the windows that its publishers marked."""

    def read(table: pl.DataFrame) -> pl.DataFrame:
        mine = table.filter(pl.col("series") == series).sort("timestamp")
        runs = mine.with_columns(run=pl.col("in_window").rle_id()).filter(~pl.col("in_window"))
        longest = runs.group_by("run").len().sort(["len", "run"], descending=[True, False])["run"][0]
        return runs.filter(pl.col("run") == longest).select("value")

    return read


def _nab(part: Part, series: str) -> RealTable:
    name = "nab_" + series.split("/")[1].removesuffix(".csv")
    return RealTable(name=name, kind="rows", part=part, file="streams/nab.parquet", read=_longest_clean(series))


_BANDIT_APART = ("row", "timestamp", "propensity_score")
TABLES: tuple[RealTable, ...] = (
    RealTable(
        name="avazu", kind="ctr", part="choose", file="ctr/avazu.parquet", read=_clicks("id", "hour"), days=34 / 24
    ),
    RealTable(
        name="open_bandit",
        kind="ctr",
        part="choose",
        file="ctr/open_bandit.parquet",
        read=lambda table: _clicks(*_BANDIT_APART)(table.sort("timestamp")),
        days=7,
    ),
    RealTable(name="census_income", kind="ctr", part="choose", file="ctr/census_income.parquet", read=_clicks()),
    RealTable(
        name="talkingdata",
        kind="ctr",
        part="report",
        file="ctr/talkingdata.parquet",
        read=lambda table: _clicks("click_time", "attributed_time")(table.sort("click_time")),
        days=3,
    ),
    RealTable(name="bank", kind="ctr", part="report", file="ctr/bank.parquet", read=_clicks()),
    RealTable(name="amazon_access", kind="ctr", part="report", file="ctr/amazon_access.parquet", read=_clicks()),
    RealTable(
        name="elec2",
        kind="rows",
        part="choose",
        file="streams/elec2.parquet",
        read=lambda table: table.drop("target"),
        days=45_312 / 48,
    ),
    RealTable(
        name="noaa_weather",
        kind="rows",
        part="report",
        file="streams/noaa_weather.parquet",
        read=lambda table: table.drop("label"),
        days=18_159,
    ),
    *(_nab("choose", f"realTweets/Twitter_volume_{name}.csv") for name in ("AAPL", "CVS", "GOOG", "KO", "UPS")),
    *(_nab("report", f"realTweets/Twitter_volume_{name}.csv") for name in ("AMZN", "CRM", "FB", "IBM", "PFE")),
    _nab("choose", "realKnownCause/machine_temperature_system_failure.csv"),
    _nab("choose", "realKnownCause/nyc_taxi.csv"),
    _nab("report", "realKnownCause/cpu_utilization_asg_misconfiguration.csv"),
    _nab("report", "realKnownCause/ambient_temperature_system_failure.csv"),
)


def data_folder() -> Path:
    """Folder of the real tables."""
    return Path(os.environ.get("SPARSEWATCH_DATA", "../shared/data"))


def absent(part: Part) -> list[str]:
    """Real tables of a part that are not at hand."""
    return [one.name for one in TABLES if one.part == part and not (data_folder() / one.file).exists()]


def read_table(table: RealTable) -> pl.DataFrame:
    """The rows of a real table, in their order."""
    found = table.read(pl.read_parquet(data_folder() / table.file))
    floats = [name for name, kind in found.schema.items() if kind.is_float()]
    return found.with_columns(pl.col(floats).fill_nan(None)) if floats else found


def cut(table: RealTable, rows: pl.DataFrame, a_window: int) -> Stream:
    """A real table as a stream, in its order: so many rows a window, the rest left out.

    Args:
        table: The table.
        rows: Of it.
        a_window: Rows a window.
    """
    count = rows.height // a_window

    def windows() -> Iterator[pl.DataFrame]:
        for number in range(count):
            yield timed(rows[number * a_window : (number + 1) * a_window], number)

    return Stream(
        name=table.name,
        kind=table.kind,
        columns=declared(rows),
        count=count,
        windows=windows,
        windows_a_day=None if table.days is None else rows.height / a_window / table.days,
    )


def dealt(stream: Stream, pool: pl.DataFrame, a_window: int, count: int, seed: int) -> Stream:
    """Rows of a pool dealt out, each once, so that nothing changes but by chance; volumes vary by a few percent.

    Args:
        stream: Gives name, kind and columns.
        pool: The rows.
        a_window: Rows a window on average; fewer where the pool does not suffice.
        count: Number of windows.
        seed: Of everything drawn.
    """
    rng = np.random.default_rng(seed)
    order = rng.permutation(pool.height)
    mean = min(a_window, pool.height / count / 1.1)
    ends = np.minimum(np.cumsum(rng.poisson(mean * rng.lognormal(0, _SPREAD, count))), pool.height)

    def windows() -> Iterator[pl.DataFrame]:
        for number, (first, end) in enumerate(pairwise([0, *ends.tolist()])):
            yield timed(pool[order[first:end]], number)

    return replace(stream, count=count, windows=windows, windows_a_day=None)


def shuffled(stream: Stream, seed: int) -> Stream:
    """The same rows and volumes, the rows dealt out anew over all windows; holds the whole stream."""

    def windows() -> Iterator[pl.DataFrame]:
        tables = [rows.drop(TIME) for rows in stream.windows()]
        heights, pool = [rows.height for rows in tables], pl.concat(tables)
        order = np.random.default_rng(seed).permutation(pool.height)
        ends = np.cumsum(heights)
        for number, end in enumerate(ends.tolist()):
            yield timed(pool[order[end - heights[number] : end]], number)

    return replace(stream, windows=windows)


def timed(rows: pl.DataFrame, number: int) -> pl.DataFrame:
    """The rows of a window with event times spread evenly over it."""
    start = START_US + number * WINDOW_US
    times = start + (np.arange(rows.height) * WINDOW_US) // max(rows.height, 1)
    return rows.with_columns(pl.Series(TIME, times, dtype=pl.Int64))


def span_of(number: int) -> tuple[int, int]:
    """Start and end of a window, microseconds."""
    return START_US + number * WINDOW_US, START_US + (number + 1) * WINDOW_US


def declared(rows: pl.DataFrame) -> dict[str, str]:
    """Type of each column as a job declares it."""
    return {name: _TYPES.get(kind.base_type(), "int") for name, kind in rows.schema.items() if name != TIME}
