"""An endless pipeline small enough to test a runner with: ticks, counted by window, into a file."""

import time
from collections.abc import Iterator
from pathlib import Path

import apache_beam as beam
from apache_beam.io.restriction_trackers import OffsetRange, OffsetRestrictionTracker
from apache_beam.io.watermark_estimators import ManualWatermarkEstimator
from apache_beam.options.pipeline_options import PipelineOptions
from apache_beam.runners.runner import PipelineResult
from apache_beam.transforms.core import RestrictionProvider
from apache_beam.transforms.window import FixedWindows, TimestampedValue
from apache_beam.utils.timestamp import Duration, Timestamp

_END = 1 << 40  # ticks: never reached


class TickTracker(OffsetRestrictionTracker):
    """Splits done from left only: half of an endless range is no use to anybody."""

    def try_split(self, fraction_of_remainder: float) -> tuple[OffsetRange, OffsetRange] | None:
        if fraction_of_remainder != 0:
            return None
        split: tuple[OffsetRange, OffsetRange] | None = super().try_split(0)
        return split


class TickRange(RestrictionProvider):
    """The ticks still to come, as a restriction."""

    def initial_restriction(self, element: float) -> OffsetRange:
        return OffsetRange(0, _END)

    def create_tracker(self, restriction: OffsetRange) -> TickTracker:
        return TickTracker(restriction)

    def restriction_size(self, element: float, restriction: OffsetRange) -> int:
        return 1


class Tick(beam.DoFn):
    """Emit tick 0, 1, 2 ..., stamped `element` + n `every_s`, once that time has come.

    Args:
        every_s: Seconds between two ticks.
    """

    def __init__(self, every_s: float) -> None:
        self._every_s = every_s

    @beam.DoFn.unbounded_per_element()
    def process(
        self,
        element: float,
        ticks: beam.DoFn.RestrictionParam = beam.DoFn.RestrictionParam(TickRange()),
        watermark: beam.DoFn.WatermarkEstimatorParam = beam.DoFn.WatermarkEstimatorParam(
            ManualWatermarkEstimator.default_provider()
        ),
    ) -> Iterator[TimestampedValue]:
        """Emit the ticks due, and come back for the rest."""
        number = ticks.current_restriction().start
        while (due := element + number * self._every_s) <= time.time():
            if not ticks.try_claim(number):
                return
            yield TimestampedValue(number, due)
            number += 1
        watermark.set_watermark(Timestamp(due))
        ticks.defer_remainder(Duration(self._every_s))


class AppendLine(beam.DoFn):
    """Append each element to a file of the worker's machine, a line each.

    Args:
        path: The file.
    """

    def __init__(self, path: str) -> None:
        self._path = path

    def process(self, element: int, window: beam.DoFn.WindowParam = beam.DoFn.WindowParam) -> None:
        """Write one line: start of the window in seconds, count."""
        with Path(self._path).open("a") as output:
            output.write(f"{int(window.start)} {element}\n")


def run_ticks(options: list[str], path: Path, *, every_s: float, window_s: float) -> PipelineResult:
    """Start counting ticks by window into `path`, and return the running job."""
    pipeline = beam.Pipeline(options=PipelineOptions(options))
    _ = (
        pipeline
        | "Start" >> beam.Create([float(int(time.time()))])
        | "Tick" >> beam.ParDo(Tick(every_s))
        | "Window" >> beam.WindowInto(FixedWindows(window_s))
        | "Count" >> beam.CombineGlobally(beam.combiners.CountCombineFn()).without_defaults()
        | "Append" >> beam.ParDo(AppendLine(str(path)))
    )
    return pipeline.run()


def counts_by_window(path: Path) -> dict[int, int]:
    """Return what was written so far: start of the window in seconds, to its count.

    A window written again, as after a restart, holds its last count.
    """
    if not path.exists():
        return {}
    return {int(start): int(count) for start, count in map(str.split, path.read_text().splitlines())}
