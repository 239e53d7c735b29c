"""Topic administration over kafka-python, for both clients."""

import logging
from collections.abc import Iterable, Mapping
from typing import Any

from kafka import KafkaAdminClient, KafkaConsumer, TopicPartition
from kafka.admin import ConfigResource, ConfigResourceType
from kafka.admin import NewTopic as KafkaNewTopic
from kafka.errors import (
    AuthorizationError,
    KafkaError,
    TopicAlreadyExistsError,
    TopicAuthorizationFailedError,
    UnknownTopicOrPartitionError,
)
from kafka.structs import OffsetAndMetadata

from sparsewatch.schemas.errors import SinkError, SourceError
from sparsewatch.schemas.jobs import KafkaSettings
from sparsewatch.schemas.settings import parse_duration_us
from sparsewatch.transforms.kafka.client import NewTopic
from sparsewatch.transforms.kafka.faults import refused_topic
from sparsewatch.transforms.kafka.opening import opened

_logger = logging.getLogger(__name__)

#: Source of a setting that was made for the topic itself.
_OWN_SETTING = "DYNAMIC_TOPIC_CONFIG"


def topics_of(consumer: KafkaConsumer) -> dict[str, tuple[int, ...]]:
    """Partitions of every topic that the broker shows a client.

    Raises:
        SourceError: If the broker does not answer.
    """
    # All topics are requested: a broker may create a topic that is requested by name.
    try:
        return {topic: tuple(sorted(consumer.partitions_for_topic(topic) or ())) for topic in consumer.topics()}
    except KafkaError as error:
        raise SourceError(f"the broker did not list its topics: {error}") from error


def _new_topic(topic: NewTopic, replication: int) -> KafkaNewTopic:
    settings = {"cleanup.policy": "compact"} if topic.compact else {}
    if topic.max_record_bytes:
        settings["max.message.bytes"] = str(topic.max_record_bytes)
    return KafkaNewTopic(topic.name, topic.partitions, replication, topic_configs=settings)


def _create(admin: KafkaAdminClient, topic: KafkaNewTopic, broker: KafkaSettings) -> None:
    try:
        admin.create_topics([topic])
    except TopicAlreadyExistsError:
        _logger.debug("topic %s exists already", topic.name)
    except AuthorizationError as error:
        raise refused_topic(broker, topic.name, "CREATE") from error
    except KafkaError as error:
        raise SinkError(f"topic {topic.name!r} cannot be created: {error}") from error


def _rights(topic: Mapping[str, Any]) -> frozenset[str] | None:
    if topic["error_code"] == TopicAuthorizationFailedError.errno:
        return frozenset()
    # A broker that does not control access, or an old one, gives none; an operation on a topic needs its description.
    told = topic.get("authorized_operations") or topic.get("topic_authorized_operations")
    return frozenset(map(str, told)) if isinstance(told, list) else None


def _described(admin: KafkaAdminClient, topic: str) -> dict[str, dict[str, Any]]:
    # Tansu closes the connection when settings are requested by name, so all are requested.
    resource = ConfigResource(ConfigResourceType.TOPIC, topic)
    answer: dict[str, dict[str, dict[str, Any]]] = admin.describe_configs([resource], config_filter="all")
    return answer.get("topic", {}).get(topic, {})


class KafkaPythonAdmin:
    """See `sparsewatch.transforms.kafka.client.Admin`."""

    def __init__(self, settings: KafkaSettings) -> None:
        self._settings = settings
        self._groups: dict[str, KafkaConsumer] = {}
        self._timeout_ms = parse_duration_us(settings.timeout) // 1000
        self._admin = opened(KafkaAdminClient, settings, request_timeout_ms=self._timeout_ms)

    def partitions(self, topic: str) -> tuple[int, ...]:
        """See the protocol."""
        found = self.topics().get(topic, ())
        if not found and self.rights([topic]).get(topic) == frozenset():
            raise refused_topic(self._settings, topic, "DESCRIBE")
        return found

    def topics(self) -> dict[str, tuple[int, ...]]:
        """See the protocol."""
        return {
            topic["name"]: tuple(sorted(partition["partition_index"] for partition in topic["partitions"]))
            for topic in self._described_topics(None)
            if not (topic["error_code"] or topic["is_internal"])
        }

    def rights(self, topics: Iterable[str]) -> dict[str, frozenset[str] | None]:
        """See the protocol."""
        return {topic["name"]: _rights(topic) for topic in self._described_topics(list(topics))}

    def _described_topics(self, topics: list[str] | None) -> list[dict[str, Any]]:
        try:
            found: list[dict[str, Any]] = self._admin.describe_topics(topics)
        except KafkaError as error:
            raise SourceError(f"the broker did not describe its topics: {error!r}") from error
        return found

    def create_topics(self, topics: Iterable[NewTopic], replication: int = 1) -> None:
        """See the protocol."""
        wanted = [_new_topic(topic, replication) for topic in topics]
        try:
            # One request: made one after the other, each waits for the broker's log.
            self._admin.create_topics(wanted)
        except KafkaError as error:
            _logger.debug("topics are created one by one: %r", error)
            for topic in wanted:
                _create(self._admin, topic, self._settings)

    def create_like(self, model: str, topic: str, settings: Mapping[str, str]) -> None:
        """See the protocol."""
        try:
            [found] = self._admin.describe_topics([model])
            replication = len(found["partitions"][0]["replica_nodes"])
            own = {
                name: setting["value"]
                for name, setting in _described(self._admin, model).items()
                if setting["config_source"] == _OWN_SETTING
            }
            new = KafkaNewTopic(topic, 1, replication, topic_configs={**own, **settings})
            _create(self._admin, new, self._settings)
        except KafkaError as error:
            raise SinkError(f"topic {topic!r} cannot be created like {model!r}: {error!r}") from error

    def settings_of(self, topic: str) -> dict[str, str]:
        """See the protocol."""
        try:
            found = _described(self._admin, topic)
        except KafkaError as error:
            _logger.info("the broker did not return the settings of topic %s: %r", topic, error)
            return {}
        return {name: setting["value"] for name, setting in found.items() if setting["value"] is not None}

    def change_settings(self, topic: str, settings: Mapping[str, str]) -> None:
        """See the protocol."""
        try:
            self._admin.alter_configs([ConfigResource(ConfigResourceType.TOPIC, topic, dict(settings))])
        except (KafkaError, ValueError) as error:
            raise SinkError(f"settings {dict(settings)} of topic {topic!r} cannot be changed: {error!r}") from error

    def delete_topic(self, topic: str) -> None:
        """See the protocol."""
        try:
            self._admin.delete_topics([topic])
        except UnknownTopicOrPartitionError:
            _logger.debug("topic %s is deleted already", topic)
        except KafkaError as error:
            raise SinkError(f"topic {topic!r} cannot be deleted: {error!r}") from error

    def commit_group(self, group: str, topic: str, offsets: Mapping[int, int]) -> None:
        """See the protocol."""
        try:
            if group not in self._groups:
                self._groups[group] = opened(KafkaConsumer, self._settings, group_id=group, enable_auto_commit=False)
            consumer = self._groups[group]
            consumer.assign([TopicPartition(topic, p) for p in offsets])
            consumer.commit(
                {TopicPartition(topic, p): OffsetAndMetadata(o, "", -1) for p, o in offsets.items()},
                timeout_ms=self._timeout_ms,
            )
        except (KafkaError, SourceError) as error:
            raise SinkError(f"consumer group {group!r}: the offsets cannot be committed: {error!r}") from error

    def close(self) -> None:
        """See the protocol."""
        for consumer in self._groups.values():
            consumer.close(autocommit=False)
        self._admin.close()
