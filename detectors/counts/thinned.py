"""Counts of many features with fewer values stored, of all features at once.

To hash, count and pick the values of one column takes some calls each: of hundreds of columns, more time than the work.
"""

import msgspec
import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from sparsewatch.detectors.counts.capped_counts import HashedCounters
from sparsewatch.detectors.counts.counts import Counts
from sparsewatch.detectors.counts.feature_counts_codec import FlatCounts
from sparsewatch.detectors.counts.value_hashes import HASH_RANGE, Hashes, counters_of, number_of_counters

#: Standard deviations of the number of hashes below a bound: fewer than are sought are hardly ever below it.
_SURELY = 8.0


def thin(counts: FlatCounts, hashes: Hashes, max_values: int) -> FlatCounts:
    """The counts with at most so many values of each feature: `ValueCounts.thinned` of each.

    Args:
        counts: The counts.
        hashes: Of their values.
        max_values: No more than `counts` have.
    """
    sizes = counts.sizes
    large = sizes > max_values
    at = np.flatnonzero(np.repeat(large, sizes))
    kept = np.ones(hashes.size, np.bool_)
    kept[at] = False
    kept[at[smallest(hashes[at], sizes[large], max_values)]] = True
    header = msgspec.structs.replace(
        counts.header,
        max_values=max_values,
        sizes=tuple(np.minimum(sizes, max_values).tolist()),
        hashed=tuple((large | np.array(counts.header.hashed, np.bool_)).tolist()),
    )
    counters = [None if hashed is None else hashed.folded(max_values) for hashed in counts.counters]
    found = _counters(hashes[at], counts.rows[at], counts.clicks[at], sizes[large], max_values)
    for place, own in zip(np.flatnonzero(large).tolist(), found, strict=True):
        counters[place] = own if counters[place] is None else counters[place]
    values = {kind: _picked(counts, kind, kept) for kind in counts.values}
    return FlatCounts(header, values, counts.rows[kept], counts.clicks[kept], counters)


def smallest(hashes: Hashes, sizes: Counts, most: int) -> NDArray[np.int64]:
    """Places of so many smallest hashes of each of some columns, in no order.

    Args:
        hashes: Column after column.
        sizes: Hashes of each column, more than `most`.
        most: How many, at least 1.
    """
    if not sizes.size:
        return np.zeros(0, np.int64)
    share = np.minimum((most + _SURELY * (most**0.5 + 1)) / sizes, 1.0)
    bounds = np.minimum(share * float(HASH_RANGE), float(HASH_RANGE - 2048)).astype(np.uint64)
    low = hashes <= np.repeat(bounds, sizes)
    starts = np.cumsum(sizes) - sizes
    few = np.add.reduceat(low, starts, dtype=np.int64)
    rare = [
        starts[column] + np.argpartition(hashes[starts[column] : starts[column] + sizes[column]], most - 1)[:most]
        for column in np.flatnonzero(few < most)
    ]
    few[few < most] = 0
    at = np.flatnonzero(low & np.repeat(few > 0, sizes))
    few = few[few > 0]
    # A row of the table for each column, filled up with the largest number.
    places = np.arange(at.size) - np.repeat(np.cumsum(few) - few, few)
    of = np.repeat(np.arange(few.size), few)
    table = np.full((few.size, few.max(initial=most)), ~np.uint64(0))
    table[of, places] = hashes[at]
    found = np.argpartition(table, most - 1, axis=1)[:, :most] if few.size else np.zeros((0, most), np.int64)
    return np.concatenate([at[(found + (np.cumsum(few) - few)[:, None]).ravel()], *rare])


def _counters(hashes: Hashes, rows: Counts, clicks: Counts, sizes: Counts, max_values: int) -> list[HashedCounters]:
    n_counters = number_of_counters(max_values)
    at = np.repeat(np.arange(sizes.size) * n_counters, sizes) + counters_of(hashes, n_counters)
    of_rows, of_clicks = (
        np.bincount(at, counts, sizes.size * n_counters).astype(np.int64).reshape(sizes.size, n_counters)
        for counts in (rows, clicks)
    )
    return [HashedCounters(*both) for both in zip(of_rows, of_clicks, strict=True)]


def _picked(counts: FlatCounts, kind: str, kept: NDArray[np.bool_]) -> pa.Array:
    own = kept[np.repeat(counts.are_of(kind), counts.sizes)]
    return counts.values[kind].take(pa.array(np.flatnonzero(own)))
