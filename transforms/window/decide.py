"""What a job decides of its closed windows, in their order: nothing is read or written here.

A window is taken into the books (`take_window`), then decided of (`DecideWindow`). Between the two stands, in a job,
whether another instance has committed the window already (`sparsewatch.transforms.window.commit_in_order`); without a
broker nothing does (`sparsewatch.transforms.window.in_memory`).
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple

from sparsewatch.detectors.incidents.lifecycle import Seen
from sparsewatch.detectors.incidents.settings import IncidentSettings
from sparsewatch.detectors.sequential.judge import judge_shares
from sparsewatch.schemas.accounts import Progress
from sparsewatch.schemas.alerts import Finding
from sparsewatch.schemas.incidents import Incidents, Member
from sparsewatch.schemas.jobs import JobIdentity
from sparsewatch.schemas.orders import Order
from sparsewatch.schemas.slow_changes import Watched
from sparsewatch.transforms.kafka.source_findings import findings_of
from sparsewatch.transforms.window.books import Books, post
from sparsewatch.transforms.window.closed import Closed
from sparsewatch.transforms.window.judge_stream import Judged, StreamRules, judge_stream
from sparsewatch.transforms.window.kept_panes import KeptPanes
from sparsewatch.transforms.window.measure import Conclusion, Learning, LookBack, Window
from sparsewatch.transforms.window.panes import Pane
from sparsewatch.transforms.window.raise_alerts import Raised, raise_alerts


class Taken(NamedTuple):
    """A closed window in the books of its job."""

    closed: Closed
    #: Behind it, with the incidents before it.
    books: Books
    #: What it shows of the stream as such.
    judged: Judged
    #: About its source and its account.
    findings: Sequence[Finding]

    @property
    def from_us(self) -> int:
        """Start of the window; of one that closes none, the end of those that are closed."""
        closed = self.closed
        return self.books.progress.closed_end_us if closed.is_preface else closed.window.start_us


class Decided(NamedTuple):
    """What a job decides of a window."""

    #: What is concluded of it in all.
    whole: Conclusion
    raised: Raised
    #: What it leaves for later views; None where there are none, or it leaves nothing.
    pane: Pane | None
    #: What it leaves to be learned, likewise.
    learned: Pane | None
    #: Shares that are watched over many windows, behind it.
    watched: tuple[Watched, ...]


#: Saved windows before one that its view reaches, oldest first.
Before = Callable[[Window], Sequence[Pane]]


def take_window(books: Books, closed: Closed, rules: StreamRules, source: str) -> Taken:
    """Take the window that follows into the books.

    Args:
        books: Those before it.
        closed: The window.
        rules: How the stream is judged.
        source: The job's topic, for messages.
    """
    judged = judge_stream(closed, books.progress, rules)
    books, stop = post(books, closed, judged)
    changes = findings_of(source, [notice for marker in closed.markers for notice in marker.notices])
    own = [finding for finding in (closed.fault, stop) if finding is not None]
    return Taken(closed, books, judged, [*changes, *own])


def _slow_changes(closed: Closed, whole: Conclusion, progress: Progress) -> tuple[list[Finding], tuple[Watched, ...]]:
    window = closed.window
    if whole.observed is None or closed.is_preface or closed.is_ahead:
        return [], progress.watched
    found = {finding.subject for finding in whole.findings}
    return judge_shares(whole.observed, progress.watched, (window.start_us, window.end_us), found)


def kept_panes(identity: JobIdentity, learning: Learning | None, earlier: Mapping[int, Pane]) -> KeptPanes:
    """The windows that a job learns of, in their slots; of a job that learns nothing there are none."""
    size, spare = (0, _none) if learning is None else (learning.size, learning.spare)
    return KeptPanes(identity.job, identity.topics.baseline, size, spare, earlier)


def _none(kept: Sequence[Pane]) -> Pane:
    raise AssertionError(f"no window is let go by a job that keeps none, of {len(kept)}")


@dataclass(frozen=True)
class DecideWindow:
    """Decides of windows that were taken."""

    job: str
    look_back: LookBack | None
    incidents: IncidentSettings
    learning: Learning | None = None

    @property
    def panes(self) -> int:
        """Windows that are saved for views."""
        return 0 if self.look_back is None else self.look_back.panes

    def __call__(self, taken: Taken, before: Before, learned: Before, orders: Sequence[Order] = ()) -> Decided:
        """What the job decides of a window.

        Args:
            taken: The window.
            before: Gives the saved windows; called only for a view.
            learned: Gives the windows that a baseline is learned of; called only by a job that learns one.
            orders: Those in force on the window.
        """
        closed, window = taken.closed, taken.closed.window
        # What is odd about the stream is found before the view: such a window is no baseline of later ones.
        whole, pane = closed.conclusion + Conclusion(findings=taken.judged.findings), None
        learning = None if whole.learnable is None or closed.is_preface else self.learning
        kept = () if learning is None else learned(window)
        if learning is not None:
            whole += learning(window, whole, kept, orders)
        found, watched = _slow_changes(closed, whole, taken.books.progress)
        whole += Conclusion(findings=found)
        if not closed.is_preface:
            whole, pane = self._with_view(window, whole, before)
        seen = Seen(window.start_us, window.end_us, window.complete and whole.rows > 0 and not closed.is_preface)
        known = taken.books.progress.incidents
        raised = raise_alerts(self.job, seen, (*whole.findings, *taken.findings), known, self.incidents, orders)
        learnt = None if learning is None else _learned(learning, window, whole, kept, raised.known)
        return Decided(whole, raised, pane, learnt, watched)

    def close(self) -> None:
        """Release what the view holds open."""
        if self.look_back is not None:
            self.look_back.close()

    def _with_view(self, window: Window, conclusion: Conclusion, before: Before) -> tuple[Conclusion, Pane | None]:
        """The conclusion with what the view over earlier windows adds to it, and the window's own state."""
        if self.look_back is None or conclusion.pane is None:
            return conclusion, None
        pane = Pane(window.start_us, window.end_us, conclusion.pane, learned=not conclusion.findings)
        view = self.look_back(pane, before(window))
        # The rows of a view are those of all its windows: the account of this one has no part in them.
        whole = conclusion + replace(view, rows=0)
        return whole, replace(pane, learned=not whole.findings)


def _learned(
    learning: Learning, window: Window, whole: Conclusion, kept: Sequence[Pane], incidents: Incidents
) -> Pane | None:
    """What is to be learned of a window: nothing of what is wrong in it."""
    firing = [member for one in incidents.known if not one.is_resolved for member in one.members]
    wrong: list[Finding | Member] = [*whole.findings, *firing]
    state = learning.learn(window, whole, kept, wrong)
    return None if state is None else Pane(window.start_us, window.end_us, state, learned=not wrong)
