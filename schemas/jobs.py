"""Settings that every job has: one TOML file, validated whole before anything is read.

The list of kinds, and where each adds its own settings, is in `sparsewatch.pipelines.job.kinds`. What follows from
settings (topics, times as numbers, identity) is made once, by `sparsewatch.pipelines.job.ready`, and passed on whole.

Every struct refuses unknown keys. Durations are strings such as `"500ms"`, `"10s"`, `"5m"`, `"2h"`, `"1d"`; sizes are
strings such as `"4MB"`. Secrets are named, never written: `password_env` or `password_file`.
"""

import hashlib
import os
import re
from collections.abc import Collection
from pathlib import Path
from typing import Literal

import msgspec

from sparsewatch.schemas.errors import ConfigError
from sparsewatch.schemas.instances import Instance
from sparsewatch.schemas.secrets import Secret
from sparsewatch.schemas.settings import US_PER_SECOND, Count, Settings, parse_duration_us, parse_size

#: Largest record a job may accept: a reject must be writable with its headers.
_LARGEST_RECORD_BYTES = 32 << 20
#: Stands for a time column: the timestamp that Kafka has of a record.
RECORD_TIME = "_timestamp"
#: What names of columns are, for messages.
COLUMN_NAMES = "without quotes, backslashes, control characters and half surrogates"
_NOT_IN_NAMES = re.compile(r'["\\\x00-\x1f\ud800-\udfff]')
_VARIABLE = r"[A-Z_][A-Z0-9_]*"
_TOPIC_NAME = r"[A-Za-z0-9._-]{1,200}"
ColumnType = Literal["int", "float", "str", "bool"]
TimeFormat = Literal["epoch_s", "epoch_ms", "epoch_us", "iso8601"]


class KafkaSettings(Settings, frozen=True, kw_only=True):
    """How to reach the broker."""

    bootstrap_servers: list[str]
    #: `confluent` needs the extra of that name; `make bench-stream` runs jobs with both.
    client: Literal["kafka-python", "confluent"] = "kafka-python"
    security_protocol: Literal["PLAINTEXT", "SSL", "SASL_PLAINTEXT", "SASL_SSL"] = "PLAINTEXT"
    sasl_mechanism: Literal["PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512"] | None = None
    username: str | None = None
    #: Name of the environment variable that holds the password.
    password_env: str | None = None
    #: File that holds the password.
    password_file: str | None = None
    ca_file: str | None = None
    #: Whether records of transactions that are open or were aborted are read, too.
    isolation_level: Literal["read_committed", "read_uncommitted"] = "read_committed"
    #: How long a broker may take to answer before that is an error.
    timeout: str = "30s"


class SourceSettings(Settings, frozen=True, kw_only=True):
    """What is read."""

    topic: str
    #: Column of event times, or `RECORD_TIME`.
    time_column: str
    time_format: TimeFormat = "epoch_ms"
    #: Format of records that carry no `content-type` header.
    format: Literal["json", "arrow"] = "json"
    #: A larger record is a reject.
    max_record_bytes: str = "4MB"
    #: An event time further ahead of its record's own Kafka timestamp is a reject.
    max_ahead: str = "1h"
    #: What a value costs that is not of its column's type: its cell, or the whole event. A label or time that cannot be
    #: used always costs the event.
    wrong_cells: Literal["missing", "reject"] = "missing"
    #: Readers that share the partitions; 1 is right on a single machine.
    readers: Count = 1
    #: Events gathered before a block is decoded.
    block_rows: Count = 16_384
    #: Where a job begins; partitions that are added later begin at their begin.
    start: Literal["earliest", "latest"] = "earliest"
    #: Texts that stand for a missing value, in events and in files read for the job, such as NA.
    missing: list[str] = msgspec.field(default_factory=list)


class WindowSettings(Settings, frozen=True, kw_only=True):
    """Fixed windows of event time and what may come late."""

    length: str
    #: How far event times of one partition may run out of order.
    disorder: str = "10s"
    #: A partition silent for this long no longer delays the windows.
    idle_after: str = "10s"


class OutputSettings(Settings, frozen=True, kw_only=True):
    """Where results go. Topics are `<prefix>.windows`, `.alerts`, `.incidents`, `.metrics` and so on, see `Topics`."""

    #: Prefix of the job's topics; the job's name if absent.
    prefix: str | None = None
    #: JSON lines of alerts, besides the topic.
    alerts_file: str | None = None
    #: Create missing topics (with the right clean-up policy) before the job starts.
    create_topics: bool = True
    #: Replicas of the topics created.
    replication: Count = 1


class JobSettings(Settings, frozen=True, kw_only=True, tag_field="kind"):
    """Settings of every kind of job; a kind adds its own."""

    name: str
    kafka: KafkaSettings
    source: SourceSettings
    windows: WindowSettings
    output: OutputSettings = OutputSettings()


class WindowTimes(msgspec.Struct, frozen=True, kw_only=True):
    """Windows of event time, microseconds."""

    length_us: int
    #: How far event times of a partition may run out of order.
    disorder_us: int
    #: A partition silent for this long no longer delays the windows.
    idle_after_us: int


class Topics(msgspec.Struct, frozen=True, kw_only=True):
    """Where a job reads and writes.

    Args:
        source: The topic it reads.
        prefix: Prefix of the topics it writes: the job's name, unless its settings give another.
    """

    source: str
    prefix: str

    @property
    def windows(self) -> str:
        """Records of closed windows."""
        return self.named("windows")

    @property
    def alerts(self) -> str:
        """Alerts."""
        return self.named("alerts")

    @property
    def incidents(self) -> str:
        """Incidents, as they stand."""
        return self.named("incidents")

    @property
    def metrics(self) -> str:
        """Samples for Prometheus."""
        return self.named("metrics")

    @property
    def progress(self) -> str:
        """Where the job stands."""
        return self.named("progress")

    @property
    def orders(self) -> str:
        """Orders of people to the job."""
        return self.named("orders")

    @property
    def notified(self) -> str:
        """What the receivers of notifications have taken."""
        return self.named("notified")

    @property
    def panes(self) -> str:
        """Saved windows, where the job looks back."""
        return self.named("panes")

    @property
    def baseline(self) -> str:
        """Saved windows of which the job learns its baseline."""
        return self.named("baseline")

    @property
    def rejects(self) -> str:
        """Records that cannot be used."""
        return rejects_topic(self.source)

    @property
    def late(self) -> str:
        """Records whose window had closed."""
        return late_topic(self.source)

    def named(self, what: str) -> str:
        """A topic of the job's kind: the prefix, then what it holds."""
        return f"{self.prefix}.{what}"


class JobIdentity(msgspec.Struct, frozen=True, kw_only=True):
    """Which job this is and where its state lies."""

    job: str
    #: Of the settings it can resume with, see `settings_digest`.
    settings_digest: str
    kafka: KafkaSettings
    topics: Topics
    #: The process that runs it, once it has claimed the job.
    instance: Instance | None = None
    #: Versions of the references and models that its run began with; see `sparsewatch.pipelines.job.ready`.
    compares: tuple[str, ...] = ()


def rejects_topic(topic: str) -> str:
    """Where rejects of `topic` go."""
    return f"{topic}.rejects"


def late_topic(topic: str) -> str:
    """Where late records of `topic` go."""
    return f"{topic}.late"


def settings_digest(job: JobSettings) -> str:
    """Digest of what shapes windows and lateness: a job must not resume with other such settings."""
    shape = [job.source.topic, job.source.time_column, job.source.time_format, job.windows.length, job.windows.disorder]
    return hashlib.sha256("\x1f".join(shape).encode()).hexdigest()[:16]


def check_settings(job: JobSettings) -> None:
    """Rules that types alone do not state, of the settings that every job has.

    Raises:
        ConfigError: Naming the key that is out of range.
    """
    for key, name in (("name", job.name), ("output.prefix", job.output.prefix or job.name)):
        if not re.fullmatch(_TOPIC_NAME, name):
            raise ConfigError(f"{key}: expected letters, digits, '.', '_' or '-', got {name!r}")
    for key, text, least_us in (
        ("windows.length", job.windows.length, US_PER_SECOND),
        ("windows.disorder", job.windows.disorder, 0),
        ("windows.idle_after", job.windows.idle_after, 0),
        ("source.max_ahead", job.source.max_ahead, 0),
        ("kafka.timeout", job.kafka.timeout, US_PER_SECOND),
    ):
        _check_duration(key, text, least_us)
    _check_record_size(job.source.max_record_bytes)
    check_kafka(job.kafka)
    if job.source.time_column.startswith("_") and job.source.time_column != RECORD_TIME:
        raise ConfigError(
            f"source.time_column: names that begin with '_' are reserved, but {RECORD_TIME!r}, the record's own time; "
            f"got {job.source.time_column!r}"
        )


def check_kafka(kafka: KafkaSettings) -> None:
    """Rules that types alone do not state, of the settings of the broker.

    Raises:
        ConfigError: Naming the key that is wrong.
    """
    if not kafka.bootstrap_servers:
        raise ConfigError("kafka.bootstrap_servers: expected at least one 'host:port', got an empty list")
    for server in kafka.bootstrap_servers:
        found = re.fullmatch(r"\S+:(\d{1,5})", server)
        if found is None or not 0 < int(found[1]) < 1 << 16:
            raise ConfigError(f"kafka.bootstrap_servers: expected 'host:port', got {server!r}")
    if kafka.security_protocol.startswith("SASL"):
        if not (kafka.sasl_mechanism and kafka.username):
            raise ConfigError("kafka: SASL needs sasl_mechanism and username")
        if not (kafka.password_env or kafka.password_file):
            raise ConfigError("kafka: SASL needs password_env or password_file")


def is_column_name(name: str) -> bool:
    """Whether events may have a column of this name: the reader of JSON knows no escapes in names."""
    return not _NOT_IN_NAMES.search(name)


def check_columns(time_column: str, columns: Collection[str]) -> None:
    """Check the names of columns.

    Raises:
        ConfigError: If a column is the time column, or has a reserved name.
    """
    if time_column in columns:
        raise ConfigError(f"columns: {time_column!r} is the time column; its type is source.time_format")
    if wrong := sorted(name for name in (time_column, *columns) if not is_column_name(name)):
        raise ConfigError(f"columns: expected names {COLUMN_NAMES}, got {wrong}")
    if reserved := sorted(name for name in columns if name.startswith("_")):
        raise ConfigError(f"columns: names that begin with '_' are reserved, got {reserved}")


def read_password(settings: KafkaSettings) -> Secret | None:
    """The password named by the settings.

    Raises:
        ConfigError: If the variable is not set or the file cannot be read.
    """
    if settings.password_env is not None:
        password = os.environ.get(settings.password_env)
        if password is None:
            # What is no such name may be the password itself, by mistake.
            name = repr(settings.password_env) if re.fullmatch(_VARIABLE, settings.password_env) else "of that name"
            raise ConfigError(f"kafka.password_env: the environment has no variable {name}")
        return Secret(password)
    if settings.password_file is not None:
        try:
            return Secret(Path(settings.password_file).read_text(encoding="utf-8").strip())
        except OSError as error:
            raise ConfigError(f"kafka.password_file: the file cannot be read: {error.strerror}") from None
        except UnicodeDecodeError:
            raise ConfigError("kafka.password_file: expected text in UTF-8") from None
    return None


def _check_duration(key: str, text: str, least_us: int) -> None:
    try:
        duration_us = parse_duration_us(text)
    except ConfigError as error:
        raise ConfigError(f"{key}: {error}") from error
    if duration_us < least_us:
        raise ConfigError(f"{key}: expected at least '{least_us // US_PER_SECOND}s', got {text!r}")


def _check_record_size(text: str) -> None:
    try:
        size = parse_size(text)
    except ConfigError as error:
        raise ConfigError(f"source.max_record_bytes: {error}") from error
    if not 1 <= size <= _LARGEST_RECORD_BYTES:
        raise ConfigError(f"source.max_record_bytes: expected 1B to {_LARGEST_RECORD_BYTES >> 20}MiB, got {text!r}")
