"""Which types the columns of a CSV have, found block by block: a type holds all values of a column or none of it.

Integers come before booleans and numbers; what no other type holds is text. Digits that a number would lose, as of
`007` or of more than 64 bits, make a column text: ids rather than quantities. `remarks` reports columns that look like
numbers and are text, such as numbers with a few other texts, which usually stand for a missing value.
"""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from sparsewatch.pipelines.tables.rejects import shown
from sparsewatch.pipelines.tables.values import as_type
from sparsewatch.schemas.alerts import counted

#: In order of preference.
_KINDS: tuple[Any, ...] = (pa.int64(), pa.bool_(), pa.float64())
_NUMBERS = (pa.int64(), pa.float64())
_NUMBER = r"^\s*[-+]?(\d+\.?\d*|\.\d+)([eE][-+]?\d+)?\s*$"
_LEADING_ZERO = r"^\s*[-+]?0\d"
_LONG = r"^\s*[-+]?\d{19,}\s*$"
_LONG_DIGITS = 19
#: Numbers in other writings, and how they read here.
_OTHER_WRITINGS = (
    ("separators", r"^\s*[-+]?\d+([,_' ]\d+)+(\.\d+)?\s*$", "a decimal point alone is read"),
    ("a unit", r"^\s*[-+]?([$€£¥]\s*[-+]?\d[\d.,]*|\d[\d.,]*\s*[%$€£¥])\s*$", "numbers alone are read"),
)
_ZERO, _NINE = b"09"
#: Most different texts among numbers: a column with more is plain text, such as ids of letters and digits.
_MOST_OTHERS = 5
_FEW = 8


class FoundTypes:
    """Types of columns of text, as far as their values were seen."""

    def __init__(self, names: Sequence[str]) -> None:
        self._columns = {name: _Found() for name in names}

    def add(self, rows: pa.RecordBatch) -> None:
        """See some rows; their missing values are null."""
        for name, found in self._columns.items():
            found.add(rows.column(name))

    @property
    def types(self) -> Mapping[str, pa.DataType]:
        """Type of each column; null where all values are missing."""
        return {name: found.kind for name, found in self._columns.items()}

    @property
    def remarks(self) -> list[str]:
        """Remarks on columns that look like numbers and are text."""
        return [f"column {name!r} {found.remark}" for name, found in self._columns.items() if found.remark]


class _Found:
    def __init__(self) -> None:
        self._kinds = _KINDS
        self._any = False
        self._plain = False
        self._numbers = 0
        self._others: Counter[str] = Counter()
        #: Why a column that looks like numbers is text.
        self._why = ""

    @property
    def kind(self) -> pa.DataType:
        if not self._any:
            return pa.null()
        return self._kinds[0] if self._kinds else pa.string()

    @property
    def remark(self) -> str:
        if self._kinds:
            return ""
        if not self._plain and self._others and self._numbers > self._others.total():
            few = ", ".join(f"{text!r} ({counted(number, 'time')})" for text, number in self._others.most_common())
            return (
                f"holds {counted(self._numbers, 'number')} and {few}: it is read as text, a category; "
                "--missing takes texts that stand for a missing value"
            )
        return f"holds {self._why}: it is read as text, a category" if self._why and not self._others else ""

    def add(self, column: Any) -> None:
        if column.null_count == len(column):
            return
        first, self._any = not self._any, True
        if self._kinds:
            self._kinds = tuple(self._holding(column))
        if pa.float64() in self._kinds:
            self._numbers += len(column) - column.null_count
        elif not (self._plain or self._kinds or self._why):
            self._count_others(column)
            if first:
                self._look_for_other_writings(column)

    def _holding(self, column: Any) -> Iterator[Any]:
        # A failing cast makes an error of each value, so most types are ruled out by a few.
        whole, few = False, column.drop_null().slice(0, _FEW)
        digits = self._digits_that_count(column, few)
        for kind in self._kinds:
            if digits and kind in _NUMBERS:
                continue
            # Numbers hold integers; asking again would cost as much as reading.
            if (whole and kind == pa.float64()) or (holds(kind, few) and holds(kind, column)):
                whole = whole or kind == pa.int64()
                yield kind

    def _digits_that_count(self, column: Any, few: Any) -> bool:
        """Whether texts are numbers that lose digits as numbers; `_why` says which."""
        if not holds(pa.float64(), few):
            return False
        zeros, longest = _glance(column)
        if len(zeros := _matching(column.filter(pa.array(zeros)), _LEADING_ZERO)):
            self._why = f"numbers with leading zeros, such as {shown(zeros[0].as_py())}"
        elif longest >= _LONG_DIGITS:
            long = _matching(column, _LONG)
            if not holds(pa.int64(), long):
                self._why = f"integers of more than 64 bits, such as {shown(long[0].as_py())}"
        return bool(self._why)

    def _look_for_other_writings(self, column: Any) -> None:
        self._why = written_otherwise(column.drop_null().slice(0, _FEW))
        if self._why:
            self._others.clear()
            self._plain = True

    def _count_others(self, column: Any) -> None:
        values, counts = pc.value_counts(column.drop_null()).flatten()
        is_number = pc.match_substring_regex(values, _NUMBER)
        self._numbers += pc.sum(counts.filter(is_number)).as_py() or 0
        others, counts = values.filter(pc.invert(is_number)), counts.filter(pc.invert(is_number))
        self._plain = len(others) > _MOST_OTHERS or len({*self._others, *others.to_pylist()}) > _MOST_OTHERS
        if not self._plain:
            self._others.update(dict(zip(others.to_pylist(), counts.to_pylist(), strict=True)))


def _glance(column: Any) -> tuple[np.ndarray, int]:
    """Which texts may have a leading zero, bool of shape (n,), and the most bytes of a text."""
    _, offsets, data = column.buffers()
    bounds = np.frombuffer(offsets, np.int32)[column.offset : column.offset + len(column) + 1]
    texts = np.frombuffer(data, np.uint8) if data is not None and data.size else np.zeros(1, np.uint8)
    lengths = np.diff(bounds)
    first, second = (texts.take(bounds[:-1] + place, mode="clip") for place in (0, 1))
    # A sign or a blank may come before the zero.
    may = (first < _ZERO) | ((first == _ZERO) & (second >= _ZERO) & (second <= _NINE))
    return may & (lengths > 1), int(lengths.max())


def _matching(texts: Any, pattern: str) -> Any:
    return texts.filter(pc.match_substring_regex(texts, pattern)).drop_null() if len(texts) else texts


def written_otherwise(texts: Any) -> str:
    """What texts are that all look like numbers in a writing that is not read, empty if they are something else.

    Args:
        texts: At least one, none of them null.
    """
    for name, pattern, read in _OTHER_WRITINGS:
        if pc.all(pc.match_substring_regex(texts, pattern)).as_py():
            return f"numbers with {name}, such as {shown(texts[0].as_py())}, where {read}"
    return ""


def holds(kind: Any, column: Any) -> bool:
    """Whether a type holds all texts of a column."""
    try:
        as_type(column, kind)
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError):
        return False
    return True
