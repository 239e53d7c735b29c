"""Values that are counted: their kinds, and 64-bit hashes that are the same in every process, block and release.

Hashes select the values that are stored and count the others, and those counts are stored, in references and panes, and
merged across workers: so no library's hash will do whose values may change with a release. This one never changes; its
values are pinned by tests, and `hash_mark` goes with whatever is stored.

*Construction.* A text is cut into words of 8 bytes; each is mixed together with its place, and the sum is mixed with
the length (as in tabulation hashing: Carter and Wegman, JCSS 18, 1979). The mixer is the finaliser of SplitMix64
(Steele, Lea and Flood, OOPSLA 2014), a bijection: two numbers never share a hash, nor do two texts of equal length up
to 8 bytes. Any other two values share one with a probability of about 2**-64: some two of a million with 3e-8.

*Limits.* It has no secret, so it does not withstand values that were made to collide. The hash of the empty text is 0.

*Cost.* A hash of polars is faster, but may change. To find the distinct among texts takes far longer than to hash them:
the rows of a column above the cap are hashed first, and distinct values are sought only among the few below the limit.
"""

import functools
import itertools
import sys
from collections.abc import Sequence
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from sparsewatch.schemas.errors import SchemaError

#: Type a column is taken in, by kind. Booleans count as integers.
ARROW_TYPES: dict[str, Any] = {"int": pa.int64(), "float": pa.float64(), "str": pa.large_string()}


def kind_of(column: str, arrow_type: Any) -> str | None:
    """Kind a column of this type is counted in; None for a column of nulls without a type.

    Raises:
        SchemaError: If the type is not counted.
    """
    if pa.types.is_dictionary(arrow_type):
        arrow_type = arrow_type.value_type
    if pa.types.is_null(arrow_type):
        return None
    if pa.types.is_boolean(arrow_type) or (pa.types.is_integer(arrow_type) and arrow_type != pa.uint64()):
        return "int"
    if pa.types.is_floating(arrow_type):
        return "float"
    if is_text(arrow_type) or pa.types.is_string_view(arrow_type):
        return "str"
    raise SchemaError(
        f"feature {column!r}: expected integers (up to 64 bits with sign), booleans, floats or "
        f"strings, got {arrow_type}"
    )


def is_text(arrow_type: Any) -> bool:
    """Whether a type is text whose values are contiguous in memory."""
    return any(is_kind(arrow_type) for is_kind in (pa.types.is_string, pa.types.is_large_string))


Hashes = NDArray[np.uint64]

#: Hashes lie below it; also the limit of a feature all of whose values are stored.
HASH_RANGE = 1 << 64

#: 2**64 over the golden ratio, made odd: the step of SplitMix64.
STEP = np.uint64(0x9E3779B97F4A7C15)
#: Hash of the missing value.
MISSING = np.uint64(0x7C0FFB1A5E35D2E9)
#: Rows or texts hashed at a time: what they need stays in the processor's cache.
CHUNK_ROWS = 32_768
WORD = 8
#: Masks of the first 0 to 8 bytes of a little-endian word.
_FIRST_BYTES = np.array([(1 << 8 * n) - 1 for n in range(WORD + 1)], np.uint64)


def mix(x: Hashes) -> Hashes:
    """A bijection of 64-bit numbers in which each bit in changes about half of the bits out."""
    # The first step makes the one copy that the others change.
    x = x ^ (x >> np.uint64(30))
    x *= np.uint64(0xBF58476D1CE4E5B9)
    x ^= x >> np.uint64(27)
    x *= np.uint64(0x94D049BB133111EB)
    x ^= x >> np.uint64(31)
    return x


def hash_values(column: Any, name: str = "", *, repeats: bool = True) -> Hashes:
    """Hashes of a column's values; equal values have equal hashes.

    Args:
        column: An Arrow array or chunked array of integers, booleans, floats, text or dictionaries of them, shape
            (n_rows,). Null and NaN are the missing value, which differs from empty text. A number is hashed by its kind
            (integer or float), whatever its width.
        name: Feature, for the error.
        repeats: Whether texts are likely to repeat: each is looked up then and hashed once, which takes as long as to
            hash a text of about 12 bytes. The hashes are the same.

    Returns:
        Shape (n_rows,).

    Raises:
        SchemaError: If the type is none of these.
    """
    kind = kind_of(name, column.type)
    if isinstance(column, pa.ChunkedArray):
        column = column.combine_chunks()
    if kind is None:
        return np.full(len(column), MISSING)
    if pa.types.is_dictionary(column.type):
        return _hash_encoded(column, kind)
    column = column.cast(ARROW_TYPES[kind])
    if kind == "str" and repeats:
        return _hash_encoded(column.dictionary_encode(), kind)
    return _hash_plain(column, kind)


def combine_hashes(columns: Sequence[Hashes]) -> Hashes:
    """Hashes of tuples of values, which depend on the values' places.

    Args:
        columns: At least one, each of shape (n_rows,).
    """
    combined = np.full(columns[0].shape, len(columns), np.uint64)
    for first in range(0, combined.size, CHUNK_ROWS):
        rows = slice(first, first + CHUNK_ROWS)
        for hashes in columns:
            combined[rows] = mix(combined[rows] * STEP + hashes[rows])
    return combined


def hashes_of_columns(hashes: Hashes, columns: NDArray[np.int64]) -> Hashes:
    """Hashes of values of several columns, told apart by their column.

    Args:
        hashes: Of the values, shape (n,).
        columns: Number of the column of each, >= 0.
    """
    number = np.arange(columns.max(initial=-1) + 1).astype(np.uint64) + np.uint64(1)
    return mix(hashes + mix(number * STEP)[columns])


def _hash_encoded(column: Any, kind: str) -> Hashes:
    # The code -1 stands for the missing value, put last.
    hashes: Hashes = np.append(_hash_plain(column.dictionary.cast(ARROW_TYPES[kind]), kind), MISSING)
    places: NDArray[np.int64] = column.indices.cast(pa.int64()).fill_null(-1).to_numpy()
    return hashes[places]


def _hash_plain(values: Any, kind: str) -> Hashes:
    if kind == "str":
        return _with_missing(_hash_text(values), values)
    if kind == "float":
        # Adding zero makes -0.0 equal to 0.0.
        values = pc.if_else(pc.is_nan(values), None, pc.add(values, 0.0))
    bits = values.fill_null(0).to_numpy().view(np.uint64)
    return _with_missing(mix(bits + STEP), values)


def _with_missing(hashes: Hashes, values: Any) -> Hashes:
    if values.null_count:
        hashes[values.is_null().to_numpy(zero_copy_only=False)] = MISSING
    return hashes


def _hash_text(values: Any) -> Hashes:
    """Hashes of an array of large strings; those of nulls mean nothing."""
    hashes = np.zeros(len(values), np.uint64)
    for first in range(0, len(values), CHUNK_ROWS):
        rows = min(CHUNK_ROWS, len(values) - first)
        hashes[first : first + rows] = _hash_chunk(*_text_bytes(values, first, rows))
    return hashes


def leading_bytes(texts: Any, skipped: int) -> Hashes:
    """Eight bytes of each text as a number: such numbers rise as the texts do, or stay.

    Args:
        texts: An array of large strings without nulls, shape (n,).
        skipped: Bytes before them, the same in all texts that have so many; zeros stand for what a text lacks.
    """
    bounds, data = _text_bytes(texts, 0, len(texts))
    starts = np.minimum(bounds[:-1] + skipped, bounds[1:])
    return _words(_at_any_byte(data)[starts], bounds[1:] - starts).byteswap()


def _text_bytes(values: Any, first: int, rows: int) -> tuple[NDArray[np.int64], NDArray[np.uint8]]:
    """Where each of some texts begins, and the end of the last; their bytes, and at least a word more."""
    _, offsets, data = values.buffers()
    bounds = np.frombuffer(offsets, np.int64, rows + 1, 8 * (values.offset + first))
    return bounds - bounds[0], _padded(data, int(bounds[0]), int(bounds[-1]))


def _padded(data: Any, first: int, last: int) -> NDArray[np.uint8]:
    """Bytes first to last, and at least a word more."""
    if data is not None and last + WORD <= data.size:
        return np.frombuffer(data, np.uint8, last - first + WORD, first)
    padded = np.zeros(last - first + WORD, np.uint8)
    if last > first:
        padded[:-WORD] = np.frombuffer(data, np.uint8, last - first, first)
    return padded


def _hash_chunk(bounds: NDArray[np.int64], data: NDArray[np.uint8]) -> Hashes:
    """All texts at once, word by word: the first words of all, then the second words of those that have two."""
    at_any_byte = _at_any_byte(data)
    left, starts, rows = np.diff(bounds), bounds[:-1], np.arange(bounds.size - 1)
    total = left.astype(np.uint64) * STEP
    for place in itertools.count(1):
        if left.min(initial=1) <= 0:
            more = np.flatnonzero(left > 0)
            left, starts, rows = left[more], starts[more], rows[more]
        if not left.size:
            break
        mixed = mix(mix(_words(at_any_byte[starts], left) + STEP) + np.uint64(place * int(STEP) % HASH_RANGE))
        if rows.size == total.size:
            total += mixed
        else:
            total[rows] += mixed
        left, starts = left - WORD, starts + WORD
    return mix(total)


def _at_any_byte(data: NDArray[np.uint8]) -> Hashes:
    """The word that begins at each byte."""
    return np.ndarray((data.size - WORD + 1,), np.uint64, data, strides=(1,))


def _words(words: Hashes, left: NDArray[np.int64]) -> Hashes:
    """Words as little-endian numbers, with zeros for the bytes behind the last of `left`."""
    if sys.byteorder == "big":
        words = words.byteswap()
    return words & _FIRST_BYTES[np.minimum(left, WORD)] if left.min() < WORD else words


@functools.cache
def hash_mark() -> int:
    """A number stored with hashes: another hash function would give another number."""
    kinds = (pa.array([0, -1]), pa.array([0.0, 0.5]), pa.array(["", "sparsewatch"]))
    return int(np.bitwise_xor.reduce([hash_values(values) for values in kinds], axis=None))


def number_of_counters(max_values: int) -> int:
    """Counters of a feature above its cap: as many as stored values, rounded up to a power of two."""
    return 1 << (max_values - 1).bit_length()


def counters_of(hashes: Hashes, n_counters: int) -> NDArray[np.int64]:
    """Position of each value's counter among `n_counters`, a power of two."""
    return (hashes & np.uint64(n_counters - 1)).astype(np.int64)
