"""Which format a file has, by its first bytes, and its wafers."""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import UTC, tzinfo
from pathlib import Path
from typing import Literal

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from sparsewatch.detectors.sparse_net.outside import outside_counts, told
from sparsewatch.pipelines.wafer_files.bin_maps import looks_like_bin_map, read_bin_map
from sparsewatch.pipelines.wafer_files.events import BATCH_WAFERS, check_wafers, read_arrow_events, read_json_events
from sparsewatch.pipelines.wafer_files.faults import WaferFileError
from sparsewatch.pipelines.wafer_files.inspections import NO_TIME, Inspections
from sparsewatch.pipelines.wafer_files.klarf.fields import DieOrigin, KlarfReading
from sparsewatch.pipelines.wafer_files.klarf.read import looks_like_klarf, read_klarf
from sparsewatch.pipelines.wafer_files.labelled import read_wafer_npz
from sparsewatch.pipelines.wafer_files.map_text import NO_DIE
from sparsewatch.pipelines.wafer_files.text_files import read_start
from sparsewatch.schemas.errors import SchemaError
from sparsewatch.schemas.jobs import TimeFormat

Format = Literal["KLARF", "bin map", "JSON lines", "Arrow", "npz"]

_PICKLES = (".pkl", ".pickle")
_ARROW = (b"PAR1", b"ARROW1", b"\xff\xff\xff\xff")


@dataclass(frozen=True, slots=True, kw_only=True)
class ReadOptions:
    """What files do not state."""

    #: Time zone of times that name none.
    zone: tzinfo = UTC
    #: Whether a KLARF must list as many defects, and a bin map have as many rows and columns, as it declares.
    check_counts: bool = True
    #: What DieOrigin of a KLARF means.
    die_origin: DieOrigin = "auto"
    #: Codes of dies of a bin map that are not tested.
    no_die: tuple[str, ...] = NO_DIE
    #: Where files of events have their times, and how they are written.
    time_column: str = "time"
    time_format: TimeFormat = "epoch_ms"


def format_of(path: Path) -> Format:
    """The format of a file; its name does not matter.

    Raises:
        WaferFileError: `unknown_format`, or `unreadable`.
    """
    start = read_start(path)
    if path.suffix in _PICKLES or (start[:1] == b"\x80" and start[1:2] <= b"\x05"):
        message = "a pickle runs code when it is read, so it is refused; save the maps as npz (docs/wafer-files.md)"
        raise WaferFileError("unknown_format", path, message)
    if start.startswith(b"PK\x03\x04"):
        return "npz"
    if start.startswith(_ARROW):
        return "Arrow"
    if looks_like_klarf(start):
        return "KLARF"
    if start.lstrip().startswith(b"{"):
        return "JSON lines"
    if looks_like_bin_map(start):
        return "bin map"
    known = "KLARF, a bin map, npz, JSON lines, Parquet or Arrow IPC"
    got = f"a file that begins {start[:40]!r}" if start else "an empty file"
    raise WaferFileError("unknown_format", path, f"expected {known}, got {got}")


def read_wafers(path: Path, options: ReadOptions) -> Iterator[Inspections]:
    """Wafers of any file, in batches, with notes on defects that lie outside of theirs.

    Raises:
        SchemaError: What is wrong with the file; a `WaferFileError` names it.
    """
    for part in _read(path, options):
        check_wafers(part.rows, path)
        listed, outside = outside_counts(part.rows)
        notes = [
            f"wafer {part.rows['wafer_id'][row].as_py()!r}: {told(part.rows, row, int(listed[row]), int(outside[row]))}"
            for row in np.flatnonzero(outside).tolist()
        ]
        yield replace(part, notes=(*part.notes, *notes)) if notes else part


def _read(path: Path, options: ReadOptions) -> Iterator[Inspections]:
    kind = format_of(path)
    if kind == "KLARF":
        reading = KlarfReading(zone=options.zone, check_counts=options.check_counts, die_origin=options.die_origin)
        yield from read_klarf(path, reading)
    elif kind == "bin map":
        yield from read_bin_map(path, options.zone, no_die=options.no_die, check_counts=options.check_counts)
    elif kind == "JSON lines":
        yield from read_json_events(path, options.time_column, options.time_format)
    elif kind == "Arrow":
        yield from read_arrow_events(path, options.time_column, options.time_format)
    else:
        yield from _npz(path)


def _npz(path: Path) -> Iterator[Inspections]:
    try:
        wafers = read_wafer_npz(path)
    except SchemaError as error:
        raise WaferFileError("unreadable", path, str(error)) from error
    for first in range(0, wafers.rows.num_rows, BATCH_WAFERS):
        rows = _lots_by_file(wafers.rows.slice(first, BATCH_WAFERS), path)
        labels = wafers.labels[first : first + BATCH_WAFERS]
        yield Inspections(rows, np.full(rows.num_rows, NO_TIME), labels=labels)


def _lots_by_file(rows: pa.RecordBatch, path: Path) -> pa.RecordBatch:
    """Prefix lots with the file's name: such files name no lots of their own, and two would look like retests."""
    lots = pc.binary_join_element_wise(path.stem, rows["lot"], "/")
    return rows.set_column(rows.schema.get_field_index("lot"), rows.schema.field("lot"), lots)
