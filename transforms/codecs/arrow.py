"""Arrow IPC records, many events each, to columns. A record is one IPC stream: schema, then batches."""

import pyarrow as pa

from schemas.errors import SchemaError


def decode_arrow(value: bytes, columns: pa.Schema) -> pa.RecordBatch:
    """The events of one record, with exactly the columns asked for.

    Args:
        value: An Arrow IPC stream.
        columns: Names and types wanted. Narrower integers and floats, large or dictionary-coded text are widened
            without loss; further columns are passed over.

    Raises:
        SchemaError: If the bytes are no IPC stream, or a column is absent or of another type.
    """
    table = read_arrow(value)
    if missing := [name for name in columns.names if name not in table.schema.names]:
        raise SchemaError(f"expected the columns {columns.names}, got {table.schema.names}: {missing} not there")
    arrays = [_widened(table.column(field.name), field) for field in columns]
    return pa.RecordBatch.from_arrays(arrays, schema=columns)


def read_arrow(value: bytes) -> pa.Table:
    """All columns of one record.

    Raises:
        SchemaError: If the bytes are no IPC stream.
    """
    try:
        table = pa.ipc.open_stream(pa.py_buffer(value)).read_all()
        table.validate(full=True)
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError, pa.ArrowTypeError, OSError) as error:
        raise SchemaError(f"expected an Arrow IPC stream: {error}") from error
    return table


def encode_arrow(rows: pa.RecordBatch | pa.Table) -> bytes:
    """One record that holds `rows` as an Arrow IPC stream."""
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, rows.schema) as stream:
        stream.write(rows)
    return bytes(sink.getvalue())


def _widened(column: pa.ChunkedArray, field: pa.Field) -> pa.Array:
    array = column.combine_chunks() if column.num_chunks != 1 else column.chunk(0)
    if array.type == field.type:
        return array
    if not _widens(array.type, field.type):
        raise SchemaError(f"column {field.name!r}: expected {field.type}, got {array.type}")
    try:
        return array.cast(field.type)
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError) as error:
        raise SchemaError(f"column {field.name!r}: expected {field.type}, got {array.type}: {error}") from error


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
