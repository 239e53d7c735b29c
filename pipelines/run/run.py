"""Run a job: make it ready, ask the broker, hand its graph to a runner, sum up."""

from collections.abc import Sequence

import apache_beam as beam

from sparsewatch.pipelines.job.graph import build_graph, read_specs
from sparsewatch.pipelines.job.kind import Job
from sparsewatch.pipelines.job.ready import Ready, prepare, ready
from sparsewatch.pipelines.run.preflight import check_broker
from sparsewatch.pipelines.run.runners import choose_runner, parse_until, runner_options
from sparsewatch.schemas.accounts import Progress
from sparsewatch.transforms import coders
from sparsewatch.transforms.kafka.progress import load_progress


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
