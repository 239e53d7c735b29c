"""What a reader gives from its positions on, batch by batch: nothing here depends on what became of those before.

Stops are known from the begin, so batches are cut before they are decoded, and nothing is fetched behind them.
"""

import time
from collections.abc import Callable, Sequence

import msgspec

from sparsewatch.schemas.accounts import ReaderState
from sparsewatch.transforms.codecs.decode import Decoded, decode
from sparsewatch.transforms.codecs.events import EventSchema
from sparsewatch.transforms.kafka.client import Reader
from sparsewatch.transforms.kafka.fetching import IdleClock, fetch_batch, stop_before
from sparsewatch.transforms.kafka.reader_start import ReadSpec
from sparsewatch.transforms.kafka.watching import Batch, IdleRules, Watcher
from sparsewatch.transforms.records import Fetched

#: How long records are gathered before a smaller block is decoded.
_GATHER_S = 0.25

#: By reader: silence outlasts the runs of a repeated job.
_idle_clocks: dict[bytes, IdleClock] = {}


class Feed:
    """Batches from the positions of a state on, up to its stops if it has some.

    Args:
        reader: Assigned to the positions; used by `fetch` and `ends`, never at once.
        spec: What to read.
        state: Where to begin.
        schema: What an event must look like.
    """

    def __init__(self, reader: Reader, spec: ReadSpec, state: ReaderState, schema: EventSchema) -> None:
        self._reader = reader
        self._spec = spec
        self._schema = schema
        numbers = [part.partition for part in state.partitions]
        self._stop = dict(zip(numbers, state.stop, strict=True)) if state.stop else {}
        positions = {part.partition: part.position for part in state.partitions}
        highs = {part.partition: part.high for part in state.partitions}
        idle = IdleRules(_idle_clock(spec), spec.windows.idle_after_us, highs)
        self._watcher = Watcher(reader, positions, None if state.stop else idle)

    def fetch(self, is_dropped: Callable[[], bool]) -> Batch:
        """The next batch; a short one as soon as it will not be needed."""
        return self._watcher.batch(
            lambda: fetch_batch(
                self._reader,
                self._spec.block_rows,
                _GATHER_S,
                is_enough=lambda runs: is_dropped() or self._is_read(runs),
            )
        )

    def has_more(self) -> bool:
        """Whether there is anything left to fetch behind the batches so far."""
        return not self._is_read(())

    def ends(self) -> dict[int, int]:
        """Where the partitions end now.

        Raises:
            SourceError: If the broker does not answer.
        """
        return self._reader.end_offsets()

    def _is_read(self, runs: Sequence[Fetched]) -> bool:
        if not self._stop:
            return False
        after = self._watcher.after(runs)
        return all(after[p] >= stop for p, stop in self._stop.items())

    def decode(self, batch: Batch) -> Decoded:
        """The events of a batch before the stops."""
        fetched = stop_before(batch.fetched, self._stop) if self._stop else batch.fetched
        return decode(self._spec.topic, fetched, self._schema)


def _idle_clock(spec: ReadSpec) -> IdleClock:
    if spec.until != "window":
        return IdleClock(time.monotonic)
    return _idle_clocks.setdefault(msgspec.json.encode(spec), IdleClock(time.monotonic))
