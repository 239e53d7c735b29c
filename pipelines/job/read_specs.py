"""From a job's settings to its source: readers with their partitions, and what ends them."""

from collections.abc import Sequence
from typing import Literal

from sparsewatch.pipelines.job.topics import topics_of
from sparsewatch.schemas.errors import ConfigError
from sparsewatch.schemas.jobs import Job
from sparsewatch.schemas.units import parse_duration_us, parse_moment_us, parse_size
from sparsewatch.transforms.kafka.progress import settings_digest
from sparsewatch.transforms.kafka.source import ReadSpec

Until = Literal["forever", "latest"] | int


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


def read_specs(job: Job, partitions: Sequence[int], until: Until, close_at_end: bool = True) -> tuple[ReadSpec, ...]:
    """Readers of a job, partitions dealt out evenly.

    Args:
        job: The job.
        partitions: All partitions of its topic.
        until: When to stop.
        close_at_end: Whether the end of a bounded run closes open windows.
    """
    readers = min(job.source.readers, len(partitions))
    return tuple(
        ReadSpec(
            job=job.name,
            settings_digest=settings_digest(job),
            kafka=job.kafka,
            topic=job.source.topic,
            progress_topic=topics_of(job).progress,
            reader=reader,
            partitions=tuple(partitions[reader::readers]),
            length_us=parse_duration_us(job.windows.length),
            disorder_us=parse_duration_us(job.windows.disorder),
            idle_after_us=parse_duration_us(job.windows.idle_after),
            block_rows=job.source.block_rows,
            max_record_bytes=parse_size(job.source.max_record_bytes),
            start=job.source.start,
            until=until,
            close_at_end=close_at_end,
        )
        for reader in range(readers)
    )
