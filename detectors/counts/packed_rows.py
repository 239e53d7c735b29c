"""Rows of many columns, packed: the cells of all columns of a kind lie in one list, column after column.

To write, read, check and compress hundreds of short columns one by one takes far longer than the work itself.
"""

from collections.abc import Sequence
from typing import Any, NamedTuple, Self

import msgspec
import pyarrow as pa

from sparsewatch.detectors.counts.value_hashes import ARROW_TYPES
from sparsewatch.schemas.stored import Format, batch_from_bytes, table_from_bytes, table_to_bytes

_HEADER = b"packed_rows"
_KINDS = {arrow_type.id: kind for kind, arrow_type in ARROW_TYPES.items()}


class _Header(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    columns: tuple[str, ...]
    kinds: tuple[str | None, ...]
    rows: int


class Packed(NamedTuple):
    """Rows without the names of their columns."""

    #: All cells of a kind, by key of `ARROW_TYPES`.
    lists: dict[str, Any]
    #: Of each column; None for a column of nulls.
    kinds: tuple[str | None, ...]
    n_rows: int

    @classmethod
    def of(cls, columns: Sequence[Any], kinds: Sequence[str | None]) -> Self:
        """Of columns of the Arrow types of their kinds, equally long, at least one."""
        lists = {}
        for kind, arrow_type in ARROW_TYPES.items():
            cells = [column for column, own in zip(columns, kinds, strict=True) if own == kind]
            lists[kind] = pa.concat_arrays(cells) if cells else pa.array([], arrow_type)
        return cls(lists, tuple(kinds), len(columns[0]))

    def columns(self) -> list[Any]:
        """The columns; their cells are not copied."""
        done = dict.fromkeys(ARROW_TYPES, 0)
        found = []
        for kind in self.kinds:
            if kind is None:
                found.append(pa.nulls(self.n_rows))
            else:
                found.append(self.lists[kind].slice(done[kind], self.n_rows))
                done[kind] += self.n_rows
        return found

    def batch(self) -> pa.RecordBatch:
        """As one row of lists."""
        lists = [pa.LargeListArray.from_arrays([0, len(cells)], cells) for cells in self.lists.values()]
        return pa.RecordBatch.from_arrays(lists, names=list(self.lists))

    @classmethod
    def of_batch(cls, batch: pa.RecordBatch, kinds: Sequence[str | None], n_rows: int) -> Self:
        """Of `batch`, which may have other columns besides.

        Raises:
            ValueError: If there are more or fewer cells, or of other types.
        """
        lists = {kind: batch.column(kind).values for kind in ARROW_TYPES}
        for kind, cells in lists.items():
            expected = (ARROW_TYPES[kind], kinds.count(kind) * n_rows)
            if (cells.type, len(cells)) != expected:
                raise ValueError(f"expected cells {expected}, got {cells.type}, {len(cells)}")
        return cls(lists, tuple(kinds), n_rows)


def rows_to_bytes(rows: pa.RecordBatch) -> bytes:
    """Rows of columns of `ARROW_TYPES` or of nulls, at least one, small and to be kept."""
    packed = Packed.of(rows.columns, [_KINDS.get(column.type.id) for column in rows.columns])
    header = _Header(columns=tuple(rows.schema.names), kinds=packed.kinds, rows=rows.num_rows)
    batch = packed.batch().replace_schema_metadata({_HEADER: msgspec.json.encode(header)})
    return table_to_bytes(batch, compression="lz4")


def rows_from_bytes(data: bytes, stored: Format) -> pa.Table:
    """The rows, also of their own Arrow IPC stream, as earlier releases wrote.

    Args:
        data: The bytes.
        stored: Format that they are part of.

    Raises:
        StateError: If they are damaged.
    """
    with stored.reading(data):
        batch = batch_from_bytes(data)
        metadata = batch.schema.metadata or {}
        if _HEADER not in metadata:
            return table_from_bytes(data)
        header = stored.parse(metadata[_HEADER], _Header)
        packed = Packed.of_batch(batch, header.kinds, header.rows)
        return pa.Table.from_arrays(packed.columns(), names=list(header.columns))
