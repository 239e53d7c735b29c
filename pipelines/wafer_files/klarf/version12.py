"""KLARF 1.1 and 1.2: statements that end with a semicolon, wafer after wafer.

`FileVersion 1 2; LotID "A"; DiePitch 4e3 6e3; … WaferID "02"; … DefectRecordSpec 13 DEFECTID XREL …; DefectList 1 …;
SummaryList 1 40 …; EndOfFile;`. Statements before the first WaferID hold for every wafer. A list may come in parts,
with names of image files between them. Lengths are micrometres, the sample's size millimetres.
"""

from collections.abc import Iterator
from datetime import tzinfo

import numpy as np
from numpy.typing import NDArray

from sparsewatch.pipelines.wafer_files.faults import WaferFileError
from sparsewatch.pipelines.wafer_files.inspections import Inspections
from sparsewatch.pipelines.wafer_files.klarf.defects import (
    MOST_COLUMNS,
    DefectRecords,
    Floats,
    UsedColumns,
    inspection_of,
    to_floats,
    used_columns,
)
from sparsewatch.pipelines.wafer_files.klarf.fields import MOST_WAFERS, USED_FIELDS, FieldError, WaferFacts, wafer_facts
from sparsewatch.pipelines.wafer_files.klarf.tokens import TokenStream, shown, text_of, values_of
from sparsewatch.schemas.alerts import counted

_IMAGES = "IMAGELIST"
#: Most images of one defect.
_MOST_IMAGES = 10_000
_MOST_SUMMARY = 10_000


class Klarf12:
    """One reading of a file.

    Args:
        stream: Right after the statement FileVersion.
        zone: Time zone of the file's times.
        check_counts: Whether counts that differ from the summary's are an error.
    """

    def __init__(self, stream: TokenStream, zone: tzinfo, *, check_counts: bool) -> None:
        self._stream = stream
        self._zone = zone
        self._check_counts = check_counts
        self._fields: dict[str, list[str]] = {}
        self._spec: UsedColumns | None = None
        self._has_images = False
        self._summary: list[str] = []
        self._in_wafer = False
        self._new_wafer()

    def _new_wafer(self) -> None:
        self._facts: WaferFacts | None = None
        self._records: DefectRecords | None = None
        self._declared: int | None = None

    def __iter__(self) -> Iterator[Inspections]:
        """The wafers, one by one.

        Raises:
            WaferFileError: See `faults`.
        """
        wafers = 0
        while (word := self._stream.next()) != b"EndOfFile":
            if word == b"WaferID" and self._in_wafer:
                yield self._finished()
                self._new_wafer()
                wafers += 1
                if wafers == MOST_WAFERS:
                    raise self._stream.error("too_large", f"expected at most {MOST_WAFERS} wafers in a file, got more")
            self._statement(text_of(word))
        self._stream.expect_end()
        if not self._in_wafer:
            raise self._stream.error("missing_field", "expected a statement WaferID, the file has none", -1)
        yield self._finished()

    def _statement(self, name: str) -> None:
        if name in USED_FIELDS:
            self._fields[name] = values_of(self._stream.until(b";"))
            self._in_wafer |= name == "WaferID"
        elif name == "DefectRecordSpec":
            self._read_spec()
        elif name == "DefectList":
            self._read_list()
        elif name == "SummarySpec":
            self._summary = [value.upper() for value in values_of(self._stream.until(b";"))[1:]]
        elif name == "SummaryList":
            self._read_summary()
        else:
            self._stream.skip_past(b";")

    def _read_spec(self) -> None:
        count, *names = values_of(self._stream.until(b";")) or [""]
        if count != str(len(names)) or len(names) > MOST_COLUMNS:
            message = f"expected DefectRecordSpec with a number up to {MOST_COLUMNS} and that many names"
            raise self._stream.error("wrong_columns", f"{message}, got {count[:20]!r} and {len(names)} names", -1)
        names = [name.upper() for name in names]
        self._spec = used_columns(names, self._stream)
        self._has_images = _IMAGES in names
        if self._has_images and names[-1] != _IMAGES:
            raise self._stream.error(
                "wrong_columns", f"expected {_IMAGES} as the last column, got it before others", -1
            )

    def _read_list(self) -> None:
        """One part of the wafer's list; an empty one ends at once."""
        if self._spec is None:
            raise self._stream.error("missing_field", "expected a statement DefectRecordSpec before DefectList", -1)
        if not self._in_wafer:
            raise self._stream.error("missing_field", "expected a statement WaferID before DefectList", -1)
        if self._records is None:
            self._records = DefectRecords(self._spec, self._stream)
            self._facts = self._checked_facts()
        while True:
            end = self._stream.find(b";")
            tokens = self._stream.at_hand() if end is None else self._stream.at_hand()[:end]
            taken = self._take(tokens, self._records)
            self._stream.take(taken)
            if end is not None:
                break
            self._stream.grow("expected ';' after the records of DefectList, the file ends")
        if taken < end:
            raise self._left_over(end - taken)
        self._stream.expect(b";")

    def _left_over(self, number: int) -> WaferFileError:
        width = self._records.columns.width if self._records is not None else 0
        message = f"expected records of {counted(width, 'column')} in DefectList, the last record has {number}"
        return self._stream.error("wrong_columns", message)

    def _take(self, tokens: list[bytes], records: DefectRecords) -> int:
        """Add whole records; returns how many tokens they are."""
        width = records.columns.width
        whole = len(tokens) - len(tokens) % width
        # The last column is a number of images; that many pairs follow it.
        if not self._has_images or set(tokens[width - 1 : whole : width]) <= {b"0"}:
            records.add(tokens[:whole], width)
            return whole
        values = to_floats(tokens)
        starts, end = self._starts(values, tokens, width)
        records.add_values(values, starts, tokens)
        return end

    def _starts(self, values: Floats, tokens: list[bytes], width: int) -> tuple[NDArray[np.int64], int]:
        """First token of each whole record, and the end of the last."""
        n = len(values)
        images = np.full(n, np.inf)
        images[: max(0, n - width + 1)] = values[width - 1 :]
        reasonable = (images >= 0) & (images <= _MOST_IMAGES) & (images == np.rint(images))
        lengths = np.where(reasonable, width + 2 * images, n + 1).astype(np.int64)
        starts = orbit(np.minimum(np.arange(n) + lengths, n + 1))
        ends = np.append(starts[1:], starts[-1] + lengths[starts[-1]]) if len(starts) else starts
        known = starts + width <= n
        if (bad := known & ~reasonable[starts]).any():
            at = int(starts[np.argmax(bad)]) + width - 1
            message = f"expected a number of images up to {_MOST_IMAGES} in column {_IMAGES}, got {shown(tokens[at])}"
            raise self._stream.error("not_a_number", message, at)
        complete = ends <= n
        return starts[complete], int(ends[complete][-1]) if complete.any() else 0

    def _read_summary(self) -> None:
        if "NDEFECT" not in self._summary:
            self._stream.skip_past(b";")
            return
        values = values_of(self._stream.until(b";"))
        width, place = len(self._summary), self._summary.index("NDEFECT")
        counts = values[place::width]
        if len(values) % width or len(values) > _MOST_SUMMARY or not all(count.isdecimal() for count in counts):
            message = f"expected rows of {counted(width, 'column')} in SummaryList, NDEFECT a whole number"
            raise self._stream.error("bad_field", f"{message}, got {len(values)} values, NDEFECT {counts[:3]}", -1)
        self._declared = sum(map(int, counts))

    def _checked_facts(self) -> WaferFacts:
        try:
            return wafer_facts(self._fields, nanometres=False, zone=self._zone)
        except FieldError as error:
            raise self._stream.error(error.code, str(error), -1) from error

    @property
    def _name(self) -> str:
        return " ".join(self._fields["WaferID"])[:60]

    def _finished(self) -> Inspections:
        if self._facts is None or self._records is None:
            message = f"expected a DefectList for wafer {self._name!r}, the file has none"
            raise self._stream.error("missing_field", message, -1)
        wafer = inspection_of(self._facts, self._records, self._stream)
        # Some stations list a defect again with each of its images, but count it once.
        if self._check_counts and self._declared not in (None, wafer.listed, wafer.listed - wafer.collapsed):
            distinct = f", {wafer.listed - wafer.collapsed} of them distinct" if wafer.collapsed else ""
            found = f"wafer {self._name!r} has {wafer.listed}{distinct}"
            message = f"expected the {counted(self._declared, 'defect')} that SummaryList declares, {found}"
            raise self._stream.error("count_mismatch", message, -1)
        return wafer


def orbit(following: NDArray[np.int64]) -> NDArray[np.int64]:
    """Places reached from 0 by `following`, ascending, by doubling: log2(n) passes instead of one step each.

    Args:
        following: Greater than its place; `len(following)` or more means outside. int64 of shape (n,).

    >>> orbit(np.array([2, 9, 3, 5, 9])).tolist()
    [0, 2, 3]
    """
    n = len(following)
    jump = np.append(np.minimum(following, n), n)
    reached = np.zeros(min(n, 1), dtype=np.int64)
    while True:
        onward = jump[reached]
        onward = onward[onward < n]
        if not len(onward):
            return reached
        reached, jump = np.concatenate([reached, onward]), jump[jump]
