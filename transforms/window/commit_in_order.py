"""The one step of a job that keeps the order of windows: it writes them, saves panes, commits and states the metrics.

Closed windows arrive in any order. One is taken when no earlier one can come any more: at once where it begins where
the last one ended or where each reader's marker of it follows that reader's last one, else when the watermark has
passed it. Until then it is held in Beam's state, as is the progress: a runner may give each bundle to another instance.
What an instance remembers is a copy, valid only while the state shows its mark.

Windows are committed behind their durable results and in the order of their markers. From a window on that cannot be
committed (its account and results differ, or a marker before its own is missing) all are written and none is
committed. That is an alert, raised once, and a metric.
"""

import secrets
from collections.abc import Sequence
from typing import Any, NamedTuple

import apache_beam as beam
import msgspec
from apache_beam.coders import BytesCoder
from apache_beam.transforms.timeutil import TimeDomain
from apache_beam.transforms.userstate import BagStateSpec, ReadModifyWriteStateSpec, TimerSpec, on_timer
from apache_beam.utils.timestamp import Timestamp

from sparsewatch.detectors.incidents.settings import IncidentSettings
from sparsewatch.schemas.accounts import NEVER_US, Marker, Progress
from sparsewatch.schemas.jobs import JobIdentity
from sparsewatch.schemas.packed import packed
from sparsewatch.transforms.kafka.instances import no_progress
from sparsewatch.transforms.kafka.presence import patiently
from sparsewatch.transforms.kafka.progress import is_committed, is_next, load_progress
from sparsewatch.transforms.window.books import FORMAT, Books, books_of
from sparsewatch.transforms.window.closed import Closed
from sparsewatch.transforms.window.decide import take_window
from sparsewatch.transforms.window.judge_stream import StreamRules
from sparsewatch.transforms.window.kept_panes import LEARNED_A_COMMIT
from sparsewatch.transforms.window.measure import Learning, LookBack
from sparsewatch.transforms.window.write_windows import WindowWriter

_STREAM_RULES = StreamRules()
_INCIDENT_SETTINGS = IncidentSettings()
#: Windows that one commit may cover; of a job that learns as many as it has slots for. Views reach back over a fixed
#: number of saved windows, so where there are views a window is committed before the next one is saved: read again, it
#: meets the saved windows that it met the first time.
_WINDOWS_A_COMMIT = 16


class _Held(NamedTuple):
    """A window that waits for its turn, packed if it has to: decoded it takes several times the memory."""

    markers: Sequence[Marker]
    end_us: int
    data: bytes

    @classmethod
    def of(cls, closed: Closed, data: bytes) -> "_Held":
        return cls(closed.markers, closed.window.end_us, data)


class CommitInOrder(beam.DoFn):
    """Closed windows of a job in, keyed by its name, in the global window.

    Args:
        identity: The job.
        look_back: Its view over several windows, if it has one.
        alerts_file: File that alerts are added to as JSON lines, besides their topic.
        stream: How the stream as such is judged.
        incidents: When an incident is over.
        learning: The baseline that it learns, if it does.
        readers: Readers of the job; 0 where that is not known.
    """

    HELD = BagStateSpec("held", BytesCoder())
    BOOKS = ReadModifyWriteStateSpec("books", BytesCoder())
    DUE = TimerSpec("due", TimeDomain.WATERMARK)

    def __init__(
        self,
        identity: JobIdentity,
        look_back: LookBack | None,
        alerts_file: str | None,
        stream: StreamRules = _STREAM_RULES,
        incidents: IncidentSettings = _INCIDENT_SETTINGS,
        learning: Learning | None = None,
        readers: int = 0,
    ) -> None:
        self._identity = identity
        self._readers = readers
        self._at_once = 1 if look_back is not None else _WINDOWS_A_COMMIT if learning is None else LEARNED_A_COMMIT
        self._stream = stream
        self._writer = WindowWriter(identity, look_back, alerts_file, incidents, learning)
        self._books = books_of(no_progress(identity))
        self._looked = False
        #: End of the windows that were committed when the state was read. A runner may go back to a state before them:
        #: they are posted again and not written, since saved windows that their views saw may be gone.
        self._committed_us = NEVER_US
        #: What was committed with them: what was found in them is not looked for again.
        self._committed = no_progress(identity)
        #: Windows held, by start; what the bag holds besides them was taken.
        self._held: dict[int, _Held] = {}
        self._in_bag = 0

    def start_bundle(self) -> None:
        """Look at the state again: another instance may have been at work."""
        self._looked = False

    def process(
        self,
        keyed: tuple[str, bytes],
        held: Any = beam.DoFn.StateParam(HELD),
        books: Any = beam.DoFn.StateParam(BOOKS),
        due: Any = beam.DoFn.TimerParam(DUE),
    ) -> None:
        """Hold a window, or take it with those that waited for it."""
        self._look(held, books)
        closed = Closed.from_bytes(keyed[1])
        self._held[closed.window.start_us] = _Held.of(closed, keyed[1])
        self._take_until(NEVER_US, closed)
        if (waits := self._held.get(closed.window.start_us)) is not None:
            self._held[closed.window.start_us] = small = waits._replace(data=packed(waits.data))
            held.add(small.data)
            self._in_bag += 1
        self._remember(held, books, due)

    @on_timer(DUE)
    def passed(
        self,
        now: Any = beam.DoFn.TimestampParam,
        held: Any = beam.DoFn.StateParam(HELD),
        books: Any = beam.DoFn.StateParam(BOOKS),
        due: Any = beam.DoFn.TimerParam(DUE),
    ) -> None:
        """Take all windows that the watermark has passed."""
        self._look(held, books)
        self._books = msgspec.structs.replace(self._books, due_us=None)
        self._take_until(now.micros)
        self._remember(held, books, due)

    def finish_bundle(self) -> None:
        """Commit what was taken."""
        if self._looked:
            self._commit()
        # Once a bundle is often enough for tools that show lag.
        self._writer.commit_group()

    def teardown(self) -> None:
        """Close the connections."""
        self._writer.close()

    def _look(self, held: Any, books: Any) -> None:
        if self._looked:
            return
        self._looked = True
        stored = books.read()
        known = None if stored is None else FORMAT.unpack(stored, Books)
        if known is not None and known.mark == self._books.mark:
            return
        own = self._identity
        known_now = patiently(lambda: load_progress(own.kafka, own.topics.progress, own.job, own.settings_digest))
        durable = known_now or no_progress(own)
        self._committed_us, self._committed = durable.closed_end_us, durable
        self._books = known or books_of(durable)
        if not self._books.stopped and self._books.progress.windows == durable.windows:
            # A start may have told of the source topic since.
            self._behind(durable)
        self._held, self._in_bag = {}, 0
        for data in held.read():
            self._in_bag += 1
            closed = Closed.from_bytes(data)
            if closed.window.start_us >= self._books.taken_us:
                self._held[closed.window.start_us] = _Held.of(closed, data)
        self._writer.forget()

    def _take_until(self, watermark_us: int, news: Closed | None = None) -> None:
        """Take windows in order, as long as no earlier one can come; `news` is one of them, decoded."""
        for start_us in sorted(self._held):
            if start_us > max(self._books.taken_us, watermark_us) and not self._follows(self._held[start_us].markers):
                return
            data = self._held.pop(start_us).data
            closed = news if news is not None and news.window.start_us == start_us else Closed.from_bytes(data)
            # A bundle that a runner delivers again.
            if not is_committed(self._books.progress, closed.markers):
                self._take(closed)

    def _follows(self, markers: Sequence[Marker]) -> bool:
        """Whether every reader has closed the window and none before it: each closes its windows in their order."""
        return len({one.reader for one in markers}) == self._readers and is_next(self._books.progress, markers)

    def _take(self, closed: Closed) -> None:
        taken = take_window(self._books, closed, self._stream, self._identity.topics.source)
        self._books = taken.books
        if (committed := self._writer.committed()) is not None and committed.closed_end_us > self._committed_us:
            self._committed_us, self._committed = committed.closed_end_us, committed
        if closed.window.end_us <= self._committed_us and not self._books.stopped:
            self._behind(self._committed)
            return
        decided = self._writer.write(taken)
        self._books = self._books.behind(decided.raised.known, decided.watched)
        if self._writer.windows >= self._at_once:
            self._commit()

    def _behind(self, committed: Progress) -> None:
        self._books = self._books.behind(committed.incidents, committed.watched)

    def _commit(self) -> None:
        self._writer.commit(self._books.progress, waiting=len(self._held) + self._books.stopped)

    def _remember(self, held: Any, books: Any, due: Any) -> None:
        if self._in_bag > 2 * len(self._held):
            held.clear()
            for one in self._held.values():
                held.add(one.data)
            self._in_bag = len(self._held)
        first = min(self._held, default=None)
        if first is not None and (self._books.due_us is None or first < self._books.due_us):
            due.set(Timestamp(micros=self._held[first].end_us - 1))
            self._books = msgspec.structs.replace(self._books, due_us=first)
        self._books = msgspec.structs.replace(self._books, mark=secrets.token_hex(8))
        books.write(msgspec.msgpack.encode(self._books))
