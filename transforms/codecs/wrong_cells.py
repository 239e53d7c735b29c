"""The cells of a batch whose values do not fit their columns, until they are summed up by window.

They follow the batch's rows: joined, ordered and filtered with them.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from reprlib import Repr
from typing import Any

import numpy as np
import pyarrow as pa

from sparsewatch.schemas.mistyped import (
    EXAMPLE_CHARACTERS,
    EXAMPLES,
    NONE_MISTYPED,
    Example,
    MistypedCells,
    MistypedColumn,
    first_examples,
)
from sparsewatch.transforms.codecs.cells import NOT_FINITE, Unshown, declared, found_type, found_types
from sparsewatch.transforms.codecs.events import Fault

_SHORT = Repr()
_SHORT.maxstring = _SHORT.maxother = _SHORT.maxlong = EXAMPLE_CHARACTERS


@dataclass(frozen=True, slots=True)
class WrongColumn:
    """Wrong cells of one column, in order of their rows."""

    #: Positions in the batch, ascending, shape (m,).
    rows: np.ndarray
    #: What was found there, objects of shape (m,).
    values: np.ndarray


#: Wrong cells by column; columns without any are left out.
WrongCells = Mapping[str, WrongColumn]


def wrong_column(rows: Sequence[int] | np.ndarray, values: Sequence[Any]) -> WrongColumn:
    """Wrong cells of one column."""
    held = np.empty(len(values), dtype=object)
    # Assigned one by one: numpy would spread lists over further dimensions.
    for i, value in enumerate(values):
        held[i] = value
    return WrongColumn(np.asarray(rows, dtype=np.int64), held)


def joined(parts: Sequence[tuple[int, WrongCells]]) -> WrongCells:
    """Those of several batches that follow each other: the number of rows of each, and its wrong cells."""
    starts = np.cumsum([0, *(rows for rows, _ in parts)])
    found: dict[str, list[WrongColumn]] = {}
    for start, (_, wrong) in zip(starts.tolist(), parts, strict=False):
        for name, column in wrong.items():
            found.setdefault(name, []).append(WrongColumn(column.rows + start, column.values))
    return {
        name: WrongColumn(np.concatenate([c.rows for c in columns]), np.concatenate([c.values for c in columns]))
        for name, columns in found.items()
    }


def merged(one: WrongCells, other: WrongCells) -> WrongCells:
    """Those of one batch, found in two ways."""
    both = joined([(0, one), (0, other)])
    return {name: _moved(column, np.arange(column.rows.max() + 1)) for name, column in both.items()}


def filtered(wrong: WrongCells, stays: Callable[[WrongColumn], np.ndarray]) -> WrongCells:
    """Those of which a mask, shape (m,) of each column, is true."""
    masks = [(name, column, stays(column)) for name, column in wrong.items()]
    return {name: WrongColumn(column.rows[at], column.values[at]) for name, column, at in masks if at.any()}


def without_nan(wrong: WrongCells) -> WrongCells:
    """Those that hold anything but NaN, where NaN is a job's word for missing."""
    # Of all values NaN alone differs from itself.
    return filtered(wrong, lambda column: np.fromiter((value == value for value in column.values), bool))


def taken(wrong: WrongCells, rows: np.ndarray, total: int) -> WrongCells:
    """Those of a batch that holds some rows of another.

    Args:
        wrong: Wrong cells of the other.
        rows: Positions in the other of the rows of the batch, each at most once, shape (n,).
        total: Rows of the other.
    """
    if not wrong:
        return wrong
    place = np.full(total, -1, dtype=np.int64)
    place[rows] = np.arange(len(rows))
    return {name: column for name, old in wrong.items() if len((column := _moved(old, place)).rows)}


def _moved(column: WrongColumn, place: np.ndarray) -> WrongColumn:
    at = place[column.rows]
    there = np.flatnonzero(at >= 0)
    order = there[np.argsort(at[there], kind="stable")]
    return WrongColumn(at[order], column.values[order])


def summed(wrong: WrongCells, partitions: Any, offsets: Any, rows: Any) -> MistypedCells:
    """The figures of a batch.

    Args:
        wrong: Its wrong cells.
        partitions: Partition of each row; with `offsets` and `rows` the place of its event; shape (n,).
        offsets: Offset of each row, shape (n,).
        rows: Position of each row in its record, shape (n,).
    """
    if not wrong:
        return NONE_MISTYPED
    columns = {}
    for name in sorted(wrong):
        values, at = wrong[name].values, wrong[name].rows
        order = np.lexsort((rows[at], offsets[at], partitions[at]))
        found = found_types(values)
        examples = (
            Example(int(partitions[i]), int(offsets[i]), int(rows[i]), kind, shown)
            for i, kind, shown in _firsts(at[order], values[order])
        )
        columns[name] = MistypedColumn(dict(sorted(found.items())), first_examples(examples))
    return MistypedCells(columns)


def _firsts(rows: np.ndarray, values: np.ndarray) -> Iterator[tuple[int, str, str]]:
    """Row, type and text of the first few distinct values."""
    equal: set[Any] = set()
    texts: set[tuple[str, str]] = set()
    for row, value in zip(rows.tolist(), values, strict=True):
        key = (type(value), value) if isinstance(value, str | int | float) else None
        if key in equal and key is not None:
            continue
        equal.add(key)
        kind, text = found_type(value), shown(value)
        if (kind, text) not in texts:
            texts.add((kind, text))
            yield row, kind, text
        if len(texts) == EXAMPLES:
            return


def shown(value: Any) -> str:
    """A value from outside, safe to print, in a few characters."""
    text = _SHORT.repr(value)
    return text if len(text) <= EXAMPLE_CHARACTERS else f"{text[: EXAMPLE_CHARACTERS - 1]}…"


def fault_of_cell(field: pa.Field, value: Any) -> tuple[str, str]:
    """Code and message of the fault of an event of which this value does not fit."""
    found = found_type(value)
    if found == NOT_FINITE:
        return "not_finite", f"column {field.name!r}: expected a finite number, got {shown(value)}"
    return "wrong_type", f"column {field.name!r}: expected {declared(field.type)}, got {shown(value)} ({found})"


def wrong_types(columns: pa.Schema, wrong: WrongCells) -> list[Fault]:
    """The wrong cells that hold anything but NaN or an infinity, as faults of their rows."""
    return [
        (row, *fault_of_cell(columns.field(name), value))
        for name, column in wrong.items()
        for row, value in zip(column.rows.tolist(), column.values, strict=True)
        if found_type(value) != NOT_FINITE
    ]


def wrong_values(column: pa.Array, rows: np.ndarray) -> list[Any]:
    """Values of an Arrow column at some rows, as Python's."""
    temporal = pa.types.is_temporal(column.type)
    try:
        picked = column.take(pa.array(rows))
        # Python's times have another range and no nanoseconds.
        values: list[Any] = (picked.cast(pa.string()) if temporal else picked).to_pylist()
    except (pa.ArrowException, ValueError, OverflowError, TypeError, ArithmeticError):
        return [Unshown("time" if temporal else "other", f"({ascii(str(column.type))[1:-1]})")] * len(rows)
    return [Unshown("time", ascii(value)[1:-1]) for value in values] if temporal else values
