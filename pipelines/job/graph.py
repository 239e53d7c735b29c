"""The graph that every job shares: events read, windows measured, side records written, windows closed.

A kind of job gives the three parts in the middle (`sparsewatch.pipelines.job.ready.Prepared`).
"""

from collections.abc import Sequence
from typing import Any

import apache_beam as beam
from apache_beam.transforms.window import FixedWindows

from sparsewatch.pipelines.job.ready import Prepared, Ready
from sparsewatch.schemas.accounts import Marker
from sparsewatch.transforms.kafka.side_topics import WriteSideRecords
from sparsewatch.transforms.kafka.source import ASIDE, MARKERS, ReadKafka, ReadSpec, Until
from sparsewatch.transforms.parts import Part, marker_part
from sparsewatch.transforms.window.close_windows import CloseBooks


class _MarkerParts(beam.DoFn):
    def __init__(self, job: str) -> None:
        self._job = job

    def process(self, marker: Marker) -> Any:
        yield self._job, marker_part(marker)


def read_specs(made: Ready, partitions: Sequence[int], until: Until, close_at_end: bool = True) -> tuple[ReadSpec, ...]:
    """Readers of a job, partitions dealt out evenly.

    Args:
        made: The job.
        partitions: All partitions of its topic.
        until: When to stop.
        close_at_end: Whether the end of a bounded run closes open windows.
    """
    source = made.job.source
    readers = min(source.readers, len(partitions))
    return tuple(
        ReadSpec(
            identity=made.identity,
            windows=made.windows,
            reader=reader,
            partitions=tuple(partitions[reader::readers]),
            block_rows=source.block_rows,
            max_record_bytes=made.events.max_record_bytes,
            start=source.start,
            until=until,
            close_at_end=close_at_end,
        )
        for reader in range(readers)
    )


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
