"""Everything that can be wrong with a job is found here, before anything is read."""

import logging
from collections.abc import Iterator
from contextlib import contextmanager

from sparsewatch.pipelines.job.topics import create_output_topics, topics_of
from sparsewatch.schemas.errors import ConfigError
from sparsewatch.schemas.jobs import CtrJob, Job, RowsJob
from sparsewatch.transforms.kafka.open import open_admin
from sparsewatch.transforms.kafka.password import read_password


def check_models(job: Job) -> None:
    """Load what the job names: models, references, thresholds, secrets.

    Raises:
        ConfigError: If a setting is wrong.
        ModelError: If a model is missing, damaged or of another kind.
    """
    read_password(job.kafka)
    # Imported where needed: each kind of job brings its own heavy libraries.
    if isinstance(job, CtrJob):
        from sparsewatch.pipelines.ctr.job import load_ctr_models

        load_ctr_models(job)
    elif isinstance(job, RowsJob):
        from sparsewatch.pipelines.rows.job import load_row_models

        load_row_models(job)
    else:
        from sparsewatch.pipelines.wafer.job import load_wafer_model

        load_wafer_model(job)


def check_broker(job: Job) -> tuple[int, ...]:
    """Ask the broker for the job's topic, create output topics.

    Returns:
        The partitions of the source topic.

    Raises:
        ConfigError: If the topic, or an output topic that may not be created, is missing.
        SourceError: If no broker answers.
    """
    with _quiet_client():
        admin = open_admin(job.kafka)
    try:
        partitions = admin.partitions(job.source.topic)
        if not partitions:
            raise ConfigError(f"source.topic: the broker has no topic {job.source.topic!r}")
        if job.output.create_topics:
            create_output_topics(admin, job)
        elif not admin.partitions(topics_of(job).progress):
            raise ConfigError(f"output.create_topics is false and topic {topics_of(job).progress!r} is not there")
        return partitions
    finally:
        admin.close()


@contextmanager
def _quiet_client() -> Iterator[None]:
    # A broker that is not there is told in one message of ours, not in one of the client's for each try.
    logger = logging.getLogger("kafka")
    level = logger.level
    if level >= logging.ERROR:
        logger.setLevel(logging.CRITICAL)
    try:
        yield
    finally:
        logger.setLevel(level)
