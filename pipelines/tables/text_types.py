"""Which types the columns of a CSV have, found block by block: a type holds all values of a column or none of it.

Integers come before numbers, booleans before dates, dates before times; what no other type holds is text. A column of
numbers that has a few other texts is text, too, and `mixed` reports it: usually these texts stand for a missing value.
"""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from sparsewatch.pipelines.tables.text import is_text
from sparsewatch.schemas.alerts import counted

#: In order of preference.
_KINDS: tuple[Any, ...] = (
    pa.int64(),
    pa.bool_(),
    pa.date32(),
    pa.timestamp("s"),
    pa.timestamp("ns"),
    pa.timestamp("s", "UTC"),
    pa.timestamp("ns", "UTC"),
    pa.float64(),
)
_NUMBER = r"^\s*[-+]?(\d+\.?\d*|\.\d+)([eE][-+]?\d+)?\s*$"
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
    def mixed(self) -> list[str]:
        """Remarks on columns of numbers that hold other texts."""
        return [
            f"column {name!r} holds {counted(found.numbers, 'number')} and {found.shown}: it is read as text, a "
            "category; --missing takes texts that stand for a missing value"
            for name, found in self._columns.items()
            if found.is_mixed
        ]


class _Found:
    def __init__(self) -> None:
        self._kinds = _KINDS
        self._any = False
        self._plain = False
        self.numbers = 0
        self.others: Counter[str] = Counter()

    @property
    def kind(self) -> pa.DataType:
        if not self._any:
            return pa.null()
        return self._kinds[0] if self._kinds else pa.string()

    @property
    def is_mixed(self) -> bool:
        return not self._plain and bool(self.others) and self.numbers > self.others.total()

    @property
    def shown(self) -> str:
        return ", ".join(f"{text!r} ({counted(number, 'time')})" for text, number in self.others.most_common())

    def add(self, column: Any) -> None:
        if column.null_count == len(column):
            return
        self._any = True
        self._kinds = tuple(self._holding(column))
        if pa.float64() in self._kinds:
            self.numbers += len(column) - column.null_count
        elif not (self._plain or self._kinds):
            self._count_others(column)

    def _holding(self, column: Any) -> Iterator[Any]:
        # A failing cast makes an error of each value, so most types are ruled out by a few.
        whole, few = False, column.drop_null().slice(0, _FEW)
        for kind in self._kinds:
            # Numbers hold integers; asking again would cost as much as reading.
            if (whole and kind == pa.float64()) or (holds(kind, few) and holds(kind, column)):
                whole = whole or kind == pa.int64()
                yield kind

    def _count_others(self, column: Any) -> None:
        values, counts = pc.value_counts(column.drop_null()).flatten()
        is_number = pc.match_substring_regex(values, _NUMBER)
        self.numbers += pc.sum(counts.filter(is_number)).as_py() or 0
        others, counts = values.filter(pc.invert(is_number)), counts.filter(pc.invert(is_number))
        self._plain = len(others) > _MOST_OTHERS or len({*self.others, *others.to_pylist()}) > _MOST_OTHERS
        if not self._plain:
            self.others.update(dict(zip(others.to_pylist(), counts.to_pylist(), strict=True)))


def holds(kind: Any, column: Any) -> bool:
    """Whether a type holds all texts of a column."""
    try:
        as_type(column, kind)
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError):
        return False
    return True


def as_type(column: Any, kind: Any) -> Any:
    """A column as another type.

    Of texts, "1.0" is an integer, too, blanks around numbers do not count, and `nan` is null.

    Raises:
        pa.ArrowInvalid: If it does not hold all values.
        pa.ArrowNotImplementedError: If it holds none.
    """
    if column.type == kind:
        return column
    if pa.types.is_null(kind) and column.null_count == len(column):
        return pa.nulls(len(column))
    if not (is_text(column.type) and (pa.types.is_integer(kind) or pa.types.is_floating(kind))):
        return column.cast(kind)
    try:
        numbers = column.cast(kind)
    except pa.ArrowInvalid:
        trimmed = pc.utf8_trim_whitespace(column)
        numbers = trimmed.cast(kind) if pa.types.is_floating(kind) else _whole(trimmed, kind)
    # A stream can only send null.
    return pc.if_else(pc.is_nan(numbers), None, numbers) if pa.types.is_floating(kind) else numbers


def _whole(column: Any, kind: Any) -> Any:
    try:
        return column.cast(kind)
    except pa.ArrowInvalid:
        return column.cast(pa.float64()).cast(kind)
