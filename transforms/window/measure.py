"""Blocks to mergeable measures: one partial a window and bundle, never one element a row.

A measure is whatever a job counts (`sparsewatch.transforms.window.protocols.Measure`); most are a `Composite` of parts.
Bundles add up their blocks first, so what is grouped by window is a few partials, not thousands of blocks.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, Generic, Protocol, Self, TypeVar

import apache_beam as beam
import msgspec
import pyarrow as pa
from apache_beam.transforms.window import IntervalWindow
from apache_beam.utils.windowed_value import WindowedValue

from sparsewatch.schemas.accounts import Part, measure_part
from sparsewatch.schemas.block import Block
from sparsewatch.schemas.stored import Format
from sparsewatch.transforms.window.protocols import Measure

S = TypeVar("S", bound="Mergeable")
STORED = Format("the parts of a measure")


class _Parts(msgspec.Struct, frozen=True, array_like=True):
    #: States by name of the part.
    states: dict[str, bytes]


class Mergeable(Protocol):
    """A state of the detectors that merges with others of its like."""

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
        state: An empty one.
        update: Takes the rows of a block into it.
    """

    def __init__(self, state: S, update: Callable[[S, pa.RecordBatch], None]) -> None:
        self.state = state
        self._update = update

    def add(self, block: Block) -> None:
        """See `Measure`."""
        self._update(self.state, block.rows)

    def merge_bytes(self, data: bytes) -> None:
        """See `PartMeasure`."""
        self.state.merge(type(self.state).from_bytes(data))

    def to_bytes(self) -> bytes:
        """See `Measure`."""
        return self.state.to_bytes()


class Composite:
    """A measure of named parts, each a measure itself; what a job does not ask for is None."""

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


def pack_parts(states: dict[str, bytes]) -> bytes:
    """States by name as one."""
    return msgspec.msgpack.encode(_Parts(states))


def unpack_parts(data: bytes) -> dict[str, bytes]:
    """The inverse of `pack_parts`.

    Raises:
        StateError: If the bytes are others.
    """
    return STORED.unpack(data, _Parts).states


class _Measure(beam.DoFn):
    def __init__(self, job: str, new: Callable[[], Measure]) -> None:
        self._job = job
        self._new = new

    def start_bundle(self) -> None:
        self._open: dict[IntervalWindow, Measure] = {}

    def process(self, block: Block, window: Any = beam.DoFn.WindowParam) -> None:
        if window not in self._open:
            self._open[window] = self._new()
        self._open[window].add(block)

    def finish_bundle(self) -> Iterator[WindowedValue]:
        for window, measure in self._open.items():
            part: Part = (self._job, measure_part(measure.to_bytes()))
            yield WindowedValue(part, window.max_timestamp(), (window,))
        self._open = {}


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

    def expand(self, blocks: Any) -> Any:
        """`Block` in, `Part` out."""
        return blocks | "AddUp" >> beam.ParDo(_Measure(self.job, self.new)).with_output_types(Part)
