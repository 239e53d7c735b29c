"""A uniform sample of rows, whole: the same for any split and order of the stream.

The sample holds the rows of the smallest identity, which is a hash (bottom-k: Cohen and Kaplan, PODC 2007). Whatever
needs columns together, as redundancy, combinations and the names of heavy values, is computed from it. With
`stretch_identities` it holds whole stretches of time, as is needed where rows are compared with their neighbours.

Rows are copied as rarely as can be: they wait in the batches they came in while fewer and fewer of them are below the
bound of the sample, and are sorted once, when they are asked for.

State: up to twice `capacity` rows of the columns, and up to `WAITING_CELLS` in the batches they came in, until the
state is written; numbers take 8 bytes, texts 8 bytes and their own.
"""

from collections.abc import Sequence
from typing import Any, NamedTuple, Self

import msgspec
import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from sparsewatch.detectors.counts.gathered import gather
from sparsewatch.detectors.counts.packed_rows import Packed
from sparsewatch.detectors.counts.value_hashes import ARROW_TYPES, HASH_RANGE, STEP, Hashes, kind_of, mix
from sparsewatch.schemas.errors import ConfigError, SchemaError, StateError
from sparsewatch.schemas.settings import Count, check_range
from sparsewatch.schemas.stored import Format, table_from_bytes, table_to_bytes

FORMAT = Format("the bytes of a row sample")
#: Rows of a sample in which changes are located, and cells that it has at most: 4 MB of numbers of a window, since to
#: copy and write them takes about 25 ns each; 16 MB of a reference, which is made once.
DEFAULT_SAMPLE_ROWS = 4_096
_WINDOW_CELLS, REFERENCE_CELLS = 1 << 19, 1 << 21
#: Batches or parts gathered before they are merged.
PARTS = 64
#: Cells of the batches that wait.
WAITING_CELLS = 1 << 20
_HEADER = b"row_sample"
_IDENTITY = "identity"

#: Low bits of an identity that distinguish the rows of a stretch; the others distinguish stretches.
_ROW_BITS = np.uint64(44)

Identities = Hashes


class _Header(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    version: int = FORMAT.version
    columns: tuple[str, ...]
    capacity: int
    rows_seen: int
    kinds: tuple[str | None, ...]
    #: Rows, where they are packed; not written where they are not, as ever.
    packed: int | msgspec.UnsetType = msgspec.UNSET


def sampled_rows(rows: int, columns: int, cells: int = _WINDOW_CELLS) -> int:
    """Rows of a sample of so many columns, fewer than asked for where they would be too large.

    >>> sampled_rows(4_096, 10), sampled_rows(4_096, 1_000)
    (4096, 524)
    """
    return max(1, min(rows, cells // max(columns, 1)))


def row_identities(*columns: Any) -> Identities:
    """Identities of rows from integers that distinguish them, as partition and offset; well mixed.

    Args:
        columns: Integers, at least one array of shape (n_rows,); single numbers hold for all rows.
    """
    arrays = [np.atleast_1d(column) for column in columns]
    mixed = np.zeros(1, np.uint64)
    # What holds for all rows is mixed once, up to the first array.
    for array in arrays:
        mixed = mix(mixed + STEP + array.astype(np.uint64))
    return np.broadcast_to(mixed, np.broadcast_shapes(*(array.shape for array in arrays)))


def stretch_identities(stretches: Any, *columns: Any) -> Identities:
    """Identities by which a sample takes rows stretch by stretch: all of most, a random part of the last stretch.

    Stretches that share their high bits, one pair in a million, count as one.

    Args:
        stretches: The stretch each row is of, as its event time over 10 seconds; integers, shape (n_rows,).
        columns: Integers that distinguish rows, as for `row_identities`.
    """
    stretch = row_identities(stretches) >> _ROW_BITS << _ROW_BITS
    return stretch | (row_identities(*columns) >> (np.uint64(64) - _ROW_BITS))


class RowSample:
    """The rows of the smallest identity.

    Args:
        columns: Columns of the sample.
        capacity: Rows of the sample.
    """

    def __init__(self, columns: Sequence[str], capacity: int) -> None:
        if not columns or len(set(columns)) != len(columns):
            raise ConfigError(f"columns: expected distinct names, got {list(columns)}")
        check_range(Count, capacity, "capacity")
        self.columns = tuple(columns)
        self.capacity = capacity
        self.rows_seen = 0
        self._kinds: dict[str, str | None] = dict.fromkeys(self.columns)
        #: Rows whose identity is greater are not in the sample.
        self._limit = HASH_RANGE - 1
        #: Rows that were copied: identities first, then the columns.
        self._parts: list[pa.Table] = []
        #: Rows that are still in the batches they came in: most are out of the sample again before they are copied.
        self._waiting: list[_Waiting] = []
        #: Rows that wait since the limit was lowered.
        self._news = 0
        #: The sample by ascending identity, while it is that of this state.
        self._sorted: pa.Table | None = None
        #: Of the last batch, which was checked, and of rows that were copied.
        self._seen: pa.Schema | None = None
        self._copied: pa.Schema | None = None
        #: Rows that were copied, and the same packed, while they are known.
        self._packed: tuple[pa.Table, Packed] | None = None

    def update(self, rows: pa.RecordBatch, identities: Identities) -> None:
        """Add rows.

        Args:
            rows: The columns: integers, booleans, floats, strings or dictionaries of them. Others are ignored.
            identities: Of each row, shape (n_rows,), hashes such as `row_identities` gives; no two rows of the stream
                have the same.

        Raises:
            SchemaError: If a column is missing, of a type that is not sampled or of another kind than before, or if the
                number of identities is another. No row is added then.
        """
        if identities.shape != (rows.num_rows,):
            raise SchemaError(f"expected {rows.num_rows} identities, one a row, got shape {identities.shape}")
        self._expect_columns(rows.schema)
        self.rows_seen += rows.num_rows
        low = np.flatnonzero(identities <= np.uint64(self._limit))
        if low.size:
            self._sorted = None
            self._waiting.append(_Waiting(rows.select(list(self.columns)), low, identities[low]))
            self._news += low.size
            self._hold_few()

    def merge(self, other: "RowSample") -> None:
        """Add the rows of `other`, which is not changed.

        Raises:
            StateError: If `other` has other columns or another capacity.
            SchemaError: If a column is of another kind there.
        """
        if (self.columns, self.capacity) != (other.columns, other.capacity):
            raise StateError(
                f"expected a sample of {self.capacity} rows of {self.columns} to merge, "
                f"got {other.capacity} rows of {other.columns}"
            )
        is_first = not self.rows_seen and not any(self._kinds.values())
        self._expect(other._kinds)
        self.rows_seen += other.rows_seen
        self._limit = min(self._limit, other._limit)
        self._parts.append(other._lowest())
        self._sorted = other._sorted if is_first else None
        self._hold_few()

    def rows(self, most: int | None = None) -> pa.RecordBatch:
        """The sample, `min(capacity, rows_seen)` rows, by ascending identity; or its first, a smaller sample."""
        whole = self._lowest().slice(0, most)
        batches = whole.to_batches()
        if len(batches) > 1:
            batches = whole.combine_chunks().to_batches()
        (batch,) = batches or [pa.RecordBatch.from_pylist([], schema=whole.schema)]
        return batch.select(list(self.columns))

    def identities(self) -> Identities:
        """Identities of `rows`, ascending."""
        found: Identities = self._lowest().column(0).to_numpy()
        return found

    def to_bytes(self, *, small: bool = True) -> bytes:
        """The state as one Arrow IPC stream; equal states give equal bytes.

        Args:
            small: Whether it is made small, to be kept: that takes several times as long as to write it.
        """
        table = self._lowest()
        header = _Header(
            columns=self.columns,
            capacity=self.capacity,
            rows_seen=self.rows_seen,
            kinds=tuple(self._kinds.values()),
            packed=msgspec.UNSET if small else table.num_rows,
        )
        metadata = {_HEADER: msgspec.json.encode(header)}
        if not small:
            return table_to_bytes(self._packed_batch(table).replace_schema_metadata(metadata))
        table = pa.table([_small(column) for column in table.columns], names=table.column_names)
        return table_to_bytes(table.replace_schema_metadata(metadata).combine_chunks(), compression="lz4")

    @classmethod
    def from_bytes(cls, data: bytes) -> Self:
        """The state that `to_bytes` wrote.

        Raises:
            StateError: If the bytes are damaged or of another version.
        """
        with FORMAT.reading(data):
            table = table_from_bytes(data)
            header = FORMAT.parse(table.schema.metadata[_HEADER], _Header)
            sample = cls(header.columns, header.capacity)
            sample.rows_seen = header.rows_seen
            sample._kinds = dict(zip(header.columns, header.kinds, strict=True))
            if header.packed is not msgspec.UNSET:
                sample._keep(*_unpacked(table, header, header.packed))
            elif table.num_columns != len(header.columns) + 1:
                raise FORMAT.other_bytes(data, f"{table.num_columns} columns for {len(header.columns)} names")
            elif table.num_rows:
                sample._parts = [table.replace_schema_metadata()]
            if sample._parts:
                sample._limit = sample._limit_of([sample._parts[0].column(0).to_numpy()])
                sample._lowest()
        return sample

    def _expect_columns(self, schema: pa.Schema) -> None:
        if self._seen is not None and schema.equals(self._seen):
            return
        if missing := set(self.columns) - set(schema.names):
            raise SchemaError(f"expected columns {sorted(missing)}, got only {sorted(schema.names)}")
        self._expect({name: kind_of(name, schema.field(name).type) for name in self.columns})
        self._seen = schema

    def _expect(self, kinds: dict[str, str | None]) -> None:
        news = {name: kind for name, kind in kinds.items() if kind is not None}
        for name, kind in news.items():
            if (before := self._kinds[name]) not in (None, kind):
                raise SchemaError(f"column {name!r}: expected values of kind {before!r} as before, got {kind!r}")
        if any(self._kinds[name] is None for name in news):
            self._sorted = self._copied = None
        self._kinds.update(news)

    def _hold_few(self) -> None:
        """Let go of rows that are out of the sample; copy the others where too many batches wait."""
        if self._news >= self.capacity // 4:
            self._lower_limit()
        cells = sum(one.rows.num_rows for one in self._waiting) * len(self.columns)
        if cells > WAITING_CELLS or len(self._waiting) > PARTS:
            self._copy()
        if len(self._parts) > PARTS or sum(part.num_rows for part in self._parts) > 2 * self.capacity:
            self._parts = [self._joined()]

    def _lower_limit(self) -> None:
        self._news = 0
        copied = [part.column(0).to_numpy() for part in self._parts]
        self._limit = self._limit_of([*copied, *(one.identities for one in self._waiting)])
        self._waiting = [kept for one in self._waiting if (kept := one.up_to(self._limit)).low.size]

    def _copy(self) -> None:
        """Copy what waits."""
        self._lower_limit()
        for one in self._waiting:
            # What waits alone need not be ordered again.
            order = np.argsort(one.identities)
            packed = gather(one.rows, tuple(self._kinds.values()), one.low[order])
            self._keep(one.identities[order], packed)
        self._waiting = []

    def _keep(self, identities: Identities, packed: Packed) -> None:
        table = pa.Table.from_arrays([pa.array(identities), *packed.columns()], schema=self._schema())
        self._parts.append(table)
        self._packed = table, packed

    def _packed_batch(self, table: pa.Table) -> pa.RecordBatch:
        """The sample as one row of lists, its identities among them."""
        known = self._packed
        if known is not None and known[0] is table:
            packed = known[1]
        else:
            packed = Packed.of([_array(column) for column in table.columns[1:]], list(self._kinds.values()))
        identities = _array(table.column(0))
        return packed.batch().append_column(_IDENTITY, pa.LargeListArray.from_arrays([0, len(identities)], identities))

    def _joined(self) -> pa.Table:
        """The parts as one, in the order they came in, without rows that are out of the sample."""
        schema = self._schema()
        parts = [_cast(part, schema) for part in self._parts] or [schema.empty_table()]
        table = parts[0] if len(parts) == 1 else pa.concat_tables(parts)
        low = np.flatnonzero(table.column(0).to_numpy() <= np.uint64(self._limit))
        return table if low.size == table.num_rows else table.take(pa.array(low))

    def _lowest(self) -> pa.Table:
        """The sample as one table, by ascending identity."""
        if self._sorted is None:
            self._copy()
            table = self._joined()
            identities = table.column(0).to_numpy()
            if (identities[:-1] > identities[1:]).any():
                table = table.take(pa.array(np.argsort(identities)))
            self._sorted, self._parts = table, [table]
        return self._sorted

    def _limit_of(self, identities: Sequence[Identities]) -> int:
        whole = np.concatenate([np.zeros(0, np.uint64), *identities])
        if whole.size < self.capacity:
            return self._limit
        return min(self._limit, int(np.partition(whole, self.capacity - 1)[self.capacity - 1]))

    def _schema(self) -> pa.Schema:
        """Schema of rows that were copied."""
        if self._copied is None:
            types = [ARROW_TYPES.get(kind or "", pa.null()) for kind in self._kinds.values()]
            self._copied = pa.schema([(_IDENTITY, pa.uint64()), *zip(self.columns, types, strict=True)])
        return self._copied


class _Waiting(NamedTuple):
    """Some rows of a batch and their identities."""

    rows: pa.RecordBatch
    #: Places in the batch, shape (n,), and identities of these rows.
    low: NDArray[np.int64]
    identities: Identities

    def up_to(self, limit: int) -> "_Waiting":
        """The rows whose identity is no greater."""
        kept = np.flatnonzero(self.identities <= np.uint64(limit))
        return self if kept.size == self.low.size else _Waiting(self.rows, self.low[kept], self.identities[kept])


def _unpacked(table: pa.Table, header: _Header, rows: int) -> tuple[Identities, Packed]:
    """Identities and rows of `RowSample._packed_batch`."""
    (batch,) = table.to_batches()
    identities = batch.column(_IDENTITY).values
    if (identities.type, len(identities)) != (pa.uint64(), rows):
        raise ValueError(f"expected {rows} identities, got {len(identities)} of {identities.type}")
    return identities.to_numpy(), Packed.of_batch(batch, header.kinds, rows)


def _cast(table: pa.Table, schema: pa.Schema) -> pa.Table:
    """The table with the columns' types of a schema."""
    if table.schema.equals(schema):
        return table
    pairs = zip(table.columns, schema.types, strict=True)
    return pa.table([column if column.type == kind else column.cast(kind) for column, kind in pairs], schema=schema)


def _small(column: Any) -> Any:
    """The one array of a column, with every text once."""
    array = _array(column)
    return array.dictionary_encode() if pa.types.is_large_string(array.type) else array


def _array(column: Any) -> Any:
    whole = column.combine_chunks()
    if isinstance(whole, pa.ChunkedArray):
        whole = pa.concat_arrays(whole.chunks) if whole.num_chunks else pa.array([], whole.type)
    return whole
