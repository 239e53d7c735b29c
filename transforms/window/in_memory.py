"""A job's windows decided in this process, in their order, without a broker: what it remembers is a value.

The step of a job that keeps the order of windows decides by the same two functions
(`sparsewatch.transforms.window.decide`); there progress and saved windows lie in topics.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from sparsewatch.detectors.incidents.settings import IncidentSettings
from sparsewatch.schemas.jobs import JobIdentity
from sparsewatch.schemas.orders import Order
from sparsewatch.transforms.kafka.instances import no_progress
from sparsewatch.transforms.window.books import Books, books_of
from sparsewatch.transforms.window.closed import Closed
from sparsewatch.transforms.window.decide import Decided, DecideWindow, kept_panes, take_window
from sparsewatch.transforms.window.judge_stream import StreamRules
from sparsewatch.transforms.window.measure import KeepsRecords, Learning, LookBack
from sparsewatch.transforms.window.panes import Pane, PaneLog


@dataclass(frozen=True)
class Remembered:
    """What a job remembers behind some windows; it never changes, so several continuations may begin at it."""

    books: Books
    panes: tuple[Pane, ...] = ()
    #: What is learned, by slot.
    learned: Mapping[int, Pane] = field(default_factory=dict)


def view_in_memory(look_back: LookBack | None) -> LookBack | None:
    """A job's view, made to need no broker; to be made anew for each run over its windows."""
    return look_back.in_memory() if isinstance(look_back, KeepsRecords) else look_back


@dataclass(frozen=True)
class DecideInOrder:
    """Decides of a job's windows one after the other."""

    identity: JobIdentity
    look_back: LookBack | None = None
    stream: StreamRules = field(default_factory=StreamRules)
    incidents: IncidentSettings = field(default_factory=IncidentSettings)
    learning: Learning | None = None

    @property
    def first(self) -> Remembered:
        """Before the first window."""
        return Remembered(books_of(no_progress(self.identity)))

    def __call__(self, before: Remembered, closed: Closed, orders: Sequence[Order] = ()) -> tuple[Decided, Remembered]:
        """What the job decides of the window that follows, and what it remembers behind it.

        Args:
            before: What it remembers before the window.
            closed: The window.
            orders: Those in force on it.
        """
        own = self.identity
        decide = DecideWindow(own.job, self.look_back, self.incidents, self.learning)
        saved = PaneLog(own.job, own.topics.panes, decide.panes, before.panes)
        taken = take_window(before.books, closed, self.stream, own.topics.source)
        kept = kept_panes(own, self.learning, before.learned)
        decided = decide(
            taken,
            lambda window: saved.before(window.start_us, window.end_us - window.start_us),
            lambda window: kept.before(window.start_us),
            orders,
        )
        if decided.pane is not None:
            saved.add(decided.pane)
        if decided.learned is not None:
            kept.add(decided.learned)
        return decided, Remembered(taken.books.behind(decided.raised.known, decided.watched), saved.stored, kept.stored)
