"""KLARF 1.1, 1.2 and flat 1.8: statements that end with a semicolon, wafer after wafer.

`FileVersion 1 2; LotID "A"; DiePitch 4e3 6e3; … WaferID "02"; … DefectRecordSpec 13 DEFECTID XREL …; DefectList 1 …;
SummaryList 1 40 …; EndOfFile;`. Statements before the first WaferID hold for every wafer. A list may come in parts,
with names of image files between them, or test by test. Lengths are micrometres, the sample's size millimetres.

What is refused is what could give a wafer another list or place than its file means: a name among the values of another
statement, a list behind a statement of the next wafer, a statement of the wafer behind its list.
"""

from collections.abc import Iterator

from sparsewatch.pipelines.wafer_files.inspections import Inspections
from sparsewatch.pipelines.wafer_files.klarf.counts import MOST_SUMMARY, Declared
from sparsewatch.pipelines.wafer_files.klarf.defects import TAKE_THE_LIST, DefectRecords, inspection_of
from sparsewatch.pipelines.wafer_files.klarf.fields import (
    MOST_WAFERS,
    USED_FIELDS,
    FieldError,
    KlarfReading,
    WaferFacts,
    wafer_facts,
)
from sparsewatch.pipelines.wafer_files.klarf.list12 import ListReader, RecordSpec, record_spec
from sparsewatch.pipelines.wafer_files.klarf.names import begins_as_name, is_known
from sparsewatch.pipelines.wafer_files.klarf.tokens import TokenStream, shown

#: Names of image files may stand between the parts of a list.
_BETWEEN_PARTS = frozenset({"TiffFileName", "Filename", "ImageFileName", "DefectList"})


class Klarf12:
    """One reading of a file.

    Args:
        stream: Right after the statement FileVersion.
        reading: How the file is read.
        flat18: Whether it states version 1.8; its lengths are nanometres unless its sample's size is that of 1.2.
    """

    def __init__(self, stream: TokenStream, reading: KlarfReading, *, flat18: bool) -> None:
        self._stream = stream
        self._reading = reading
        self._flat18 = flat18
        #: Statements in force, those since the last WaferID or list, and those between that list and its WaferID.
        self._fields: dict[str, list[str]] = {}
        self._stated: dict[str, list[str]] = {}
        self._ahead: dict[str, list[str]] = {}
        #: Statements that the first wafer makes of its own.
        self._own: set[str] | None = None
        self._spec: RecordSpec | None = None
        self._summary: list[str] | None = None
        self._in_wafer = False
        self._new_wafer()

    def _new_wafer(self) -> None:
        self._facts: WaferFacts | None = None
        self._used: dict[str, list[str]] = {}
        self._records: DefectRecords | None = None
        #: Whether the list may go on in another part, or for another test, and the tests it has had.
        self._open_list = False
        self._open_test = False
        self._tests: set[str] = set()
        self._declared: Declared | None = None
        self._summary_due = False
        #: Statements of a summary since the last list, or test.
        self._summed: set[str] = set()

    def __iter__(self) -> Iterator[Inspections]:
        """The wafers, one by one.

        Raises:
            WaferFileError: See `faults`.
        """
        wafers = 0
        while (name := self._next_name()) != "EndOfFile":
            if name == "WaferID" and self._in_wafer:
                yield self._finished(at_end=False)
                wafers += 1
                if wafers == MOST_WAFERS:
                    raise self._stream.error("too_large", f"expected at most {MOST_WAFERS} wafers in a file, got more")
            self._statement(name)
        self._stream.expect_end()
        if not self._in_wafer:
            raise self._stream.error("missing_field", "expected a statement WaferID, the file has none", -1)
        yield self._finished(at_end=True)

    def _next_name(self) -> str:
        """The name of the next statement; empty statements are passed over."""
        while (word := self._stream.next_or_end()) == b";":
            pass
        if word is None:
            raise self._stream.error("truncated", "expected EndOfFile, the file ends: it is cut", -1)
        if not begins_as_name(word):
            message = f"expected the name of a statement, got {shown(word)}"
            raise self._stream.error("broken_structure", f"{message}; is a name lost, or a ';' one too many?", -1)
        return self._stream.name(word)

    def _statement(self, name: str) -> None:
        self._open_list &= name in _BETWEEN_PARTS
        self._open_test &= name not in USED_FIELDS and is_known(name)
        if name in USED_FIELDS:
            self._state(name, self._stream.values())
        elif name == "DefectRecordSpec":
            self._spec = record_spec(self._stream.values(), self._stream)
        elif name == "DefectList":
            self._read_list()
        elif name == "SummarySpec":
            self._read_summary_spec()
        elif name == "SummaryList":
            self._read_summary()
        elif name == "InspectionTest":
            self._begin_test(" ".join(self._stream.values()))
        else:
            self._stream.skip_statement()

    def _state(self, name: str, values: list[str]) -> None:
        if name == "WaferID":
            self._begin_wafer()
        if self._stated.setdefault(name, values) != values:
            raise self._stream.error("bad_field", f"expected one statement {name} of a wafer, got another", -1)
        self._fields[name] = values

    def _begin_wafer(self) -> None:
        """Before a WaferID: what was stated of the file, or ahead of the wafer, is left behind."""
        if self._in_wafer and "Slot" not in self._stated:
            self._fields.pop("Slot", None)
        self._ahead = dict(self._stated) if self._in_wafer else {}
        self._stated = {}
        self._in_wafer = True

    def _begin_test(self, test: str) -> None:
        # Another test of the same wafer may have a list of its own.
        self._open_test = self._records is not None and test not in self._tests and not self._stated
        self._tests.add(test)
        self._summed = set()

    def _read_list(self) -> None:
        if self._spec is None:
            raise self._stream.error("missing_field", "expected a statement DefectRecordSpec before DefectList", -1)
        if not self._in_wafer:
            raise self._stream.error("missing_field", "expected a statement WaferID before DefectList", -1)
        if self._records is None:
            self._facts = self._checked_facts()
            self._records = DefectRecords(self._spec.columns, self._stream)
            self._stated = {}
        elif not (self._open_list or self._open_test):
            message = f"expected a WaferID or another InspectionTest before a second DefectList of wafer {self._name!r}"
            raise self._stream.error("broken_structure", message, -1)
        self._records.columns = self._spec.columns
        ListReader(self._stream, self._spec, self._records).read()
        self._open_list, self._open_test = True, False
        self._summed = set()

    def _checked_facts(self) -> WaferFacts:
        own = (self._stated.keys() | self._ahead.keys()) - {"FileTimestamp"}
        self._own = own if self._own is None else self._own
        if missing := sorted(self._own - own):
            message = f"expected a statement {missing[0]} of wafer {self._name!r}, as the file's first wafer has"
            raise self._stream.error("missing_field", message, -1)
        self._used = dict(self._fields)
        round_sample = self._fields.get("SampleSize", [])[:1] in (["1"], ["1.0"])
        try:
            return wafer_facts(self._fields, nanometres=self._flat18 and not round_sample, zone=self._reading.zone)
        except FieldError as error:
            raise self._stream.error(error.code, str(error), -1) from error

    def _expect_one_summary(self, name: str) -> None:
        """Refuse a summary that is not of the list before it: the list in between is lost in another statement."""
        if name in self._summed:
            message = f"expected one {name} for each list of wafer {self._name!r}, got another: is a list between lost?"
            raise self._stream.error("broken_structure", message, -1)
        if self._in_wafer:
            self._summed.add(name)

    def _read_summary_spec(self) -> None:
        self._expect_one_summary("SummarySpec")
        count, *names = self._stream.values() or [""]
        if count != str(len(names)):
            message = f"expected SummarySpec with a number and that many names, got {count[:20]!r} and {len(names)}"
            raise self._stream.error("wrong_columns", message, -1)
        self._summary = [name.upper() for name in names]
        self._summary_due = self._in_wafer

    def _read_summary(self) -> None:
        if self._summary is None:
            raise self._stream.error("missing_field", "expected a statement SummarySpec before SummaryList", -1)
        if not self._in_wafer:
            raise self._stream.error("missing_field", "expected a statement WaferID before SummaryList", -1)
        self._expect_one_summary("SummaryList")
        values, width = self._stream.values(), max(1, len(self._summary))
        self._summary_due = False
        if len(values) % width or len(values) > MOST_SUMMARY:
            message = f"expected rows of {width} values in SummaryList, as SummarySpec names them, got {len(values)}"
            raise self._stream.error("bad_field", message, -1)
        if "NDEFECT" in self._summary:
            self._declared = self._declared or Declared()
            rows = [values[i : i + width] for i in range(0, len(values), width)]
            if why := self._declared.read(self._summary, rows):
                raise self._stream.error("bad_field", f"{why}, in SummaryList", -1)

    @property
    def _name(self) -> str:
        return " ".join(self._fields["WaferID"])[:60]

    def _finished(self, *, at_end: bool) -> Inspections:
        """The wafer that ends here: at the next wafer's id, or at the file's end."""
        if self._facts is None or self._records is None:
            message = f"expected a DefectList for wafer {self._name!r}, the file has none"
            raise self._stream.error("missing_field", message, -1)
        self._check_late_statements(at_end=at_end)
        if self._summary_due and self._reading.check_counts:
            message = f"expected a SummaryList for wafer {self._name!r}, the file has only its SummarySpec"
            raise self._stream.error("missing_field", f"{message}; {TAKE_THE_LIST}", -1)
        wafer = inspection_of(self._facts, self._records, self._stream, self._declared, self._reading)
        self._new_wafer()
        return wafer

    def _check_late_statements(self, *, at_end: bool) -> None:
        """Refuse statements behind a wafer's list that cannot be the next wafer's, or that it itself was read without.

        Some write a wafer's statements before its WaferID, so that they stand behind the list of the wafer before.
        """
        for name, values in self._stated.items():
            if name not in self._used or (at_end and self._used[name] != values):
                message = f"expected the statement {name} before the DefectList of wafer {self._name!r}, got it behind"
                raise self._stream.error("broken_structure", message, -1)
