"""A job in miniature, without Kafka and Beam: several readers, and windows that are committed once all have passed."""

from collections.abc import Iterator, Mapping, Sequence

import numpy as np
from hypothesis import strategies as st

from sparsewatch.schemas.accounts import NEVER_US, Account, Marker, Progress, ReaderState
from sparsewatch.transforms.kafka.accounts import close_all, close_windows, take
from sparsewatch.transforms.kafka.progress import advance, is_next
from sparsewatch.transforms.kafka.resume import start_state
from sparsewatch.transforms.kafka.stream_clock import Reject, WindowRules, watermark_us
from tests.oracles.accounts import Record

#: Event times begin far from 1970: what is set aside before the first window has a preface.
BEGIN_US = 1_000
_NONE = Progress(job="j", topic="t", settings="", closed_end_us=0, partitions={}, sequences={}, totals=Account())

records = st.one_of(st.none(), st.lists(st.integers(0, 30), min_size=1, max_size=2))


class MiniatureJob:
    """A job that reads a topic in runs: rows, late rows, rejects and markers meet in windows, as in the pipeline.

    Args:
        topic: Records of each partition in offset order.
        readers: How many share the partitions.
        rules: Of the windows.
        stamps: Kafka timestamps of the records; none has one by default.
    """

    def __init__(
        self,
        topic: Mapping[int, Sequence[Record]],
        readers: int,
        rules: WindowRules,
        stamps: Mapping[int, Sequence[int]] | None = None,
    ) -> None:
        self.topic, self.rules = topic, rules
        self.stamps = stamps or {partition: [NEVER_US] * len(found) for partition, found in topic.items()}
        self.shares = [sorted(topic)[reader::readers] for reader in range(readers)]
        self.progress = _NONE
        #: Rows of each window that was committed.
        self.written: dict[int, int] = {}
        self.restart()

    def restart(self) -> None:
        """Begin a run; what was not committed is forgotten."""
        begin = dict.fromkeys(self.topic, 0)
        self.states = [start_state(self.progress, share, begin, r) for r, share in enumerate(self.shares)]
        self.markers: dict[int, list[Marker]] = {}
        self.met: dict[int, Account] = {}

    def read(self, reader: int, partition: int, records: int, silence_us: int | None) -> None:
        """Read on in one partition, and close what can be closed.

        Args:
            reader: Whose partition it is.
            partition: Of the topic.
            records: So many at most.
            silence_us: How long partitions that are read to their end are silent; None if no partition is idle.
        """
        state = self.states[reader]
        part = next(p for p in state.partitions if p.partition == partition)
        end = min(part.position + records, len(self.topic[partition]))
        span, found, stamps = range(part.position, end), self.topic[partition], self.stamps[partition]
        rows = [(offset, time, stamps[offset]) for offset in span for time in found[offset] or ()]
        rejects = [Reject(offset, 1, stamps[offset]) for offset in span if found[offset] is None]
        offsets, times, of_rows = (np.array([row[i] for row in rows], dtype=np.int64) for i in range(3))
        partitions = np.full(len(rows), partition)
        routed = take(state, self.rules, partitions, offsets, times, of_rows, {partition: end}, {partition: rejects})
        for window, at in routed.on_time.items():
            self._meet(window, Account(counted=len(at)))
        rejected = sum(reject.offset >= part.high for reject in rejects)
        self._meet(routed.aside_window_us, Account(late=len(routed.late), rejected=rejected))
        idle = {} if silence_us is None else dict.fromkeys(self.silent(routed.state), silence_us)
        watermark = watermark_us(routed.state, self.rules, idle)
        self._take_over(reader, *close_windows(routed.state, self.rules, watermark, reader))

    def _meet(self, window: int, account: Account) -> None:
        self.met[window] = self.met.get(window, Account()) + account

    def silent(self, state: ReaderState) -> list[int]:
        """Partitions that are read to their end."""
        return [p.partition for p in state.partitions if p.position >= len(self.topic[p.partition])]

    def end(self) -> None:
        """The end of a run that closes what is open; it stops nowhere before an earlier run."""
        for reader, state in enumerate(self.states):
            for part in state.partitions:
                if part.position < part.high:
                    self.read(reader, part.partition, part.high - part.position, None)
        for reader, state in enumerate(self.states):
            self._take_over(reader, *close_all(state, self.rules, reader))
        self.fire(everything=True)
        self.restart()

    def _take_over(self, reader: int, state: ReaderState, markers: list[Marker]) -> None:
        self.states[reader] = state
        for marker in markers:
            self.markers.setdefault(marker.window_us, []).append(marker)

    def fire(self, *, everything: bool = False, most: int | None = None) -> None:
        """Commit what all readers have passed, so many windows at most."""
        passed = 10**9 if everything else min(state.closed_end_us for state in self.states)
        for window in [w for w in sorted(self.markers) if w < passed][:most]:
            markers = tuple(sorted(self.markers.pop(window), key=lambda marker: marker.reader))
            assert is_next(self.progress, markers)
            account = sum((marker.account for marker in markers), Account())
            assert self.met.pop(window, Account()) == account
            if not all(marker.is_preface for marker in markers):
                assert window not in self.written
                self.written[window] = account.counted
            self.progress = advance(self.progress, markers)

    def left(self) -> Iterator[tuple[int, int]]:
        """Readers and those of their partitions that hold more."""
        for reader, state in enumerate(self.states):
            for part in state.partitions:
                if part.position < len(self.topic[part.partition]):
                    yield reader, part.partition
