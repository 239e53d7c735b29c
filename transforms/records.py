"""Records as they come from a broker, in runs of one partition."""

from collections.abc import Callable, Sequence
from typing import overload

import numpy as np
from numpy.typing import ArrayLike, NDArray

Header = tuple[str, bytes]
Headers = Sequence[Header]


class Packed(Sequence[bytes | None]):
    """Values that lie in one buffer, as they came, with other bytes between them; a value is copied when asked for.

    Args:
        buffer: Holds all values.
        starts: Position of the first byte of each value, int64 of shape (n,).
        lengths: Bytes of each value, -1 for no value, int64 of shape (n,).
    """

    __slots__ = ("buffer", "lengths", "starts")

    def __init__(self, buffer: memoryview, starts: NDArray[np.int64], lengths: NDArray[np.int64]) -> None:
        self.buffer = buffer
        self.starts = starts
        self.lengths = lengths

    def __len__(self) -> int:
        return len(self.starts)

    @overload
    def __getitem__(self, at: int) -> bytes | None: ...
    @overload
    def __getitem__(self, at: slice) -> "Packed": ...
    def __getitem__(self, at: int | slice) -> "bytes | Packed | None":
        if isinstance(at, slice):
            return Packed(self.buffer, self.starts[at], self.lengths[at])
        start, length = int(self.starts[at]), int(self.lengths[at])
        return None if length < 0 else bytes(self.buffer[start : start + length])


class Fetched:
    """A run of records of one partition, in offset order, as columns; key and headers are looked up when needed.

    Args:
        partition: Its number.
        offsets: Shape (n,).
        timestamps_ms: Kafka timestamps, milliseconds since the epoch, -1 for none, shape (n,).
        values: A value each; None where a record has none.
        headers: Headers by position; empty if no record has any.
        keys: Key by position.
        next_offset: Next offset to read: after the last record, and after offsets that a broker skips.
    """

    __slots__ = ("_sizes", "headers", "keys", "next_offset", "offsets", "partition", "timestamps_ms", "values")

    def __init__(
        self,
        partition: int,
        offsets: ArrayLike,
        timestamps_ms: ArrayLike,
        values: Sequence[bytes | None],
        headers: Sequence[Headers],
        keys: Callable[[int], bytes | None],
        next_offset: int,
    ) -> None:
        self.partition = partition
        self.offsets: NDArray[np.int64] = np.asarray(offsets, dtype=np.int64)
        self.timestamps_ms: NDArray[np.int64] = np.asarray(timestamps_ms, dtype=np.int64)
        self.values = values
        self.headers = headers
        self.keys = keys
        self.next_offset = next_offset
        self._sizes: NDArray[np.int64] | None = None

    def __len__(self) -> int:
        """Number of records; a run of none only states the next offset."""
        return len(self.offsets)

    def __repr__(self) -> str:
        """In a line: where, how many records, what is next."""
        return f"<Fetched: partition {self.partition}, {len(self)} records, next {self.next_offset}>"

    def headers_at(self, i: int) -> Headers:
        """Headers of a record."""
        return self.headers[i] if self.headers else ()

    def sizes(self) -> NDArray[np.int64]:
        """Bytes of each value, -1 for none, shape (n,)."""
        if self._sizes is None:
            self._sizes = _sizes(self.values)
        return self._sizes

    def before(self, stop: int) -> "Fetched":
        """The records before an offset."""
        if self.next_offset <= stop:
            return self
        n = int(np.searchsorted(self.offsets, stop))
        return Fetched(
            self.partition,
            self.offsets[:n],
            self.timestamps_ms[:n],
            self.values[:n],
            self.headers[:n],
            self.keys,
            stop,
        )


def _sizes(values: Sequence[bytes | None]) -> NDArray[np.int64]:
    if isinstance(values, Packed):
        return values.lengths
    try:
        return np.fromiter(map(len, values), np.int64, len(values))  # type: ignore[arg-type]
    except TypeError:
        return np.fromiter((-1 if value is None else len(value) for value in values), np.int64, len(values))


def passed_over(partition: int, next_offset: int) -> Fetched:
    """No record, but a later offset to read next: markers of transactions take offsets and are no records."""
    return Fetched(partition, (), (), (), (), _no_key, next_offset)


def _no_key(position: int) -> bytes | None:
    raise IndexError(position)
