"""Bin maps as text: header lines `key: value`, then a line per row of dies, the top row first.

Two layouts. The plain one has a character per die after an empty line or `map:`: `.` outside, `1` pass, anything else
fails. SINF has lines `RowData:` with a code of equal width per die, `__` outside; BCEQU names the codes that pass.
docs/wafer-files.md describes both.
"""

import re
from collections.abc import Iterator, Mapping
from datetime import UTC, tzinfo
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from sparsewatch.detectors.sparse_net.points import FAILING
from sparsewatch.pipelines.wafer_files.faults import WaferFileError
from sparsewatch.pipelines.wafer_files.inspections import NO_TIME, Inspections, wafer_rows
from sparsewatch.pipelines.wafer_files.klarf.fields import WIDEST_UM, FieldError, parse_klarf_time_us
from sparsewatch.pipelines.wafer_files.labelled import RADIUS_UM
from sparsewatch.pipelines.wafer_files.text_files import read_pieces

#: Most dies of one map.
MOST_DIES = 4_000_000
#: Most bytes of one file.
_MOST_BYTES = 16 << 20

_HEADER = re.compile(r"([A-Za-z][\w .-]*?)\s*:\s*(.*)")
_START = re.compile(rb"\s*[A-Za-z][\w .-]*:[^\n]*\n")
#: Quarter turns, counter-clockwise, that bring the mark down. SINF writes degrees clockwise from the top.
_TURNS = {"down": 0, "180": 0, "right": 3, "90": 3, "up": 2, "top": 2, "0": 2, "left": 1, "270": 1, "bottom": 0}
_SINF_ROW = "rowdata"


def looks_like_bin_map(start: bytes) -> bool:
    """Whether a file that begins like this has header lines."""
    return _START.match(start) is not None


def read_bin_map(path: Path, zone: tzinfo = UTC) -> Iterator[Inspections]:
    """The wafer of a file, its mark turned down.

    Args:
        path: The file; it may be packed with gzip or zstd.
        zone: Time zone of its time, which names none.

    Raises:
        WaferFileError: With the name of the fault and its line.
    """
    header, rows, first = _split(path, _lines(path))
    if not rows:
        raise WaferFileError("truncated", path, "expected rows of dies after the header, the file ends")
    sinf = isinstance(rows[0], list)
    dies = _dies(path, rows, first)
    failing = ~np.isin(dies, _outside(sinf)) & ~np.isin(dies, _passing(header, sinf))
    die_map = np.where(np.isin(dies, _outside(sinf)), 0, np.where(failing, FAILING, 1)).astype(np.int8)
    # The picture's top row comes last: y grows upwards.
    turned = np.rot90(die_map, _turns(path, header))[::-1]
    try:
        time_us = parse_klarf_time_us(header["time"], "time", zone) if "time" in header else NO_TIME
    except FieldError as error:
        raise WaferFileError(error.code, path, str(error)) from error
    found = wafer_rows(_identity(path, header), _radius_um(path, header), die_map=np.ascontiguousarray(turned))
    yield Inspections(found, np.array([time_us]))


def _lines(path: Path) -> list[str]:
    pieces, size = [], 0
    for _, piece in read_pieces(path):
        pieces.append(piece)
        size += len(piece)
        if size > _MOST_BYTES:
            raise WaferFileError("too_large", path, f"expected a bin map of at most {_MOST_BYTES} bytes, got more")
    return b"".join(pieces).decode("latin-1").splitlines()


#: A row of dies: its characters, or the codes of a SINF row.
_Row = str | list[str]


def _split(path: Path, lines: list[str]) -> tuple[dict[str, str], list[_Row], int]:
    """Header by lower-case key, rows, and the line of the first row."""
    header: dict[str, str] = {}
    for number, line in enumerate(lines, 1):
        found = _HEADER.fullmatch(line.strip())
        key = found[1].lower() if found else ""
        if key == _SINF_ROW:
            return header, _sinf_rows(path, lines, number), number
        if key == "map" or (not line.strip() and header):
            rows: list[_Row] = [row.strip() for row in lines[number:]]
            while rows and not rows[-1]:
                rows.pop()
            return header, rows, number + 1
        if found is None and line.strip():
            raise WaferFileError("broken_structure", path, f"expected 'key: value', got {line[:60]!r}", number)
        if found:
            header[key] = found[2].strip()
    return header, [], len(lines)


def _sinf_rows(path: Path, lines: list[str], first: int) -> list[_Row]:
    rows: list[_Row] = []
    for number, line in enumerate(lines[first - 1 :], first):
        key, colon, codes = line.partition(":")
        if line.strip() and (not colon or key.strip().lower() != _SINF_ROW):
            raise WaferFileError("broken_structure", path, f"expected RowData, got {line[:60]!r}", number)
        if line.strip():
            rows.append(codes.split())
    return rows


def _dies(path: Path, rows: list[_Row], first: int) -> NDArray[np.str_]:
    """Codes of the dies, shape (rows, columns)."""
    width = len(rows[0])
    uneven = next((i for i, row in enumerate(rows) if len(row) != width), None)
    if uneven is not None:
        message = f"expected {width} dies as in the first row, got {len(rows[uneven])}"
        raise WaferFileError("wrong_columns", path, message, first + uneven)
    if not 0 < width * len(rows) <= MOST_DIES:
        raise WaferFileError("too_large", path, f"expected 1 to {MOST_DIES} dies, got {width * len(rows)}", first)
    return np.array([list(row) for row in rows])


def _outside(sinf: bool) -> list[str]:
    return ["__", "___", "..", "@@"] if sinf else ["."]


def _passing(header: Mapping[str, str], sinf: bool) -> list[str]:
    named = header.get("bcequ", header.get("pass", ""))
    return named.replace(",", " ").split() or (["01", "001"] if sinf else ["1"])


def _turns(path: Path, header: Mapping[str, str]) -> int:
    mark = header.get("fnloc", header.get("notch", "down")).lower()
    if mark not in _TURNS:
        raise WaferFileError("bad_field", path, f"expected a notch at {', '.join(_TURNS)}, got {mark[:60]!r}")
    return _TURNS[mark]


def _identity(path: Path, header: Mapping[str, str]) -> dict[str, str]:
    missing = [key for key in ("wafer", "lot") if not header.get(key)]
    if missing:
        raise WaferFileError(
            "missing_field", path, f"expected header lines wafer and lot, missing: {', '.join(missing)}"
        )
    return {
        "wafer_id": header["wafer"],
        "lot": header["lot"],
        "step": header.get("step", ""),
        "tool": header.get("tool", ""),
    }


def _radius_um(path: Path, header: Mapping[str, str]) -> float:
    text = header.get("diameter_mm", "")
    if not text:
        return RADIUS_UM
    if not re.fullmatch(r"\d{1,6}(\.\d{1,6})?", text) or not 0 < float(text) * 1e3 <= WIDEST_UM:
        raise WaferFileError("bad_field", path, f"expected a diameter_mm above 0 and up to 1000, got {text[:60]!r}")
    return float(text) * 500
