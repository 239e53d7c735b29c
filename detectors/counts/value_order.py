"""Distinct values in ascending order: numbers by size, texts by their bytes.

Texts are sorted by eight of their bytes as one number, behind what all of them begin with. Only those that agree in
them are compared as texts. Arrow's sort, of texts and of numbers, is several times slower.
"""

from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from sparsewatch.detectors.counts.value_hashes import WORD, Hashes, leading_bytes

Positions = NDArray[np.int64]

#: Texts up to which Arrow's sort is the faster one.
FEW = 1_000


def ascending(values: Any, *, few: int = FEW) -> Positions:
    """Positions of values by ascending value.

    Args:
        values: An array of a type of `ARROW_TYPES`, shape (n,), each value once; no null and no NaN.
        few: Texts up to which Arrow sorts them.
    """
    if not pa.types.is_large_string(values.type):
        return np.argsort(values.to_numpy(zero_copy_only=False))
    if len(values) <= few:
        return _as_texts(values)
    heads = _heads(values)
    order = np.argsort(heads)
    tied = _tied(heads[order])
    if tied.size:
        some = order[tied]
        order[tied] = some[_as_texts(values.take(pa.array(some)))]
    return order


def _as_texts(values: Any) -> Positions:
    order: Positions = pc.sort_indices(values).to_numpy().astype(np.int64)
    return order


def _heads(texts: Any) -> Hashes:
    """Numbers that rise with texts or stay: of eight bytes each, behind those that all texts share."""
    longest = pc.max(pc.binary_length(texts)).as_py()
    skipped = 0
    while True:
        heads = leading_bytes(texts, skipped)
        shared = WORD - (int(heads.min() ^ heads.max()).bit_length() + 7) // 8
        if not shared or skipped + WORD >= longest:
            return heads
        skipped += shared


def _tied(heads: Hashes) -> Positions:
    """Positions of ascending numbers that occur more than once."""
    same = np.concatenate([[False], heads[1:] == heads[:-1], [False]])
    return np.flatnonzero(same[1:] | same[:-1])
