"""What can be wrong with a file of wafers, by name."""

from pathlib import Path
from typing import Literal

from sparsewatch.schemas.errors import SchemaError

#: Names of faults, as a reject carries them.
FaultCode = Literal[
    "unreadable",  # damaged compression, no permission, too much text
    "not_text",  # NUL bytes or other binary in a text format
    "unknown_format",  # a format that is not supported
    "unknown_version",  # a KLARF of another version
    "truncated",  # the file ends inside a record, or before its end mark
    "broken_structure",  # text that does not follow the format's grammar
    "missing_field",  # a statement that must be there is not
    "bad_field",  # a statement whose values do not fit
    "wrong_columns",  # records of another number of columns than declared, or columns missing
    "not_a_number",  # a value of a defect that is no number
    "count_mismatch",  # other counts than declared
    "too_large",  # above a stated limit
    "bad_event",  # an event that is no wafer
    "outside_wafer",  # a wafer most of whose defects lie outside of it
    "collapsed_wafer",  # a wafer whose many defects all lie in its centre
]


class WaferFileError(SchemaError):
    """A file, or a part of it, that cannot be read as wafers.

    Args:
        code: Name of the fault.
        path: The file.
        message: What was expected and what was found.
        line: Line of the file, from 1; None where the format has no lines.
    """

    def __init__(self, code: FaultCode, path: Path, message: str, line: int | None = None) -> None:
        self.code: FaultCode = code
        self.line = line
        super().__init__(f"{path}{'' if line is None else f', line {line}'}: {message}")
