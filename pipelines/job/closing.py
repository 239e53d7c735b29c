"""The end every job shares: side records written, parts of a window brought together, books closed."""

from typing import Any

import apache_beam as beam
from apache_beam.transforms.window import FixedWindows

from sparsewatch.pipelines.job.topics import topics_of
from sparsewatch.schemas.accounts import Marker
from sparsewatch.schemas.jobs import Job
from sparsewatch.schemas.units import parse_duration_us
from sparsewatch.transforms.kafka.progress import settings_digest
from sparsewatch.transforms.kafka.side_topics import WriteSideRecords
from sparsewatch.transforms.kafka.source import ASIDE, MARKERS
from sparsewatch.transforms.parts import Part, marker_part
from sparsewatch.transforms.window.close_windows import BookSettings, CloseBooks, Conclude, LookBack


def fixed_windows(job: Job) -> beam.WindowInto:
    """The job's panes."""
    return beam.WindowInto(FixedWindows(parse_duration_us(job.windows.length) / 1e6))


def book_settings(job: Job) -> BookSettings:
    """Where the job's results go."""
    topics = topics_of(job)
    return BookSettings(
        job=job.name,
        kafka=job.kafka,
        source_topic=job.source.topic,
        settings_digest=settings_digest(job),
        windows_topic=topics.windows,
        alerts_topic=topics.alerts,
        metrics_topic=topics.metrics,
        progress_topic=topics.progress,
        panes_topic=topics.panes,
        alerts_file=job.output.alerts_file,
    )


class _MarkerParts(beam.DoFn):
    def __init__(self, job: str) -> None:
        self._job = job

    def process(self, marker: Marker) -> Any:
        yield self._job, marker_part(marker)


def close_books(job: Job, read: Any, parts: list[Any], conclude: Conclude, look_back: LookBack | None = None) -> None:
    """Bring all parts of a window together and close it.

    Args:
        job: The job.
        read: Outputs of `ReadKafka`.
        parts: Windowed collections of measures and of acknowledgements of results.
        conclude: The job's own part of closing a window.
        look_back: Its view over the last windows, if it has one.
    """
    aside = (
        read[ASIDE] | "WindowAside" >> fixed_windows(job) | "WriteSideRecords" >> WriteSideRecords(job.name, job.kafka)
    )
    markers = (
        read[MARKERS]
        | "WindowMarkers" >> fixed_windows(job)
        | "MarkerParts" >> beam.ParDo(_MarkerParts(job.name)).with_output_types(Part)
    )
    _ = (
        (*parts, aside, markers)
        | "AllParts" >> beam.Flatten()
        | "CloseBooks" >> CloseBooks(book_settings(job), conclude, look_back)
    )
