"""What can be wrong with what a job will write, found before anything is read: rights, sizes, the file of alerts."""

import os
from collections.abc import Mapping
from pathlib import Path

from sparsewatch.pipelines.job.ready import Ready, output_topics, state_topics
from sparsewatch.schemas.errors import AccessError, ConfigError
from sparsewatch.schemas.jobs import KafkaSettings
from sparsewatch.transforms.kafka.client import Admin
from sparsewatch.transforms.kafka.faults import refused_topic

#: What a record of results may take, and a batch of small ones: Kafka's own default is a little more.
_RESULT_BYTES = 1_000_000
#: Headers of a reject, beside the record that it holds.
_HEADERS_BYTES = 64 << 10
_SIZE = "max.message.bytes"


def check_rights(admin: Admin, made: Ready) -> None:
    """Refuse a job that may not read or write one of its topics, as far as the broker tells.

    Args:
        admin: Of its broker.
        made: The job.

    Raises:
        AccessError: Naming topic, operation and the command that grants it.
        SourceError: If no broker answers.
    """
    state = {topic.name for topic in state_topics(made)}
    needed = {made.topics.source: ["READ"]}
    needed |= {t.name: ["READ", "WRITE"] if t.name in state else ["WRITE"] for t in output_topics(made)}
    # The job makes it; who sends notifications reads and writes it.
    del needed[made.topics.notified]
    granted = admin.rights(needed)
    faults = [
        refused_topic(made.job.kafka, topic, right)
        for topic, rights in needed.items()
        for right in rights
        if (has := granted.get(topic)) is not None and right not in has
    ]
    if faults:
        raise AccessError("; ".join(map(str, faults)))


def largest_records(admin: Admin, made: Ready) -> dict[str, int]:
    """Bytes of the largest record or batch that a job writes to each of its topics.

    Raises:
        SourceError: If no broker answers.
    """
    reject = reject_bytes(admin, made.topics.source)
    side = (made.topics.rejects, made.topics.late)
    return {
        topic.name: max(_RESULT_BYTES, reject if topic.name in side else topic.max_record_bytes)
        for topic in output_topics(made)
    }


def reject_bytes(admin: Admin, source: str) -> int:
    """Bytes of the largest record that a topic of rejects has to take, 0 if the broker does not tell.

    Args:
        admin: Of the broker.
        source: Topic whose records are set aside, with headers added.

    Raises:
        SourceError: If no broker answers.
    """
    limit = admin.settings_of(source).get(_SIZE)
    return 0 if limit is None else int(limit) + _HEADERS_BYTES


def _least(needed: int) -> int:
    """Bytes below which a topic is refused: one that takes what its source takes will do.

    Of a reject for which only the headers leave no room its place is written, without its value: nothing is lost while
    the source holds it. Operators give all topics one limit.
    """
    return needed - _HEADERS_BYTES if needed > _RESULT_BYTES + _HEADERS_BYTES else min(needed, _RESULT_BYTES)


def check_sizes(admin: Admin, kafka: KafkaSettings, largest: Mapping[str, int]) -> None:
    """Refuse topics that take smaller records than a job writes, as far as the broker tells.

    Args:
        admin: Of the broker.
        kafka: The broker.
        largest: Bytes by topic, see `largest_records`; the broker has these topics.

    Raises:
        ConfigError: Naming topic, setting and the command that changes it.
    """
    secure = "" if kafka.security_protocol == "PLAINTEXT" else " --command-config CLIENT.properties"
    faults = [
        f"topic {topic!r} has {_SIZE}={limit}, expected at least {needed}, or the broker refuses records: "
        f"`kafka-configs.sh --bootstrap-server {kafka.bootstrap_servers[0]}{secure} --alter --entity-type topics "
        f"--entity-name {topic} --add-config {_SIZE}={needed}`"
        for topic, needed in largest.items()
        if (limit := int(admin.settings_of(topic).get(_SIZE, needed))) < _least(needed)
    ]
    if faults:
        raise ConfigError("; ".join(faults))


def check_alerts_file(path: str | None) -> None:
    """Refuse a file of alerts that cannot be written from this machine.

    Raises:
        ConfigError: Naming the file, and what to change.
    """
    if path is None:
        return
    file, folder = Path(path), Path(path).absolute().parent
    if file.is_dir():
        raise ConfigError(f"output.alerts_file: expected a file, {path!r} is a folder")
    if not folder.is_dir():
        raise ConfigError(f"output.alerts_file: {path!r}: there is no folder {str(folder)!r}: make it")
    where = file if file.exists() else folder
    if not os.access(where, os.W_OK):
        raise ConfigError(f"output.alerts_file: {path!r}: this user may not write {str(where)!r}: change mode or owner")
