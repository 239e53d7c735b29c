"""Defect records of one wafer: numbers out of tokens, then positions from the wafer's centre, notch down."""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from sparsewatch.pipelines.wafer_files.faults import WaferFileError
from sparsewatch.pipelines.wafer_files.inspections import Inspections, wafer_rows
from sparsewatch.pipelines.wafer_files.klarf.fields import WaferFacts
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

Floats = NDArray[np.float64]


class UsedColumns(NamedTuple):
    """Places of the used columns in a record."""

    #: Columns of a record.
    width: int
    #: Position by name: those of `_PLACED`, and DEFECTID and TEST where they are.
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
    places = {name: names.index(name) for name in (*_PLACED, "DEFECTID", "TEST") if name in names}
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
        self.columns = columns
        self._stream = stream
        self._parts: list[dict[str, Floats]] = []
        self.listed = 0

    def add(self, tokens: list[bytes], step: int, places: NDArray[np.int64] | None = None) -> None:
        """Take records of equal width.

        Args:
            tokens: Whole records.
            step: Tokens from one record to the next; the columns of `columns` come first.
            places: How far ahead in the stream each token is, if not in this order.

        Raises:
            WaferFileError: `not_a_number` or `too_large`.
        """
        self._count(len(tokens) // step)
        part = {}
        for name, place in self.columns.places.items():
            texts = tokens[place::step]
            part[name] = to_floats(texts)
            if (row := _first_bad(name, part[name])) is not None:
                at = row * step + place
                raise self._not_a_number(name, texts[row], at if places is None else int(places[at]))
        self._parts.append(part)

    def add_values(self, values: Floats, starts: NDArray[np.int64], tokens: list[bytes]) -> None:
        """Take records of any widths.

        Args:
            values: Number of each token, NaN if it is no number.
            starts: First token of each record.
            tokens: The tokens ahead in the stream.

        Raises:
            WaferFileError: `not_a_number` or `too_large`.
        """
        self._count(len(starts))
        part = {name: values[starts + place] for name, place in self.columns.places.items()}
        for name, column in part.items():
            if (row := _first_bad(name, column)) is not None:
                at = int(starts[row]) + self.columns.places[name]
                raise self._not_a_number(name, tokens[at], at)
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
    good = np.isfinite(values)
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


def inspection_of(facts: WaferFacts, records: DefectRecords, stream: TokenStream) -> Inspections:
    """The wafer, its defects placed and duplicates dropped.

    Raises:
        WaferFileError: `bad_field` if a defect lies absurdly far out.
    """
    read = records.columns_read()
    x, y = place_defects(read, facts)
    if len(x) and max(np.abs(x).max(), np.abs(y).max()) > FARTHEST_UM:
        farthest = max(np.abs(x).max(), np.abs(y).max())
        message = f"expected defects within {FARTHEST_UM:g} um of the wafer's centre, got one at {farthest:g} um"
        raise stream.error("bad_field", message, -1)
    places = distinct(x, y, read.get("DEFECTID"), read.get("TEST"))
    points = (x[places].astype(np.float32), y[places].astype(np.float32))
    rows = wafer_rows(facts.identity, facts.radius_um, points=points)
    return Inspections(rows, np.array([facts.time_us]), records.listed, records.listed - len(places))


def place_defects(read: Mapping[str, Floats], facts: WaferFacts) -> tuple[Floats, Floats]:
    """Positions from the wafer's centre, in micrometres, with notch or flat at the bottom.

    A position in the frame of die (0, 0) is that in its own die, plus its die's index times the pitch, plus the
    die's origin; the wafer's centre is given in the same frame. The wafer is then turned by as much as its mark
    is off DOWN.
    """
    frame = [
        read[rel] * facts.unit_um + read[index] * facts.die_pitch[axis] + facts.die_origin[axis] - facts.centre[axis]
        for axis, (rel, index) in enumerate((("XREL", "XINDEX"), ("YREL", "YINDEX")))
    ]
    return turn(frame[0], frame[1], -facts.mark_degrees)


def turn(x: Floats, y: Floats, degrees: float) -> tuple[Floats, Floats]:
    """Points turned counter-clockwise about the origin; quarter turns are exact.

    >>> turn(np.array([1.0]), np.array([0.0]), -90)
    (array([0.]), array([-1.]))
    """
    quarters, rest = divmod(degrees % 360, 90)
    for _ in range(int(quarters)):
        x, y = 0.0 - y, x
    if rest:
        c, s = np.cos(np.radians(rest)), np.sin(np.radians(rest))
        x, y = c * x - s * y, s * x + c * y
    return x, y


def distinct(x: Floats, y: Floats, ids: Floats | None, tests: Floats | None) -> NDArray[np.int64]:
    """Indices of the defects that are no duplicates, ascending.

    A duplicate lies in the same square of `SAME_UM` as an earlier defect, or has the same DEFECTID in the same test.

    Args:
        x: Micrometres, shape (n,).
        y: Likewise.
        ids: DEFECTID of each, if the file has it.
        tests: TEST of each, if the file has it.
    """
    places = _firsts(np.floor(x / SAME_UM), np.floor(y / SAME_UM))
    if ids is not None:
        number = np.zeros(len(x)) if tests is None else tests
        places = places[_firsts(ids[places], number[places])]
    return places


def _firsts(*columns: Floats) -> NDArray[np.int64]:
    """First place of each distinct row, ascending."""
    # Stable, so the first of equal rows stays first.
    order = np.lexsort(columns)
    new = np.ones(len(order), dtype=np.bool_)
    new[1:] = np.any([np.diff(column[order]) != 0 for column in columns], axis=0)
    return np.sort(order[new])
