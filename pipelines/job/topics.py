"""A job's topics: how each is made, and which hold its state."""

from sparsewatch.pipelines.job.ready import Ready
from sparsewatch.transforms.kafka.client import NewTopic

#: Side records carry headers on top of the original record.
_ROOM_BYTES = 1 << 20


def output_topics(made: Ready) -> list[NewTopic]:
    """All topics that a job writes, with the clean-up each needs."""
    topics = made.topics
    largest = max(16 << 20, 2 * made.events.max_record_bytes + _ROOM_BYTES)
    side = made.job.side_topics()
    return [
        NewTopic(topics.windows, compact=True),
        NewTopic(topics.alerts),
        NewTopic(topics.metrics, compact=True),
        NewTopic(topics.progress, compact=True),
        NewTopic(topics.rejects, max_record_bytes=largest),
        NewTopic(topics.late, max_record_bytes=largest),
        *(NewTopic(topics.named(s.what), compact=s.state, max_record_bytes=s.max_record_bytes) for s in side),
    ]


def state_topics(made: Ready) -> list[NewTopic]:
    """Topics that a job keeps its state in: where it stands, and what its kind reads back."""
    names = {made.topics.progress, *(made.topics.named(side.what) for side in made.job.side_topics() if side.state)}
    return [topic for topic in output_topics(made) if topic.name in names]
