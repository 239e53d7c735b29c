"""Panes: the states of a job's last windows, kept in a compacted topic so that views over them outlive the process.

A sliding view is merged from panes when a window closes. The runner keeps none of them: after a restart without a
checkpoint the windows that were closed are not read again, so their states must lie elsewhere. A pane is cut into
records small enough for any broker; its key is a slot that comes round again, so the topic holds `panes` of them.
Writing a pane again writes the same bytes.
"""

import logging
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar, Self, TypeVar

import msgspec

from sparsewatch.schemas.errors import StateError
from sparsewatch.schemas.jobs import KafkaSettings
from sparsewatch.schemas.stored import Format
from sparsewatch.transforms.kafka.client import Writer
from sparsewatch.transforms.kafka.compacted import Compacted

_logger = logging.getLogger(__name__)

FORMAT = Format("a chunk of a saved window")
L = TypeVar("L", bound="PaneState")
#: Bytes of a record; brokers take 1 MB by default.
CHUNK_BYTES = 512 << 10
_MAX_RECORD_BYTES = 4 << 20


@dataclass(frozen=True, slots=True)
class Pane:
    """What a closed window leaves behind."""

    #: Window in microseconds since the epoch; the end is exclusive.
    start_us: int
    end_us: int
    state: bytes
    #: Whether it may serve as a baseline: nothing was found in it.
    learned: bool


class PaneState(msgspec.Struct, frozen=True, array_like=True, kw_only=True):
    """What a kind of job leaves of a window: the state of a `Pane`. A kind adds fields and names the format."""

    stored: ClassVar[Format]

    def to_bytes(self) -> bytes:
        """The state; equal ones give equal bytes."""
        return msgspec.msgpack.encode(self)

    @classmethod
    def of(cls, state: bytes) -> Self:
        """From the state of a `Pane`.

        Raises:
            StateError: If the bytes are others.
        """
        return cls.stored.unpack(state, cls)


def decode_panes(panes: Iterable[Pane], layout: type[L], length_us: int | None = None) -> list[tuple[Pane, L]]:
    """Panes with their states, in their order; those that earlier settings or versions left are left out.

    Args:
        panes: The panes.
        layout: Of their states.
        length_us: Of their windows; any if None.
    """
    found = []
    for pane in panes:
        if length_us is not None and pane.end_us - pane.start_us != length_us:
            continue
        try:
            found.append((pane, layout.of(pane.state)))
        except StateError as error:
            _logger.warning("the window at %d us is left out of the view: %s", pane.start_us, error)
    return found


class _Chunk(msgspec.Struct, frozen=True, array_like=True):
    start_us: int
    end_us: int
    learned: bool
    place: int
    chunks: int
    state: bytes


class PaneLog:
    """The last panes of a job.

    Args:
        job: Name of the job.
        topic: Compacted topic of its panes.
        panes: How many are kept, at least 1.
        kept: Those of earlier runs.
    """

    def __init__(self, job: str, topic: str, panes: int, kept: Sequence[Pane] = ()) -> None:
        self._job = job
        self._topic = topic
        self._panes = panes
        self._kept: dict[int, Pane] = {}
        for pane in kept:
            self._keep(pane)

    def put(self, pane: Pane, writer: Writer) -> None:
        """Keep a pane, and send it; the caller flushes. One older than all that are kept is passed over."""
        self._keep(pane)
        if pane.start_us in self._kept:
            for key, chunk in _chunks(pane, self._job, self._panes):
                writer.send(self._topic, key, msgspec.msgpack.encode(chunk))

    def before(self, start_us: int, length_us: int) -> list[Pane]:
        """Panes that a view of `panes` windows reaches, without the one that starts at `start_us`; oldest first."""
        reach = start_us - (self._panes - 1) * length_us
        return [self._kept[start] for start in sorted(self._kept) if reach <= start < start_us]

    def _keep(self, pane: Pane) -> None:
        self._kept[pane.start_us] = pane
        for start in sorted(self._kept)[: -self._panes]:
            del self._kept[start]


def load_panes(settings: KafkaSettings, topic: str, job: str) -> list[Pane]:
    """The panes of earlier runs, oldest first; those written in part are left out.

    Raises:
        SourceError: If the broker does not answer.
    """
    with Compacted(settings, topic, _MAX_RECORD_BYTES, prefix=f"{job}/".encode()) as chunks:
        return _joined(chunks.newest())


def _joined(chunks: Mapping[bytes, bytes]) -> list[Pane]:
    found: dict[int, dict[int, _Chunk]] = {}
    for value in chunks.values():
        chunk = FORMAT.unpack(value, _Chunk)
        found.setdefault(chunk.start_us, {})[chunk.place] = chunk
    panes = []
    for start in sorted(found):
        parts = found[start]
        first = next(iter(parts.values()))
        if set(parts) == set(range(first.chunks)):
            state = b"".join(parts[place].state for place in range(first.chunks))
            panes.append(Pane(start, first.end_us, state, first.learned))
    return panes


def _chunks(pane: Pane, job: str, panes: int) -> Iterator[tuple[bytes, _Chunk]]:
    slot = pane.start_us // (pane.end_us - pane.start_us) % panes
    pieces = [pane.state[i : i + CHUNK_BYTES] for i in range(0, len(pane.state), CHUNK_BYTES)] or [b""]
    for place, piece in enumerate(pieces):
        key = f"{job}/{slot}/{place}".encode()
        yield key, _Chunk(pane.start_us, pane.end_us, pane.learned, place, len(pieces), piece)
