"""Defect records of one wafer: numbers out of tokens, then positions from the wafer's centre, notch down."""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from sparsewatch.pipelines.wafer_files.faults import WaferFileError
from sparsewatch.pipelines.wafer_files.inspections import Inspections, wafer_rows
from sparsewatch.pipelines.wafer_files.klarf.counts import Declared, Places, difference
from sparsewatch.pipelines.wafer_files.klarf.fields import LARGEST, KlarfReading, WaferFacts
from sparsewatch.pipelines.wafer_files.klarf.placing import place
from sparsewatch.pipelines.wafer_files.klarf.tokens import TokenStream, shown

#: Most defects of one wafer; a record takes 48 bytes while it is read.
MOST_DEFECTS = 2_000_000
#: Most columns of a record.
MOST_COLUMNS = 1_000
#: Farthest a defect may lie from the centre, micrometres: farther is damage, not an odd coordinate.
FARTHEST_UM = 1e7
#: Defects in the same square of this side, in micrometres, are duplicates.
SAME_UM = 1.0

_PLACED = ("XREL", "YREL", "XINDEX", "YINDEX")
_WHOLE = ("DEFECTID", "TEST", "XINDEX", "YINDEX")
#: Read where they are.
_USEFUL = ("DEFECTID", "TEST", "RADIUS")
#: What to do about counts that differ.
TAKE_THE_LIST = "--counts listed takes the list"

Floats = NDArray[np.float64]


class UsedColumns(NamedTuple):
    """Places of the used columns in a record."""

    #: Columns of a record.
    width: int
    #: Position by name: those of `_PLACED`, and those of `_USEFUL` that are there.
    places: Mapping[str, int]


def used_columns(names: Sequence[str], stream: TokenStream) -> UsedColumns:
    """Find the columns that hold a defect's position.

    Raises:
        WaferFileError: `wrong_columns` if a column is missing or comes twice.
    """
    if missing := [name for name in _PLACED if name not in names]:
        raise stream.error(
            "wrong_columns", f"expected the columns {', '.join(_PLACED)}, missing: {', '.join(missing)}", -1
        )
    places = {name: names.index(name) for name in (*_PLACED, *_USEFUL) if name in names}
    if twice := [name for name in places if names.count(name) > 1]:
        raise stream.error("wrong_columns", f"expected each column once, got {twice[0]} more than once", -1)
    return UsedColumns(len(names), places)


class DefectRecords:
    """Records of one wafer as they are read.

    Args:
        columns: Places of the used columns.
        stream: Where the records come from; knows the lines of errors.
    """

    def __init__(self, columns: UsedColumns, stream: TokenStream) -> None:
        self._columns = columns
        self._stream = stream
        self._parts: list[dict[str, Floats]] = []
        self.listed = 0

    @property
    def columns(self) -> UsedColumns:
        """Places of the used columns in the records to come."""
        return self._columns

    @columns.setter
    def columns(self, columns: UsedColumns) -> None:
        if columns.places.keys() != self._columns.places.keys():
            raise self._stream.error(
                "wrong_columns", f"expected the columns {', '.join(self._columns.places)} in all lists of a wafer", -1
            )
        self._columns = columns

    def add(self, tokens: list[bytes], step: int, places: NDArray[np.int64] | None = None) -> None:
        """Take records of equal width.

        Args:
            tokens: Whole records.
            step: Tokens from one record to the next; the columns of `columns` come first.
            places: How far ahead in the stream each token is; in this order if None.

        Raises:
            WaferFileError: `not_a_number` or `too_large`.
        """
        self._count(len(tokens) // step)
        part = {}
        for name, column in self.columns.places.items():
            texts = tokens[column::step]
            part[name] = to_floats(texts)
            if (row := _first_bad(name, part[name])) is not None:
                at = row * step + column
                raise self._not_a_number(name, texts[row], at if places is None else int(places[at]))
        self._parts.append(part)

    def add_values(
        self, values: Floats, starts: NDArray[np.int64], tokens: list[bytes], places: NDArray[np.int64]
    ) -> None:
        """Take records of any widths.

        Args:
            values: Number of each token, NaN if it is no number.
            starts: First token of each record.
            tokens: The tokens of `values`.
            places: How far ahead in the stream each of them is.

        Raises:
            WaferFileError: `not_a_number` or `too_large`.
        """
        self._count(len(starts))
        part = {name: values[starts + place] for name, place in self.columns.places.items()}
        for name, column in part.items():
            if (row := _first_bad(name, column)) is not None:
                at = int(starts[row]) + self.columns.places[name]
                raise self._not_a_number(name, tokens[at], int(places[at]))
        self._parts.append(part)

    def _count(self, records: int) -> None:
        self.listed += records
        if self.listed > MOST_DEFECTS:
            raise self._stream.error("too_large", f"expected at most {MOST_DEFECTS} defects a wafer, got more")

    def _not_a_number(self, name: str, token: bytes, ahead: int) -> WaferFileError:
        expected = "a whole number" if name in _WHOLE else "a number"
        return self._stream.error("not_a_number", f"expected {expected} in column {name}, got {shown(token)}", ahead)

    def columns_read(self) -> dict[str, Floats]:
        """All values by column, shape (listed,) each."""
        if not self._parts:
            return {name: np.empty(0) for name in self.columns.places}
        return {name: np.concatenate([part[name] for part in self._parts]) for name in self.columns.places}


def _first_bad(name: str, values: Floats) -> int | None:
    """First place of a value that is no number, or not whole in a column of whole numbers."""
    if name == "RADIUS":
        return None
    good = np.isfinite(values) if name == "DEFECTID" else np.abs(values) <= LARGEST
    if name in _WHOLE:
        good &= values == np.rint(values)
    return None if good.all() else int(np.argmin(good))


def to_floats(texts: list[bytes]) -> Floats:
    """Numbers of tokens, NaN for a token that is no number; Python's `1_000` does not count as a number."""
    if b"_" not in b"".join(texts):
        try:
            return np.array(list(map(float, texts)), dtype=np.float64)
        except ValueError:
            pass
    return np.array([_float_or_nan(text) for text in texts], dtype=np.float64)


def _float_or_nan(text: bytes) -> float:
    try:
        return float("nan") if b"_" in text else float(text)
    except ValueError:
        return float("nan")


def inspection_of(
    facts: WaferFacts, records: DefectRecords, stream: TokenStream, declared: Declared | None, reading: KlarfReading
) -> Inspections:
    """The wafer, its defects placed, counted and duplicates dropped.

    Args:
        facts: What the file says of the wafer.
        records: Its defects.
        stream: Knows the lines of errors.
        declared: Counts that the file declares, None if it does not.
        reading: How the file is read.

    Raises:
        WaferFileError: `bad_field` if a defect lies absurdly far out, `count_mismatch` if the counts differ.
    """
    read = records.columns_read()
    placed = place(read, facts, reading.die_origin)
    x, y = placed.x, placed.y
    if len(x) and max(np.abs(x).max(), np.abs(y).max()) > FARTHEST_UM:
        farthest = max(np.abs(x).max(), np.abs(y).max())
        message = f"expected defects within {FARTHEST_UM:g} um of the wafer's centre, got one at {farthest:g} um"
        raise stream.error("bad_field", message, -1)
    places = Places(np.floor(x / SAME_UM), np.floor(y / SAME_UM), read.get("DEFECTID"), read.get("TEST"))
    notes = list(placed.notes)
    if declared is not None and reading.check_counts and (why := difference(declared, places)):
        if declared.binding or not records.listed:
            raise stream.error("count_mismatch", f"wafer {facts.wafer_id[:60]!r}: {why}; {TAKE_THE_LIST}", -1)
        notes.append(f"{why}; is it a sample?")
    first = places.distinct()
    rows = wafer_rows(
        facts.identity, facts.radius_um, points=(x[first].astype(np.float32), y[first].astype(np.float32))
    )
    return Inspections(
        rows,
        np.array([facts.time_us]),
        records.listed,
        records.listed - len(first),
        slots=[facts.slot],
        notes=tuple(f"wafer {facts.wafer_id[:60]!r}: {note}" for note in notes),
    )
