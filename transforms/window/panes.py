"""Saved windows (panes): the states of a job's last windows, in a compacted topic, so that views outlive the process.

A sliding view is merged from saved windows when a window closes. The runner stores none of them: after a restart
without a checkpoint the windows that were closed are not read again, so their states are stored here. A saved window is
split into records small enough for any broker; its key is a slot that is used again, so the topic holds `panes` of
them. Saving a window again writes the same bytes.
"""

import logging
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeVar

import msgspec

from sparsewatch.schemas.errors import StateError
from sparsewatch.schemas.jobs import KafkaSettings
from sparsewatch.schemas.stored import Format, StoredStruct
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
    """A saved window: the state that a closed window leaves for later views."""

    #: Window in microseconds since the epoch; the end is exclusive.
    start_us: int
    end_us: int
    state: bytes
    #: Whether it may serve as a baseline: nothing was found in it.
    learned: bool
    #: Start of the window that it took the place of, where a job chooses what is kept.
    gone_us: int | None = None


class PaneState(StoredStruct, frozen=True, array_like=True, kw_only=True):
    """What a kind of job saves of a window: the state of a `Pane`."""


def decode_panes(panes: Iterable[Pane], layout: type[L], length_us: int | None = None) -> list[tuple[Pane, L]]:
    """Saved windows with their states, in their order, without those of earlier settings or versions.

    Args:
        panes: The saved windows.
        layout: Type of their states.
        length_us: Length of the windows; any if None.
    """
    found = []
    for pane in panes:
        if length_us is not None and pane.end_us - pane.start_us != length_us:
            continue
        try:
            found.append((pane, layout.from_bytes(pane.state)))
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


class _InPlace(_Chunk, frozen=True, array_like=True):
    """Of a window that took the place of another; read from any chunk."""

    gone_us: int | None = None


class PaneLog:
    """The last saved windows of a job.

    Args:
        job: Name of the job.
        topic: Compacted topic of its saved windows.
        panes: How many are stored, at least 1.
        earlier: Those of earlier runs.
    """

    def __init__(self, job: str, topic: str, panes: int, earlier: Sequence[Pane] = ()) -> None:
        self._job = job
        self._topic = topic
        self._panes = panes
        self._by_start: dict[int, Pane] = {}
        for pane in earlier:
            self.add(pane)

    @property
    def stored(self) -> tuple[Pane, ...]:
        """All of them, oldest first."""
        return tuple(self._by_start[start] for start in sorted(self._by_start))

    def add(self, pane: Pane) -> None:
        """Add a saved window; one older than all that are stored is forgotten at once."""
        self._by_start[pane.start_us] = pane
        for start in sorted(self._by_start)[: -self._panes]:
            del self._by_start[start]

    def put(self, pane: Pane, writer: Writer) -> None:
        """Add a saved window and send it; the caller flushes. A window older than all that are stored is ignored."""
        self.add(pane)
        if pane.start_us in self._by_start:
            slot = pane.start_us // (pane.end_us - pane.start_us) % self._panes
            send_pane(pane, self._job, slot, self._topic, writer)

    def before(self, start_us: int, length_us: int) -> list[Pane]:
        """Saved windows before `start_us` that a view of `panes` windows reaches, oldest first."""
        reach = start_us - (self._panes - 1) * length_us
        return [self._by_start[start] for start in sorted(self._by_start) if reach <= start < start_us]


def send_pane(pane: Pane, job: str, slot: int, topic: str, writer: Writer) -> None:
    """Send a saved window to its slot; the caller flushes."""
    for key, chunk in _chunks(pane, job, slot):
        writer.send(topic, key, msgspec.msgpack.encode(chunk))


def load_panes(settings: KafkaSettings, topic: str, job: str) -> list[Pane]:
    """The saved windows of earlier runs, oldest first; those written in part are left out.

    Raises:
        SourceError: If the broker does not answer.
    """
    return sorted(load_kept(settings, topic, job).values(), key=lambda pane: pane.start_us)


def load_kept(settings: KafkaSettings, topic: str, job: str) -> dict[int, Pane]:
    """As `load_panes`, by slot.

    Raises:
        SourceError: If the broker does not answer.
    """
    with Compacted(settings, topic, _MAX_RECORD_BYTES, prefix=f"{job}/".encode()) as chunks:
        return _joined(chunks.newest())


def _joined(chunks: Mapping[bytes, bytes]) -> dict[int, Pane]:
    found: dict[tuple[int, int], dict[int, _InPlace]] = {}
    for key, value in chunks.items():
        chunk = FORMAT.unpack(value, _InPlace)
        found.setdefault((chunk.start_us, _slot(key)), {})[chunk.place] = chunk
    panes = {}
    for start, slot in sorted(found):
        parts = found[start, slot]
        first = next(iter(parts.values()))
        # Compared by number first: a damaged chunk may state billions.
        if len(parts) == first.chunks and set(parts) == set(range(len(parts))):
            state = b"".join(parts[place].state for place in range(len(parts)))
            panes[slot] = Pane(start, first.end_us, state, first.learned, first.gone_us)
    return panes


def _slot(key: bytes) -> int:
    try:
        return int(key.split(b"/")[-2])
    except (ValueError, IndexError) as error:
        raise StateError(f"expected the key job/slot/place of {FORMAT.what}, got {key!r}") from error


def _chunks(pane: Pane, job: str, slot: int) -> Iterator[tuple[bytes, _Chunk]]:
    pieces = [pane.state[i : i + CHUNK_BYTES] for i in range(0, len(pane.state), CHUNK_BYTES)] or [b""]
    for place, piece in enumerate(pieces):
        key = f"{job}/{slot}/{place}".encode()
        chunk = (pane.start_us, pane.end_us, pane.learned, place, len(pieces), piece)
        yield key, _Chunk(*chunk) if pane.gone_us is None else _InPlace(*chunk, pane.gone_us)
