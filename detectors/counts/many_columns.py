"""Many columns at once: hashes of their values, and columns with fewer values stored.

To hash, count and pick the values of one column takes some calls each: of hundreds of columns, more time than the work.
"""

from collections.abc import Iterable, Sequence

import numpy as np
import pyarrow as pa

from sparsewatch.detectors.counts.capped_counts import HashedCounters
from sparsewatch.detectors.counts.counts import Counts, Part
from sparsewatch.detectors.counts.value_counts import ValueCounts, highest_stored
from sparsewatch.detectors.counts.value_hashes import counters_of, hash_values, number_of_counters


def hash_columns(columns: Iterable[ValueCounts]) -> None:
    """Hash the values of each, so that `ValueCounts.hashes` knows them."""
    news = [column for column in columns if not column.knows_hashes()]
    for kind in {column.kind for column in news}:
        own = [column for column in news if column.kind == kind]
        parts = [column.merged() for column in own]
        hashes = hash_values(pa.concat_arrays([part.values for part in parts]), repeats=False)
        end = 0
        for column, part in zip(own, parts, strict=True):
            column.keep_hashes(hashes[end : end + part.rows.size])
            end += part.rows.size


def thin_columns(columns: Iterable[ValueCounts], max_values: int) -> list[ValueCounts]:
    """`ValueCounts.thinned` of each."""
    every = list(columns)
    thin: dict[int, ValueCounts] = {}
    for kind in {column.kind for column in every}:
        own = [
            place
            for place, column in enumerate(every)
            if column.kind == kind and column.merged().rows.size > max_values and column.hashed is None
        ]
        if own:
            thin |= zip(own, _sampled([every[place] for place in own], max_values), strict=True)
    return [thin[place] if place in thin else column.thinned(max_values) for place, column in enumerate(every)]


def _sampled(columns: Sequence[ValueCounts], max_values: int) -> list[ValueCounts]:
    """Of columns of one kind that hold all their values, each of them more than are stored."""
    parts = [column.merged() for column in columns]
    sizes = np.array([part.rows.size for part in parts])
    whole = Part(
        pa.concat_arrays([part.values for part in parts]),
        np.concatenate([part.rows for part in parts]),
        np.concatenate([part.clicks for part in parts]),
    )
    hash_columns(columns)
    hashes = np.concatenate([column.hashes() for column in columns])
    n_counters = number_of_counters(max_values)
    at = np.repeat(np.arange(sizes.size) * n_counters, sizes) + counters_of(hashes, n_counters)
    rows, clicks = (_summed(at, counts, (sizes.size, n_counters)) for counts in whole[1:])
    ends = np.cumsum(sizes)
    kept = [
        first + np.sort(np.argpartition(hashes[first:end], max_values - 1)[:max_values])
        for first, end in zip((ends - sizes).tolist(), ends.tolist(), strict=True)
    ]
    stored = whole.take(np.concatenate(kept))
    thin = []
    for place, column in enumerate(columns):
        own = slice(place * max_values, (place + 1) * max_values)
        part = Part(stored.values.slice(own.start, max_values), stored.rows[own], stored.clicks[own])
        thin.append(column.empty(max_values))
        hashed = HashedCounters(rows[place], clicks[place])
        limit = highest_stored(hashes[kept[place]])
        thin[-1].restore(part, column.nulls, hashed, limit=limit, in_order=column.is_in_order())
    return thin


def _summed(at: Counts, counts: Counts, shape: tuple[int, int]) -> Counts:
    return np.bincount(at, counts, shape[0] * shape[1]).astype(np.int64).reshape(shape)
