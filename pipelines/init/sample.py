"""A sample of events, column by column: what every draft of a job looks at."""

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from sparsewatch.schemas.jobs import COLUMN_NAMES, ColumnType, is_column_name

#: Share of different values among those of a column from which on it names events, and fewest values that tell.
_ID_SHARE = 0.9
_ID_LEAST = 200
#: Whole numbers up to this size count or measure; larger ones of which each is another are hashes.
_COUNTS = 1 << 31
#: What producers write for a missing value, in lower case.
_MARKERS = frozenset(
    {"", "na", "n/a", "#n/a", "nan", "null", "(null)", "none", "nil", "-", "--", "?", "\\n", "undefined", "missing"}
)
_ID_WORDS = frozenset({"id", "ids", "uuid", "guid", "key", "hash", "token", "session", "cookie", "request", "trace"})
_KINDS: Mapping[pa.DataType, ColumnType] = {
    pa.int64(): "int",
    pa.float64(): "float",
    pa.string(): "str",
    pa.bool_(): "bool",
}


def words_of(name: str) -> list[str]:
    """The words of a column's name, in lower case.

    >>> words_of("clickTime"), words_of("user-ID_2")
    (['click', 'time'], ['user', 'id', '2'])
    """
    spaced = "".join(
        f" {c}" if c.isupper() and not before.isupper() else c for before, c in zip(" " + name, name, strict=False)
    )
    return "".join(c if c.isalnum() else " " for c in spaced).lower().split()


def markers_of(values: Iterable[Any]) -> frozenset[str]:
    """The texts that values are, if all of them seem to stand for a missing value, else none."""
    texts: set[str] = set()
    for value in values:
        text = "NaN" if isinstance(value, float) and math.isnan(value) else value
        if not isinstance(text, str) or text.lower() not in _MARKERS:
            return frozenset()
        texts.add(text)
    return frozenset(texts)


@dataclass(frozen=True)
class Column:
    """One column of a sample."""

    name: str
    #: Of one of the stream's types; nulls where the stream cannot hold the column.
    values: pa.Array
    #: Cells that are null because their value is of another type.
    mistyped: int = 0
    #: One of them, safe to print.
    example: str = ""
    #: Texts, if those cells hold no others, that seem to stand for a missing value.
    markers: frozenset[str] = frozenset()
    #: Why the stream cannot hold it; empty if it can.
    unfit: str = ""

    @property
    def kind(self) -> ColumnType | None:
        """Its type in a job file; None if a job cannot have it."""
        return None if self.unfit else _KINDS[self.values.type]

    @cached_property
    def whole(self) -> pa.Array | None:
        """Its values as whole numbers, which a float may be, too; None if one of them is none, or there is none."""
        if self.kind not in ("int", "float") or not self.present:
            return None
        try:
            return self.values.cast(pa.int64())
        except pa.ArrowInvalid:
            return None

    @property
    def present(self) -> int:
        """Events that have a value here."""
        return len(self.values) - int(self.values.null_count)

    @cached_property
    def distinct(self) -> int:
        """Different values."""
        return int(pc.count_distinct(self.values, mode="only_valid").as_py())

    @cached_property
    def is_id(self) -> bool:
        """Whether it names events rather than telling of them: nearly each value is another."""
        if self.present < _ID_LEAST or self.distinct < _ID_SHARE * self.present:
            return False
        if self.kind == "str":
            return True
        return self.kind == "int" and (bool(_ID_WORDS & {*words_of(self.name)}) or self._largest > _COUNTS)

    @property
    def _largest(self) -> int:
        ends = pc.min_max(self.values).as_py()
        return max(abs(int(ends["min"])), abs(int(ends["max"])))


def unfit(name: str, kind: pa.DataType) -> str:
    """Why a column of a name and a type is none of a job; empty if it is one."""
    types = pa.types
    if not is_column_name(name):
        return f"names are {COLUMN_NAMES}"
    if name.startswith("_"):
        return "names that begin with '_' are reserved"
    if kind in _KINDS:
        return ""
    if types.is_null(kind):
        return "null in all events of the sample: its type is not known"
    if types.is_struct(kind) or types.is_map(kind):
        return "an object: a producer can write its fields beside the others"
    if types.is_nested(kind):
        return "a list: a column holds one value"
    if types.is_temporal(kind):
        return "times of a type that a stream does not hold: a producer can write whole numbers or ISO 8601"
    return f"values of type {kind}, which a stream does not hold"


@dataclass(frozen=True, slots=True, kw_only=True)
class Sample:
    """Events of a topic or of files, in order of partition and offset."""

    #: What they were read from, for messages.
    name: str
    #: In the order in which they first appear; each of `events` values.
    columns: Mapping[str, Column]
    #: Partition of each event, and position of its record in it; shape (n,). Files are one partition.
    partitions: NDArray[np.int32]
    offsets: NDArray[np.int64]
    #: Kafka timestamp of each event's record, milliseconds since the epoch, -1 for none, shape (n,).
    timestamps_ms: NDArray[np.int64]
    #: Format of records that do not say theirs.
    format: str = "json"
    #: How many records do not, and the formats of all.
    undeclared: int = 0
    coding: str = "JSON"
    #: Events of the topic or the files, as far as that is known.
    of_events: int
    #: Whether producers may still choose how they write times; files are rewritten when they are published.
    is_topic: bool = True

    @property
    def events(self) -> int:
        """Their number."""
        return len(self.offsets)

    @property
    def markers(self) -> list[str]:
        """Texts among numbers that seem to stand for a missing value, and that are no value of a column of texts."""
        found = sorted(frozenset().union(*(column.markers for column in self.columns.values())))
        texts = [column.values for column in self.columns.values() if column.kind == "str"] if found else []
        return [text for text in found if not any(pc.any(pc.equal(values, text)).as_py() for values in texts)]
