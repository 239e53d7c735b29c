"""Arrow IPC records, many events each, to columns. A record is one IPC stream: schema, then batches."""

from collections import Counter
from collections.abc import Sequence

import pyarrow as pa

from sparsewatch.schemas.errors import SchemaError
from sparsewatch.schemas.stored import table_to_bytes

#: Columns of nulls take no bytes: without a limit a small record could claim any number of events.
_MOST_ROWS = 1 << 20


def read_arrow(value: bytes) -> pa.Table:
    """All columns of one record.

    Raises:
        SchemaError: If the bytes are no IPC stream, or a stream of too many events.
    """
    try:
        table = pa.ipc.open_stream(pa.py_buffer(value)).read_all()
        table.validate(full=True)
        # Names are read here: Arrow itself accepts names that are not UTF-8.
        _ = table.schema.names
    except (pa.ArrowException, OSError, UnicodeDecodeError) as error:
        raise SchemaError(f"expected an Arrow IPC stream: {error}") from error
    if table.num_rows > _MOST_ROWS:
        raise SchemaError(f"expected an Arrow IPC stream of at most {_MOST_ROWS} events, got {table.num_rows}")
    return table


def conform(table: pa.Table, columns: pa.Schema) -> pa.RecordBatch:
    """Exactly the columns wanted, in their order.

    Args:
        table: The events of one record.
        columns: Names and types wanted. Narrower integers and floats, large or dictionary-coded text are widened
            without loss, coordinates may lose digits to single precision; further columns are ignored.

    Raises:
        SchemaError: If a column is absent, repeated or of another type.
    """
    found = Counter(table.schema.names)
    if wrong := [name for name in columns.names if found[name] != 1]:
        raise SchemaError(f"expected the columns {columns.names} once each, got {table.schema.names}; wrong: {wrong}")
    arrays = [_widened(table.column(field.name), field) for field in columns]
    return pa.RecordBatch.from_arrays(arrays, schema=columns)


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


def _widened(column: pa.ChunkedArray, field: pa.Field) -> pa.Array:
    if column.type != field.type and not _widens(column.type, field.type):
        raise SchemaError(f"column {field.name!r}: expected {field.type}, got {column.type}")
    try:
        array = column.combine_chunks() if column.num_chunks != 1 else column.chunk(0)
        return array if array.type == field.type else array.cast(field.type)
    except pa.ArrowException as error:
        raise SchemaError(f"column {field.name!r}: expected {field.type}, got {column.type}: {error}") from error


def _widens(given: pa.DataType, wanted: pa.DataType) -> bool:
    types = pa.types
    if types.is_null(given):
        return True
    if types.is_dictionary(given):
        return _widens(given.value_type, wanted) or given.value_type == wanted
    if types.is_list(wanted) or types.is_large_list(wanted):
        is_list = types.is_list(given) or types.is_large_list(given)
        return is_list and (given.value_type == wanted.value_type or _widens(given.value_type, wanted.value_type))
    if types.is_integer(wanted):
        return bool(types.is_integer(given))
    if types.is_floating(wanted):
        return bool(types.is_floating(given) or types.is_integer(given))
    if types.is_string(wanted):
        return bool(types.is_large_string(given) or types.is_string_view(given))
    return False
