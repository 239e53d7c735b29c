"""KLARF files of versions 1.1, 1.2 and 1.8: inspection results of KLA and compatible stations.

The format is not public; what is read here follows files of several vendors and open-source readers.
"""

import re
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pyarrow as pa

from sparsewatch.pipelines.wafer_files.inspections import Inspections
from sparsewatch.pipelines.wafer_files.klarf.fields import KlarfReading
from sparsewatch.pipelines.wafer_files.klarf.tokens import TokenStream, shown, text_of
from sparsewatch.pipelines.wafer_files.klarf.version12 import Klarf12
from sparsewatch.pipelines.wafer_files.klarf.version18 import read_klarf18

_START = re.compile(rb"\s*(?:FileVersion|Record\s+FileRecord)\b", re.IGNORECASE)
_FLAT_18 = ("1", "8")
_FLAT = {("1", "1"), ("1", "2"), _FLAT_18}


def looks_like_klarf(start: bytes) -> bool:
    """Whether a file that begins like this is a KLARF."""
    return _START.match(start) is not None


def read_klarf(path: Path, reading: KlarfReading | None = None) -> Iterator[Inspections]:
    """Wafers of a file, one at a time, in its order; defects from the wafer's centre in micrometres, notch down.

    Holds one wafer and a piece of the file in memory, whatever the file's size.

    Args:
        path: The file; it may be packed with gzip or zstd.
        reading: What the file does not state itself.

    Raises:
        WaferFileError: With the name of the fault and its line.
    """
    yield from _ids_apart(_wafers(path, reading or KlarfReading()))


def _wafers(path: Path, reading: KlarfReading) -> Iterator[Inspections]:
    stream = TokenStream(path)
    word = stream.next()
    if word == b"Record":
        yield from read_klarf18(lambda: _at_records(path), reading)
        return
    if word.lower() != b"fileversion":
        raise stream.error("unknown_format", f"expected FileVersion or Record FileRecord, got {shown(word)}", -1)
    version = tuple(stream.values())
    if version not in _FLAT:
        got = " ".join(version)[:60]
        raise stream.error("unknown_version", f"expected FileVersion 1 8, 1 1 or 1 2, got {got!r}", -1)
    yield from Klarf12(stream, reading, flat18=version == _FLAT_18)


def _at_records(path: Path) -> TokenStream:
    """A stream of a 1.8 file after its first three words."""
    stream = TokenStream(path)
    stream.next()
    stream.expect(b"FileRecord")
    version = stream.next()
    if text_of(version) != "1.8":
        raise stream.error("unknown_version", f'expected FileRecord "1.8", got {shown(version)}', -1)
    return stream


def _ids_apart(wafers: Iterator[Inspections]) -> Iterator[Inspections]:
    """Wafers of one id in different slots get ids of their own: they are different wafers."""
    given: dict[tuple[str, ...], dict[str, str]] = {}
    for wafer in wafers:
        identity = tuple(wafer.rows[name][0].as_py() for name in ("lot", "step", "wafer_id"))
        slot, by_slot = (wafer.slots or [""])[0], given.setdefault(identity, {})
        by_slot.setdefault(slot, f"{identity[2]} (slot {slot})" if by_slot and slot else identity[2])
        yield wafer if by_slot[slot] == identity[2] else _renamed(wafer, by_slot[slot])


def _renamed(wafer: Inspections, wafer_id: str) -> Inspections:
    at = wafer.rows.schema.get_field_index("wafer_id")
    rows = wafer.rows.set_column(at, wafer.rows.schema.field(at), pa.array([wafer_id]))
    note = f"wafer {wafer_id!r}: another slot has a wafer of the same id"
    return replace(wafer, rows=rows, notes=(*wafer.notes, note))
