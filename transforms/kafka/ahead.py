"""Fetching and decoding ahead: while a bundle's thread routes and counts a batch, others fetch and decode the next.

One thread fetches, and is the only one that uses the reader, also to ask it for the ends. Decoding does not depend on
what a reader knows, so it may run ahead of the accounts, in several threads; batches are taken in the order in which
they were fetched. Clients, Arrow and the part in C let go of Python's lock for most of their work.

What is ahead is bounded: so many batches (`AHEAD`), each of so many records and bytes (`fetch_batch`). No thread waits
for room: the next fetch begins when a batch is fetched or taken, and there is room.
"""

import threading
from collections import deque
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import NamedTuple, Protocol

from sparsewatch.transforms.codecs.decode import Decoded
from sparsewatch.transforms.kafka.watching import Batch

#: Batches at most that were fetched or decoded ahead of the one that was taken last.
AHEAD = 4
#: Threads that decode: while one waits for Python's lock, or has a slow batch, the other goes on.
DECODERS = 2


class Batches(Protocol):
    """What is fetched and decoded; see `sparsewatch.transforms.kafka.feed.Feed`."""

    def fetch(self, is_dropped: Callable[[], bool]) -> Batch:
        """The next batch; it may be short once nobody will take it."""

    def decode(self, batch: Batch) -> Decoded:
        """Its events; called in several threads at once."""

    def has_more(self) -> bool:
        """Whether it makes sense to fetch on; asked while nothing is fetched."""

    def ends(self) -> dict[int, int]:
        """Where partitions end now."""


class Prepared(NamedTuple):
    """A batch, and what it decodes to."""

    batch: Batch
    decoded: Decoded


class Ahead:
    """Batches in order, fetched and decoded ahead by threads of its own, which end with `close`.

    Args:
        batches: Where they come from.
    """

    def __init__(self, batches: Batches) -> None:
        self._batches = batches
        self._fetching = ThreadPoolExecutor(1, thread_name_prefix="fetch-ahead")
        self._decoding = ThreadPoolExecutor(DECODERS, thread_name_prefix="decode-ahead")
        self._lock = threading.Lock()
        #: In order, the batch that is being fetched last: the partitions of its records, and what becomes of it.
        self._places: deque[tuple[set[int], Future[Future[Prepared]]]] = deque()
        self._is_fetching = False
        self._is_closed = False

    def take(self) -> Prepared:
        """The next batch, waited for if it is not there yet; the place it leaves is filled meanwhile.

        Raises:
            SourceError: If it could not be fetched: then there is none behind it.
        """
        with self._lock:
            if not self._places:
                self._begin()
            _, place = self._places[0]
        prepared = place.result().result()
        with self._lock:
            self._places.popleft()
            self._go_on()
        return prepared

    def waiting(self) -> set[int]:
        """Partitions of which records were fetched that nobody has taken yet."""
        with self._lock:
            return set().union(*(partitions for partitions, _ in self._places))

    def ends(self) -> dict[int, int]:
        """Where partitions end now: asked as soon as the present fetch is over.

        Raises:
            SourceError: If the broker does not answer.
        """
        return self._fetching.submit(self._batches.ends).result()

    def close(self) -> None:
        """End the threads, behind what they do now, and drop what is ahead."""
        with self._lock:
            self._is_closed = True
        self._fetching.shutdown(cancel_futures=True)
        self._decoding.shutdown(cancel_futures=True)

    def _go_on(self) -> None:
        has_room = len(self._places) < AHEAD and not self._is_closed
        if has_room and not self._is_fetching and self._batches.has_more():
            self._begin()

    def _begin(self) -> None:
        partitions: set[int] = set()
        self._is_fetching = True
        self._places.append((partitions, self._fetching.submit(self._fetch, partitions)))

    def _fetch(self, partitions: set[int]) -> Future[Prepared]:
        batch = self._batches.fetch(lambda: self._is_closed)
        prepared = self._decoding.submit(self._prepare, batch)
        with self._lock:
            partitions |= {run.partition for run in batch.fetched if len(run)}
            self._is_fetching = False
            self._go_on()
        return prepared

    def _prepare(self, batch: Batch) -> Prepared:
        return Prepared(batch, self._batches.decode(batch))
