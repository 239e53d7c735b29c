"""Records of one partition as columns over the bytes they arrived in."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import accumulate
from typing import Self, overload

import numpy as np
from numpy.typing import NDArray

from sparsewatch.transforms.kafka import record_walk as cell
from sparsewatch.transforms.records import Fetched, Headers, Packed


@dataclass(frozen=True, slots=True)
class Columns:
    """Records in the order they arrived; nothing of them is copied before it is asked for."""

    data: bytes | bytearray | memoryview
    #: (record_walk.COLUMNS, records): where in `data` each record keeps its fields.
    cells: NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.offsets)

    @property
    def offsets(self) -> NDArray[np.int64]:
        """Of the records."""
        offsets: NDArray[np.int64] = self.cells[cell.OFFSET]
        return offsets

    def rows(self, first: int, stop: int) -> Self:
        """Some of them."""
        return type(self)(self.data, self.cells[:, first:stop])

    def run(self, partition: int) -> Fetched:
        """The records as a run of a partition."""
        buffer = memoryview(self.data)
        keys = Packed(buffer, self.cells[cell.KEY], self.cells[cell.KEY_LENGTH])
        return Fetched(
            partition=partition,
            offsets=self.offsets,
            timestamps_ms=self.cells[cell.TIMESTAMP],
            values=Packed(buffer, self.cells[cell.VALUE], self.cells[cell.VALUE_LENGTH]),
            headers=_HeadersOf(buffer, self.cells[cell.HEADERS]) if self._has_headers() else (),
            keys=keys.__getitem__,
            next_offset=int(self.offsets[-1]) + 1,
        )

    def _has_headers(self) -> bool:
        # Where there are none, their count is a zero byte.
        return bool(np.frombuffer(self.data, np.uint8)[self.cells[cell.HEADERS]].any())


def joined(parts: Sequence[Columns]) -> Columns:
    """Parts of one partition, in order, as one; bytes are copied where they lie in several buffers."""
    if len(parts) == 1:
        return parts[0]
    cells = np.concatenate([part.cells for part in parts], axis=1)
    buffers = {id(part.data): part.data for part in parts}
    if len(buffers) == 1:
        return Columns(parts[0].data, cells)
    starts = dict(zip(buffers, accumulate(map(len, buffers.values()), initial=0), strict=False))
    shifts = np.repeat([starts[id(part.data)] for part in parts], [len(part) for part in parts])
    cells[[cell.KEY, cell.VALUE, cell.HEADERS]] += shifts
    return Columns(b"".join(buffers.values()), cells)


class _HeadersOf(Sequence[Headers]):
    """Headers of records, read when asked for: of each, where their count is."""

    def __init__(self, data: memoryview, places: NDArray[np.int64]) -> None:
        self._data = data
        self._places = places

    def __len__(self) -> int:
        return len(self._places)

    @overload
    def __getitem__(self, at: int) -> Headers: ...
    @overload
    def __getitem__(self, at: slice) -> Sequence[Headers]: ...
    def __getitem__(self, at: int | slice) -> Headers | Sequence[Headers]:
        if isinstance(at, slice):
            return _HeadersOf(self._data, self._places[at])
        return cell.headers_at(self._data, int(self._places[at]))
