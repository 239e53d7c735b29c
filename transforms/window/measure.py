"""What a kind of job defines for its windows: `Measure`, `Conclude` and, if it looks back, `LookBack`.

A measure is whatever a job counts; most are a `Composite` of parts. It is filled from the blocks of a window, on any
worker and in any split: one partial a window and bundle, never one element a row. Bundles add up their blocks first, so
what is grouped by window is a few partials, not thousands of blocks. `sparsewatch.transforms.window.close_windows`
passes all measures of a window to `Conclude`, and the state that this saves of the window (its pane) to `LookBack`,
together with the saved windows before it. `MeasureWindows` is the transform that measures.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, Generic, NamedTuple, Protocol, Self, TypeVar, cast, runtime_checkable

import apache_beam as beam
import msgspec
import pyarrow as pa
from apache_beam.transforms.window import IntervalWindow
from apache_beam.utils.windowed_value import WindowedValue

from sparsewatch.schemas.accounts import Part, measure_part, others_parts
from sparsewatch.schemas.alerts import Finding, MetricSample
from sparsewatch.schemas.block import Block
from sparsewatch.schemas.incidents import Member
from sparsewatch.schemas.orders import Order
from sparsewatch.schemas.other_fields import NO_OTHERS, OtherFields
from sparsewatch.schemas.slow_changes import Observed
from sparsewatch.schemas.stored import Format
from sparsewatch.transforms.window.panes import Pane

S = TypeVar("S", bound="Mergeable")
P = TypeVar("P", bound="BlockParts")
STORED = Format("the parts of a measure")
#: Cells of blocks after which a window that got none of them counts as over: about as many as a bundle of a continuous
#: run has, a second of it. A window that is given out too soon costs one more merge.
RESTING_CELLS = 1 << 23
#: What every window's record holds, whatever a job's summary adds.
RECORD_KEYS = frozenset({"job", "window_start_us", "window_end_us", "rows", "complete", "passed_over", "alerts"})


@dataclass(frozen=True, slots=True)
class Window:
    """A window of event time, microseconds since the epoch; the end is exclusive."""

    start_us: int
    end_us: int
    #: False if rows of it may be missing: the first window of a job, and a window cut off by the end of a run.
    complete: bool = True


class Record(NamedTuple):
    """A record that a job writes besides those of every job."""

    topic: str
    key: bytes
    value: bytes


@dataclass(frozen=True, slots=True)
class Conclusion:
    """What a job concludes of a window; the parts of a conclusion add up to it.

    Raises:
        ValueError: If the summary has a key that every window's record has.
    """

    #: Rows its measures hold, to be compared with the account; 0 for a part about rows that another part counts.
    rows: int = 0
    #: What the window's record holds besides `RECORD_KEYS`, JSON types only.
    summary: dict[str, Any] = field(default_factory=dict)
    findings: list[Finding] = field(default_factory=list)
    metrics: list[MetricSample] = field(default_factory=list)
    #: State for the views of later windows, where the job looks back.
    pane: bytes | None = None
    #: Written with the window's record, before the commit.
    records: Sequence[Record] = ()
    #: Shares that are watched over many windows; of a whole window with rows.
    observed: Observed | None = None
    #: State of which the baseline of later windows is learned, where the job learns one.
    learnable: bytes | None = None
    #: Declared columns of which no row had a value, of a window with rows.
    without_value: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if taken := sorted(RECORD_KEYS & self.summary.keys()):
            raise ValueError(f"summary: expected keys that a window's record does not have already, got {taken}")

    def __add__(self, other: "Conclusion") -> "Conclusion":
        """Both together: findings, metrics, records in this order, one record; one has a pane, watches or teaches."""
        return Conclusion(
            rows=self.rows + other.rows,
            summary=self.summary | other.summary,
            findings=[*self.findings, *other.findings],
            metrics=[*self.metrics, *other.metrics],
            pane=self.pane if other.pane is None else other.pane,
            records=[*self.records, *other.records],
            observed=self.observed if other.observed is None else other.observed,
            learnable=self.learnable if other.learnable is None else other.learnable,
            without_value=self.without_value + other.without_value,
        )


class Measure(Protocol):
    """A count over blocks of one window, which `Conclude` merges: any split and order of blocks gives the same."""

    def add(self, block: Block) -> None:
        """Add a block to the count."""

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
        """What the window and the saved windows before it, oldest first, show together; `rows` are those of all."""

    def close(self) -> None:
        """Release what it holds open; it may be called again."""


@runtime_checkable
class KeepsRecords(Protocol):
    """A view that reads back what it has written to a topic of its own."""

    def in_memory(self) -> LookBack:
        """The same view, which has written nothing yet and remembers here what it writes."""


class Learning(Protocol):
    """A job's baseline of its own windows, where it is given none.

    Which windows are kept is its own choice: those of the last quiet hours are worth more than those of a long fault.
    """

    @property
    def size(self) -> int:
        """Windows that are kept."""

    def __call__(self, window: Window, found: Conclusion, kept: Sequence[Pane], orders: Sequence[Order]) -> Conclusion:
        """What a window shows beside those that are kept, oldest first; `rows` is 0, `found` can be learned."""

    def learn(
        self, window: Window, found: Conclusion, kept: Sequence[Pane], wrong: Sequence[Finding | Member]
    ) -> bytes | None:
        """What is kept of a window, None for nothing; `wrong` is what was found in it, and incidents that fire."""

    def spare(self, kept: Sequence[Pane]) -> Pane:
        """Of the windows that are kept, oldest first, the one that is let go for a new one."""


class Mergeable(Protocol):
    """A state of the detectors that merges with others of its type."""

    def merge(self, other: Any) -> None:
        """Add a state made elsewhere."""

    def to_bytes(self) -> bytes:
        """The state."""

    @classmethod
    def from_bytes(cls, data: bytes) -> Self:
        """The inverse of `to_bytes`."""


class PartMeasure(Measure, Protocol):
    """A measure that merges others itself, as parts of a `Composite` do."""

    def merge_bytes(self, data: bytes) -> None:
        """Add a measure of the same settings that was made elsewhere."""


class Accumulated(Generic[S]):
    """A state of the detectors as a measure.

    Args:
        state: An empty state.
        update: Adds the rows of a block to it.
    """

    def __init__(self, state: S, update: Callable[[S, pa.RecordBatch], None]) -> None:
        self.state = state
        self._update = update
        self._is_empty = True
        #: What was merged, while it is all there is: it need not be written again.
        self._alone: bytes | None = None

    def add(self, block: Block) -> None:
        """See `Measure`."""
        self._is_empty, self._alone = False, None
        self._update(self.state, block.rows)

    def merge_bytes(self, data: bytes) -> None:
        """See `PartMeasure`."""
        self.state.merge(type(self.state).from_bytes(data))
        self._alone = data if self._is_empty else None
        self._is_empty = False

    def to_bytes(self) -> bytes:
        """See `Measure`."""
        return self._encoded() if self._alone is None else self._alone

    def _encoded(self) -> bytes:
        return self.state.to_bytes()


class Composite:
    """A measure of named parts, each a measure itself; a part that a job does not need is None."""

    def __init__(self, **parts: PartMeasure | None) -> None:
        self._parts = {name: part for name, part in parts.items() if part is not None}

    def add(self, block: Block) -> None:
        """See `Measure`."""
        for part in self._parts.values():
            part.add(block)

    def merge_bytes(self, data: bytes) -> None:
        """See `PartMeasure`."""
        for name, state in unpack_parts(data).items():
            if name in self._parts:
                self._parts[name].merge_bytes(state)

    def to_bytes(self) -> bytes:
        """See `Measure`."""
        return pack_parts({name: part.to_bytes() for name, part in self._parts.items()})


class _Parts(msgspec.Struct, frozen=True, array_like=True):
    #: States by name of the part.
    states: dict[str, bytes]


def pack_parts(states: dict[str, bytes]) -> bytes:
    """States by name as one byte string."""
    return msgspec.msgpack.encode(_Parts(states))


def unpack_parts(data: bytes) -> dict[str, bytes]:
    """The inverse of `pack_parts`.

    Raises:
        StateError: If the bytes are no such states.
    """
    return STORED.unpack(data, _Parts).states


class BlockParts(Protocol):
    """What blocks of one window give: parts of it, as `sparsewatch.schemas.accounts` has them."""

    def add(self, block: Block) -> object:
        """Take a block in."""

    def parts(self) -> Iterable[bytes]:
        """The parts of all blocks."""


class Measuring(Protocol):
    """A transform of windowed blocks to parts, which also says what its workers do without it."""

    def new_parts(self) -> BlockParts:
        """Of a window, without a block yet."""


def measuring(transform: Any) -> Measuring:
    """A job's measuring transform without its label, for use outside of a graph."""
    return cast("Measuring", getattr(transform, "transform", transform))


@dataclass
class MeasureParts:
    """See `BlockParts`: one measure, and the fields that are no columns."""

    measure: Measure
    others: OtherFields = NO_OTHERS

    def add(self, block: Block) -> None:
        """See `BlockParts`."""
        self.measure.add(block)
        self.others += block.others

    def parts(self) -> tuple[bytes, ...]:
        """See `BlockParts`."""
        return (measure_part(self.measure.to_bytes()), *others_parts(self.others))


class OpenWindows(Generic[P]):
    """The windows of a bundle whose blocks are added up.

    A bounded run is one bundle, whatever it reads: a window that gets no more blocks must not lie in memory to its end.

    Args:
        job: Name of the job, the key of the parts.
        new: Makes the parts of a window.
    """

    def __init__(self, job: str, new: Callable[[], P]) -> None:
        self._job = job
        self._new = new
        #: With what was taken in before the last block of each; the one whose last block is oldest is first.
        self._open: dict[IntervalWindow, tuple[int, P]] = {}
        self._cells = 0

    def of(self, window: IntervalWindow, cells: int = 0) -> P:
        """The parts of a window, to which a block of so many cells is added."""
        parts = self._open.pop(window)[1] if window in self._open else self._new()
        self._open[window] = self._cells, parts
        self._cells += cells
        return parts

    def at_rest(self) -> Iterator[WindowedValue]:
        """The parts of windows that have had no block among the last `RESTING_CELLS`, each in its window.

        Should one come later, it begins new parts of its window.
        """
        while self._open:
            window, (before, _) = next(iter(self._open.items()))
            if self._cells - before <= RESTING_CELLS:
                return
            yield from self._close(window)

    def end(self) -> Iterator[WindowedValue]:
        """All parts, each in its window; none is left, and each is let go as it is given."""
        while self._open:
            yield from self._close(next(iter(self._open)))

    def _close(self, window: IntervalWindow) -> Iterator[WindowedValue]:
        _, filled = self._open.pop(window)
        for part in filled.parts():
            yield WindowedValue((self._job, part), window.max_timestamp(), (window,))


class _Measure(beam.DoFn):
    def __init__(self, job: str, new: Callable[[], BlockParts]) -> None:
        self._job = job
        self._new = new

    def start_bundle(self) -> None:
        self._open = OpenWindows(self._job, self._new)

    def process(self, block: Block, window: Any = beam.DoFn.WindowParam) -> Iterator[WindowedValue]:
        self._open.of(window, block.rows.num_rows * block.rows.num_columns).add(block)
        return self._open.at_rest()

    def finish_bundle(self) -> Iterator[WindowedValue]:
        yield from self._open.end()


@dataclass
class MeasureWindows(beam.PTransform):
    """Windowed blocks to partial measures, keyed by job.

    Args:
        job: Name of the job, the key.
        new: Makes an empty measure; importable, since workers call it.
    """

    job: str
    new: Callable[[], Measure]

    def __post_init__(self) -> None:
        beam.PTransform.__init__(self)

    def new_parts(self) -> MeasureParts:
        """See `Measuring`."""
        return MeasureParts(self.new())

    def expand(self, blocks: Any) -> Any:
        """`Block` in, `Part` out."""
        return blocks | "AddUp" >> beam.ParDo(_Measure(self.job, self.new_parts)).with_output_types(Part)
