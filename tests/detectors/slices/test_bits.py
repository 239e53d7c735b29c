import numpy as np
import pytest

from sparsewatch.detectors.slices.bits import count_common, pack, unpack


@pytest.mark.parametrize("n_rows", [1, 63, 64, 65, 1_000])
def test_common_rows_are_counted_and_sets_come_back(n_rows: int) -> None:
    rng = np.random.default_rng(n_rows)
    some, others = rng.random((3, n_rows)) < 0.5, rng.random((5, n_rows)) < 0.3
    expected = [[float((one & other).sum()) for other in others] for one in some]
    assert count_common(pack(some), pack(others)).tolist() == expected
    assert np.array_equal(unpack(pack(some)[1], n_rows), some[1])
