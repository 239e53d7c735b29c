"""Records as they come from a broker, a partition's at a time."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

Headers = Sequence[tuple[str, bytes]]


@dataclass(frozen=True, slots=True)
class Fetched:
    """Records of one partition, in offset order, as columns; key and headers are looked up when needed."""

    partition: int
    offsets: list[int]
    #: Kafka timestamps, milliseconds since the epoch.
    timestamps_ms: list[int]
    values: list[bytes | None]
    #: Headers by position; an empty sequence where there are none.
    headers: list[Headers]
    #: Key by position.
    keys: Callable[[int], bytes | None]
    #: Next offset to read: after the last record, and after offsets that a broker skips.
    next_offset: int


def passed_over(partition: int, next_offset: int) -> Fetched:
    """No record, but a later offset to read next: markers of transactions take offsets and are no records."""
    return Fetched(partition, [], [], [], [], _no_key, next_offset)


def _no_key(position: int) -> bytes | None:
    raise IndexError(position)
