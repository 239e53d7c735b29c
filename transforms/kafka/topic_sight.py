"""A topic's id and partitions, asked again and again over one connection. kafka-python serves both clients."""

import base64
import uuid

from kafka import KafkaAdminClient
from kafka.errors import KafkaError, TopicAuthorizationFailedError, for_code

from sparsewatch.schemas.errors import SourceError
from sparsewatch.schemas.jobs import KafkaSettings
from sparsewatch.transforms.kafka.client import Sight
from sparsewatch.transforms.kafka.faults import refused_topic
from sparsewatch.transforms.kafka.opening import opened

_NO_ERROR, _UNKNOWN_TOPIC = 0, 3


class TopicSight:
    """Looks at one topic over a connection that stays open; connects at the first look.

    Args:
        settings: Of the broker.
        topic: The topic.
    """

    def __init__(self, settings: KafkaSettings, topic: str) -> None:
        self._settings = settings
        self._topic = topic
        self._admin: KafkaAdminClient | None = None

    def look(self) -> Sight:
        """The topic now; the request, about 2 ms, never makes the topic.

        Raises:
            AccessError: If we may not see the topic.
            SourceError: If the broker does not answer.
        """
        try:
            if self._admin is None:
                self._admin = opened(KafkaAdminClient, self._settings)
            [found] = self._admin.describe_topics([self._topic])
        except KafkaError as error:
            self.close()
            raise SourceError(f"the broker did not describe topic {self._topic!r}: {error!r}") from error
        if found["error_code"] == TopicAuthorizationFailedError.errno:
            raise refused_topic(self._settings, self._topic, "DESCRIBE")
        if found["error_code"] not in (_NO_ERROR, _UNKNOWN_TOPIC):
            why = for_code(found["error_code"]).__name__
            raise SourceError(f"the broker did not describe topic {self._topic!r}: {why}")
        partitions = tuple(sorted(partition["partition_index"] for partition in found["partitions"]))
        return Sight(_as_text(found.get("topic_id")), partitions)

    def close(self) -> None:
        """Close the connection; the next look opens another."""
        if self._admin is not None:
            self._admin.close()
            self._admin = None


def _as_text(topic_id: uuid.UUID | str | None) -> str:
    """An id as Kafka's own tools print it; empty if there is none."""
    if topic_id is None:
        return ""
    found = topic_id if isinstance(topic_id, uuid.UUID) else uuid.UUID(topic_id)
    return base64.urlsafe_b64encode(found.bytes).decode().rstrip("=") if found.int else ""
