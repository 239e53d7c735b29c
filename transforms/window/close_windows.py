"""The last steps of every job: conclude each window, on any worker; then write and commit all of them in their order.

Parts of a window meet under one key. A window whose readers did not close it (the open end of a bounded run) has no
marker: it is not written and is read again by the next run. Runners give windows to several instances of a step at
once, so concluding, which is most of the work, is done in parallel and remembers nothing. What must keep the order of
windows is one step with state (`sparsewatch.transforms.window.commit_in_order`).

What a kind of job decides of a window comes from the three objects of `sparsewatch.transforms.window.measure`.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any

import apache_beam as beam
from apache_beam.transforms.window import GlobalWindows

from sparsewatch.detectors.incidents.settings import IncidentSettings
from sparsewatch.schemas.accounts import Account, Part, WindowParts, sort_parts
from sparsewatch.schemas.alerts import Finding
from sparsewatch.schemas.jobs import JobIdentity
from sparsewatch.transforms.window.closed import Closed
from sparsewatch.transforms.window.commit_in_order import CommitInOrder
from sparsewatch.transforms.window.judge_stream import StreamRules
from sparsewatch.transforms.window.measure import Conclude, Conclusion, Learning, LookBack, Window

#: A job's name and a closed window of it as bytes.
_KeyedClosed = tuple[str, bytes]


def unbalanced(account: Account, conclusion: Conclusion, parts: WindowParts, results_per_row: bool) -> Finding | None:
    """The finding that a window's account and results differ, None if they agree."""
    stated = {"counted": account.counted, "late": account.late, "rejected": account.rejected}
    found = {"counted": conclusion.rows, "late": parts.acks.late, "rejected": parts.acks.rejected}
    if results_per_row:
        stated["results"], found["results"] = account.counted, parts.acks.results
    if stated == found:
        return None
    return Finding(
        rule="books_unbalanced",
        subject="stream",
        severity="critical",
        value=float(sum(found.values())),
        threshold=float(sum(stated.values())),
        baseline=float(sum(stated.values())),
        message=f"the reader stated {stated}, the results hold {found}; the window is not committed",
        evidence={"stated": stated, "found": found},
    )


def close_window(start_us: int, end_us: int, parts: WindowParts, conclude: Conclude) -> Closed | None:
    """Conclude a window and compare its account with the results; None if its readers did not close it."""
    if not parts.markers:
        return None
    window = Window(start_us, end_us, all(marker.complete for marker in parts.markers))
    account = sum((marker.account for marker in parts.markers), Account())
    conclusion = conclude(window, parts.measures)
    fault = unbalanced(account, conclusion, parts, conclude.results_per_row)
    return Closed(window, parts.markers, conclusion, fault, parts.acks, parts.others)


class _Conclude(beam.DoFn):
    def __init__(self, conclude: Conclude) -> None:
        self._conclude = conclude

    def process(
        self, keyed: tuple[str, Iterable[bytes]], window: Any = beam.DoFn.WindowParam
    ) -> Iterator[_KeyedClosed]:
        job, parts = keyed
        closed = close_window(window.start.micros, window.end.micros, sort_parts(parts), self._conclude)
        if closed is not None:
            yield job, closed.to_bytes()


@dataclass
class CloseWindows(beam.PTransform):
    """Windowed parts in; results, alerts, metrics and progress go to their topics."""

    identity: JobIdentity
    conclude: Conclude
    look_back: LookBack | None = None
    #: File that alerts are added to as JSON lines, besides their topic.
    alerts_file: str | None = None
    #: How the stream as such is judged.
    stream: StreamRules = field(default_factory=StreamRules)
    #: When an incident is over.
    incidents: IncidentSettings = field(default_factory=IncidentSettings)
    #: The baseline that the job learns, if it does.
    learning: Learning | None = None
    #: Readers of the job; 0 where that is not known.
    readers: int = 0

    def __post_init__(self) -> None:
        beam.PTransform.__init__(self)

    def expand(self, parts: Any) -> Any:
        """Keyed `Part`s of all kinds in, nothing out."""
        return (
            parts
            | "Meet" >> beam.GroupByKey().with_input_types(Part)
            | "Conclude" >> beam.ParDo(_Conclude(self.conclude)).with_output_types(_KeyedClosed)
            | "AllWindows" >> beam.WindowInto(GlobalWindows())
            | "CommitInOrder" >> beam.ParDo(self._commit_in_order())
        )

    def _commit_in_order(self) -> CommitInOrder:
        return CommitInOrder(
            self.identity,
            self.look_back,
            self.alerts_file,
            self.stream,
            self.incidents,
            self.learning,
            self.readers,
        )
