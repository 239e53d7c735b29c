"""Blocks to mergeable measures: one partial a window and bundle, never one element a row.

A measure is whatever a job counts: it takes blocks, knows its rows, and leaves as bytes. Bundles add up their blocks
first, so what is grouped by window is a few partials, not thousands of blocks.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, Protocol

import apache_beam as beam
from apache_beam.transforms.window import IntervalWindow
from apache_beam.utils.windowed_value import WindowedValue

from sparsewatch.schemas.block import Block
from sparsewatch.transforms.parts import Part, measure_part


class Measure(Protocol):
    """A mergeable count over blocks of one window."""

    def add(self, block: Block) -> None:
        """Take a block into the count."""

    def to_bytes(self) -> bytes:
        """The count, for merging elsewhere."""


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
