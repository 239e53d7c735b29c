"""Rows of many columns, packed: the cells of all columns of a kind lie in one list, column after column.

To write, read, check and compress hundreds of short columns one by one takes far longer than the work itself.
"""

from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple, Self

import msgspec
import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from sparsewatch.detectors.counts.narrow_cells import narrow, of_narrow
from sparsewatch.detectors.counts.value_hashes import ARROW_TYPES
from sparsewatch.schemas.stored import Bytes, Format, batch_from_bytes, table_from_bytes, table_to_bytes

_HEADER = b"packed_rows"


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
        """Of columns, equally long, at least one, which are cast to the Arrow types of their kinds."""
        lists = {}
        for kind, arrow_type in ARROW_TYPES.items():
            cells = [column.cast(arrow_type) for column, own in zip(columns, kinds, strict=True) if own == kind]
            lists[kind] = pa.concat_arrays(cells) if cells else pa.array([], arrow_type)
        return cls(lists, tuple(kinds), len(columns[0]))

    def of_kinds(self, kinds: Sequence[str | None]) -> "Packed":
        """The same rows where columns of nulls have a kind that became known."""
        return self if self.kinds == tuple(kinds) else Packed.of(self.columns(), kinds)

    def columns(self) -> list[Any]:
        """The columns; their cells are not copied."""
        return [self._column(kind, begin) for kind, begin in zip(self.kinds, self._begins(), strict=True)]

    def picked(self, places: Sequence[int], rows: NDArray[np.int64]) -> "Packed":
        """Some rows of the columns at some places.

        Args:
            places: Of the columns.
            rows: In an order, shape (n,).
        """
        begins, lists = list(self._begins()), {}
        for kind, cells in self.lists.items():
            own = np.array([begins[place] for place in places if self.kinds[place] == kind], np.int64)
            lists[kind] = cells.take(pa.array((own[:, None] + rows).ravel()))
        return Packed(lists, tuple(self.kinds[place] for place in places), rows.size)

    @classmethod
    def joined(cls, parts: Sequence["Packed"], rows: NDArray[np.int64]) -> Self:
        """Some rows of several.

        Args:
            parts: Of equal kinds, at least one.
            rows: Places among the rows of all parts, part after part, in an order; shape (n,).
        """
        sizes = np.array([part.n_rows for part in parts])
        firsts = np.cumsum(sizes) - sizes
        of = np.searchsorted(firsts + sizes, rows, side="right")
        within, lists = rows - firsts[of], {}
        for kind in ARROW_TYPES:
            columns = parts[0].kinds.count(kind)
            at = (columns * firsts[of] + within) + np.arange(columns)[:, None] * sizes[of]
            lists[kind] = pa.concat_arrays([part.lists[kind] for part in parts]).take(pa.array(at.ravel()))
        return cls(lists, parts[0].kinds, rows.size)

    def _column(self, kind: str | None, begin: int) -> Any:
        return pa.nulls(self.n_rows) if kind is None else self.lists[kind].slice(begin, self.n_rows)

    def _begins(self) -> Iterator[int]:
        done = dict.fromkeys((*ARROW_TYPES, None), 0)
        for kind in self.kinds:
            yield done[kind]
            done[kind] += self.n_rows

    def batch(self) -> pa.RecordBatch:
        """As one row of lists; equal rows give equal ones."""
        lists = narrow(self.lists, self.n_rows)
        whole = [pa.LargeListArray.from_arrays([0, len(cells)], cells) for cells in lists.values()]
        return pa.RecordBatch.from_arrays(whole, names=list(lists))

    @classmethod
    def of_batch(
        cls, batch: pa.RecordBatch, kinds: Sequence[str | None], n_rows: int, places: Sequence[int] | None = None
    ) -> "Packed":
        """Of `batch`, which may have other columns besides, or of that of an earlier release, which is not narrow.

        Args:
            batch: One row of lists.
            kinds: Of the columns.
            n_rows: Rows of the columns.
            places: Of the columns to give; all if None.

        Raises:
            ValueError: If there are more or fewer cells, or of other types.
        """
        lists = {name: batch.column(name).values for name in batch.schema.names}
        chosen = range(len(kinds)) if places is None else places
        if "str" in lists:
            whole = cls(_sound({kind: lists[kind] for kind in ARROW_TYPES}, kinds, n_rows), tuple(kinds), n_rows)
            return whole if places is None else whole.picked(places, np.arange(n_rows))
        numbers = np.zeros(len(kinds), np.int64)
        for kind in ARROW_TYPES:
            of_kind = np.array([own == kind for own in kinds], np.bool_)
            numbers[of_kind] = np.arange(of_kind.sum())
        own = tuple(kinds[place] for place in chosen)
        columns = {
            kind: np.array([numbers[place] for place in chosen if kinds[place] == kind], np.int64)
            for kind in ARROW_TYPES
        }
        return cls(_sound(of_narrow(lists, n_rows, columns), own, n_rows), own, n_rows)


def _sound(lists: dict[str, Any], kinds: Sequence[str | None], n_rows: int) -> dict[str, Any]:
    for kind, arrow_type in ARROW_TYPES.items():
        cells, expected = lists[kind], (arrow_type, kinds.count(kind) * n_rows)
        if (cells.type, len(cells)) != expected:
            raise ValueError(f"expected cells {expected}, got {cells.type}, {len(cells)}")
    # The bytes of a text may be of no text.
    lists["str"].validate(full=True)
    return lists


def rows_to_bytes(packed: Packed, names: Sequence[str]) -> bytes:
    """Rows of columns of these names, at least one, small and to be kept."""
    header = _Header(columns=tuple(names), kinds=packed.kinds, rows=packed.n_rows)
    batch = packed.batch().replace_schema_metadata({_HEADER: msgspec.json.encode(header)})
    return table_to_bytes(batch, compression="lz4")


def rows_from_bytes(data: Bytes, stored: Format, names: Sequence[str] | None = None) -> pa.Table:
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
        numbers = {name: place for place, name in enumerate(header.columns)}
        places = None if names is None else [numbers[name] for name in names]
        packed = Packed.of_batch(batch, header.kinds, header.rows, places)
        return pa.Table.from_arrays(packed.columns(), names=list(header.columns if names is None else names))
