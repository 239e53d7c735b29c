"""What the contingency tables of many columns hold: the sum of k ln k over the cells of each pair, fast.

A table of a thousand cells takes as long to count as one of four, so columns of few values are packed into one column
of up to `PACKED` combined values, and the table of two packed columns is counted once and summed up into those of all
their members. Tables of more than `CELLS_PER_ROW` cells a row are sorted instead, in linear time, by transposing a
sparse matrix.

A value of one row makes cells of one row, and 1 ln 1 is 0: such values share one code that no sum reads. Counts are
integers and each pair is summed by itself: threads change nothing, the order of columns changes only the rounding.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy import sparse
from scipy.special import xlogy

from sparsewatch.detectors.outrank.columns.codes import Codes, marginal

Floats = NDArray[np.float64]

#: Combined values of packed columns.
PACKED = 256
#: Cells of a dense table, as a multiple of the rows, and at least.
CELLS_PER_ROW = 2
CELLS = 65_536


class Sorted(NamedTuple):
    """The rows of a column by value; values of one row are left out."""

    rows: NDArray[np.int32]
    #: Where each value starts in `rows`, and their end.
    starts: NDArray[np.int32]


@dataclass(frozen=True)
class Packed:
    """One column, or several combined in one: a binary tree whose leaves are columns."""

    #: Value of each row, in [0, size).
    codes: NDArray[np.unsignedinteger[Any]]
    size: int
    #: Values of more than one row, which come first in a leaf, and their rows.
    repeated: int
    repeated_rows: int
    #: Positions of the columns.
    columns: tuple[int, ...]
    #: The value is `parts[0]`'s times `parts[1].size`, plus `parts[1]`'s; none in a leaf.
    parts: tuple["Packed", "Packed"] | None = None

    @cached_property
    def sorted(self) -> Sorted:
        """Rows of a leaf by value."""
        order = np.argsort(self.codes, kind="stable")
        starts = np.searchsorted(self.codes[order], np.arange(self.repeated + 1))
        return Sorted(order[: starts[-1]].astype(np.int32), starts.astype(np.int32))


def leaf(column: Codes, position: int) -> Packed:
    """A column with its values by descending rows; values of one row share the last code."""
    rows = marginal(column)
    repeated = int(np.count_nonzero(rows > 1))
    place = np.empty(rows.size, np.uint32)
    place[np.argsort(-rows, kind="stable")] = np.arange(rows.size)
    np.minimum(place, repeated, out=place)
    size = repeated + bool(np.any(rows == 1))
    codes = place.astype(_code_type(size))[column.codes]
    return Packed(codes, size, repeated, int(rows[rows > 1].sum()), (position,))


def pack(leaves: Sequence[Packed]) -> list[Packed]:
    """Columns of few values combined, each combination of at most `PACKED` values; the others as they are."""
    groups: list[list[Packed]] = []
    for column in sorted(leaves, key=lambda node: -node.size):
        room = (group for group in groups if np.prod([node.size for node in group]) * column.size <= PACKED)
        if (group := next(room, None)) is None:
            groups.append([column])
        else:
            group.append(column)
    return [_tree(group) for group in groups]


def log_products(n_rows: int) -> Floats:
    """The sum's terms: k ln k for k up to the number of rows."""
    k = np.arange(n_rows + 1)
    return np.asarray(xlogy(k, k))


def fill_pairs(first: Packed, second: Packed, terms: Floats, sums: Floats) -> None:
    """Write the sums of all pairs of a column of `first` and another of `second`.

    Args:
        first: Of the same rows as `second`; cheaper if it has fewer `repeated_rows`.
        second: May be `first`: pairs within it.
        terms: As of `log_products`.
        sums: Shape (n_columns, n_columns): written on both sides of the diagonal.
    """
    if first is second:
        if first.parts:
            for a, b in ((0, 0), (0, 1), (1, 1)):
                fill_pairs(first.parts[a], first.parts[b], terms, sums)
        return
    if first.size * second.size <= max(CELLS, CELLS_PER_ROW * (terms.size - 1)):
        block = _dense(first, second, terms)
        sums[np.ix_(first.columns, second.columns)] = block
        sums[np.ix_(second.columns, first.columns)] = block.T
    elif first.parts and not (second.parts and second.size > first.size):
        for part in first.parts:
            fill_pairs(part, second, terms, sums)
    elif second.parts:
        for part in second.parts:
            fill_pairs(first, part, terms, sums)
    else:
        i, j = first.columns[0], second.columns[0]
        sums[i, j] = sums[j, i] = _sparse(first, second, terms)


def _tree(group: Sequence[Packed]) -> Packed:
    if len(group) == 1:
        return group[0]
    first, second = _tree(group[: len(group) // 2]), _tree(group[len(group) // 2 :])
    size = first.size * second.size
    codes = first.codes.astype(_code_type(size)) * _code_type(size)(second.size) + second.codes
    return Packed(codes, size, size, codes.size, first.columns + second.columns, (first, second))


def _code_type(size: int) -> type[np.unsignedinteger[Any]]:
    return np.uint16 if size <= 1 << 16 else np.uint32


def _dense(first: Packed, second: Packed, terms: Floats) -> Floats:
    """Sums of the tables of all columns of two nodes, from one table; shape (n_first, n_second)."""
    # Cells are few enough for 32 bits, which halves the time of making keys.
    keys = np.multiply(first.codes, second.size, dtype=np.uint32)
    keys += second.codes
    table = np.bincount(keys, minlength=first.size * second.size).reshape(first.size, second.size)
    rows = _members(table, first)
    if second.parts is None:
        # A lone column of many values need not be transposed.
        return np.stack([terms.take(part[:, : second.repeated]).sum() for part in rows])[:, None]
    ends = np.cumsum([0, *(part.shape[0] for part in rows)])[:-1]
    columns = _members(np.ascontiguousarray(np.concatenate(rows).T), second)
    return np.stack([np.add.reduceat(terms.take(part).sum(axis=0), ends) for part in columns], axis=1)


def _members(table: NDArray[np.int64], node: Packed) -> list[NDArray[np.int64]]:
    """Tables of a node's columns by whatever the second axis is; values of one row are cut off."""
    if node.parts is None:
        return [table[: node.repeated]]
    first, second = node.parts
    cube = table.reshape(first.size, second.size, -1)
    return _members(cube.sum(axis=1), first) + _members(cube.sum(axis=0), second)


def _sparse(first: Packed, second: Packed, terms: Floats) -> float:
    """Sum of one table: cells are runs in the rows sorted by both values, and transposing a sparse matrix sorts."""
    rows, starts = first.sorted
    codes = second.codes.take(rows).astype(np.int32)
    ones = np.broadcast_to(np.int8(1), rows.size)
    matrix = sparse.csr_array((ones, codes, starts), shape=(first.repeated, second.size)).tocsc()
    values, ends = matrix.indices, matrix.indptr[: second.repeated + 1]
    again = np.zeros(values.size + 1, np.bool_)
    np.equal(values[1:], values[:-1], out=again[1:-1])
    again[ends] = False
    return _of_runs(again[: ends[-1] + 1], terms)


def _of_runs(again: NDArray[np.bool_], terms: Floats) -> float:
    """Sum over runs of rows, given which rows are of the same cell as the row before, and a False at the end."""
    repeats = np.flatnonzero(again)
    if 2 * repeats.size > again.size:
        return float(terms.take(np.diff(np.flatnonzero(~again))).sum())
    # Most cells hold one row, and add nothing: only the repeated are visited.
    begins = np.flatnonzero(np.diff(repeats, prepend=-1) != 1)
    return float(terms.take(np.diff(begins, append=repeats.size) + 1).sum())
