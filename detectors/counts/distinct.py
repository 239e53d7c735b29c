"""Distinct values of a column and their sums of rows and clicks.

Two ways with one result, values in the order they first appear: a table in C (`_distinct.c`), and without that Arrow's
dictionary encoding. `make bench-feature_counts` prints the speed of both, and of a group-by of polars.
"""

import secrets
from collections.abc import Sequence
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from sparsewatch.detectors.counts.counts import Bucket, Counts, Part
from sparsewatch.detectors.counts.value_hashes import ARROW_TYPES, is_text
from sparsewatch.detectors.native import is_current

try:
    from sparsewatch.detectors.counts import _distinct
except ImportError:
    _distinct = None  # type: ignore[assignment]

#: Clicks of rows, 0 or 1 each, shape (n_rows,).
Clicks = NDArray[np.uint8]
_SEED = secrets.randbits(64)
#: Of the part in C.
_INTERFACE = 2
#: Rows that the table in C numbers.
_MOST_ROWS = (1 << 31) - 1


def is_built() -> bool:
    """Whether the part in C is here, and built from these sources."""
    return is_current(_distinct, _INTERFACE)


def count_distinct(values: Any, kind: str, clicks: Clicks) -> tuple[Part, Bucket]:
    """Counts of rows.

    Args:
        values: An array of integers or texts, or of the Arrow type of the kind, in which equal values have equal bytes.
        kind: A key of `ARROW_TYPES`.
        clicks: Of each row.

    Returns:
        Counts by value in the order they first appear, and those of the missing value: null.
    """
    if not is_built() or not 0 < len(values) < _MOST_ROWS:
        return _count_encoded(values, kind, clicks)
    if not is_text(values.type):
        values = values.cast(ARROW_TYPES[kind])
    return _table(values, None, clicks)


def join_parts(parts: Sequence[Part]) -> Part:
    """Counts of all parts, of one kind, each value once, in the order they first appear."""
    values = pa.concat_arrays([part.values for part in parts])
    if not is_built() or not 0 < len(values) < _MOST_ROWS:
        return _join_encoded(values, parts)
    rows, clicks = (np.concatenate(counts) for counts in zip(*(part[1:] for part in parts), strict=True))
    return _table(values, rows, clicks)[0]


def _table(values: Any, rows: Counts | None, clicks: Counts | Clicks) -> tuple[Part, Bucket]:
    """Sums of rows and clicks by value, and those of the missing value."""
    valid, *buffers = values.buffers()
    if not values.null_count:
        valid = None
    texts = is_text(values.type)
    # Arrow leaves out the bytes where all texts are empty.
    text = (buffers[1] or b"") if texts else None
    width = 4 if pa.types.is_string(values.type) else 8
    found, text, *sums, missing_rows, missing_clicks = _distinct.count(
        _SEED, width, values.offset, len(values), buffers[0], text, valid, rows, clicks
    )
    of_values, of_clicks = (np.frombuffer(numbers, np.int64) for numbers in sums)
    arrow_type = ARROW_TYPES["str"] if texts else values.type
    buffers = [None, *(pa.py_buffer(buffer) for buffer in (found, text) if buffer is not None)]
    distinct = pa.Array.from_buffers(arrow_type, of_values.size, buffers, 0)
    return Part(distinct, of_values, of_clicks), Bucket(missing_rows, missing_clicks)


def _count_encoded(values: Any, kind: str, clicks: Clicks) -> tuple[Part, Bucket]:
    distinct, codes = _encode(values)
    distinct = distinct.cast(ARROW_TYPES[kind])
    rows = np.bincount(codes, minlength=len(distinct))
    clicked = np.bincount(codes[np.flatnonzero(clicks)], minlength=len(distinct))
    if not distinct.null_count:
        return Part(distinct, rows, clicked), Bucket(0, 0)
    null = int(np.flatnonzero(distinct.is_null().to_numpy(zero_copy_only=False))[0])
    nulls = Bucket(int(rows[null]), int(clicked[null]))
    return Part(distinct.drop_null(), np.delete(rows, null), np.delete(clicked, null)), nulls


def _join_encoded(values: Any, parts: Sequence[Part]) -> Part:
    distinct, codes = _encode(values)
    whole = Part(distinct, np.zeros(len(distinct), np.int64), np.zeros(len(distinct), np.int64))
    ends = np.cumsum([part.rows.size for part in parts])
    for part, places in zip(parts, np.split(codes, ends), strict=False):
        # Each value is once in a part, so no place is twice among these.
        whole.rows[places] += part.rows
        whole.clicks[places] += part.clicks
    return whole


def _encode(values: Any) -> tuple[Any, NDArray[np.int32]]:
    """Distinct values, null among them, and the position of each row's value."""
    encoded = values.dictionary_encode(null_encoding="encode")
    return encoded.dictionary, encoded.indices.to_numpy()
