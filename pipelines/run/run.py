"""Run a job: make it ready, ask the broker, build its graph, hand that to a runner, sum up.

All kinds share the graph: events read, windows measured, side records written, windows closed. A kind gives the three
parts in the middle (`sparsewatch.pipelines.job.ready.Prepared`).
"""

from collections.abc import Sequence
from typing import Any

import apache_beam as beam
from apache_beam.transforms.window import FixedWindows

from sparsewatch.pipelines.job.broker_checks import check_broker
from sparsewatch.pipelines.job.kind import Job
from sparsewatch.pipelines.job.ready import Prepared, Ready, prepare, ready
from sparsewatch.pipelines.run.runners import choose_runner, parse_until, runner_options
from sparsewatch.schemas.accounts import Marker, Part, Progress, marker_part
from sparsewatch.transforms import coders
from sparsewatch.transforms.kafka.progress import load_progress
from sparsewatch.transforms.kafka.side_topics import WriteSideRecords
from sparsewatch.transforms.kafka.source import ASIDE, MARKERS, ReadKafka, ReadSpec, Until
from sparsewatch.transforms.window.close_windows import CloseBooks


def run_job(
    job: Job,
    until: str,
    runner: str,
    *,
    close_at_end: bool = True,
    extra: Sequence[str] = (),
    job_file: str = "JOB.toml",
) -> str:
    """Run a job to its end and say how it stands.

    Args:
        job: The validated job.
        until: `forever`, `latest` or a time.
        runner: `auto`, `inprocess`, `prism` or `portable`.
        close_at_end: Whether a bounded run closes windows that have not ended.
        extra: Beam options passed through.
        job_file: The job's file, as messages name it.

    Raises:
        ConfigError: If something about the job is wrong; nothing has been read then.
        SourceError: If no broker answers.
    """
    stop = parse_until(until)
    chosen = choose_runner(runner, stop)
    made = ready(job)
    prepared = prepare(made)
    partitions = check_broker(made, job_file)
    _progress(made)
    coders.register()
    specs = read_specs(made, partitions, stop, close_at_end)
    with beam.Pipeline(options=runner_options(chosen, stop, extra)) as pipeline:
        build_graph(pipeline, made, prepared, specs)
    return describe(job, _progress(made))


def load_job_progress(job: Job) -> Progress | None:
    """Where the job stands; refuses settings it cannot resume with."""
    return _progress(ready(job))


def _progress(made: Ready) -> Progress | None:
    own = made.identity
    return load_progress(own.kafka, own.topics.progress, own.job, own.settings_digest)


def describe(job: Job, progress: Progress | None) -> str:
    """One line for a person."""
    if progress is None:
        return f"{job.name}: no window closed yet"
    totals = progress.totals
    return (
        f"{job.name}: {totals.read} read = {totals.counted} counted + {totals.rejected} rejected + {totals.late} late, "
        f"in {progress.windows} windows"
    )


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
