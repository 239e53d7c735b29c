"""Run a job: check it, build its graph, hand it to a runner, sum up."""

from collections.abc import Sequence

import apache_beam as beam

from sparsewatch.pipelines.job.read_specs import parse_until, read_specs
from sparsewatch.pipelines.job.topics import topics_of
from sparsewatch.pipelines.run.preflight import check_broker, check_models
from sparsewatch.pipelines.run.runners import choose_runner, runner_options
from sparsewatch.schemas.accounts import Progress
from sparsewatch.schemas.jobs import CtrJob, Job, RowsJob
from sparsewatch.transforms import coders
from sparsewatch.transforms.kafka.progress import load_progress, settings_digest


def run_job(job: Job, until: str, runner: str, *, close_at_end: bool = True, extra: Sequence[str] = ()) -> str:
    """Run a job to its end and say how it stands.

    Args:
        job: The validated job.
        until: `forever`, `latest` or a time.
        runner: `auto`, `inprocess`, `prism` or `portable`.
        close_at_end: Whether a bounded run closes windows that have not ended.
        extra: Beam options passed through.

    Raises:
        ConfigError: If something about the job is wrong; nothing has been read then.
        SourceError: If no broker answers.
    """
    stop = parse_until(until)
    chosen = choose_runner(runner, stop)
    check_models(job)
    partitions = check_broker(job)
    load_job_progress(job)
    coders.register()
    specs = read_specs(job, partitions, stop, close_at_end)
    with beam.Pipeline(options=runner_options(chosen, stop, extra)) as pipeline:
        if isinstance(job, CtrJob):
            from sparsewatch.pipelines.ctr.job import build_ctr

            build_ctr(pipeline, job, specs)
        elif isinstance(job, RowsJob):
            from sparsewatch.pipelines.rows.job import build_rows

            build_rows(pipeline, job, specs)
        else:
            from sparsewatch.pipelines.wafer.job import build_wafer

            build_wafer(pipeline, job, specs)
    return describe(job, load_job_progress(job))


def load_job_progress(job: Job) -> Progress | None:
    """Where the job stands; refuses settings it cannot resume with."""
    return load_progress(job.kafka, topics_of(job).progress, job.name, settings_digest(job))


def describe(job: Job, progress: Progress | None) -> str:
    """One line for a person."""
    if progress is None:
        return f"{job.name}: no window closed yet"
    totals = progress.totals
    return (
        f"{job.name}: {totals.read} read = {totals.counted} counted + {totals.rejected} rejected + {totals.late} late, "
        f"in {progress.windows} windows"
    )
