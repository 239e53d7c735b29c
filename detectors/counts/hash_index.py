"""Where hashes are among others that are known: a table of buckets, asked for many at a time.

Hashes are spread evenly, so the first bits of one say nearly where it lies in ascending order. With at least two
buckets a hash most are found at the first look, whatever their number; a binary search would take seventeen looks among
a hundred thousand.
"""

import numpy as np
from numpy.typing import NDArray

from sparsewatch.detectors.counts.value_hashes import Hashes

_HASH_BITS = 64


class HashIndex:
    """Places of distinct hashes.

    Memory: 20 to 28 bytes a hash.

    Args:
        hashes: Shape (n,), n below 2**31.
    """

    def __init__(self, hashes: Hashes) -> None:
        order = np.argsort(hashes)
        bits = max(hashes.size, 1).bit_length() + 1
        self._shift = np.uint64(_HASH_BITS - bits)
        # Behind the last there is none: whoever comes there has not found what was sought.
        self._sorted = np.append(hashes[order], ~np.uint64(0))
        self._places = np.append(order, -1).astype(np.int32)
        sizes = np.bincount((self._sorted[:-1] >> self._shift).astype(np.int64), minlength=1 << bits)
        self._starts = (np.cumsum(sizes) - sizes).astype(np.int32)

    def find(self, sought: Hashes) -> NDArray[np.int64]:
        """The place of each hash, -1 where it is unknown; shape as `sought`."""
        found = np.full(sought.shape, -1)
        left, at = np.arange(sought.size), self._starts[(sought >> self._shift).astype(np.int64)]
        while left.size:
            held = self._sorted[at]
            hits = held == sought
            found[left[hits]] = self._places[at[hits]]
            more = held < sought
            left, at, sought = left[more], at[more] + 1, sought[more]
        return found
