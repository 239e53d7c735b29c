"""Values and mistyped cells of the columns of a window: the mergeable state behind `feature_type_changed`."""

from collections.abc import Mapping
from typing import Self

import msgspec
import pyarrow as pa

from sparsewatch.schemas.mistyped import NONE_MISTYPED, MistypedCells
from sparsewatch.schemas.stored import Format

FORMAT = Format("counts of types")


class _Stored(msgspec.Struct, frozen=True, array_like=True):
    rows: int
    values: dict[str, int]
    mistyped: MistypedCells


class TypeCounts:
    """Rows, values that fit and values that do not, for each column. State: some hundred bytes a column.

    Args:
        columns: The columns that are counted.
    """

    def __init__(self, columns: tuple[str, ...]) -> None:
        self.rows = 0
        #: Cells with a value that fits, by column.
        self.values = dict.fromkeys(sorted(columns), 0)
        self.mistyped = NONE_MISTYPED

    @classmethod
    def of(cls, rows: int, given: Mapping[str, int], mistyped: MistypedCells) -> Self:
        """From numbers.

        Args:
            rows: Number of rows.
            given: Cells that hold any value, by column.
            mistyped: Of them those that do not fit.
        """
        counts = cls(tuple(given))
        counts.rows, counts.mistyped = rows, mistyped.only(given)
        counts.values.update({name: cells - mistyped.of(name) for name, cells in given.items()})
        return counts

    def update(self, rows: pa.RecordBatch, mistyped: MistypedCells) -> None:
        """Add rows.

        Args:
            rows: With at least the columns.
            mistyped: Of their null cells those that hold a value that does not fit.
        """
        self.rows += rows.num_rows
        for name in self.values:
            self.values[name] += rows.num_rows - rows.column(name).null_count
        self.mistyped += mistyped.only(self.values)

    def merge(self, other: "TypeCounts") -> None:
        """Add counts made elsewhere."""
        self.rows += other.rows
        for name, values in other.values.items():
            self.values[name] = self.values.get(name, 0) + values
        self.mistyped += other.mistyped

    def share(self, name: str) -> float:
        """Share of the values of a column that do not fit, in [0, 1]; 0 without values."""
        wrong = self.mistyped.of(name)
        return wrong / (wrong + self.values[name]) if wrong else 0.0

    def to_bytes(self) -> bytes:
        """The state; equal states give equal bytes."""
        return msgspec.msgpack.encode(_Stored(self.rows, self.values, self.mistyped))

    @classmethod
    def from_bytes(cls, data: bytes) -> Self:
        """The inverse of `to_bytes`.

        Raises:
            StateError: If the bytes are no such counts.
        """
        stored = FORMAT.unpack(data, _Stored)
        counts = cls(tuple(stored.values))
        counts.rows, counts.mistyped = stored.rows, stored.mistyped
        counts.values.update(stored.values)
        return counts
