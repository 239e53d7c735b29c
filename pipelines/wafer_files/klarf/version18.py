"""KLARF 1.8: nested records in braces, lists with declared columns and length. Lengths are nanometres.

`Record FileRecord "1.8" { Record LotRecord "A" { Record WaferRecord "W" { Field DieOrigin 2 {0, 0} List DefectList {
Columns 5 { int32 DEFECTID, … } Data 2 { 1 …; 2 …; } } } Field DiePitch 2 {…} } } EndOfFile;`. Fields of a lot may come
after its wafers, so a file is read twice: once for the fields, once for the defects.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import islice

from sparsewatch.pipelines.wafer_files.inspections import Inspections
from sparsewatch.pipelines.wafer_files.klarf.counts import MOST_SUMMARY, Declared
from sparsewatch.pipelines.wafer_files.klarf.defects import (
    MOST_COLUMNS,
    DefectRecords,
    inspection_of,
)
from sparsewatch.pipelines.wafer_files.klarf.fields import (
    MOST_WAFERS,
    USED_FIELDS,
    FieldError,
    KlarfReading,
    WaferFacts,
    wafer_facts,
)
from sparsewatch.pipelines.wafer_files.klarf.rows18 import read_rows
from sparsewatch.pipelines.wafer_files.klarf.tokens import TokenStream, shown, text_of, values_of

#: Deepest nesting of records; the format has four levels.
_DEEPEST = 16
_LOT, _WAFER = "LotRecord", "WaferRecord"


@dataclass(slots=True)
class _Record:
    """An open record and its content so far."""

    kind: str
    name: str
    parent: "_Record | None"
    fields: dict[str, list[str]] = field(default_factory=dict)

    @property
    def wafer(self) -> "_Record | None":
        """The WaferRecord that this is, or is in."""
        if self.kind == _WAFER or self.parent is None:
            return self if self.kind == _WAFER else None
        return self.parent.wafer

    def all_fields(self) -> dict[str, list[str]]:
        """Fields of this record and those around it; the inner ones win. Names of lot and wafer among them."""
        outer = {} if self.parent is None else self.parent.all_fields()
        named = {_LOT: {"LotID": [self.name]}, _WAFER: {"WaferID": [self.name]}}.get(self.kind, {})
        return {**outer, **self.fields, **named}


@dataclass(frozen=True, slots=True)
class _List:
    """Head of a list; its rows are next in the stream."""

    name: str
    columns: Sequence[str]
    declared: int
    record: _Record


#: Reads a list's rows and the brace after them.
_ReadRows = Callable[[_List], None]


def read_klarf18(open_stream: Callable[[], TokenStream], reading: KlarfReading) -> Iterator[Inspections]:
    """The wafers of a file, one by one.

    Args:
        open_stream: A new reading of the file, right after `Record FileRecord "1.8"`.
        reading: How the file is read.

    Raises:
        WaferFileError: See `faults`.
    """
    first = open_stream()
    records = _walk(first, lambda _: first.skip_block())
    wafers = list(islice((record for record in records if record.kind == _WAFER), MOST_WAFERS + 1))
    if len(wafers) > MOST_WAFERS:
        raise first.error("too_large", f"expected at most {MOST_WAFERS} wafers in a file, got more", -1)
    if not wafers:
        raise first.error("missing_field", "expected a WaferRecord, the file has none", -1)
    stream = open_stream()
    lists = _Lists(stream, reading)
    # The two readings close their wafers in the same order.
    closed = (record for record in _walk(stream, lists.read) if record.kind == _WAFER)
    for wafer, again in zip(wafers, closed, strict=True):
        defects, declared = lists.of_wafer(again.name)
        yield inspection_of(_facts(wafer.all_fields(), stream, reading), defects, stream, declared, reading)


class _Lists:
    """The lists of the wafer that is being read: its defects, and the counts that it declares."""

    def __init__(self, stream: TokenStream, reading: KlarfReading) -> None:
        self._stream = stream
        self._check_counts = reading.check_counts
        self._defects: DefectRecords | None = None
        self._declared: Declared | None = None

    def read(self, head: _List) -> None:
        """See `_ReadRows`."""
        if head.name == "DefectList":
            self._read_defects(head)
        elif "NDEFECT" in head.columns and head.record.wafer is not None:
            self._read_summary(head)
        else:
            self._stream.skip_block()

    def of_wafer(self, name: str) -> tuple[DefectRecords, Declared | None]:
        """What was read of the wafer that closes here."""
        if self._defects is None:
            raise self._stream.error("missing_field", f"expected a DefectList in wafer {name!r}, it has none", -1)
        found = self._defects, self._declared
        self._defects = self._declared = None
        return found

    def _read_defects(self, head: _List) -> None:
        if head.record.kind != _WAFER:
            message = f"expected DefectList in a WaferRecord, got it in {head.record.kind[:60]!r}"
            raise self._stream.error("broken_structure", message, -1)
        if self._defects is not None:
            raise self._stream.error("broken_structure", "expected one DefectList per wafer, got two", -1)
        self._defects = read_rows(self._stream, head.columns, head.declared, check_counts=self._check_counts)

    def _read_summary(self, head: _List) -> None:
        values = [text_of(token) for token in self._stream.until(b"}")]
        width = len(head.columns)
        rows = [values[i : i + width] for i in range(0, len(values), width + 1)]
        ends = values[width :: width + 1]
        if len(values) != len(rows) * (width + 1) or set(ends) > {";"} or len(rows) != head.declared:
            message = f"expected {head.declared} rows of {width} values and ';' in {head.name[:60]}"
            raise self._stream.error("wrong_columns", f"{message}, got {len(values)} values and marks", -1)
        if len(values) > MOST_SUMMARY:
            raise self._stream.error("too_large", f"expected at most {MOST_SUMMARY} values in a summary, got more", -1)
        self._declared = self._declared or Declared(head.name, binding=False)
        if why := self._declared.read(head.columns, rows):
            raise self._stream.error("bad_field", f"{why}, in {head.name[:60]}", -1)


def _facts(fields: Mapping[str, Sequence[str]], stream: TokenStream, reading: KlarfReading) -> WaferFacts:
    try:
        return wafer_facts(fields, nanometres=True, zone=reading.zone)
    except FieldError as error:
        raise stream.error(error.code, str(error), -1) from error


def _walk(stream: TokenStream, read_rows: _ReadRows) -> Iterator[_Record]:
    """Records as they close; ends after `EndOfFile;`."""
    stream.expect(b"{")
    record, depth = _Record("FileRecord", "", None), 1
    while True:
        word = stream.next()
        if word == b"Record":
            if depth >= _DEEPEST:
                raise stream.error("broken_structure", f"expected at most {_DEEPEST} records inside each other", -1)
            record, depth = _opened(stream, record), depth + 1
        elif word == b"Field":
            _read_field(stream, record)
        elif word == b"List":
            _read_list(stream, record, read_rows)
        elif word == b"}":
            yield record
            if record.parent is None:
                break
            record, depth = record.parent, depth - 1
        else:
            raise stream.error("broken_structure", f"expected Record, Field, List or '}}', got {shown(word)}", -1)
    stream.expect(b"EndOfFile")
    stream.expect_end()


def _opened(stream: TokenStream, parent: _Record) -> _Record:
    """`Record Kind "name" {`, the name left out by some."""
    kind, name = stream.name(stream.next()), stream.next()
    if name != b"{":
        stream.expect(b"{")
    return _Record(kind, "" if name == b"{" else text_of(name), parent)


def _read_field(stream: TokenStream, record: _Record) -> None:
    """`Field Name n {value, value}`."""
    name = stream.name(stream.next())
    name = "Slot" if name == "SlotNumber" else name
    count = stream.next()
    stream.expect(b"{")
    values = values_of(stream.until(b"}"))
    if count != b"%d" % len(values):
        message = f"expected {shown(count)} values in field {name[:60]!r} as it declares, got {len(values)}"
        raise stream.error("bad_field", message, -1)
    if name in USED_FIELDS and record.fields.setdefault(name, values) != values:
        raise stream.error("bad_field", f"expected one field {name} in a record, got another", -1)


def _read_list(stream: TokenStream, record: _Record, read_rows: _ReadRows) -> None:
    """`List Name { Columns n {type NAME, …} Data n {rows} }`."""
    name = stream.name(stream.next())
    stream.expect(b"{")
    stream.expect(b"Columns")
    count = stream.next()
    stream.expect(b"{")
    words = values_of(stream.until(b"}"))
    columns = [column.upper() for column in words[1::2]]
    if count != b"%d" % len(columns) or len(words) % 2 or len(columns) > MOST_COLUMNS:
        message = f"expected a number of columns up to {MOST_COLUMNS} and a type and a name for each"
        raise stream.error(
            "wrong_columns", f"{message} in list {name[:60]!r}, got {shown(count)} and {len(words)} words", -1
        )
    stream.expect(b"Data")
    declared = stream.next()
    if not declared.isdigit():
        raise stream.error("bad_field", f"expected a number of rows after Data, got {shown(declared)}", -1)
    stream.expect(b"{")
    read_rows(_List(name, columns, int(declared[:20]), record))
    stream.expect(b"}")
