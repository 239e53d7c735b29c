"""What a kind of job gives for its windows: a `Measure`, a `Conclude` and, if it looks back, a `LookBack`.

`sparsewatch.transforms.window.measure` fills a measure from the blocks of a window, on any worker and in any split;
`sparsewatch.transforms.window.close_windows` hands all measures of a window to `Conclude`, and what that keeps of the
window (its pane) to `LookBack` together with the panes before it.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple, Protocol

from sparsewatch.schemas.alerts import Finding
from sparsewatch.schemas.block import Block
from sparsewatch.schemas.metrics import MetricSample
from sparsewatch.transforms.window.panes import Pane


@dataclass(frozen=True, slots=True)
class Window:
    """A window of event time, microseconds since the epoch; the end is exclusive."""

    start_us: int
    end_us: int
    #: False if rows of it may be missing: the first of a job, and one cut off by the end of a run.
    complete: bool = True


class Record(NamedTuple):
    """A record that a job writes besides those every job does."""

    topic: str
    key: bytes
    value: bytes


@dataclass(frozen=True, slots=True)
class Conclusion:
    """What a job concludes of a window; the parts of a conclusion add up to it."""

    #: Rows its measures hold, to be compared with the account; 0 for a part about rows that another part counts.
    rows: int = 0
    #: The window's record, JSON types only.
    summary: dict[str, Any] = field(default_factory=dict)
    findings: list[Finding] = field(default_factory=list)
    metrics: list[MetricSample] = field(default_factory=list)
    #: State for the views of later windows, where the job looks back.
    pane: bytes | None = None
    #: Written with the window's record, before the commit.
    records: Sequence[Record] = ()

    def __add__(self, other: "Conclusion") -> "Conclusion":
        """Both together: findings, metrics and records in this order, one record; at most one has a pane."""
        return Conclusion(
            rows=self.rows + other.rows,
            summary=self.summary | other.summary,
            findings=[*self.findings, *other.findings],
            metrics=[*self.metrics, *other.metrics],
            pane=self.pane if other.pane is None else other.pane,
            records=[*self.records, *other.records],
        )


class Measure(Protocol):
    """A count over blocks of one window, which `Conclude` merges: any split and order of blocks gives the same."""

    def add(self, block: Block) -> None:
        """Take a block into the count."""

    def to_bytes(self) -> bytes:
        """The count, for merging elsewhere."""


class Conclude(Protocol):
    """A job's own part of closing a window."""

    @property
    def results_per_row(self) -> bool:
        """Whether each row has a result of its own, acknowledged apart."""

    def __call__(self, window: Window, measures: Sequence[bytes]) -> Conclusion:
        """Merge the measures and decide."""


class LookBack(Protocol):
    """A job's view of a window together with those before it."""

    @property
    def panes(self) -> int:
        """Windows a view reaches over, its own among them; at least 2."""

    def __call__(self, pane: Pane, earlier: Sequence[Pane]) -> Conclusion:
        """What the window's own pane and earlier ones, oldest first, show; `rows` are those of all."""

    def close(self) -> None:
        """Let go of what it holds open; it may be asked again."""
