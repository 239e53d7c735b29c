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
    together: dict[bytes, tuple[list[int], list[pa.RecordBatch]]] = {}
    for at, value in enumerate(values):
        first = schema_message(value)
        batch = None if first is None else _read_batch(value, first, wanted)
        if batch is not None and first is not None:
            places, batches = together.setdefault(first, ([], []))
            places.append(at)
            batches.append(batch)
            continue
        try:
            table = read_arrow(value)
        except SchemaError as error:
            broken.append((at, error))
            continue
        found.append(Read(table, np.array([at]), np.array([table.num_rows])))
    for places, batches in together.values():
        events = np.array([batch.num_rows for batch in batches])
        found.append(Read(pa.Table.from_batches(batches), np.array(places), events))
    return found, broken


def _read_batch(value: bytes, first: bytes, wanted: pa.Schema) -> pa.RecordBatch | None:
    """The only batch of a record that begins with the message `first`; None if it is not to be read so."""
    schema = _joinable(first, wanted) if len(first) <= _LONGEST else None
    if schema is None or not holds_one_batch(value, len(first)):
        return None
    try:
        batch = pa.ipc.read_record_batch(pa.py_buffer(value).slice(len(first)), schema)
        batch.validate(full=True)
    except (pa.ArrowException, OSError):
        return None
    return batch if batch.num_rows <= MOST_ROWS else None


@functools.lru_cache(maxsize=_PRODUCERS)
def _joinable(message: bytes, wanted: pa.Schema) -> pa.Schema | None:
    """The schema of a message, if records of it may be joined before their columns are made the ones wanted."""
    try:
        schema = pa.ipc.read_schema(pa.py_buffer(message))
        names = schema.names
    except (pa.ArrowException, OSError, UnicodeDecodeError):
        return None
    picked = [schema.field(at).type for at, name in enumerate(names) if name in wanted.names]
    return schema if all(map(_is_plain, picked, [wanted.field(n).type for n in names if n in wanted.names])) else None


def _is_plain(given: pa.DataType, wanted: pa.DataType) -> bool:
    """Whether each cell is looked at for itself: others may be cast as a whole, which their neighbours decide."""
    types = pa.types
    texts = types.is_string(given) or types.is_large_string(given)
    return bool(
        given == wanted or texts or types.is_integer(given) or types.is_floating(given) or types.is_boolean(given)
    )
