"""Cells whose value is not of their column's type: how many, of which types, and a few examples.

Such a cell is missing, its row is counted. The figures of a window travel with its blocks and merge: any split of the
rows, in any order, gives the same state to the byte.
"""

from collections.abc import Iterable, Mapping
from typing import ClassVar

import msgspec

from sparsewatch.schemas.stored import Format, StoredStruct

FORMAT = Format("mistyped cells")
#: Examples of a column, and characters of each.
EXAMPLES = 5
EXAMPLE_CHARACTERS = 80


class Example(msgspec.Struct, frozen=True, array_like=True, order=True):
    """A value of another type, and the first event that holds it."""

    partition: int
    offset: int
    row: int
    #: The type found.
    found: str
    #: The value, safe to print; cut to `EXAMPLE_CHARACTERS`.
    value: str


class MistypedColumn(msgspec.Struct, frozen=True, array_like=True):
    """Mistyped cells of one column."""

    #: Cells by the type found: `str`, `int`, `not finite` …
    found: dict[str, int]
    #: Distinct values, those that came first by partition, offset and row.
    examples: tuple[Example, ...]

    @property
    def cells(self) -> int:
        """Their number."""
        return sum(self.found.values())

    def __add__(self, other: "MistypedColumn") -> "MistypedColumn":
        """Those of both."""
        found = {kind: self.found.get(kind, 0) + other.found.get(kind, 0) for kind in {*self.found, *other.found}}
        return MistypedColumn(dict(sorted(found.items())), first_examples([*self.examples, *other.examples]))


class MistypedCells(StoredStruct, frozen=True, array_like=True):
    """Mistyped cells by column; columns without any are left out."""

    stored: ClassVar[Format] = FORMAT

    columns: dict[str, MistypedColumn] = msgspec.field(default_factory=dict)

    @property
    def cells(self) -> int:
        """Their number in all columns."""
        return sum(column.cells for column in self.columns.values())

    def of(self, name: str) -> int:
        """Their number in one column."""
        return self.columns[name].cells if name in self.columns else 0

    def only(self, names: Iterable[str]) -> "MistypedCells":
        """Those of some columns."""
        return MistypedCells({name: self.columns[name] for name in sorted(names) if name in self.columns})

    def __add__(self, other: "MistypedCells") -> "MistypedCells":
        """Those of both."""
        return other if not self.columns else MistypedCells(_merged(self.columns, other.columns))


#: No mistyped cell.
NONE_MISTYPED = MistypedCells()


def first_examples(examples: Iterable[Example]) -> tuple[Example, ...]:
    """The first `EXAMPLES` by place of distinct values."""
    first: dict[tuple[str, str], Example] = {}
    for example in sorted(examples):
        first.setdefault((example.found, example.value), example)
    return tuple(first.values())[:EXAMPLES]


def _merged(ours: Mapping[str, MistypedColumn], others: Mapping[str, MistypedColumn]) -> dict[str, MistypedColumn]:
    merged = {**ours, **others}
    for name in ours.keys() & others.keys():
        merged[name] = ours[name] + others[name]
    return {name: merged[name] for name in sorted(merged)}
