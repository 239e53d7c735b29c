"""Several readers of one topic, silences and crashes: every window is closed once, and the sums are right."""

from collections import Counter
from collections.abc import Iterator

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sparsewatch.schemas.accounts import NEVER_US, Account, Marker, Progress, ReaderState
from sparsewatch.transforms.kafka.accounts import close_all, close_windows, take
from sparsewatch.transforms.kafka.progress import advance, is_next
from sparsewatch.transforms.kafka.resume import start_state
from sparsewatch.transforms.kafka.stream_clock import Reject, WindowRules, watermark_us
from tests.oracles.accounts import Record, recount

RULES = WindowRules(length_us=10, disorder_us=4)
#: Event times begin far from 1970: what is set aside before the first window has a preface.
BEGIN_US = 1_000


class Readers:
    """A job of several readers in miniature: a window is written when all of them have passed it."""

    def __init__(self, topic: dict[int, list[Record]], readers: int) -> None:
        self.topic = topic
        self.shares = [sorted(topic)[reader::readers] for reader in range(readers)]
        self.progress = Progress(
            job="j", topic="t", settings="", closed_end_us=0, partitions={}, sequences={}, totals=Account()
        )
        self.written: dict[int, int] = {}
        self.restart()

    def restart(self) -> None:
        begin = dict.fromkeys(self.topic, 0)
        self.states = [start_state(self.progress, share, begin, r) for r, share in enumerate(self.shares)]
        self.markers: dict[int, list[Marker]] = {}
        self.rows: Counter[int] = Counter()

    def read(self, reader: int, partition: int, records: int, silence_us: int) -> None:
        """Read on in one partition; partitions that are read to their end have been silent for a while."""
        state = self.states[reader]
        part = next(p for p in state.partitions if p.partition == partition)
        end = min(part.position + records, len(self.topic[partition]))
        span = range(part.position, end)
        rows = [(offset, time) for offset in span for time in self.topic[partition][offset] or ()]
        offsets, times = (np.array([row[i] for row in rows], dtype=np.int64) for i in (0, 1))
        rejects = [Reject(offset) for offset in span if self.topic[partition][offset] is None]
        none = np.full(len(rows), NEVER_US)
        routed = take(
            state, RULES, np.full(len(rows), partition), offsets, times, none, {partition: end}, {partition: rejects}
        )
        for window, at in routed.on_time.items():
            self.rows[window] += len(at)
        idle = {p.partition: silence_us for p in routed.state.partitions if p.position >= len(self.topic[p.partition])}
        self._close(reader, *close_windows(routed.state, RULES, watermark_us(routed.state, RULES, idle), reader))

    def finish(self) -> None:
        for reader, state in enumerate(self.states):
            self._close(reader, *close_all(state, RULES, reader))
        self.fire(everything=True)

    def _close(self, reader: int, state: ReaderState, markers: list[Marker]) -> None:
        self.states[reader] = state
        for marker in markers:
            self.markers.setdefault(marker.window_us, []).append(marker)

    def fire(self, *, everything: bool = False, most: int | None = None) -> None:
        """Write and commit what all readers have passed, so many windows at most."""
        passed = 10**9 if everything else min(state.closed_end_us for state in self.states)
        for window in [w for w in sorted(self.markers) if w < passed][:most]:
            markers = tuple(sorted(self.markers.pop(window), key=lambda m: m.reader))
            assert is_next(self.progress, markers)
            if not markers[0].is_preface:
                self.written[window] = self.rows.pop(window, 0)
                assert self.written[window] == sum(m.account.counted for m in markers)
            self.progress = advance(self.progress, markers)

    def left(self) -> Iterator[tuple[int, int]]:
        """Readers and those of their partitions that hold more."""
        for reader, state in enumerate(self.states):
            for part in state.partitions:
                if part.position < len(self.topic[part.partition]):
                    yield reader, part.partition


records = st.one_of(st.none(), st.lists(st.integers(0, 30), min_size=1, max_size=2))


@st.composite
def topics(draw: st.DrawFn) -> dict[int, list[Record]]:
    """Partitions with rejects, late rows and silences of many windows; some hold nothing but rejects, or nothing."""
    topic: dict[int, list[Record]] = {}
    for partition in range(draw(st.integers(2, 4))):
        time = BEGIN_US
        found: list[Record] = []
        for record in draw(st.lists(records, max_size=12)):
            time += draw(st.sampled_from([0, 3, 8, 120]))
            found.append(None if record is None else [time + t for t in record])
        topic[partition] = found
    return topic


@pytest.mark.long
@settings(max_examples=40)
@given(topics(), st.integers(1, 3), st.data())
def test_every_window_is_closed_once_with_the_rows_of_all_readers(
    topic: dict[int, list[Record]], readers: int, data: st.DataObject
) -> None:
    job = Readers(topic, readers)
    for _ in range(60):
        left = list(job.left())
        if not left:
            break
        reader, partition = data.draw(st.sampled_from(left))
        job.read(reader, partition, data.draw(st.integers(1, 5)), data.draw(st.sampled_from([0, 0, 35])))
        crash = data.draw(st.sampled_from(["no", "no", "no", "before", "half"]))
        job.fire(most={"no": None, "before": 0, "half": 1}[crash])
        if crash != "no":
            job.restart()
    for reader, partition in [*job.left()]:
        job.read(reader, partition, 100, 0)
        job.fire()
    job.finish()

    truth = recount(topic, RULES.length_us, RULES.disorder_us)
    assert job.progress.totals == Account(
        counted=sum(truth.windows.values()), late=len(truth.late), rejected=len(truth.rejected)
    )
    assert {w: n for w, n in job.written.items() if n} == dict(truth.windows)
    # Where a run ends, windows between the last row of a reader and the first of another are passed over.
    if truth.windows and readers == 1:
        assert set(truth.reached(RULES.length_us)) <= set(job.written)
