"""What would lose a job's state is refused by name, with what was found and what mends it."""

from collections.abc import Mapping
from pathlib import Path
from typing import cast

import pytest

from sparsewatch.pipelines.job.broker_checks import StateTopic, check_state_topics, faults_of
from sparsewatch.pipelines.job.job_file import load_job
from sparsewatch.pipelines.job.ready import ready, state_topics
from sparsewatch.schemas.errors import ConfigError
from sparsewatch.schemas.jobs import KafkaSettings
from sparsewatch.transforms.kafka.client import Admin, NewTopic
from tests.kit.job_files import write_click_job, write_wafer_job

KAFKA = KafkaSettings(bootstrap_servers=["b:9092", "c:9092"])
COMPACT = "kafka-configs.sh --bootstrap-server b:9092 --alter --entity-type topics --entity-name s --add-config"


def faults(partitions: int, settings: Mapping[str, str], under_mend: bool = False) -> list[str]:
    return faults_of(StateTopic("s", partitions, settings, under_mend), KAFKA, "fab.toml")


@pytest.mark.parametrize(
    ("partitions", "settings"),
    [
        (0, {}),
        (1, {}),
        (1, {"cleanup.policy": "compact", "retention.ms": "604800000"}),
        (1, {"cleanup.policy": "delete", "retention.ms": "-1", "retention.bytes": "-1"}),
        (1, {"cleanup.policy": "compact, delete", "retention.ms": "-1", "retention.bytes": "-1"}),
    ],
)
def test_what_keeps_state_for_ever_is_sound(partitions: int, settings: Mapping[str, str]) -> None:
    assert faults(partitions, settings) == []


@pytest.mark.parametrize(
    ("settings", "found"),
    [
        (
            {"cleanup.policy": "delete", "retention.ms": "604800000", "retention.bytes": "-1"},
            "delete (retention.ms=604800000)",
        ),
        (
            {"cleanup.policy": "compact,delete", "retention.ms": "-1", "retention.bytes": "9"},
            "compact,delete (retention.bytes=9)",
        ),
        ({"cleanup.policy": "delete"}, "delete (retention.ms=unknown, retention.bytes=unknown)"),
    ],
)
def test_a_topic_that_is_deleted_from_is_refused_with_the_command(settings: Mapping[str, str], found: str) -> None:
    [fault] = faults(1, settings)
    assert f"topic 's' has cleanup.policy={found}, expected compact" in fault
    assert f"`{COMPACT} cleanup.policy=compact`" in fault


def test_several_partitions_and_a_mend_cut_off_lead_to_the_command_that_mends() -> None:
    [fault] = faults(3, {"cleanup.policy": "compact"})
    assert "topic 's' has 3 partitions, expected 1" in fault
    assert "`sparsewatch mend fab.toml`" in fault
    [fault] = faults(0, {}, under_mend=True)
    assert "`sparsewatch mend fab.toml` resumes it" in fault


def test_a_secured_broker_needs_credentials_in_the_command() -> None:
    secured = KafkaSettings(bootstrap_servers=["b:9092"], security_protocol="SSL")
    [fault] = faults_of(StateTopic("s", 1, {"cleanup.policy": "delete"}), secured, "fab.toml")
    assert "--command-config CLIENT.properties --alter" in fault


def test_a_topic_that_takes_too_small_records_is_refused_with_the_command() -> None:
    small = StateTopic("s", 1, {"cleanup.policy": "compact", "max.message.bytes": "1048588"}, record_bytes=4 << 20)
    [fault] = faults_of(small, KAFKA, "fab.toml")
    assert "topic 's' has max.message.bytes=1048588, expected 4194304, or a record of state is refused" in fault
    assert f"`{COMPACT} max.message.bytes=4194304`" in fault
    assert faults_of(StateTopic("s", 1, {"cleanup.policy": "compact"}, record_bytes=4 << 20), KAFKA, "fab.toml") == []


def test_the_topics_of_state_are_those_that_a_kind_reads_back(tmp_path: Path) -> None:
    clicks = write_click_job(tmp_path, "b:9092", "c")
    assert [topic.name for topic in state_topics(ready(load_job(clicks)))] == ["c.progress", "c.orders", "c.baseline"]
    views = state_topics(ready(load_job(clicks, ["ranking.panes=4"])))
    assert [topic.name for topic in views] == ["c.progress", "c.orders", "c.panes", "c.baseline"]
    wafers = state_topics(ready(load_job(write_wafer_job(tmp_path, "b:9092", "w", tmp_path))))
    sizes = {t.name: t.max_record_bytes for t in wafers}
    assert sizes == {"w.progress": 0, "w.orders": 0, "w.baseline": 0, "w.patterns": 4 << 20, "w.panes": 0}
    assert all(topic.compact and topic.partitions == 1 for topic in wafers)


class _Admin:
    """Topics in memory: partitions and settings."""

    def __init__(self, topics: Mapping[str, tuple[int, dict[str, str]]]) -> None:
        self._topics = topics

    def topics(self) -> dict[str, tuple[int, ...]]:
        return {name: tuple(range(partitions)) for name, (partitions, _) in self._topics.items()}

    def settings_of(self, topic: str) -> dict[str, str]:
        return self._topics[topic][1]


def topics(names: str) -> list[NewTopic]:
    return [NewTopic(name, compact=True) for name in names]


def test_all_faults_of_all_topics_are_named_at_once_and_what_is_not_told_is_no_fault() -> None:
    admin = cast("Admin", _Admin({"a": (3, {"cleanup.policy": "delete"}), "b": (1, {}), "d.mending": (1, {})}))
    with pytest.raises(ConfigError, match=r"'a' has 3 part.*; topic 'a' has cleanup\.policy=delete.*; topic 'd' is"):
        check_state_topics(admin, topics("abcd"), KAFKA, "fab.toml")
    found = check_state_topics(admin, topics("bc"), KAFKA, "fab.toml")
    assert [topic.is_unsure for topic in found] == [True, False]
