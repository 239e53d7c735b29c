"""Values that are not plainly of their column's type: each is held by it, a wrong cell, or its record's fault."""

from collections.abc import Collection, Iterable, Sequence
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa

from sparsewatch.transforms.codecs.cells import to_column
from sparsewatch.transforms.codecs.events import Fault
from sparsewatch.transforms.codecs.wrong_cells import WrongCells, WrongColumn, fault_of_cell, filtered, wrong_column


class OddColumn(NamedTuple):
    """Values of some rows of a column."""

    field: pa.Field
    #: Ascending, shape (n,).
    rows: np.ndarray
    values: Sequence[Any]


class Judged(NamedTuple):
    """What has become of odd values."""

    #: Of each column its values, null where one does not fit.
    arrays: list[pa.Array]
    #: Those that do not fit, but of rows with a fault.
    wrong: WrongCells
    #: At most one a row, of its first column that must be right and is not.
    faults: list[Fault]


def judge(columns: Iterable[OddColumn], lenient: Collection[str]) -> Judged:
    """Holds values against their columns.

    Args:
        columns: In the order of the schema.
        lenient: Columns in which a value that does not fit costs only the cell. In others it is a fault.
    """
    arrays: list[pa.Array] = []
    wrong: dict[str, WrongColumn] = {}
    faults: dict[int, Fault] = {}
    for field, rows, values in columns:
        array, at = to_column(values, field.type)
        arrays.append(array)
        if at and field.name in lenient:
            wrong[field.name] = wrong_column(rows[at], [values[i] for i in at])
        elif at:
            _add_faults(faults, rows[at].tolist(), field, [values[i] for i in at])
    return Judged(arrays, _of_events(wrong, faults), list(faults.values()))


def _add_faults(faults: dict[int, Fault], rows: Sequence[int], field: pa.Field, values: Sequence[Any]) -> None:
    # What came often is one object: what is wrong with it is said once.
    said = {at: fault_of_cell(field, value) for at, value in {id(value): value for value in values}.items()}
    for row, value in zip(rows, values, strict=True):
        faults.setdefault(row, (row, *said[id(value)]))


def _of_events(wrong: WrongCells, faults: Collection[int]) -> WrongCells:
    """Without those of records that are faults."""
    if not faults:
        return wrong
    gone = np.fromiter(faults, dtype=np.int64, count=len(faults))
    return filtered(wrong, lambda column: ~np.isin(column.rows, gone))
