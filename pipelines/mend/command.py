"""Repair topics that would lose a job's state: `sparsewatch mend`."""

from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import click

from sparsewatch.pipelines.job.job_file import load_job
from sparsewatch.pipelines.job.kind import Job


@click.command()
@click.argument("job_file", metavar="JOB.toml", type=click.Path(path_type=Path, dir_okay=False))
@click.option("--set", "overrides", multiple=True, metavar="KEY=VALUE", help="Override a setting, as in `check`.")
def mend(job_file: Path, overrides: tuple[str, ...]) -> None:
    """Repair topics that would lose the state of JOB.toml. Stop the job first.

    A topic of several partitions is recreated with 1 partition and the same replicas and settings. Its records wait in
    TOPIC.mending meanwhile; if the command is interrupted, call it again, it resumes where it stopped. A topic whose
    records the broker deletes by age or size gets cleanup.policy=compact; a topic that refuses large records gets a
    larger max.message.bytes. Topics that are sound stay as they are.
    """
    job = load_job(job_file, overrides)
    changes = 0
    for line in _mended(job):
        click.echo(line)
        changes += 1
    if not changes:
        click.echo(f"job {job.name!r}: the topics of its state are sound, nothing was changed")


def _mended(job: Job) -> Iterator[str]:
    # Brings in Beam, which takes seconds: wrong settings are reported before.
    from sparsewatch.pipelines.job.broker_checks import look_at
    from sparsewatch.pipelines.job.ready import ready, state_topics
    from sparsewatch.pipelines.mend.remake import mend_topic
    from sparsewatch.transforms.kafka.open import open_admin

    with closing(open_admin(job.kafka)) as admin:
        for topic in look_at(admin, state_topics(ready(job))):
            yield from mend_topic(job.kafka, admin, topic)
