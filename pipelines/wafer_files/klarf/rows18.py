"""Rows of a list of KLARF 1.8: values and a semicolon each, lists of images in braces among them."""

from collections.abc import Sequence
from itertools import compress

import numpy as np
from numpy.typing import NDArray

from sparsewatch.pipelines.wafer_files.faults import WaferFileError
from sparsewatch.pipelines.wafer_files.klarf.defects import MOST_DEFECTS, TAKE_THE_LIST, DefectRecords, used_columns
from sparsewatch.pipelines.wafer_files.klarf.tokens import TokenStream
from sparsewatch.schemas.alerts import counted


def read_rows(stream: TokenStream, columns: Sequence[str], declared: int, *, check_counts: bool) -> DefectRecords:
    """Rows of a DefectList and the brace after them.

    Args:
        stream: Right after the brace before them.
        columns: Names of the columns, in upper case.
        declared: Number of rows that the list's head declares.
        check_counts: Whether there must be as many.

    Raises:
        WaferFileError: What is wrong with a row, or `count_mismatch`.
    """
    if declared > MOST_DEFECTS:
        raise stream.error("too_large", f"expected at most {MOST_DEFECTS} defects a wafer, got Data {declared}", -1)
    records = DefectRecords(used_columns(columns, stream), stream)
    while True:
        tokens = stream.at_hand()
        length = _length_of_rows(tokens)
        ended = length < len(tokens)
        whole = length if ended else _behind_last_row(tokens)
        _add_rows(stream, records, tokens[:whole])
        stream.take(whole)
        if ended:
            break
        stream.grow("expected '}' after the rows of DefectList, the file ends")
    stream.expect(b"}")
    if records.listed != declared and check_counts:
        head = f"expected the {counted(declared, 'defect')} that Data declares"
        message = f"{head}, DefectList has {records.listed}; {TAKE_THE_LIST}"
        raise stream.error("count_mismatch", message, -1)
    return records


def _length_of_rows(tokens: list[bytes]) -> int:
    """Tokens before the brace that closes the rows; all of them if it is not there."""
    if b"{" not in tokens:
        return tokens.index(b"}") if b"}" in tokens else len(tokens)
    below = np.flatnonzero(_depths(tokens) < 0)
    return int(below[0]) if len(below) else len(tokens)


def _depths(tokens: list[bytes]) -> NDArray[np.int64]:
    """Open braces after each token."""
    opened = np.fromiter(map(b"{".__eq__, tokens), np.int64, len(tokens))
    closed = np.fromiter(map(b"}".__eq__, tokens), np.int64, len(tokens))
    return np.cumsum(opened - closed)


def _behind_last_row(tokens: list[bytes]) -> int:
    """Place after the last semicolon that is not inside of braces; 0 if there is none."""
    ends = np.fromiter(map(b";".__eq__, tokens), np.bool_, len(tokens))
    if b"{" in tokens:
        ends &= _depths(tokens) == 0
    found = np.flatnonzero(ends)
    return int(found[-1]) + 1 if len(found) else 0


def _add_rows(stream: TokenStream, records: DefectRecords, tokens: list[bytes]) -> None:
    width = records.columns.width
    chosen = _without_images(tokens)
    plain = tokens if chosen is None else list(compress(tokens, chosen))
    ends = np.flatnonzero(np.fromiter(map(b";".__eq__, plain), np.bool_, len(plain)))
    expected = np.arange(1, len(ends) + 1) * (width + 1) - 1
    uneven = len(plain) != len(ends) * (width + 1) or not np.array_equal(ends, expected)
    if uneven:
        raise _uneven(stream, width, ends, expected, len(plain))
    records.add(plain, width + 1, None if chosen is None else np.flatnonzero(chosen))


def _uneven(stream: TokenStream, width: int, ends: np.ndarray, expected: np.ndarray, number: int) -> WaferFileError:
    wrong = np.flatnonzero(ends != expected)
    if len(wrong):
        row = int(wrong[0])
        before = int(ends[row - 1]) if row else -1
        got, at = int(ends[row]) - before - 1, before + 1
    else:
        at = int(ends[-1]) + 1 if len(ends) else 0
        got = number - at
    message = f"expected {width} columns and ';' in each row of DefectList, got {got} values"
    return stream.error("wrong_columns", message, at)


def _without_images(tokens: list[bytes]) -> NDArray[np.bool_] | None:
    """Which tokens stay when each list of images, `Images n {…}`, becomes one value; None if there is none."""
    if b"{" not in tokens:
        return None
    depths = _depths(tokens)
    chosen: NDArray[np.bool_] = depths == 0
    chosen[np.fromiter(map(b"}".__eq__, tokens), np.bool_, len(tokens))] = False
    opens = np.flatnonzero((depths == 1) & np.fromiter(map(b"{".__eq__, tokens), np.bool_, len(tokens)))
    # The number in front of a brace goes with it; the word before stays as the column's value.
    chosen[np.maximum(opens - 1, 0)] = False
    return chosen
