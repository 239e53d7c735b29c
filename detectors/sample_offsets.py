"""Which records to look at: rows of a window's sample that show what was found."""

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from sparsewatch.schemas.block import OFFSET, PARTITION

#: Records that a finding names.
MOST_OFFSETS = 10


def sample_offsets(rows: pa.RecordBatch, shows: NDArray[np.bool_]) -> list[list[int]]:
    """Partition and offset of the first rows that show something, ascending.

    Args:
        rows: Of a sample, with partition and offset.
        shows: Shape (n_rows,).
    """
    places = np.flatnonzero(shows)[:MOST_OFFSETS]
    columns = [rows.column(name).to_numpy()[places].tolist() for name in (PARTITION, OFFSET)]
    return sorted([partition, offset] for partition, offset in zip(*columns, strict=True))
