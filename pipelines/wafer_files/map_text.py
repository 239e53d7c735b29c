"""What the text layouts of die maps share: header lines `key: value`, rows of codes, and dies out of codes."""

import difflib
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from sparsewatch.detectors.sparse_net.points import FAILING
from sparsewatch.pipelines.wafer_files.faults import WaferFileError
from sparsewatch.schemas.alerts import counted

#: Marks of which a code for no place on the wafer consists.
OUTSIDE = frozenset("_.@-")
#: Most dies of one map.
MOST_DIES = 4_000_000
#: Keys that are used; others are passed over.
_USED = frozenset(
    {"wafer", "lot", "step", "tool", "time", "diameter_mm", "notch", "pass", "skip"}
    | {"fnloc", "bcequ", "rowct", "colct", "prdct", "skpbc", "refbc", "edgbc", "nulbc"}
)
#: Keys that a misspelt key may be, and the likeness of five letters of which one is wrong.
_GUARDED = ("wafer", "fnloc", "bcequ", "rowct", "colct", "rowdata", "diameter_mm", "notch")
_ALIKE = 0.8
#: Codes of dies that are not tested: edge and reference dies, as several testers write them.
NO_DIE = ("EE", "FE", "FF", "RR")
_HEADER = re.compile(r"([A-Za-z][\w .-]*?)\s*:\s*(.*)")
_CODE = re.compile(r"[0-9A-Za-z]{1,4}")


def add_header_line(header: dict[str, str], line: str, path: Path, number: int) -> None:
    """Take a header line.

    Raises:
        WaferFileError: `broken_structure` if it is none, or its key is misspelt; `bad_field` if its key was given
            another value.
    """
    found = _HEADER.fullmatch(line.strip())
    if found is None:
        raise WaferFileError("broken_structure", path, f"expected 'key: value', got {line[:60]!r}", number)
    key, value = found[1].lower(), found[2].strip()
    if key not in {*_USED, "rowdata"} and (likely := difflib.get_close_matches(key, _GUARDED, n=1, cutoff=_ALIKE)):
        message = f"expected a known key, got {found[1][:60]!r}: is it {likely[0].upper()}?"
        raise WaferFileError("broken_structure", path, message, number)
    if key in _USED and header.setdefault(key, value) != value:
        raise WaferFileError("bad_field", path, f"expected one value of {found[1]}, got another", number)
    header[key] = value


def key_of(line: str) -> str:
    """The key of a header line in lower case, empty if it is none."""
    found = _HEADER.fullmatch(line.strip())
    return found[1].lower() if found else ""


def code_value(code: str) -> str:
    """A code without what its writing adds: case and leading zeros.

    >>> code_value("0a") == code_value("00A"), code_value("00")
    (True, '0')
    """
    return code.upper().lstrip("0") or "0"


@dataclass(frozen=True, slots=True)
class Codes:
    """Codes of a map's dies, and what they mean."""

    #: Shape (rows, columns), the top row first.
    codes: NDArray[np.str_]
    #: Codes that stand for no place on the wafer, as they are written.
    outside: Sequence[str]
    #: Codes that pass, and codes of dies that were not tested; by `code_value` if `by_value`, else as written.
    passing: Sequence[str]
    no_die: Sequence[str]
    by_value: bool

    def dies(self) -> tuple[NDArray[np.int8], tuple[str, ...]]:
        """0 outside or not tested, 1 good, 2 failing, int8 of the shape of `codes`; and notes on what was found."""
        distinct, which, numbers = np.unique(self.codes, return_inverse=True, return_counts=True)
        kinds = np.array([self._kind(code) for code in distinct.tolist()], dtype=np.int8)
        dies = np.maximum(kinds, 0)[which].reshape(self.codes.shape).astype(np.int8)
        by_code = dict(zip(distinct.tolist(), numbers.tolist(), strict=True))
        skipped = {code: by_code[code] for code in distinct[kinds < 0].tolist()}
        notes = [f"{_listed(skipped)} as edge or reference dies, not tested; --no-die names such codes"]
        failing = {code: by_code[code] for code in distinct[kinds == FAILING].tolist()}
        none_pass = f"no die has a code that passes ({', '.join(self.passing)}); there are {_listed(failing)}"
        return dies, (*(notes if skipped else []), *([none_pass] if failing and not (kinds == 1).any() else []))

    def _kind(self, code: str) -> int:
        """What a code is: 0 outside, 1 passing, `FAILING`, -1 for a die that was not tested."""
        value = code_value(code) if self.by_value else code
        if code in self.outside:
            return 0
        if value in self.passing:
            return 1
        return -1 if value in self.no_die else FAILING


def _listed(numbers: Mapping[str, int]) -> str:
    most = sorted(numbers, key=lambda code: (-numbers[code], code))[:5]
    more = f" and {counted(len(numbers) - 5, 'more code')}" if len(numbers) > 5 else ""
    return ", ".join(f"{counted(numbers[code], 'die')} of {code}" for code in most) + more


def stated_codes(header: Mapping[str, str], keys: Iterable[str]) -> list[str]:
    """Codes that the header states under these keys, commas or blanks between them."""
    return [code for key in keys for code in header.get(key, "").replace(",", " ").split()]


def array_of(path: Path, rows: Sequence[Sequence[str]], first: int) -> NDArray[np.str_]:
    """Codes of shape (rows, columns).

    Raises:
        WaferFileError: `wrong_columns` if the rows are of several lengths, `too_large`.
    """
    width = len(rows[0])
    uneven = next((i for i, row in enumerate(rows) if len(row) != width), None)
    if uneven is not None:
        message = f"expected {width} dies as in the first row, got {len(rows[uneven])}"
        raise WaferFileError("wrong_columns", path, message, first + uneven)
    if not 0 < width * len(rows) <= MOST_DIES:
        raise WaferFileError("too_large", path, f"expected 1 to {MOST_DIES} dies, got {width * len(rows)}", first)
    return np.array([list(row) for row in rows])


def whole_number(path: Path, header: Mapping[str, str], key: str) -> int | None:
    """A count that the header states, None if it does not.

    Raises:
        WaferFileError: `bad_field` if it is no whole number.
    """
    text = header.get(key, "")
    if not text:
        return None
    if not text.isdecimal() or len(text) > 9:
        raise WaferFileError("bad_field", path, f"expected a whole number as {key.upper()}, got {text[:60]!r}")
    return int(text)


def hold_count(path: Path, name: str, declared: int | None, found: int, things: str) -> None:
    """Refuse a map of another size than declared.

    Raises:
        WaferFileError: `count_mismatch` with both numbers.
    """
    if declared not in (None, found):
        message = f"expected {declared} {things} as {name} declares, got {found}; --counts listed takes what is there"
        raise WaferFileError("count_mismatch", path, message)


def hold_size(path: Path, header: Mapping[str, str], codes: NDArray[np.str_]) -> None:
    """Refuse a map of other rows or columns than the header declares.

    Raises:
        WaferFileError: `count_mismatch` with both numbers.
    """
    hold_count(path, "ROWCT", whole_number(path, header, "rowct"), codes.shape[0], "rows")
    hold_count(path, "COLCT", whole_number(path, header, "colct"), codes.shape[1], "columns")


def is_code(text: str) -> bool:
    """Whether a text is a code of one to four letters or digits."""
    return _CODE.fullmatch(text) is not None
