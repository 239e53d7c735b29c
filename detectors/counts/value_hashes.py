"""64-bit hashes of values that are the same in every process, block and version.

Counts of hashes are stored and merged across workers, so no library's hash will do whose values may change. A text is
cut into words of 8 bytes; each is mixed together with its place, and the sum is mixed with the length (as in tabulation
hashing: Carter and Wegman, JCSS 18, 1979). The mixer is the finaliser of SplitMix64 (Steele, Lea and Flood, OOPSLA
2014), a bijection: two numbers never share a hash, nor do two texts of equal length up to 8 bytes. Any other two values
share one with a probability of about 2**-64. The hash has no secret, so it does not withstand values that were made to
collide.
"""

import sys
from collections.abc import Sequence
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from sparsewatch.detectors.counts.value_counts import ARROW_TYPES, kind_of

Hashes = NDArray[np.uint64]

#: 2**64 over the golden ratio, made odd: the step of SplitMix64.
STEP = np.uint64(0x9E3779B97F4A7C15)
#: Hash of the missing value.
MISSING = np.uint64(0x7C0FFB1A5E35D2E9)
#: Rows or texts hashed at a time: what they need stays in the processor's cache.
CHUNK_ROWS = 32_768
WORD = 8


def mix(x: Hashes) -> Hashes:
    """A bijection of 64-bit numbers in which each bit in changes about half of the bits out."""
    x = (x ^ (x >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    x = (x ^ (x >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return x ^ (x >> np.uint64(31))


def hash_values(column: Any, name: str = "") -> Hashes:
    """Hashes of a column's values; equal values have equal ones.

    Args:
        column: An Arrow array or chunked array of integers, booleans, floats, text or dictionaries of them, shape
            (n_rows,). Null and NaN are the missing value, which differs from empty text. A number is hashed by its kind
            (integer or float), whatever its width.
        name: Feature, for the error.

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
    # Texts repeat, and finding the distinct ones costs a fifth of hashing each.
    return _hash_encoded(column.dictionary_encode(), kind) if kind == "str" else _hash_plain(column, kind)


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
    _, offsets, data = values.buffers()
    for first in range(0, len(values), CHUNK_ROWS):
        rows = min(CHUNK_ROWS, len(values) - first)
        bounds = np.frombuffer(offsets, np.int64, rows + 1, 8 * (values.offset + first))
        padded = _padded(data, int(bounds[0]), int(bounds[-1]))
        hashes[first : first + rows] = _hash_chunk(bounds - bounds[0], padded)
    return hashes


def _padded(data: Any, first: int, last: int) -> NDArray[np.uint8]:
    """Bytes first to last, and a word of zeros."""
    padded = np.zeros(last - first + WORD, np.uint8)
    if last > first:
        padded[:-WORD] = np.frombuffer(data, np.uint8, last - first, first)
    return padded


def _hash_chunk(bounds: NDArray[np.int64], data: NDArray[np.uint8]) -> Hashes:
    lengths = np.diff(bounds)
    words = -(-lengths // WORD)
    ends = np.cumsum(words)
    row = np.repeat(np.arange(lengths.size), words)
    place = np.arange(row.size) - (ends - words)[row]
    word = _words(data, bounds[:-1][row] + WORD * place, lengths[row] - WORD * place)
    mixed = mix(mix(word + STEP) + (place + 1).astype(np.uint64) * STEP)
    # Sums wrap around, which is meant.
    sums = np.concatenate([np.zeros(1, np.uint64), np.cumsum(mixed, dtype=np.uint64)])
    return mix(sums[ends] - sums[ends - words] + lengths.astype(np.uint64) * STEP)


def _words(data: NDArray[np.uint8], starts: NDArray[np.int64], lengths: NDArray[np.int64]) -> Hashes:
    """Words of up to 8 bytes as little-endian numbers, filled up with zeros."""
    at_any_byte: Hashes = np.ndarray((data.size - WORD + 1,), np.uint64, data, strides=(1,))
    word = at_any_byte[starts]
    if sys.byteorder == "big":
        word = word.byteswap()
    return word & (np.uint64(2**64 - 1) >> (np.uint64(8) * np.maximum(WORD - lengths, 0).astype(np.uint64)))
