"""Stored columns are looked through before they are used: Arrow believes what a buffer says of others."""

import numpy as np
import pyarrow as pa
import pytest

from sparsewatch.schemas.stored import batch_from_bytes, table_from_bytes, table_to_bytes


@pytest.mark.parametrize("offsets", [[0, 1 << 30, 4], [0, 3, 1], [0, -5, 4]])
def test_columns_whose_offsets_lead_elsewhere_are_refused(offsets: list[int]) -> None:
    data = table_to_bytes(pa.record_batch({"n": pa.array([1, 2]), "text": pa.array(["ab", "cd"])}))
    sound = np.array([0, 2, 4], np.int32).tobytes()
    assert data.count(sound) == 1
    damaged = data.replace(sound, np.array(offsets, np.int32).tobytes())
    for read in (batch_from_bytes, table_from_bytes):
        with pytest.raises(pa.ArrowInvalid):
            read(damaged)
