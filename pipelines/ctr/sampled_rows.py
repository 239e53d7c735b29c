"""The sample of a window's rows, each with its place in the topic: for findings, combinations and twins.

Which rows it holds follows from partition, offset and row alone, not from the order in which they arrive.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from sparsewatch.detectors.counts.row_sample import RowSample, row_identities
from sparsewatch.schemas.block import OFFSET, PARTITION, ROW
from sparsewatch.transforms.window.measure import Accumulated


class SampleMeasure(Accumulated[RowSample]):
    """A sample of so many rows: features, label, partition and offset."""

    def __init__(self, features: Sequence[str], label: str, rows: int) -> None:
        super().__init__(RowSample((*features, label, PARTITION, OFFSET), rows), _add_rows)

    def _encoded(self) -> bytes:
        # It waits for its window and is not kept.
        return self.state.to_bytes(small=False)


def places(rows: pa.RecordBatch) -> list[Any]:
    """What distinguishes the rows of a stream: partition, row and offset, one number each where all have the same."""
    return [_once(rows.column(name).to_numpy()) for name in (PARTITION, ROW, OFFSET)]


def _once(numbers: NDArray[Any]) -> NDArray[Any]:
    return numbers[:1] if numbers.size and (numbers == numbers[0]).all() else numbers


def _add_rows(sample: RowSample, rows: pa.RecordBatch) -> None:
    identities = np.broadcast_to(row_identities(*places(rows)), rows.num_rows)
    sample.update(rows, identities)
