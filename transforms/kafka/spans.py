"""Stretches of partitions, read once between offsets that are known: for commands, which keep no place in a topic."""

from collections.abc import Callable, Iterator, Mapping

from sparsewatch.transforms.kafka.client import Reader
from sparsewatch.transforms.records import Fetched

_POLL_S = 0.5
#: Empty polls in a row after which a partition that has more counts as silent.
_PATIENCE = 20


class Spans:
    """Reads partitions between offsets.

    Args:
        reader: Of the topic; it is assigned anew.
        spans: Of each partition the first offset and the one after the last.
    """

    def __init__(self, reader: Reader, spans: Mapping[int, tuple[int, int]]) -> None:
        self._reader = reader
        self._stops = {p: stop for p, (start, stop) in spans.items() if start < stop}
        #: Next offset of the partitions that hold more.
        self.left = {p: spans[p][0] for p in self._stops}

    def runs(self, most: Callable[[], int]) -> Iterator[Fetched]:
        """Runs of records, of each partition in order, until all are read, or the broker is silent on what is `left`.

        Args:
            most: Gives the number of records that the next request may take at most; 0 ends the reading.

        Raises:
            SourceError: If the broker does not answer.
        """
        if self.left:
            self._reader.assign(self.left)
        silent = 0
        while self.left and silent < _PATIENCE and (number := most()):
            assigned = set(self.left)
            got = [run for run in self._reader.fetch(_POLL_S, number) if run.partition in assigned]
            silent = 0 if got else silent + 1
            for run in got:
                if run.partition in self.left:
                    yield run.before(self._stops[run.partition])
                    self._move(run)
            if self.left and set(self.left) != assigned:
                # What is fetched ahead of partitions that are read is dropped.
                self._reader.assign(self.left)

    def end(self, partition: int) -> None:
        """Read no further in a partition."""
        self.left.pop(partition, None)

    def _move(self, run: Fetched) -> None:
        if run.partition in self.left:
            self.left[run.partition] = run.next_offset
            if run.next_offset >= self._stops[run.partition]:
                self.end(run.partition)
