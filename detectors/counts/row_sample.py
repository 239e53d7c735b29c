"""A uniform sample of rows, whole: the same for any split and order of the stream.

The sample holds the rows of the smallest identity, which is a hash (bottom-k: Cohen and Kaplan, PODC 2007). Whatever
needs columns together, as redundancy, combinations and the names of heavy values, is computed from it. With
`stretch_identities` it holds whole stretches of time, as is needed where rows are compared with their neighbours.

Rows are copied as rarely as can be: they wait in the batches they came in while fewer and fewer of them are below the
bound of the sample, and are sorted once, when they are asked for.

State: up to three times `capacity` rows of the columns, and up to `WAITING_CELLS` in the batches they came in, until
the state is written; numbers take 8 bytes, texts 8 bytes and their own. Written to be handed on (`small=False`) they
take as few as they need.
"""

from collections.abc import Sequence
from typing import Any, NamedTuple, Self

import msgspec
import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from sparsewatch.detectors.counts.gathered import Gathering
from sparsewatch.detectors.counts.packed_rows import Packed
from sparsewatch.detectors.counts.value_hashes import HASH_RANGE, STEP, Hashes, kind_of, mix
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
#: Copied rows that are held, in samples: of a long window two and a half are copied in all.
_COPIED = 3
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
        #: Rows that were copied.
        self._parts: list[_Part] = []
        #: Rows that are still in the batches they came in: most are out of the sample again before they are copied.
        self._waiting: list[_Waiting] = []
        #: Rows that wait since the limit was lowered.
        self._news = 0
        #: The sample by ascending identity, while it is that of this state.
        self._sorted: _Part | None = None
        #: Of the last batch, which was checked, and how its rows are copied.
        self._seen: pa.Schema | None = None
        self._gathering: Gathering | None = None

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
        gathering = self._expect_columns(rows.schema)
        self.rows_seen += rows.num_rows
        low = np.flatnonzero(identities <= np.uint64(self._limit))
        if low.size:
            self._sorted = None
            self._waiting.append(_Waiting(rows, gathering, low, identities[low]))
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

    def rows(self) -> pa.RecordBatch:
        """The sample, `min(capacity, rows_seen)` rows, by ascending identity."""
        return pa.RecordBatch.from_arrays(self._lowest().rows.columns(), names=list(self.columns))

    def first(self, most: int, columns: Sequence[str]) -> Packed:
        """Its first rows, a smaller sample; only some columns of them."""
        rows = self._lowest().rows
        places = {name: place for place, name in enumerate(self.columns)}
        return rows.picked([places[name] for name in columns], np.arange(min(most, rows.n_rows)))

    def of_columns(self, columns: Sequence[str]) -> "RowSample":
        """The same rows of some of the columns."""
        lowest = self._lowest()
        found = RowSample(columns, self.capacity)
        found.rows_seen, found._limit = self.rows_seen, self._limit
        found._kinds = {name: self._kinds[name] for name in columns}
        found._parts = [_Part(lowest.identities, self.first(self.capacity, columns))]
        return found

    def identities(self) -> Identities:
        """Identities of `rows`, ascending."""
        return self._lowest().identities

    def to_bytes(self, *, small: bool = True) -> bytes:
        """The state as one Arrow IPC stream; equal states give equal bytes.

        Args:
            small: Whether it is made small, to be kept: that takes several times as long as to write it.
        """
        lowest = self._lowest()
        header = _Header(
            columns=self.columns,
            capacity=self.capacity,
            rows_seen=self.rows_seen,
            kinds=tuple(self._kinds.values()),
            packed=msgspec.UNSET if small else lowest.rows.n_rows,
        )
        metadata = {_HEADER: msgspec.json.encode(header)}
        identities = pa.array(lowest.identities)
        if small:
            names = [_IDENTITY, *self.columns]
            table = pa.table([identities, *map(_small, lowest.rows.columns())], names=names)
            return table_to_bytes(table.replace_schema_metadata(metadata).combine_chunks(), compression="lz4")
        cells = pa.LargeListArray.from_arrays([0, len(identities)], identities)
        return table_to_bytes(lowest.rows.batch().append_column(_IDENTITY, cells).replace_schema_metadata(metadata))

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
                sample._parts = [_packed(table, header, header.packed)]
            elif table.num_columns != len(header.columns) + 1:
                raise FORMAT.other_bytes(data, f"{table.num_columns} columns for {len(header.columns)} names")
            elif table.num_rows:
                identities, *columns = map(_array, table.columns)
                sample._parts = [_Part(identities.to_numpy(), Packed.of(columns, header.kinds))]
            if sample._parts:
                sample._limit = sample._limit_of([sample._parts[0].identities])
                sample._lowest()
        return sample

    def _expect_columns(self, schema: pa.Schema) -> Gathering:
        """How rows of a batch of the schema are copied."""
        if self._gathering is not None and schema.equals(self._seen):
            return self._gathering
        if missing := set(self.columns) - set(schema.names):
            raise SchemaError(f"expected columns {sorted(missing)}, got only {sorted(schema.names)}")
        kinds = {name: kind_of(name, schema.field(name).type) for name in self.columns}
        self._expect(kinds)
        self._seen, self._gathering = schema, Gathering.of(schema, self.columns, list(kinds.values()))
        return self._gathering

    def _expect(self, kinds: dict[str, str | None]) -> None:
        news = {name: kind for name, kind in kinds.items() if kind is not None}
        for name, kind in news.items():
            if (before := self._kinds[name]) not in (None, kind):
                raise SchemaError(f"column {name!r}: expected values of kind {before!r} as before, got {kind!r}")
        if any(self._kinds[name] is None for name in news):
            self._sorted = None
        self._kinds.update(news)

    def _hold_few(self) -> None:
        """Let go of rows that are out of the sample; copy the others where too many batches wait."""
        if self._news >= self.capacity // 4:
            self._lower_limit()
        cells = sum(one.rows.num_rows for one in self._waiting) * len(self.columns)
        if cells > WAITING_CELLS or len(self._waiting) > PARTS:
            self._copy()
        if len(self._parts) > PARTS or sum(part.rows.n_rows for part in self._parts) > _COPIED * self.capacity:
            self._parts = [self._joined()]

    def _lower_limit(self) -> None:
        self._news = 0
        copied = [part.identities for part in self._parts]
        self._limit = self._limit_of([*copied, *(one.identities for one in self._waiting)])
        self._waiting = [kept for one in self._waiting if (kept := one.up_to(self._limit)).low.size]

    def _copy(self) -> None:
        """Copy what waits."""
        self._lower_limit()
        kinds = tuple(self._kinds.values())
        for one in self._waiting:
            # What waits alone need not be ordered again.
            order = np.argsort(one.identities)
            rows = one.gathering(one.rows, one.low[order])
            self._parts.append(_Part(one.identities[order], rows.of_kinds(kinds)))
        self._waiting = []

    def _joined(self) -> "_Part":
        """The parts as one, by ascending identity, without rows that are out of the sample."""
        kinds = tuple(self._kinds.values())
        parts = [_Part(part.identities, part.rows.of_kinds(kinds)) for part in self._parts]
        if not parts:
            return _Part(np.zeros(0, np.uint64), Packed.of([pa.nulls(0)] * len(kinds), kinds))
        identities = np.concatenate([part.identities for part in parts])
        low = np.flatnonzero(identities <= np.uint64(self._limit))
        order = low[np.argsort(identities[low])]
        if len(parts) == 1 and np.array_equal(order, np.arange(identities.size)):
            return parts[0]
        return _Part(identities[order], Packed.joined([part.rows for part in parts], order))

    def _lowest(self) -> "_Part":
        """The sample as one, by ascending identity."""
        if self._sorted is None:
            self._copy()
            self._sorted = self._joined()
            self._parts = [self._sorted]
        return self._sorted

    def _limit_of(self, identities: Sequence[Identities]) -> int:
        whole = np.concatenate([np.zeros(0, np.uint64), *identities])
        if whole.size < self.capacity:
            return self._limit
        return min(self._limit, int(np.partition(whole, self.capacity - 1)[self.capacity - 1]))


class _Part(NamedTuple):
    """Some rows and their identities, shape (n,)."""

    identities: Identities
    rows: Packed


class _Waiting(NamedTuple):
    """Some rows of a batch and their identities."""

    rows: pa.RecordBatch
    #: How they are copied: by their kinds in this batch, in which a column may be of nulls that has a kind since.
    gathering: Gathering
    #: Places in the batch, shape (n,), and identities of these rows.
    low: NDArray[np.int64]
    identities: Identities

    def up_to(self, limit: int) -> "_Waiting":
        """The rows whose identity is no greater."""
        kept = np.flatnonzero(self.identities <= np.uint64(limit))
        if kept.size == self.low.size:
            return self
        return self._replace(low=self.low[kept], identities=self.identities[kept])


def _packed(table: pa.Table, header: _Header, rows: int) -> _Part:
    """Identities and rows of a state that is not made small."""
    (batch,) = table.to_batches()
    identities = batch.column(_IDENTITY).values
    if (identities.type, len(identities)) != (pa.uint64(), rows):
        raise ValueError(f"expected {rows} identities, got {len(identities)} of {identities.type}")
    return _Part(identities.to_numpy(), Packed.of_batch(batch, header.kinds, rows))


def _small(column: Any) -> Any:
    """A column with every text once."""
    return column.dictionary_encode() if pa.types.is_large_string(column.type) else column


def _array(column: Any) -> Any:
    whole = column.combine_chunks()
    if isinstance(whole, pa.ChunkedArray):
        whole = pa.concat_arrays(whole.chunks) if whole.num_chunks else pa.array([], whole.type)
    return whole
