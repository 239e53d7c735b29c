"""What can be wrong with a job at the broker is found here, before anything is read."""

import logging
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager

from sparsewatch.pipelines.job.ready import Ready, output_topics, state_topics
from sparsewatch.pipelines.job.state_topics import check_state_topics
from sparsewatch.schemas.errors import ConfigError
from sparsewatch.transforms.kafka.open import ensure_topics, missing_topics, open_admin

_logger = logging.getLogger(__name__)


def check_broker(
    made: Ready, job_file: str = "JOB.toml", tell: Callable[[str], None] = _logger.info
) -> tuple[int, ...]:
    """Ask the broker for the job's topics, create those that are missing.

    Args:
        made: The job.
        job_file: Its file, as messages name it.
        tell: Told what the broker leaves open.

    Returns:
        The partitions of the source topic.

    Raises:
        ConfigError: If the source topic is missing, an output topic that may not be created is, or a topic would lose
            the state that the job keeps in it.
        SourceError: If no broker answers.
    """
    job = made.job
    with _quiet_client():
        admin = open_admin(job.kafka)
    with closing(admin):
        partitions = admin.partitions(job.source.topic)
        if not partitions:
            raise ConfigError(f"source.topic: the broker has no topic {job.source.topic!r}")
        for topic in check_state_topics(admin, state_topics(made), job.kafka, job_file):
            if topic.is_unsure:
                tell(f"The broker does not tell the cleanup.policy of {topic.name!r}; state is safe with 'compact'.")
        if job.output.create_topics:
            ensure_topics(admin, output_topics(made), job.output.replication)
        elif missing := missing_topics(admin, output_topics(made)):
            names = ", ".join(repr(topic.name) for topic in missing)
            raise ConfigError(f"output.create_topics is false and the broker has no topic {names}")
        return partitions


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
