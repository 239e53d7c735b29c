"""Columns as integer codes, and the contingency table of two of them.

Everything pairwise starts here: equal values have equal codes, so a table of two columns is a count of pairs of codes.
The missing value (null or NaN) is a value.
"""

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import polars as pl
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from sparsewatch.detectors.counts.counts import Counts

#: Cells of a dense table, as a multiple of the rows, up to which counting beats sorting.
DENSE_CELLS_PER_ROW = 4
DENSE_CELLS = 65_536


class Codes(NamedTuple):
    """A column whose values are numbered."""

    #: Shape (n_rows,), each in [0, n_values).
    codes: NDArray[np.int32]
    n_values: int


class Joint(NamedTuple):
    """The cells of a contingency table that hold rows, by ascending first and second code."""

    #: Rows of each cell, shape (n_cells,), > 0.
    rows: Counts
    #: Codes of each cell, shape (n_cells,).
    first: NDArray[np.int64]
    second: NDArray[np.int64]


def encode(values: Any) -> Codes:
    """Number the values of a column in the order they first appear.

    Args:
        values: An Arrow array, a polars series or a numpy array of numbers, booleans or text, shape (n_rows,).
    """
    encoded = _arrow(values).dictionary_encode(null_encoding="encode")
    return Codes(encoded.indices.to_numpy(zero_copy_only=False), len(encoded.dictionary))


def encode_as_text(values: Any) -> Codes:
    """Number the values by the order of their text, as the public `outrank` does: "10" comes before "2".

    Args:
        values: As for `encode`. The missing value comes first.
    """
    text = _arrow(values).cast(pa.large_string())
    encoded = text.dictionary_encode(null_encoding="encode")
    # The missing value sorts last.
    order = np.roll(pc.sort_indices(encoded.dictionary).to_numpy(), encoded.dictionary.null_count)
    place = np.empty(order.size, np.int32)
    place[order] = np.arange(order.size, dtype=np.int32)
    return Codes(place[encoded.indices.to_numpy(zero_copy_only=False)], int(order.size))


def combine(columns: Sequence[Codes]) -> Codes:
    """One column whose value is the combination of the columns' values; no two combinations share a code.

    Args:
        columns: At least one, of the same rows.
    """
    whole = columns[0]
    for column in columns[1:]:
        whole = _renumbered(_pair_keys(whole, column), whole.n_values * column.n_values)
    return whole


def joint_counts(first: Codes, second: Codes) -> Joint:
    """The contingency table of two columns of the same rows; O(n_rows), or O(n_rows log n_rows) where it is sparse."""
    held, rows = count_keys(_pair_keys(first, second), first.n_values * second.n_values)
    return Joint(rows, held // second.n_values, held % second.n_values)


def count_keys(keys: NDArray[np.int64], most: int) -> tuple[NDArray[np.int64], Counts]:
    """Distinct keys, ascending, and how often each occurs.

    Args:
        keys: Each in [0, most).
        most: Counting beats sorting where it is small.
    """
    if not _is_dense(most, keys.size):
        return np.unique(keys, return_counts=True)
    table = np.bincount(keys, minlength=most)
    held = np.flatnonzero(table)
    return held, table[held]


def marginal(column: Codes) -> Counts:
    """Rows of each value, shape (n_values,)."""
    return np.bincount(column.codes, minlength=column.n_values)


def _pair_keys(first: Codes, second: Codes) -> NDArray[np.int64]:
    return first.codes.astype(np.int64) * second.n_values + second.codes


def _is_dense(cells: int, n_rows: int) -> bool:
    return cells <= max(DENSE_CELLS, DENSE_CELLS_PER_ROW * n_rows)


def _renumbered(keys: NDArray[np.int64], cells: int) -> Codes:
    """Codes without gaps, in the order of the keys, which lie in [0, cells)."""
    if not _is_dense(cells, keys.size):
        distinct, places = np.unique(keys, return_inverse=True)
        return Codes(places.astype(np.int32), int(distinct.size))
    held = np.zeros(cells, np.int32)
    held[keys] = 1
    place = np.cumsum(held, dtype=np.int32)
    return Codes(place[keys] - 1, int(place[-1]) if cells else 0)


def _arrow(values: Any) -> Any:
    if isinstance(values, pl.Series):
        values = values.to_arrow(compat_level=pl.CompatLevel.oldest())
    elif not isinstance(values, pa.Array | pa.ChunkedArray):
        values = pa.array(values, from_pandas=True)
    if isinstance(values, pa.ChunkedArray):
        values = values.combine_chunks()
    if pa.types.is_dictionary(values.type):
        values = values.dictionary_decode()
    if pa.types.is_floating(values.type):
        # Adding zero makes -0.0 equal to 0.0.
        values = pc.if_else(pc.is_nan(values), None, pc.add(values, 0.0))
    return values
