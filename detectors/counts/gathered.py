"""Some rows of many columns, in any order: in C (`_gather.c`) all columns in one call, and without that by Arrow.

Arrow takes rows of a column in 10 to 20 us, of hundreds of columns in more time than all that is sampled of them. For
the same reason nothing is done column by column for each batch: which columns are taken is settled once a schema.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from sparsewatch.detectors.counts.packed_rows import Packed
from sparsewatch.detectors.counts.value_hashes import ARROW_TYPES
from sparsewatch.detectors.native import is_current

try:
    from sparsewatch.detectors.counts import _gather
except ImportError:
    _gather = None  # type: ignore[assignment]

#: Of the part in C.
_INTERFACE = 2
#: Letters of the part in C, by the id of an Arrow type, for each kind.
_LETTERS = {
    "int": {pa.int64().id: b"n", pa.int32().id: b"i"},
    "float": {pa.float64().id: b"n"},
    "str": {pa.string().id: b"s", pa.large_string().id: b"l"},
}


def is_built() -> bool:
    """Whether the part in C is here, and built from these sources."""
    return is_current(_gather, _INTERFACE)


@dataclass(frozen=True)
class Gathering:
    """Takes rows of some columns of batches of one schema."""

    names: tuple[str, ...]
    #: Of the columns, keys of `ARROW_TYPES`; None for a column of nulls.
    kinds: tuple[str | None, ...]
    #: Places of the columns in a batch, those of each kind together, and letters of their types for the part in C.
    places: NDArray[np.int32]
    letters: bytes
    #: Columns that are cast before, to the type of their kind.
    cast: tuple[tuple[int, Any], ...]

    @classmethod
    def of(cls, schema: pa.Schema, names: Sequence[str], kinds: Sequence[str | None]) -> Self:
        """Of columns of a schema, and their kinds."""
        places, letters, cast = [], [], []
        for kind, arrow_type in ARROW_TYPES.items():
            for name in (name for name, own in zip(names, kinds, strict=True) if own == kind):
                place = schema.get_field_index(name)
                letter = _LETTERS[kind].get(schema.field(place).type.id)
                if letter is None:
                    cast.append((place, arrow_type))
                places.append(place)
                letters.append(letter or _LETTERS[kind][arrow_type.id])
        return cls(tuple(names), tuple(kinds), np.array(places, np.int32), b"".join(letters), tuple(cast))

    def __call__(self, rows: pa.RecordBatch, places: NDArray[np.int64]) -> Packed:
        """Some rows of a batch of the schema, in an order.

        Args:
            rows: The batch.
            places: Of the rows, each once, shape (n,).
        """
        order = np.argsort(places)
        ascending = places[order]
        if not is_built() or not places.size or not self.letters:
            # To take them in their order twice is faster than to take them all over the batch.
            taken = rows.select(list(self.names)).take(pa.array(ascending)).take(pa.array(np.argsort(order)))
            return Packed.of(taken.columns, self.kinds)
        for place, arrow_type in self.cast:
            rows = rows.set_column(place, rows.schema.field(place).name, rows.column(place).cast(arrow_type))
        batch = rows.__arrow_c_array__()[1]
        found = _gather.gather(batch, self.letters, self.places, ascending, order.astype(np.int64))
        cells = {kind: self.kinds.count(kind) * places.size for kind in ARROW_TYPES}
        return Packed(_lists(cells, *found), self.kinds, places.size)


def _lists(
    cells: dict[str, int], numbers: bytes, valid: bytes | None, ends: bytes, text: bytes, valid_texts: bytes | None
) -> dict[str, Any]:
    """All cells of each kind: integers come before floats among the numbers."""
    ints, floats = cells["int"], cells["float"]
    # Each kind has bytes of its own: what lies behind its last cell would be written with it.
    both = pa.py_buffer(numbers)
    valid_ints, valid_floats = _split(valid, ints, floats)
    of_kind = {
        "int": [_buffer(valid_ints), both.slice(0, 8 * ints)],
        "float": [_buffer(valid_floats), both.slice(8 * ints)],
        "str": [_buffer(valid_texts), pa.py_buffer(ends), pa.py_buffer(text)],
    }
    return {kind: pa.Array.from_buffers(ARROW_TYPES[kind], cells[kind], own) for kind, own in of_kind.items()}


def _split(bits: bytes | None, first: int, second: int) -> tuple[bytes | None, bytes | None]:
    """The bits of so many cells, and those of the others."""
    if bits is None or not second:
        return bits, None
    whole = np.unpackbits(np.frombuffer(bits, np.uint8), count=first + second, bitorder="little")
    parts = [
        np.packbits(own, bitorder="little").tobytes() if not own.all() else None
        for own in (whole[:first], whole[first:])
    ]
    return parts[0], parts[1]


def _buffer(bits: bytes | None) -> Any:
    return None if bits is None else pa.py_buffer(bits)
