"""The parts that meet when a window closes: measures, acknowledgements of what was written, markers.

All three travel as `(job, bytes)`, the first byte says which it is, so one grouping brings them together.
"""

from collections.abc import Iterable
from dataclasses import dataclass

import msgspec

from sparsewatch.schemas.accounts import MARKER, Marker
from sparsewatch.schemas.errors import StateError
from sparsewatch.schemas.stored import Format

ACK = Format("an acknowledgement")

Part = tuple[str, bytes]

_MEASURE, _ACK, _MARKER = b"M", b"A", b"K"


class Ack(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Numbers of events whose records are durable: set aside, or with a result of their own."""

    late: int = 0
    rejected: int = 0
    results: int = 0

    def __add__(self, other: "Ack") -> "Ack":
        """Sum, number by number."""
        return Ack(
            late=self.late + other.late,
            rejected=self.rejected + other.rejected,
            results=self.results + other.results,
        )


@dataclass(frozen=True, slots=True)
class WindowParts:
    """All parts of one window."""

    measures: tuple[bytes, ...]
    acks: Ack
    #: In order of reader; empty if the window was not closed by its readers.
    markers: tuple[Marker, ...]


def measure_part(measure: bytes) -> bytes:
    """A measure as a part."""
    return _MEASURE + measure


def ack_part(ack: Ack) -> bytes:
    """An acknowledgement as a part."""
    return _ACK + msgspec.msgpack.encode(ack)


def marker_part(marker: Marker) -> bytes:
    """A marker as a part."""
    return _MARKER + msgspec.msgpack.encode(marker)


def sort_parts(parts: Iterable[bytes]) -> WindowParts:
    """The parts by kind.

    Raises:
        StateError: If a part is of no known kind.
    """
    measures: list[bytes] = []
    acks = Ack()
    markers: list[Marker] = []
    for part in parts:
        kind, content = part[:1], part[1:]
        if kind == _MEASURE:
            measures.append(content)
        elif kind == _ACK:
            acks = acks + ACK.unpack(content, Ack)
        elif kind == _MARKER:
            markers.append(MARKER.unpack(content, Marker))
        else:
            raise StateError(f"expected a measure, an acknowledgement or a marker, got a part of kind {kind!r}")
    return WindowParts(tuple(measures), acks, tuple(sorted(markers, key=lambda m: (m.reader, m.sequence))))
