"""Some rows of many columns, in any order: in C (`_gather.c`) all columns in one call, and without that by Arrow.

Arrow takes rows of a column in 10 to 20 us, of hundreds of columns in more time than all that is sampled of them.
"""

from collections.abc import Sequence
from typing import Any

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
_INTERFACE = 1
#: Letters of the part in C, by the id of an Arrow type.
_LETTERS = {pa.int64().id: "n", pa.float64().id: "n", pa.string().id: "s", pa.large_string().id: "l"}


def is_built() -> bool:
    """Whether the part in C is here, and built from these sources."""
    return is_current(_gather, _INTERFACE)


def gather(rows: pa.RecordBatch, kinds: Sequence[str | None], places: NDArray[np.int64]) -> Packed:
    """Some rows of a batch, in an order.

    Args:
        rows: The batch.
        kinds: Of its columns, keys of `ARROW_TYPES`; None for a column of nulls.
        places: Of the rows, each once, shape (n,).
    """
    order = np.argsort(places)
    ascending = places[order]
    if not is_built() or not places.size or not any(kinds):
        # To take them in their order twice is faster than to take them all over the batch.
        taken = rows.take(pa.array(ascending)).take(pa.array(np.argsort(order)))
        return Packed.of([_typed(column, kind) for column, kind in zip(taken.columns, kinds, strict=True)], kinds)
    by_kind = {kind: [place for place, own in enumerate(kinds) if own == kind] for kind in ARROW_TYPES}
    columns = [_as_taken(rows.column(place), kind) for kind, own in by_kind.items() for place in own]
    batch = pa.RecordBatch.from_arrays(columns, names=[""] * len(columns))
    letters = "".join(_LETTERS[column.type.id] for column in columns).encode()
    found = _gather.gather(batch.__arrow_c_array__()[1], letters, ascending, order.astype(np.int64))
    return Packed(
        _lists({kind: len(own) * places.size for kind, own in by_kind.items()}, *found), tuple(kinds), places.size
    )


def _typed(column: Any, kind: str | None) -> Any:
    return column.cast(ARROW_TYPES[kind]) if kind is not None else column


def _as_taken(column: Any, kind: str) -> Any:
    """A column of a type that the part in C takes."""
    if kind == "str" and column.type.id in _LETTERS:
        return column
    return column if column.type == ARROW_TYPES[kind] else column.cast(ARROW_TYPES[kind])


def _lists(
    cells: dict[str, int], numbers: bytes, valid: bytes | None, ends: bytes, text: bytes, valid_texts: bytes | None
) -> dict[str, Any]:
    """All cells of each kind: integers come before floats among the numbers."""
    own, texts = [_buffer(valid), pa.py_buffer(numbers)], [_buffer(valid_texts), pa.py_buffer(ends), pa.py_buffer(text)]
    whole = ARROW_TYPES["int"], ARROW_TYPES["float"], ARROW_TYPES["str"]
    return {
        "int": pa.Array.from_buffers(whole[0], cells["int"], own, offset=0),
        "float": pa.Array.from_buffers(whole[1], cells["float"], own, offset=cells["int"]),
        "str": pa.Array.from_buffers(whole[2], cells["str"], texts),
    }


def _buffer(bits: bytes | None) -> Any:
    return None if bits is None else pa.py_buffer(bits)
