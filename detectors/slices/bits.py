"""Sets of rows as bits, 64 to a word: their common rows are counted exactly, by one thread, in little time."""

import numpy as np
from numpy.typing import NDArray

Bits = NDArray[np.uint64]
_WORD = 64


def pack(masks: NDArray[np.bool_]) -> Bits:
    """Masks of shape (n_sets, n_rows) as words, shape (n_sets, n_words)."""
    padding = -masks.shape[1] % _WORD
    return np.packbits(np.pad(masks, ((0, 0), (0, padding))), axis=1).view(np.uint64)


def unpack(bits: Bits, n_rows: int) -> NDArray[np.bool_]:
    """The inverse of `pack`, of one set: shape (n_words,) to shape (n_rows,)."""
    return np.unpackbits(bits.view(np.uint8))[:n_rows].astype(np.bool_)


def count_common(some: Bits, others: Bits) -> NDArray[np.float64]:
    """Rows that each of some sets shares with each of others, shape (n_some, n_others)."""
    counts = [np.bitwise_count(one & others).sum(axis=1, dtype=np.int64) for one in some]
    return np.array(counts, np.float64).reshape(len(some), len(others))
