"""Bin maps as text: header lines `key: value`, then a line per row of dies, the top row first.

Two layouts. The plain one has a character per die after an empty line or `map:`: `.` outside, `1` pass, anything else
fails. SINF has lines `RowData:`, see `sinf`. docs/wafer-files.md describes both.
"""

import re
from collections.abc import Iterator, Mapping
from datetime import UTC, tzinfo
from pathlib import Path

import numpy as np

from sparsewatch.pipelines.wafer_files.faults import WaferFileError
from sparsewatch.pipelines.wafer_files.inspections import NO_TIME, Inspections, wafer_rows
from sparsewatch.pipelines.wafer_files.klarf.fields import WIDEST_UM, FieldError, parse_klarf_time_us
from sparsewatch.pipelines.wafer_files.labelled import RADIUS_UM
from sparsewatch.pipelines.wafer_files.map_text import (
    NO_DIE,
    OUTSIDE,
    Codes,
    add_header_line,
    array_of,
    hold_size,
    is_code,
    key_of,
    stated_codes,
)
from sparsewatch.pipelines.wafer_files.sinf import is_sinf, sinf_codes, split_sinf
from sparsewatch.pipelines.wafer_files.text_files import read_pieces

#: Most bytes of one file.
_MOST_BYTES = 16 << 20

_START = re.compile(rb"\s*[A-Za-z][\w .-]*:[^\n]*\n")
#: Quarter turns, counter-clockwise, that bring the mark down. SINF writes degrees clockwise from the top.
_TURNS = {"down": 0, "180": 0, "right": 3, "90": 3, "up": 2, "top": 2, "0": 2, "left": 1, "270": 1, "bottom": 0}
#: A row of single characters with blanks, commas and the like between all of them, and what is never a die.
_SEPARATED = re.compile(r"[^\s,;|](?:(?:[ \t]+|[ \t]*[,;|][ \t]*)[^\s,;|])+")
_NO_DIES = re.compile(r"[\s,;|:]")


def looks_like_bin_map(start: bytes) -> bool:
    """Whether a file that begins like this has header lines."""
    return _START.match(start) is not None


def read_bin_map(
    path: Path, zone: tzinfo = UTC, *, no_die: tuple[str, ...] = NO_DIE, check_counts: bool = True
) -> Iterator[Inspections]:
    """The wafer of a file, its mark turned down.

    Args:
        path: The file; it may be packed with gzip or zstd.
        zone: Time zone of its time, which names none.
        no_die: Codes of dies that are not tested.
        check_counts: Whether the map must have the size that its header declares.

    Raises:
        WaferFileError: With the name of the fault and its line.
    """
    lines = _lines(path)
    if is_sinf(lines):
        header, sinf_rows, first = split_sinf(path, lines)
        codes = sinf_codes(path, header, sinf_rows, first, no_die, check_counts=check_counts)
    else:
        header, rows, first = _split(path, lines)
        codes = _plain_codes(path, header, rows, first, no_die, check_counts=check_counts)
    die_map, notes = codes.dies()
    if not die_map.any():
        message = f"expected dies on the wafer, got none in {die_map.size} places: outside, or dies not tested"
        raise WaferFileError("bad_field", path, message)
    # The picture's top row comes last: y grows upwards.
    turned = np.rot90(die_map, _turns(path, header))[::-1]
    try:
        time_us = parse_klarf_time_us(header["time"], "time", zone) if "time" in header else NO_TIME
    except FieldError as error:
        raise WaferFileError(error.code, path, str(error)) from error
    found = wafer_rows(_identity(path, header), _radius_um(path, header), die_map=np.ascontiguousarray(turned))
    yield Inspections(found, np.array([time_us]), notes=notes)


def _lines(path: Path) -> list[str]:
    pieces, size = [], 0
    for _, piece in read_pieces(path):
        pieces.append(piece)
        size += len(piece)
        if size > _MOST_BYTES:
            raise WaferFileError("too_large", path, f"expected a bin map of at most {_MOST_BYTES} bytes, got more")
    return b"".join(pieces).decode("latin-1").splitlines()


def _split(path: Path, lines: list[str]) -> tuple[dict[str, str], list[str], int]:
    """Header by lower-case key, rows of the plain layout, and the line of the first row."""
    header: dict[str, str] = {}
    for number, line in enumerate(lines, 1):
        if key_of(line) == "map" or (not line.strip() and header):
            rows = [row.strip() for row in lines[number:]]
            while rows and not rows[-1]:
                rows.pop()
            if not rows:
                break
            return header, rows, number + 1
        if line.strip():
            add_header_line(header, line, path, number)
    raise WaferFileError("truncated", path, "expected rows of dies after the header, the file ends")


def _plain_codes(
    path: Path, header: Mapping[str, str], rows: list[str], first: int, no_die: tuple[str, ...], *, check_counts: bool
) -> Codes:
    """Characters of the dies and what they mean."""
    codes = array_of(path, _characters(path, rows, first), first)
    if check_counts:
        hold_size(path, header, codes)
    skipped = [*no_die, *stated_codes(header, ["skip"])]
    passing = stated_codes(header, ["pass"]) or ["1"]
    unstated = sorted({*np.unique(codes).tolist()} - {*passing, *skipped})
    if odd := next((code for code in unstated if code not in OUTSIDE and not is_code(code)), None):
        message = f"expected a letter or digit for a die, or a sign that the header states as pass or skip, got {odd!r}"
        raise WaferFileError("bad_field", path, message)
    return Codes(codes, [code for code in unstated if code in OUTSIDE], passing, skipped, by_value=False)


def _characters(path: Path, rows: list[str], first: int) -> list[list[str]]:
    """A character a die, with blanks or commas between all dies or between none.

    Raises:
        WaferFileError: `broken_structure` at a row that is neither.
    """
    apart = all(len(row) == 1 or _SEPARATED.fullmatch(row) for row in rows) and any(len(row) > 1 for row in rows)
    cells = [_NO_DIES.sub("", row) if apart else row for row in rows]
    bad = next((i for i, row in enumerate(cells) if _NO_DIES.search(row)), None)
    if bad is not None:
        message = f"expected a character a die, with blanks between all of them or none, got {rows[bad][:60]!r}"
        raise WaferFileError("broken_structure", path, message, first + bad)
    return [list(row) for row in cells]


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
