"""SINF: a header with its own keys, then a line `RowData:` a row of dies, codes of equal width with blanks between.

`BCEQU` names the codes that pass, `ROWCT` and `COLCT` the size, `PRDCT` the number of dies. Some write no blanks
between the codes, remarks behind `;`, or the codes of BCEQU in another case or width than those of the rows.
"""

import re
from collections.abc import Mapping
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from sparsewatch.pipelines.wafer_files.faults import WaferFileError
from sparsewatch.pipelines.wafer_files.map_text import (
    OUTSIDE,
    Codes,
    add_header_line,
    array_of,
    code_value,
    hold_count,
    hold_size,
    is_code,
    key_of,
    stated_codes,
    whole_number,
)

_ROW = "rowdata"
#: A remark behind a value.
_REMARK = re.compile(r"\s*(?:;(?=\s|$)|//|#|!).*$")
#: Widest code.
_WIDEST = 4
#: Keys for codes of dies that are not tested.
_NO_DIE_KEYS = ("skpbc", "refbc", "edgbc", "nulbc")

_Rows = list[list[str]]


def is_sinf(lines: list[str]) -> bool:
    """Whether any line is a row of SINF."""
    return any(key_of(line) == _ROW for line in lines)


def split_sinf(path: Path, lines: list[str]) -> tuple[dict[str, str], _Rows, int]:
    """Header by lower-case key, texts of each row, and the line of the first row.

    Raises:
        WaferFileError: `broken_structure`, `bad_field`.
    """
    header: dict[str, str] = {}
    rows: _Rows = []
    first = 0
    for number, line in enumerate(lines, 1):
        key, _, codes = line.partition(":")
        if not line.strip():
            continue
        if key.strip().lower() == _ROW:
            first = first or number
            rows.append(codes.split())
        elif rows:
            raise WaferFileError("broken_structure", path, f"expected RowData, got {line[:60]!r}", number)
        else:
            add_header_line(header, line, path, number)
    return {key: _REMARK.sub("", value) if key != "bcequ" else value for key, value in header.items()}, rows, first


def sinf_codes(
    path: Path, header: Mapping[str, str], rows: _Rows, first: int, no_die: tuple[str, ...], *, check_counts: bool
) -> Codes:
    """Codes of the dies and what they mean.

    Raises:
        WaferFileError: `wrong_columns`, `count_mismatch`, `bad_field`, `too_large`.
    """
    passing = _passing(path, header)
    columns = whole_number(path, header, "colct")
    codes = array_of(path, _cells(path, rows, first, columns, {len(code) for code in passing}), first)
    if check_counts:
        hold_size(path, header, codes)
    distinct = np.unique(codes).tolist()
    outside = [code for code in distinct if set(code) <= OUTSIDE]
    if odd := next((code for code in distinct if code not in outside and not is_code(code)), None):
        raise WaferFileError("bad_field", path, f"expected codes of letters and digits, got {odd[:20]!r}")
    # Two widths may be two ways to count: hexadecimal and decimal.
    values = {code_value(code) for code in passing}
    if {len(code) for code in passing} != {codes.dtype.itemsize // 4} and not values & set(map(code_value, distinct)):
        message = f"expected codes of {codes.dtype.itemsize // 4} characters in BCEQU as in the rows, got {passing[:9]}"
        raise WaferFileError("bad_field", path, f"{message}, and no die has such a code")
    skipped = [code_value(code) for code in (*no_die, *stated_codes(header, _NO_DIE_KEYS))]
    found = Codes(codes, outside, sorted(values), skipped, by_value=True)
    if check_counts:
        _hold_dies(path, whole_number(path, header, "prdct"), found)
    return found


def _passing(path: Path, header: Mapping[str, str]) -> list[str]:
    """Codes of BCEQU, or the usual code where it is not stated."""
    if "bcequ" not in header:
        return ["01"]
    stated, _, behind = header["bcequ"].partition(";")
    codes = _REMARK.sub("", stated).replace(",", " ").split()
    # A remark, unless it reads on as codes of the same width do.
    more = behind.replace(",", " ").replace(";", " ").split()
    if codes and more and all(is_code(code) and len(code) == len(codes[0]) for code in more):
        codes += more
    if not codes or not all(map(is_code, codes)):
        message = f"expected codes in BCEQU, and remarks behind ';', got {header['bcequ'][:60]!r}"
        raise WaferFileError("bad_field", path, message)
    return codes


def _cells(path: Path, rows: _Rows, first: int, columns: int | None, widths: set[int]) -> _Rows:
    """Codes of each row, of equal width; cut apart where no blanks are between them.

    Args:
        path: For errors.
        rows: Texts between blanks.
        first: Line of the first row.
        columns: Codes of a row, if the file says.
        widths: Widths of the codes that pass, for files that do not say how many columns there are.
    """
    found = {len(text) for row in rows for text in row}
    if len(found) == 1 and max(found) <= _WIDEST and (columns is None or any(len(row) == columns for row in rows)):
        return rows
    joined = ["".join(row) for row in rows]
    length = max(map(len, joined))
    width = length // columns if columns else min(widths) if len(widths) == 1 else 0
    for number, (row, text) in enumerate(zip(rows, joined, strict=True), first):
        whole = 0 < width <= _WIDEST and not any(len(part) % width for part in row)
        if not whole or len(text) != length or (columns is not None and len(text) != width * columns):
            many = "codes" if columns is None else f"{columns} codes, as COLCT declares,"
            message = f"expected {many} of equal width, with blanks between them or none, got {' '.join(row)[:40]!r}"
            raise WaferFileError("wrong_columns", path, message, number)
    return [[text[i : i + width] for i in range(0, length, width)] for text in joined]


def _hold_dies(path: Path, declared: int | None, codes: Codes) -> None:
    """PRDCT counts the dies: all on the wafer, those tested, or those that pass."""
    dies, _ = codes.dies()
    on_wafer = int((~np.isin(codes.codes, codes.outside)).sum())
    counts: NDArray[np.int64] = np.array([on_wafer, np.count_nonzero(dies), np.count_nonzero(dies == 1)])
    if declared is not None and declared not in counts:
        hold_count(path, "PRDCT", declared, on_wafer, "dies")
