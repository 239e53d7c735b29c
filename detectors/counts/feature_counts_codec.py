"""Feature counts as bytes: one Arrow record batch of one row, compressed.

Values of all features of a kind lie in one list, feature after feature, so the size of the frame does not depend on
the number of features; the header, JSON in the schema's metadata, holds the number of values of each.
"""

from collections.abc import Iterator, Sequence
from typing import Any

import msgspec
import numpy as np
import pyarrow as pa

from sparsewatch.detectors.counts.capped_counts import HashedCounters
from sparsewatch.detectors.counts.counts import Bucket, Part
from sparsewatch.detectors.counts.value_hashes import ARROW_TYPES, hash_mark, number_of_counters
from sparsewatch.schemas.errors import StateError
from sparsewatch.schemas.stored import Format, batch_from_bytes, table_to_bytes

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


def encode(header: Header, parts: Sequence[Part], counters: Sequence[HashedCounters]) -> bytes:
    """Bytes of `header`, of a part for each feature and counters for each hashed feature; equal input, equal bytes."""
    lists = {
        kind: _values([part for part, k in zip(parts, header.kinds, strict=True) if k == kind], kind)
        for kind in ARROW_TYPES
    }
    lists["rows"] = pa.array(np.concatenate([part.rows for part in parts]))
    lists["clicks"] = pa.array(np.concatenate([part.clicks for part in parts]))
    lists["tail_rows"] = pa.array(np.concatenate([_NONE, *[hashed.rows for hashed in counters]]))
    lists["tail_clicks"] = pa.array(np.concatenate([_NONE, *[hashed.clicks for hashed in counters]]))
    batch = pa.RecordBatch.from_arrays(
        [pa.LargeListArray.from_arrays([0, len(values)], values) for values in lists.values()],
        names=list(lists),
        metadata={_HEADER: msgspec.json.encode(header)},
    )
    return table_to_bytes(batch, compression="lz4")


def decode(data: bytes) -> tuple[Header, list[Part], list[HashedCounters | None]]:
    """Header, parts and counters that `encode` wrote; None for a feature that is not hashed.

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
        return header, list(_parts(header, batch)), list(_hashed_counters(header, batch))


def _values(parts: Sequence[Part], kind: str) -> Any:
    arrays = [part.values for part in parts]
    return pa.concat_arrays(arrays) if arrays else pa.array([], ARROW_TYPES[kind])


def _parts(header: Header, batch: Any) -> Iterator[Part]:
    lists = {name: batch.column(name).values for name in batch.schema.names}
    if wrong := [name for name, kind in ARROW_TYPES.items() if lists[name].type != kind]:
        raise StateError(f"expected {FORMAT.what}, got a list {wrong[0]!r} of {lists[wrong[0]].type}")
    rows, clicks = lists["rows"].to_numpy(), lists["clicks"].to_numpy()
    first, done = 0, dict.fromkeys(ARROW_TYPES, 0)
    for kind, size in zip(header.kinds, header.sizes, strict=True):
        values = pa.nulls(0)
        if kind is not None:
            values = lists[kind].slice(done[kind], size)
            done[kind] += size
        yield Part(values, rows[first : first + size], clicks[first : first + size])
        first += size


def _hashed_counters(header: Header, batch: Any) -> Iterator[HashedCounters | None]:
    rows, clicks = (batch.column(name).values.to_numpy() for name in ("tail_rows", "tail_clicks"))
    size, first = number_of_counters(header.max_values), 0
    if rows.size != size * sum(header.hashed):
        raise ValueError(f"expected {sum(header.hashed)} times {size} counters, got {rows.size} counters")
    for hashed in header.hashed:
        yield HashedCounters(rows[first : first + size].copy(), clicks[first : first + size].copy()) if hashed else None
        first += size * hashed
