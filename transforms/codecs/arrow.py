"""Arrow IPC records, many events each, to columns. A record is one IPC stream: schema, then batches."""

from collections import Counter
from collections.abc import Collection, Sequence
from typing import NamedTuple

import numpy as np
import pyarrow as pa

from sparsewatch.schemas.errors import SchemaError
from sparsewatch.schemas.stored import table_to_bytes
from sparsewatch.transforms.codecs.arrow_cells import Fitted, fits, fitted
from sparsewatch.transforms.codecs.arrow_framing import unpacked_bytes
from sparsewatch.transforms.codecs.cells import Unshown, is_finite
from sparsewatch.transforms.codecs.events import Fault
from sparsewatch.transforms.codecs.wrong_cells import WrongCells, WrongColumn, fault_of_cell, wrong_column

#: Columns of nulls take no bytes: without a limit a small record could claim any number of events.
MOST_ROWS = 1 << 20
#: Most bytes that the buffers of a record unpack to: packed zeros shrink to a thirty-thousandth.
MOST_BYTES = 256 << 20
#: Of two columns of a name nobody knows which is meant.
_REPEATED = Unshown("repeated", "(a column of this name comes more than once)")


def read_arrow(value: bytes) -> pa.Table:
    """All columns of one record.

    Raises:
        SchemaError: If the bytes are no IPC stream, or a stream of too many events or bytes.
    """
    if (unpacked := unpacked_bytes(value)) > MOST_BYTES:
        raise SchemaError(f"expected an Arrow IPC stream of at most {MOST_BYTES} bytes unpacked, got {unpacked}")
    try:
        table = read_again(value)
        table.validate(full=True)
        # Names are read here: Arrow itself accepts names that are not UTF-8.
        _ = table.schema.names
    except (pa.ArrowException, OSError, UnicodeDecodeError) as error:
        raise SchemaError(f"expected an Arrow IPC stream: {error}") from error
    if table.num_rows > MOST_ROWS:
        raise SchemaError(f"expected an Arrow IPC stream of at most {MOST_ROWS} events, got {table.num_rows}")
    return table


def read_again(value: bytes) -> pa.Table:
    """All columns of a record that `read_arrow` has read before."""
    return pa.ipc.open_stream(pa.py_buffer(value)).read_all()


class Conformed(NamedTuple):
    """The events of one record as the columns wanted."""

    rows: pa.RecordBatch
    #: Rows that are no event, at most one fault each, sorted.
    faults: list[Fault]
    #: Cells that are null because their value does not fit.
    wrong: WrongCells


def conform(table: pa.Table, columns: pa.Schema, lenient: Collection[str] = frozenset()) -> Conformed:
    """Exactly the columns wanted, in their order.

    Args:
        table: The events of one record.
        columns: Names and types wanted. Numbers of other widths, large, dictionary-coded or run-end-coded columns fit
            where no value is lost, coordinates may lose digits to single precision; further columns are ignored.
        lenient: Columns that may be absent, and in which a value that does not fit costs only the cell. A lenient
            column that comes twice is wrong in each row.

    Raises:
        SchemaError: If a column that is not lenient is absent, repeated or of another type.
    """
    if (rows := _as_it_is(table, columns)) is not None:
        return Conformed(rows, [], {})
    found = Counter(table.schema.names)
    if absent := [name for name in columns.names if found[name] != 1 and name not in lenient]:
        raise SchemaError(f"expected the columns {columns.names} once each, got {table.schema.names}; wrong: {absent}")
    arrays: list[pa.Array] = []
    wrong: dict[str, WrongColumn] = {}
    faults: dict[int, Fault] = {}
    for field in columns:
        own = _lenient_column(table, field, found[field.name]) if field.name in lenient else _column(table, field)
        arrays.append(own.array)
        if not len(own.wrong):
            continue
        if field.name in lenient:
            wrong[field.name] = wrong_column(own.wrong, own.values)
            continue
        for row, value in zip(own.wrong.tolist(), own.values, strict=True):
            faults.setdefault(row, (row, *fault_of_cell(field, value)))
    return Conformed(pa.RecordBatch.from_arrays(arrays, schema=columns), [faults[row] for row in sorted(faults)], wrong)


def pick_rows(table: pa.Table, rows: Sequence[int]) -> pa.Table:
    """Some rows of a table, in this order."""
    try:
        return table.take(pa.array(rows, pa.int64()))
    except pa.ArrowNotImplementedError:
        # An ignored column may be of a type without `take`; every type can be sliced.
        return pa.concat_tables([table.slice(row, 1) for row in rows])


def encode_arrow(rows: pa.RecordBatch | pa.Table) -> bytes:
    """One record that holds `rows` as an Arrow IPC stream."""
    return table_to_bytes(rows)


def _as_it_is(table: pa.Table, columns: pa.Schema) -> pa.RecordBatch | None:
    """The columns wanted, if they are of their types and each value fits: cheap for a record of few events."""
    try:
        picked = table.select(columns.names)
    except KeyError:
        return None
    if not picked.schema.equals(columns):
        return None
    rows = picked.combine_chunks().to_batches()
    return rows[0] if len(rows) == 1 and all(map(is_finite, rows[0].columns)) else None


def _column(table: pa.Table, field: pa.Field) -> Fitted:
    column = table.column(field.name)
    if not fits(column.type, field.type):
        raise SchemaError(f"column {field.name!r}: expected {field.type}, got {column.type}")
    return fitted(column, field.type)


def _lenient_column(table: pa.Table, field: pa.Field, times: int) -> Fitted:
    if times == 1:
        return fitted(table.column(field.name), field.type)
    nulls, every = pa.nulls(table.num_rows, field.type), range(table.num_rows if times else 0)
    return Fitted(nulls, np.array(every, dtype=np.int64), [_REPEATED] * len(every))
