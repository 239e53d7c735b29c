"""The topic that a command is to read: it is there, or the error says what is."""

from collections.abc import Mapping
from contextlib import closing
from typing import NamedTuple

from sparsewatch.schemas.errors import ConfigError
from sparsewatch.schemas.jobs import KafkaSettings
from sparsewatch.schemas.settings import nearest
from sparsewatch.transforms.kafka.open import open_admin


class Topic(NamedTuple):
    """A topic of a broker."""

    partitions: tuple[int, ...]
    #: Names of the broker's topics.
    topics: frozenset[str]


def expect_topic(kafka: KafkaSettings, topic: str) -> Topic:
    """A topic that must be there.

    Raises:
        ConfigError: If it is not, with the nearest name.
        SourceError: If the broker does not answer.
    """
    with closing(open_admin(kafka)) as admin:
        topics = admin.topics()
        partitions = admin.partitions(topic)
    if not partitions:
        raise ConfigError(f"the broker has no topic {topic!r}{nearest(topic, topics) or _listed(topics)}")
    return Topic(partitions, frozenset(topics))


def _listed(topics: Mapping[str, object]) -> str:
    own = sorted(topic for topic in topics if not topic.startswith("_"))
    return f", it has {', '.join(own[:10])}{' and others' if own[10:] else ''}" if own else ", it has none"
