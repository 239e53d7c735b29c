"""Run a job: choose a Beam runner, make the job ready, ask the broker, build its graph, run that, sum up.

All kinds share the graph: events read, windows measured, side records written, windows closed. A kind gives the three
parts in the middle (`sparsewatch.pipelines.job.ready.Prepared`).
"""

import os
import shutil
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import apache_beam as beam
from apache_beam.options.pipeline_options import PipelineOptions
from apache_beam.transforms.window import FixedWindows

from sparsewatch.pipelines.job.broker_checks import check_broker
from sparsewatch.pipelines.job.kind import Job
from sparsewatch.pipelines.job.ready import Prepared, Ready, prepare, ready
from sparsewatch.schemas.accounts import Marker, Part, Progress, marker_part
from sparsewatch.schemas.alerts import counted
from sparsewatch.schemas.errors import ConfigError
from sparsewatch.schemas.units import parse_moment_us
from sparsewatch.transforms import coders
from sparsewatch.transforms.kafka.progress import load_progress
from sparsewatch.transforms.kafka.side_topics import WriteSideRecords
from sparsewatch.transforms.kafka.source import ASIDE, MARKERS, ReadKafka, ReadSpec, Until
from sparsewatch.transforms.window.close_windows import CloseWindows

_TEN_YEARS_S = 315_360_000
_BEAM_CACHE = Path.home() / ".apache_beam" / "cache" / "prism" / "bin"


def parse_until(text: str) -> Until:
    """`forever`, `latest`, or the Kafka timestamp (milliseconds) of an ISO-8601 time.

    >>> parse_until("2026-01-01T00:00:00Z")
    1767225600000

    Raises:
        ConfigError: If it is none of these.
    """
    if text in ("forever", "latest"):
        return text  # type: ignore[return-value]
    try:
        return parse_moment_us(text) // 1000
    except ConfigError as error:
        raise ConfigError(f"--until: expected 'latest', 'forever' or a time; {error}") from error


def find_prism() -> Path | None:
    """The Prism binary: `SPARSEWATCH_PRISM`, beside the Python that runs, on the path, or in Beam's own cache."""
    named = os.environ.get("SPARSEWATCH_PRISM")
    if named:
        return Path(named) if os.access(named, os.X_OK) else None
    # An environment's programs lie beside its Python, also where it is not activated.
    if found := shutil.which("prism", path=str(Path(sys.executable).parent)) or shutil.which("prism"):
        return Path(found)
    cached = sorted(p for p in _BEAM_CACHE.glob("*") if os.access(p, os.X_OK) and p.is_file())
    return cached[-1] if cached else None


def choose_runner(runner: str, until: Until) -> str:
    """The runner to use: `inprocess`, `prism` or `portable`.

    Raises:
        ConfigError: If the pair cannot work, with the reason and the remedy.
    """
    if runner == "auto":
        runner = "prism" if until == "forever" else "inprocess"
    if runner == "inprocess" and until == "forever":
        raise ConfigError(
            "--runner inprocess with --until forever: Beam's in-process runner holds back every step behind an endless "
            "source, so nothing would ever come out. Use --until latest --repeat 30s, or --runner prism."
        )
    if runner == "prism" and find_prism() is None:
        raise ConfigError(
            "--runner prism: no Prism binary found. In the repository `make services-prism` builds it (needs Go); "
            "elsewhere put `prism` on the path or set SPARSEWATCH_PRISM to it. Or run with --until latest instead."
        )
    return runner


def runner_options(runner: str, until: Until, extra: Sequence[str] = ()) -> PipelineOptions:
    """Beam's options for a chosen runner.

    Args:
        runner: As from `choose_runner`.
        until: When the job stops.
        extra: Options passed through to Beam as they are.
    """
    streaming = ["--streaming"] if until == "forever" else []
    # Beam ends the streams it follows a job by after this time (300 s by default), and the job with them.
    patience = f"--job_server_timeout={_TEN_YEARS_S}"
    if runner == "inprocess":
        # Named, since Beam's direct runner silently uses Prism if it finds it.
        return PipelineOptions(["--runner=FnApiRunner", *extra])
    if runner == "prism":
        return PipelineOptions(
            [
                "--runner=PrismRunner",
                f"--prism_location={find_prism()}",
                "--environment_type=LOOPBACK",
                patience,
                *streaming,
                *extra,
            ]
        )
    return PipelineOptions(["--runner=PortableRunner", patience, *streaming, *extra])


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
    """One line for the user."""
    if progress is None:
        return f"{job.name}: no window closed yet"
    totals = progress.totals
    return (
        f"{job.name}: {totals.read} read = {totals.counted} counted + {totals.rejected} rejected + {totals.late} late, "
        f"in {counted(progress.windows, 'window')}"
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
    close = CloseWindows(made.identity, prepared.conclude, prepared.look_back, job.output.alerts_file)
    # Labels stay as they are, whatever the classes are called: an update of a running job matches them.
    _ = (measures, aside, markers) | "AllParts" >> beam.Flatten() | "CloseBooks" >> close


def _windows(made: Ready) -> beam.WindowInto:
    return beam.WindowInto(FixedWindows(made.windows.length_us / 1e6))
