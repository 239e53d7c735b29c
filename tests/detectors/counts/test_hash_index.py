import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sparsewatch.detectors.counts.hash_index import HashIndex

HASHES = st.integers(0, 2**64 - 1) | st.integers(0, 3) | st.integers(2**64 - 4, 2**64 - 1)


@given(st.lists(HASHES, unique=True, max_size=60), st.lists(HASHES, max_size=60))
def test_each_hash_is_found_at_its_place(known: list[int], others: list[int]) -> None:
    sought = [*known, *others]
    found = HashIndex(np.array(known, np.uint64)).find(np.array(sought, np.uint64))
    assert found.tolist() == [known.index(one) if one in known else -1 for one in sought]


@pytest.mark.parametrize("size", [0, 1, 1_000, 70_000])
def test_many_hashes_are_found_whatever_their_number(size: int) -> None:
    rng = np.random.default_rng(size)
    hashes = np.unique(rng.integers(0, 2**64, 2 * size + 2, dtype=np.uint64))
    rng.shuffle(hashes)
    known = hashes[:size]
    expected = np.where(np.arange(hashes.size) < size, np.arange(hashes.size), -1)
    assert np.array_equal(HashIndex(known).find(hashes), expected)
