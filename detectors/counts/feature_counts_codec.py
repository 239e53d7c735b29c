"""Feature counts as bytes: one Arrow record batch of one row, compressed.

Values of all features of a kind lie in one list, feature after feature, so the size of the frame does not depend on
the number of features; the header, JSON in the schema's metadata, holds the number of values of each.
"""

from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import msgspec
import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from sparsewatch.detectors.counts.capped_counts import HashedCounters
from sparsewatch.detectors.counts.counts import Bucket, Counts, Part
from sparsewatch.detectors.counts.value_hashes import (
    ARROW_TYPES,
    Hashes,
    hash_mark,
    hash_values,
    number_of_counters,
)
from sparsewatch.schemas.errors import StateError
from sparsewatch.schemas.stored import Bytes, Format, batch_from_bytes, table_to_bytes

FORMAT = Format("the bytes of feature counts", 2)
_HEADER = b"feature_counts"
_NONE = np.zeros(0, np.int64)


class Header(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """All but the values' counts; tuples follow the order of `features`."""

    version: int = FORMAT.version
    features: tuple[str, ...]
    label: str
    max_values: int
    rows: int
    clicks: int
    #: Key of `ARROW_TYPES`, or None for a feature whose type is not known yet.
    kinds: tuple[str | None, ...]
    nulls: tuple[Bucket, ...]
    #: Distinct values stored.
    sizes: tuple[int, ...]
    #: Whether there are more, and all are counted by hash.
    hashed: tuple[bool, ...]
    #: See `sparsewatch.detectors.counts.value_hashes.hash_mark`.
    hash_mark: int
    #: Features whose numbers are counted in bins, and the bits of these; not written where there are none, so that such
    #: counts have the bytes they had before there were bins.
    numbers: tuple[str, ...] | msgspec.UnsetType = msgspec.UNSET
    number_bits: int | msgspec.UnsetType = msgspec.UNSET


class FlatCounts(NamedTuple):
    """Counts of all features as they are written: the values of each ascend, feature after feature."""

    header: Header
    #: Values of the features of each kind, an Arrow array, by key of `ARROW_TYPES`.
    values: dict[str, Any]
    #: Of each value, shape (n_values,).
    rows: Counts
    clicks: Counts
    #: Of each feature; None for one that is not hashed.
    counters: list[HashedCounters | None]

    @property
    def sizes(self) -> Counts:
        """Values of each feature, shape (n_features,)."""
        return np.array(self.header.sizes, np.int64)

    def are_of(self, kind: str) -> NDArray[np.bool_]:
        """Whether a feature is of a kind, shape (n_features,)."""
        return np.array([own == kind for own in self.header.kinds], np.bool_)

    def starts(self) -> tuple[list[int], list[int]]:
        """Where the counts of each feature begin, and its values among those of its kind."""
        sizes = self.sizes
        of_kind = np.zeros(sizes.size, np.int64)
        for kind in self.values:
            own = self.are_of(kind)
            of_kind[own] = np.cumsum(sizes[own]) - sizes[own]
        return (np.cumsum(sizes) - sizes).tolist(), of_kind.tolist()

    def part(self, place: int, starts: tuple[list[int], list[int]]) -> Part:
        """Counts of one feature; `starts` are those of all."""
        first, of_kind = starts[0][place], starts[1][place]
        kind, size = self.header.kinds[place], self.header.sizes[place]
        values = pa.nulls(0) if kind is None else self.values[kind].slice(of_kind, size)
        return Part(values, self.rows[first : first + size], self.clicks[first : first + size])

    def hashes(self) -> Hashes:
        """Of each value, shape (n_values,)."""
        hashes, sizes = np.zeros(self.rows.size, np.uint64), self.sizes
        for kind, values in self.values.items():
            if len(values):
                hashes[np.repeat(self.are_of(kind), sizes)] = hash_values(values, repeats=False)
        return hashes


def flattened(header: Header, parts: Sequence[Part], counters: Sequence[HashedCounters | None]) -> FlatCounts:
    """Counts of features, in order of ascending values."""
    values = {
        kind: _values([part for part, k in zip(parts, header.kinds, strict=True) if k == kind], kind)
        for kind in ARROW_TYPES
    }
    rows, clicks = (np.concatenate([part[i] for part in parts]) for i in (1, 2))
    return FlatCounts(header, values, rows, clicks, list(counters))


def encode(counts: FlatCounts) -> bytes:
    """Bytes of counts; equal counts, equal bytes."""
    counters = [hashed for hashed in counts.counters if hashed is not None]
    lists = dict(counts.values)
    lists["rows"] = pa.array(counts.rows)
    lists["clicks"] = pa.array(counts.clicks)
    lists["tail_rows"] = pa.array(np.concatenate([_NONE, *[hashed.rows for hashed in counters]]))
    lists["tail_clicks"] = pa.array(np.concatenate([_NONE, *[hashed.clicks for hashed in counters]]))
    batch = pa.RecordBatch.from_arrays(
        [pa.LargeListArray.from_arrays([0, len(values)], values) for values in lists.values()],
        names=list(lists),
        metadata={_HEADER: msgspec.json.encode(counts.header)},
    )
    return table_to_bytes(batch, compression="lz4")


def decode(data: Bytes) -> FlatCounts:
    """The counts that `encode` wrote.

    Raises:
        StateError: If the bytes are damaged, of another version, or hold hashes that are not of this release.
    """
    with FORMAT.reading(data):
        batch = batch_from_bytes(data)
        header = FORMAT.parse(batch.schema.metadata[_HEADER], Header)
        if any(header.hashed) and header.hash_mark != hash_mark():
            raise StateError(
                "expected feature counts hashed as by this release, got another hash: an earlier release wrote these "
                "counts of features with more values than are stored"
            )
        lists = {name: batch.column(name).values for name in batch.schema.names}
        values, rows, clicks = _checked(header, lists)
        return FlatCounts(header, values, rows, clicks, list(_hashed_counters(header, batch)))


def _values(parts: Sequence[Part], kind: str) -> Any:
    arrays = [part.values for part in parts]
    return pa.concat_arrays(arrays) if arrays else pa.array([], ARROW_TYPES[kind])


def _checked(header: Header, lists: dict[str, Any]) -> tuple[dict[str, Any], Counts, Counts]:
    """Values by kind, rows and clicks, as many as the header states."""
    if wrong := [name for name, kind in ARROW_TYPES.items() if lists[name].type != kind]:
        raise StateError(f"expected {FORMAT.what}, got a list {wrong[0]!r} of {lists[wrong[0]].type}")
    of_features = list(zip(header.kinds, header.sizes, strict=True))
    expected = {kind: sum(size for own, size in of_features if own == kind) for kind in ARROW_TYPES}
    rows, clicks = lists["rows"].to_numpy(), lists["clicks"].to_numpy()
    found = {kind: len(lists[kind]) for kind in ARROW_TYPES}
    if found != expected or {rows.size, clicks.size} != {sum(header.sizes)} or min(header.sizes, default=0) < 0:
        raise ValueError(f"expected {expected} values of {sum(header.sizes)}, got {found} with {rows.size} counts")
    return {kind: lists[kind] for kind in ARROW_TYPES}, rows, clicks


def _hashed_counters(header: Header, batch: Any) -> Iterator[HashedCounters | None]:
    rows, clicks = (batch.column(name).values.to_numpy() for name in ("tail_rows", "tail_clicks"))
    size, first = number_of_counters(header.max_values), 0
    if rows.size != size * sum(header.hashed):
        raise ValueError(f"expected {sum(header.hashed)} times {size} counters, got {rows.size} counters")
    for hashed in header.hashed:
        yield HashedCounters(rows[first : first + size], clicks[first : first + size]) if hashed else None
        first += size * hashed
