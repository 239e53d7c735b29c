"""The books of a job: how far its windows are committed, and what stops that."""

import msgspec

from sparsewatch.schemas.accounts import NEVER_US, Progress
from sparsewatch.schemas.alerts import Finding
from sparsewatch.schemas.incidents import Incidents
from sparsewatch.schemas.slow_changes import Watched
from sparsewatch.schemas.stored import Format
from sparsewatch.transforms.kafka.progress import advance, is_next
from sparsewatch.transforms.window.closed import Closed
from sparsewatch.transforms.window.judge_stream import Judged

FORMAT = Format("the books of a job")


class Books(msgspec.Struct, frozen=True, array_like=True):
    """What the step that keeps the order of windows remembers between bundles, besides the windows that it holds."""

    progress: Progress
    #: End of the last window taken, `NEVER_US` before the first.
    taken_us: int
    #: Windows written and not committed, since one of them cannot be.
    stopped: int = 0
    #: Start of the window that the timer is set for, None if no window is held.
    due_us: int | None = None
    #: Changes with every bundle: a copy with the same mark is true.
    mark: str = ""

    def behind(self, incidents: Incidents, watched: tuple[Watched, ...]) -> "Books":
        """The same with what is remembered behind a window that was decided: incidents, and shares that are watched."""
        progress = msgspec.structs.replace(self.progress, incidents=incidents, watched=watched)
        return msgspec.structs.replace(self, progress=progress)


def books_of(progress: Progress) -> Books:
    """The books of a run that begins at this progress."""
    return Books(progress, progress.closed_end_us if progress.windows else NEVER_US)


def post(books: Books, closed: Closed, judged: Judged) -> tuple[Books, Finding | None]:
    """The books after a window, and the finding that commits stop with it.

    Args:
        books: Those before it.
        closed: The window.
        judged: What it shows of the stream as such.
    """
    progress = msgspec.structs.replace(books.progress, stream=judged.history)
    books = msgspec.structs.replace(books, progress=progress)
    taken = msgspec.structs.replace(books, taken_us=max(books.taken_us, closed.window.end_us))
    if books.stopped:
        return msgspec.structs.replace(taken, stopped=books.stopped + 1), None
    if closed.fault is None and is_next(books.progress, closed.markers):
        return msgspec.structs.replace(taken, progress=advance(books.progress, closed.markers)), None
    return msgspec.structs.replace(taken, stopped=1), _commits_stop(books.progress, closed)


def _commits_stop(progress: Progress, closed: Closed) -> Finding:
    expected = {m.reader: progress.sequences.get(m.reader, 0) + 1 for m in closed.markers}
    found = {m.reader: m.sequence for m in closed.markers}
    if closed.fault is not None:
        why = "its account and results differ"
    else:
        why = f"by reader, the next marker is {expected}, and the window has {found}"
    return Finding(
        rule="commits_behind",
        subject="stream",
        severity="critical",
        value=1.0,
        threshold=1.0,
        baseline=0.0,
        message=f"from this window on results are written and nothing is committed, so the next run reads them "
        f"again: {why}",
        evidence={"expected": {str(r): n for r, n in expected.items()}, "found": {str(r): n for r, n in found.items()}},
    )
