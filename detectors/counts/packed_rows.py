"""Rows of many columns, packed: the cells of all columns of a kind lie in one list, column after column.

To write, read, check and compress hundreds of short columns one by one takes far longer than the work itself.
"""

from collections.abc import Iterator, Sequence
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
        return [self.column(kind, begin) for kind, begin in zip(self.kinds, self._begins(), strict=True)]

    def some(self, places: Sequence[int]) -> list[Any]:
        """As `columns`, those at some places."""
        begins = list(self._begins())
        return [self.column(self.kinds[place], begins[place]) for place in places]

    def column(self, kind: str | None, begin: int) -> Any:
        """The column whose cells begin there among those of its kind."""
        return pa.nulls(self.n_rows) if kind is None else self.lists[kind].slice(begin, self.n_rows)

    def _begins(self) -> Iterator[int]:
        done = dict.fromkeys((*ARROW_TYPES, None), 0)
        for kind in self.kinds:
            yield done[kind]
            done[kind] += self.n_rows

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


def rows_from_bytes(data: bytes, stored: Format, names: Sequence[str] | None = None) -> pa.Table:
    """The rows, also of their own Arrow IPC stream, as earlier releases wrote.

    Args:
        data: The bytes.
        stored: Format that they are part of.
        names: Columns to give, in this order; all if None.

    Raises:
        StateError: If they are damaged.
    """
    with stored.reading(data):
        batch = batch_from_bytes(data)
        metadata = batch.schema.metadata or {}
        if _HEADER not in metadata:
            table = table_from_bytes(data)
            return table if names is None else table.select(list(names))
        header = stored.parse(metadata[_HEADER], _Header)
        packed = Packed.of_batch(batch, header.kinds, header.rows)
        if names is None:
            return pa.Table.from_arrays(packed.columns(), names=list(header.columns))
        places = {name: place for place, name in enumerate(header.columns)}
        return pa.Table.from_arrays(packed.some([places[name] for name in names]), names=list(names))
