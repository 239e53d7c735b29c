"""Arrow records of a batch to tables. Those of one producer become one table, so that its columns are looked at once.

A producer's records begin with the same bytes, the message of their schema, which is read once. Most hold one record
batch besides, not packed, which is then read alone. Any other record, and one in which Arrow finds a fault, is read and
refused by `read_arrow`, as if it had come alone.
"""

import functools
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import pyarrow as pa

from sparsewatch.schemas.errors import SchemaError
from sparsewatch.transforms.codecs.arrow import MOST_ROWS, read_arrow
from sparsewatch.transforms.codecs.arrow_framing import holds_one_batch, schema_message

#: Schemas that are remembered, and bytes of the longest: 2,000 columns take 90 kB.
_PRODUCERS, _LONGEST = 16, 1 << 20


class Read(NamedTuple):
    """The events of one record, or of several with the same schema, in order."""

    table: pa.Table
    #: Positions of the records, ascending, shape (m,).
    records: np.ndarray
    #: Events of each, shape (m,).
    events: np.ndarray

    def places(self) -> tuple[np.ndarray, np.ndarray]:
        """Of each event the position of its record, and its own in there; each of shape (n,)."""
        ends = np.cumsum(self.events)
        within = np.arange(self.table.num_rows) - np.repeat(ends - self.events, self.events)
        return np.repeat(self.records, self.events), within


def read_records(values: Sequence[bytes], wanted: pa.Schema) -> tuple[list[Read], list[tuple[int, SchemaError]]]:
    """The events of all records that can be read, and why others cannot, by their positions.

    Args:
        values: A record each.
        wanted: Columns wanted: records are joined where each cell of these is looked at for itself.
    """
    found: list[Read] = []
    broken: list[tuple[int, SchemaError]] = []
    producers: dict[bytes, _Producer] = {}
    for at, value in enumerate(values):
        first = schema_message(value)
        if first is not None:
            if (producer := producers.get(first)) is None:
                producer = producers[first] = _Producer(_joinable(first, wanted), [], [])
            if (batch := _read_batch(value, len(first), producer.schema)) is not None:
                producer.records.append(at)
                producer.batches.append(batch)
                continue
        try:
            table = read_arrow(value)
        except SchemaError as error:
            broken.append((at, error))
            continue
        found.append(Read(table, np.array([at]), np.array([table.num_rows])))
    return [*found, *(producer.joined(wanted) for producer in producers.values() if producer.records)], broken


class _Producer(NamedTuple):
    """Records that begin with the same message."""

    #: None if they are not to be joined.
    schema: pa.Schema | None
    records: list[int]
    batches: list[pa.RecordBatch]

    def joined(self, wanted: pa.Schema) -> Read:
        events = np.array([batch.num_rows for batch in self.batches])
        return Read(_joined(self.batches, wanted), np.array(self.records), events)


def _joined(batches: list[pa.RecordBatch], wanted: pa.Schema) -> pa.Table:
    """Batches of one schema as a table, without columns that are not wanted."""
    names = batches[0].schema.names
    picked = [at for at, name in enumerate(names) if name in wanted.names]
    if len(set(wanted.names) & set(names)) != len(wanted.names) or len(picked) != len(wanted.names):
        # A column is absent or comes twice: whoever refuses that names all of them.
        return pa.Table.from_batches(batches)
    if len(picked) < len(names):
        batches = [batch.select(picked) for batch in batches]
    # With single rows of 41 columns this is faster than joining a table's columns.
    return pa.Table.from_batches([pa.concat_batches(batches)])


def _read_batch(value: bytes, at: int, schema: pa.Schema | None) -> pa.RecordBatch | None:
    """The only batch of a record, which begins behind its schema's message; None if it is not to be read so."""
    if schema is None or not holds_one_batch(value, at):
        return None
    try:
        batch = pa.ipc.read_record_batch(pa.py_buffer(value).slice(at), schema)
        batch.validate(full=True)
    except (pa.ArrowException, OSError):
        return None
    return batch if batch.num_rows <= MOST_ROWS else None


def _joinable(message: bytes, wanted: pa.Schema) -> pa.Schema | None:
    """The schema of a message, if records of it may be joined before their columns are made the ones wanted."""
    try:
        schema = _schema(message) if len(message) <= _LONGEST else None
    except (pa.ArrowException, OSError, UnicodeDecodeError):
        return None
    if schema is None:
        return None
    picked = [(field.type, wanted.field(field.name).type) for field in schema if field.name in wanted.names]
    return schema if all(_is_plain(given, kind) for given, kind in picked) else None


@functools.lru_cache(maxsize=_PRODUCERS)
def _schema(message: bytes) -> pa.Schema:
    schema = pa.ipc.read_schema(pa.py_buffer(message))
    # Names are read here: Arrow itself accepts names that are not UTF-8.
    _ = schema.names
    return schema


def _is_plain(given: pa.DataType, wanted: pa.DataType) -> bool:
    """Whether each cell is looked at for itself: others may be cast as a whole, which their neighbours decide."""
    types = pa.types
    texts = types.is_string(given) or types.is_large_string(given)
    return bool(
        given == wanted or texts or types.is_integer(given) or types.is_floating(given) or types.is_boolean(given)
    )
