"""What files hold, before anything is written: their wafers, and which of them count when one was inspected again."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
import polars as pl
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from sparsewatch.detectors.sparse_net.points import FAILING
from sparsewatch.pipelines.wafer_files.formats import ReadOptions, format_of, read_wafers
from sparsewatch.pipelines.wafer_files.inspections import NO_TIME
from sparsewatch.schemas.alerts import counted
from sparsewatch.schemas.errors import SchemaError

Retests = Literal["keep-last", "keep-all"]

#: Columns that identify a wafer at a step.
_KEYS = ("wafer_id", "lot", "step")
#: Those that the inspections of the same wafer at the same step share.
_SAME = (*_KEYS, "slot")
#: Most notes of a file that are shown.
_MOST_NOTES = 5


@dataclass(frozen=True, slots=True)
class Defaults:
    """Defaults of wafers whose file names no step or tool."""

    step: str = ""
    tool: str = ""

    def fill(self, rows: pa.RecordBatch) -> pa.RecordBatch:
        """Rows with empty steps and tools filled in."""
        for name, text in (("step", self.step), ("tool", self.tool)):
            filled = pc.if_else(pc.equal(rows[name], ""), pa.scalar(text), rows[name])
            rows = rows.set_column(rows.schema.get_field_index(name), rows.schema.field(name), filled)
        return rows


@dataclass(frozen=True, slots=True)
class Survey:
    """One file that can be read to its end."""

    path: Path
    format: str
    #: A row a wafer: `wafer_id`, `lot`, `step`, `slot`, `time_us`.
    wafers: pl.DataFrame
    #: Defect records read, and duplicates dropped.
    listed: int
    collapsed: int
    #: Dies of its maps that pass, and that fail.
    good: int = 0
    failing: int = 0
    #: What a person should know of how it was read.
    notes: tuple[str, ...] = ()

    def __str__(self) -> str:
        """The file in a line."""
        dropped = f", {self.collapsed} of them duplicates" if self.collapsed else ""
        defects = f", {counted(self.listed, 'defect')}{dropped}" if self.format == "KLARF" else ""
        dies = f", {self.good:,} good and {self.failing:,} failing dies" if self.good or self.failing else ""
        return f"{self.path}: {self.format}, {counted(self.wafers.height, 'wafer')}{defects}{dies}"

    @property
    def first_us(self) -> int:
        """Earliest inspection; `NO_TIME` if any wafer has no time."""
        return int(self.wafers["time_us"].min())  # type: ignore[arg-type]

    @property
    def undated(self) -> int:
        """Wafers without a time."""
        return int((self.wafers["time_us"] == NO_TIME).sum())


def survey(path: Path, options: ReadOptions, defaults: Defaults) -> Survey:
    """Read a file to its end and collect the identities of its wafers.

    Raises:
        SchemaError: What is wrong with it; nothing of such a file counts.
    """
    kind = format_of(path)
    frames: list[pl.DataFrame] = []
    listed, collapsed, notes, dies = 0, 0, dict[str, None](), np.zeros(FAILING + 1, dtype=np.int64)
    for part in read_wafers(path, options):
        rows = defaults.fill(part.rows).select(list(_KEYS))
        slots = pl.Series("slot", part.slots or [""] * rows.num_rows, dtype=pl.String)
        frames.append(pl.DataFrame(rows).with_columns(slots, pl.Series("time_us", part.times_us)))
        notes |= dict.fromkeys(part.notes)
        dies += np.bincount(part.rows["map"].flatten().to_numpy(zero_copy_only=False), minlength=FAILING + 1)
        listed += part.listed
        collapsed += part.collapsed
    if not sum(frame.height for frame in frames):
        raise SchemaError(f"{path}: expected wafers, got a file without any")
    good, failing = int(dies[1]), int(dies[FAILING])
    return Survey(path, kind, pl.concat(frames), listed, collapsed, good, failing, _shortened(notes))


def _shortened(notes: Iterable[str]) -> tuple[str, ...]:
    shown = list(notes)
    more = len(shown) - _MOST_NOTES
    return (*shown[:_MOST_NOTES], *([f"{counted(more, 'note')} more of this kind"] if more > 0 else []))


def that_count(surveys: Sequence[Survey], retests: Retests) -> list[NDArray[np.bool_]]:
    """Wafers that count, file by file: those that no later inspection supersedes.

    The inspection of a wafer, lot, step and slot with the latest time counts; of equal times, or without times, the
    last read.

    Returns:
        For each file a bool array of shape (wafers,).
    """
    if retests == "keep-all" or not surveys:
        return [np.ones(one.wafers.height, dtype=np.bool_) for one in surveys]
    every = pl.concat([one.wafers for one in surveys]).with_row_index("place")
    newest = every.sort("time_us", "place").unique(_SAME, keep="last")
    counts = np.zeros(every.height, dtype=np.bool_)
    counts[newest["place"].to_numpy()] = True
    return np.split(counts, np.cumsum([one.wafers.height for one in surveys])[:-1])
