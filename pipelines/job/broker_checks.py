"""What can be wrong with a job at the broker, found before anything is read: topics missing, or unfit to hold state.

State lies in topics of one partition, since only clocks order records of different partitions and no two clients place
a key alike; and in topics that the broker compacts and deletes nothing from by age or size, since a job may stand still
for as long as it likes.
"""

import logging
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import closing, contextmanager
from dataclasses import dataclass

from sparsewatch.pipelines.job.output_checks import check_rights, check_sizes, largest_records
from sparsewatch.pipelines.job.ready import Ready, output_topics, state_topics
from sparsewatch.schemas.errors import ConfigError
from sparsewatch.schemas.jobs import KafkaSettings
from sparsewatch.schemas.settings import nearest
from sparsewatch.transforms.kafka.client import Admin, NewTopic
from sparsewatch.transforms.kafka.open import ensure_topics, missing_topics, open_admin

#: What a broker may delete records by, whatever their keys.
_LIMITS = ("retention.ms", "retention.bytes")
_UNLIMITED = "-1"
#: Ending of the topic in which `sparsewatch mend` keeps a state topic's records while the topic is recreated.
MENDING = ".mending"


@dataclass(frozen=True, slots=True)
class WrongSetting:
    """A setting with which a topic does not keep state."""

    name: str
    #: As a message shows it.
    found: str
    wanted: str
    #: The consequence.
    harm: str


@dataclass(frozen=True, slots=True)
class StateTopic:
    """A state topic as the broker has it."""

    name: str
    #: Number of partitions; 0 if there is no such topic.
    partitions: int
    #: Settings that the broker reported.
    settings: Mapping[str, str]
    #: Whether `sparsewatch mend` was interrupted while it recreated the topic.
    under_mend: bool = False
    #: Largest record that is written to it; 0 if every topic takes them.
    record_bytes: int = 0

    @property
    def is_unsure(self) -> bool:
        """Whether the broker does not report its clean-up policy."""
        return bool(self.partitions) and not self._policies

    def wrong_settings(self) -> list[WrongSetting]:
        """Settings that must change; empty if the topic keeps state."""
        wrong = []
        if limits := self._deletes_by():
            found = f"{self.settings['cleanup.policy']} ({limits})"
            wrong.append(WrongSetting("cleanup.policy", found, "compact", "state is deleted with time"))
        if self.record_bytes > (limit := int(self.settings.get("max.message.bytes", self.record_bytes))):
            wrong.append(
                WrongSetting("max.message.bytes", str(limit), str(self.record_bytes), "a record of state is refused")
            )
        return wrong

    def _deletes_by(self) -> str:
        """The limits by which the broker deletes its records, empty if it has none."""
        if "delete" not in self._policies:
            return ""
        found = {limit: self.settings.get(limit, "unknown") for limit in _LIMITS}
        return ", ".join(f"{limit}={value}" for limit, value in found.items() if value != _UNLIMITED)

    @property
    def _policies(self) -> set[str]:
        return {policy.strip() for policy in self.settings.get("cleanup.policy", "").split(",")} - {""}


def look_at(admin: Admin, topics: Iterable[NewTopic]) -> list[StateTopic]:
    """These topics as the broker has them.

    Args:
        admin: Of the broker.
        topics: As they would be created.

    Raises:
        SourceError: If no broker answers.
    """
    there = admin.topics()
    return [
        StateTopic(
            name=topic.name,
            partitions=len(there.get(topic.name, ())),
            settings=admin.settings_of(topic.name) if topic.name in there else {},
            under_mend=topic.name + MENDING in there,
            record_bytes=topic.max_record_bytes,
        )
        for topic in topics
    ]


def faults_of(topic: StateTopic, kafka: KafkaSettings, job_file: str) -> list[str]:
    """Faults by which a topic would lose its state, with the command that mends them; empty without faults.

    Args:
        topic: As the broker has it.
        kafka: The broker.
        job_file: Of the job whose state it is.
    """
    mend = f"`sparsewatch mend {job_file}`"
    if topic.under_mend:
        return [f"topic {topic.name!r} is being recreated, which was interrupted: {mend} resumes it"]
    faults = []
    if topic.partitions > 1:
        faults.append(
            f"topic {topic.name!r} has {topic.partitions} partitions, expected 1, or state may be lost: stop the "
            f"job; {mend} recreates the topic with all its records"
        )
    return faults + setting_faults(topic, kafka)


def setting_faults(topic: StateTopic, kafka: KafkaSettings) -> list[str]:
    """Settings with which a topic does not keep state, each with the command of Apache Kafka that mends it."""
    secure = "" if kafka.security_protocol == "PLAINTEXT" else " --command-config CLIENT.properties"
    command = (
        f"kafka-configs.sh --bootstrap-server {kafka.bootstrap_servers[0]}{secure} --alter --entity-type topics "
        f"--entity-name {topic.name} --add-config"
    )
    return [
        f"topic {topic.name!r} has {wrong.name}={wrong.found}, expected {wrong.wanted}, or {wrong.harm}: "
        f"`{command} {wrong.name}={wrong.wanted}`"
        for wrong in topic.wrong_settings()
    ]


def check_state_topics(
    admin: Admin, topics: Iterable[NewTopic], kafka: KafkaSettings, job_file: str
) -> list[StateTopic]:
    """Refuse topics that would lose a job's state; missing topics are no fault.

    Returns:
        The topics as the broker has them.

    Raises:
        ConfigError: Naming each topic, what was found and the command that mends it.
        SourceError: If no broker answers.
    """
    found = look_at(admin, topics)
    if faults := [fault for topic in found for fault in faults_of(topic, kafka, job_file)]:
        raise ConfigError("; ".join(faults))
    return found


_logger = logging.getLogger(__name__)


def check_broker(
    made: Ready, job_file: str = "JOB.toml", on_remark: Callable[[str], None] = _logger.info
) -> tuple[int, ...]:
    """Ask the broker for the job's topics, create those that are missing.

    Args:
        made: The job.
        job_file: Its file, as messages name it.
        on_remark: Called with a remark about what the broker does not report.

    Returns:
        The partitions of the source topic.

    Raises:
        ConfigError: If the source topic is missing, an output topic that may not be created is, a topic would lose the
            state that the job keeps in it, or takes smaller records than the job writes.
        AccessError: If the broker does not let us in, or lets us not read or write one of these topics.
        SourceError: If no broker answers.
    """
    job = made.job
    with _quiet_client():
        admin = open_admin(job.kafka)
    with closing(admin):
        check_rights(admin, made)
        partitions = admin.partitions(job.source.topic)
        if not partitions:
            near = nearest(job.source.topic, admin.topics())
            raise ConfigError(f"source.topic: the broker has no topic {job.source.topic!r}{near}")
        for topic in check_state_topics(admin, state_topics(made), job.kafka, job_file):
            if topic.is_unsure:
                on_remark(
                    f"The broker does not report the cleanup.policy of {topic.name!r}; state is safe with 'compact'."
                )
        largest = largest_records(admin, made)
        if job.output.create_topics:
            ensure_topics(admin, output_topics(made, largest[made.topics.rejects]), job.output.replication)
        elif missing := missing_topics(admin, output_topics(made)):
            names = ", ".join(repr(topic.name) for topic in missing)
            raise ConfigError(f"output.create_topics is false and the broker has no topic {names}")
        check_sizes(admin, job.kafka, largest)
        return partitions


@contextmanager
def _quiet_client() -> Iterator[None]:
    # A missing broker is reported by one message of ours, not by a message of the client for each try.
    logger = logging.getLogger("kafka")
    level = logger.level
    if level >= logging.ERROR:
        logger.setLevel(logging.CRITICAL)
    try:
        yield
    finally:
        logger.setLevel(level)
