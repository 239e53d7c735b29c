"""Names of a job's topics, and making those that are missing."""

from dataclasses import dataclass

from sparsewatch.schemas.jobs import Job, RowsJob, WaferJob
from sparsewatch.schemas.units import parse_size
from sparsewatch.transforms.kafka.client import Admin, NewTopic
from sparsewatch.transforms.kafka.side_topics import late_topic, rejects_topic

#: Side records carry headers on top of the original record.
_ROOM_BYTES = 1 << 20
#: Most bytes of an emerging pattern's record: embeddings of its members and a few maps.
PATTERN_RECORD_BYTES = 4 << 20


@dataclass(frozen=True, slots=True)
class Topics:
    """Where a job writes."""

    windows: str
    alerts: str
    metrics: str
    progress: str
    panes: str
    wafers: str
    rows: str
    patterns: str
    rejects: str
    late: str


def topics_of(job: Job) -> Topics:
    """The topics of a job: its prefix, then what they hold."""
    prefix = job.output.prefix or job.name
    return Topics(
        windows=f"{prefix}.windows",
        alerts=f"{prefix}.alerts",
        metrics=f"{prefix}.metrics",
        progress=f"{prefix}.progress",
        panes=f"{prefix}.panes",
        wafers=f"{prefix}.wafers",
        rows=f"{prefix}.rows",
        patterns=f"{prefix}.patterns",
        rejects=rejects_topic(job.source.topic),
        late=late_topic(job.source.topic),
    )


def create_output_topics(admin: Admin, job: Job) -> None:
    """Create the job's topics that are missing, with the clean-up each needs."""
    topics = topics_of(job)
    largest = max(16 << 20, 2 * parse_size(job.source.max_record_bytes) + _ROOM_BYTES)
    wanted = [
        NewTopic(topics.windows, compact=True),
        NewTopic(topics.alerts),
        NewTopic(topics.metrics, compact=True),
        NewTopic(topics.progress, compact=True),
        NewTopic(topics.rejects, max_record_bytes=largest),
        NewTopic(topics.late, max_record_bytes=largest),
    ]
    if isinstance(job, WaferJob):
        wanted.append(NewTopic(topics.wafers))
    elif job.rows.model is not None and job.rows.results_per_window:
        wanted.append(NewTopic(topics.rows))
    if isinstance(job, WaferJob) and job.wafers.patterns.windows:
        wanted.append(NewTopic(topics.patterns, compact=True, max_record_bytes=PATTERN_RECORD_BYTES))
    if _keeps_panes(job):
        wanted.append(NewTopic(topics.panes, compact=True))
    missing = [topic for topic in wanted if not admin.partitions(topic.name)]
    admin.create_topics(missing, job.output.replication)


def _keeps_panes(job: Job) -> bool:
    if isinstance(job, WaferJob):
        return bool(job.wafers.patterns.windows)
    return job.rows.keeps_panes if isinstance(job, RowsJob) else bool(job.ranking.panes)
