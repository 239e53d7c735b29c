"""The graph that every job shares: events read, windows measured, side records written, windows closed.

A kind of job gives the three parts in the middle (`sparsewatch.pipelines.job.ready.Prepared`).
"""

from typing import Any

import apache_beam as beam
from apache_beam.transforms.window import FixedWindows

from sparsewatch.pipelines.job.ready import Prepared, Ready
from sparsewatch.schemas.accounts import Marker
from sparsewatch.transforms.kafka.side_topics import WriteSideRecords
from sparsewatch.transforms.kafka.source import ASIDE, MARKERS, ReadKafka, ReadSpec
from sparsewatch.transforms.parts import Part, marker_part
from sparsewatch.transforms.window.close_windows import CloseBooks


class _MarkerParts(beam.DoFn):
    def __init__(self, job: str) -> None:
        self._job = job

    def process(self, marker: Marker) -> Any:
        yield self._job, marker_part(marker)


def build_graph(pipeline: beam.Pipeline, made: Ready, prepared: Prepared, specs: tuple[ReadSpec, ...]) -> None:
    """The graph of a job.

    Args:
        pipeline: Where it goes.
        made: The job.
        prepared: What its kind does with windows.
        specs: Its readers.
    """
    job = made.job
    read = pipeline | f"Read{prepared.events}" >> ReadKafka(specs, made.events)
    measures = read.blocks | "WindowBlocks" >> _windows(made) | prepared.measure
    aside = read[ASIDE] | "WindowAside" >> _windows(made) | "WriteSideRecords" >> WriteSideRecords(job.name, job.kafka)
    markers = (
        read[MARKERS]
        | "WindowMarkers" >> _windows(made)
        | "MarkerParts" >> beam.ParDo(_MarkerParts(job.name)).with_output_types(Part)
    )
    close = CloseBooks(made.identity, prepared.conclude, prepared.look_back, job.output.alerts_file)
    _ = (measures, aside, markers) | "AllParts" >> beam.Flatten() | "CloseBooks" >> close


def _windows(made: Ready) -> beam.WindowInto:
    return beam.WindowInto(FixedWindows(made.windows.length_us / 1e6))
