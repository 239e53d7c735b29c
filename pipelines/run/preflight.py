"""What can be wrong with a job at the broker is found here, before anything is read."""

import logging
from collections.abc import Iterator
from contextlib import contextmanager

from sparsewatch.pipelines.job.ready import Ready
from sparsewatch.pipelines.job.topics import create_output_topics
from sparsewatch.schemas.errors import ConfigError
from sparsewatch.transforms.kafka.open import open_admin


def check_broker(made: Ready) -> tuple[int, ...]:
    """Ask the broker for the job's topic, create output topics.

    Returns:
        The partitions of the source topic.

    Raises:
        ConfigError: If the topic, or an output topic that may not be created, is missing.
        SourceError: If no broker answers.
    """
    job, progress = made.job, made.topics.progress
    with _quiet_client():
        admin = open_admin(job.kafka)
    try:
        partitions = admin.partitions(job.source.topic)
        if not partitions:
            raise ConfigError(f"source.topic: the broker has no topic {job.source.topic!r}")
        if job.output.create_topics:
            create_output_topics(admin, made)
        elif not admin.partitions(progress):
            raise ConfigError(f"output.create_topics is false and topic {progress!r} is not there")
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
