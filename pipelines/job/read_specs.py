"""From a job's settings to its source: readers with their partitions, and what ends them."""

from collections.abc import Sequence
from typing import Literal

from sparsewatch.pipelines.job.ready import Ready
from sparsewatch.schemas.errors import ConfigError
from sparsewatch.schemas.units import parse_moment_us
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
