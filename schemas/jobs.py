"""Settings of a job: one TOML file, validated whole before anything is read.

Every struct refuses unknown keys. Durations are strings such as `"500ms"`, `"10s"`, `"5m"`, `"2h"`, `"1d"`; sizes are
strings such as `"4MB"`. Secrets are named, never written: `password_env` or `password_file`.
"""

import re
from typing import Any, Literal

import msgspec

from schemas.errors import ConfigError

US_PER_SECOND = 1_000_000
_DURATION_US = {
    "ms": 1_000,
    "s": 1_000_000,
    "m": 60_000_000,
    "h": 3_600_000_000,
    "d": 86_400_000_000,
}
_SIZE = {"B": 1, "kB": 1_000, "MB": 1_000_000, "KiB": 1_024, "MiB": 1_048_576}

ColumnType = Literal["int", "float", "str", "bool"]
TimeFormat = Literal["epoch_s", "epoch_ms", "epoch_us", "iso8601"]


def parse_duration_us(text: str) -> int:
    """Microseconds of a duration such as `"5m"`.

    >>> parse_duration_us("1.5s")
    1500000

    Raises:
        ConfigError: If the text is no duration.
    """
    return round(_number_with_unit(text, _DURATION_US, "a duration such as '500ms', '10s', '5m', '2h' or '1d'"))


def parse_size(text: str) -> int:
    """Bytes of a size such as `"4MB"`.

    >>> parse_size("1MiB")
    1048576

    Raises:
        ConfigError: If the text is no size.
    """
    return round(_number_with_unit(text, _SIZE, "a size such as '64KiB' or '4MB'"))


def _number_with_unit(text: str, units: dict[str, int], expected: str) -> float:
    found = re.fullmatch(r"(\d+(?:\.\d+)?)\s*([A-Za-z]+)", text.strip())
    if found is None or found[2] not in units:
        raise ConfigError(f"expected {expected}, got {text!r}")
    return float(found[1]) * units[found[2]]


class KafkaSettings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How to reach the broker."""

    bootstrap_servers: list[str]
    #: `confluent` needs the extra of that name and reads ten times faster.
    client: Literal["kafka-python", "confluent"] = "kafka-python"
    security_protocol: Literal["PLAINTEXT", "SSL", "SASL_PLAINTEXT", "SASL_SSL"] = "PLAINTEXT"
    sasl_mechanism: Literal["PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512"] | None = None
    username: str | None = None
    #: Name of the environment variable that holds the password.
    password_env: str | None = None
    #: File that holds the password.
    password_file: str | None = None
    ca_file: str | None = None
    #: How long a broker that is away is waited for before the job says so.
    timeout: str = "30s"


class SourceSettings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What is read."""

    topic: str
    time_column: str
    time_format: TimeFormat = "epoch_ms"
    #: Format of records that carry no `content-type` header.
    format: Literal["json", "arrow"] = "json"
    #: A larger record is a reject.
    max_record_bytes: str = "4MB"
    #: An event time further ahead of its record's own Kafka timestamp is a reject.
    max_ahead: str = "1h"
    #: Readers that share the partitions; one is right on one machine.
    readers: int = 1
    #: Events gathered before a block is decoded.
    block_rows: int = 16_384
    #: A partition without a committed position starts here.
    start: Literal["earliest", "latest"] = "earliest"


class WindowSettings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Fixed panes of event time and what may come late."""

    length: str
    #: How far event times of one partition may run out of order.
    disorder: str = "10s"
    #: A partition silent for so long no longer holds the windows.
    idle_after: str = "10s"


class OutputSettings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Where results go. Topics default to `<job>.windows`, `.alerts`, `.metrics`, `.progress`, `.wafers`."""

    #: Prefix of the job's topics; the job's name if absent.
    prefix: str | None = None
    #: JSON lines of alerts, besides the topic.
    alerts_file: str | None = None
    #: Create missing topics (with the right clean-up policy) before the job starts.
    create_topics: bool = True
    #: Replicas of the topics created.
    replication: int = 1


class CheckSettings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The click-through job's reference and what is checked against it; see docs/alerts.md."""

    #: Folder of a reference made by `sparsewatch train reference`.
    reference: str | None = None
    #: Thresholds by name, handed to the checks.
    thresholds: dict[str, Any] = {}


class RowSettings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Scoring of rows."""

    #: Folder of a model made by `sparsewatch train rows`.
    model: str | None = None
    #: Share of training-like rows that may exceed the threshold.
    alarm_rate: float = 0.01
    #: Thresholds by name, handed to the row check.
    thresholds: dict[str, Any] = {}


class WaferSettings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Recognition of wafer patterns."""

    #: Folder of a model made by `sparsewatch train wafer`.
    model: str
    #: Share of known wafers that may be called novel; the model's own rate if absent.
    false_novel_rate: float | None = None
    #: Thresholds by name, handed to the wafer check.
    thresholds: dict[str, Any] = {}


class CtrJob(
    msgspec.Struct,
    frozen=True,
    kw_only=True,
    forbid_unknown_fields=True,
    tag_field="kind",
    tag="ctr",
):
    """A click-through job."""

    name: str
    kafka: KafkaSettings
    source: SourceSettings
    windows: WindowSettings
    #: Type of each column of an event, but the time column.
    columns: dict[str, ColumnType]
    #: Column of clicks, 0 or 1.
    label: str
    #: Columns to rank; all but label and time if absent.
    features: list[str] | None = None
    checks: CheckSettings = CheckSettings()
    rows: RowSettings = RowSettings()
    output: OutputSettings = OutputSettings()

    @property
    def ranked_features(self) -> tuple[str, ...]:
        """Columns to rank, in a fixed order."""
        if self.features is not None:
            return tuple(self.features)
        return tuple(c for c in self.columns if c not in (self.label, self.source.time_column))


class WaferJob(
    msgspec.Struct,
    frozen=True,
    kw_only=True,
    forbid_unknown_fields=True,
    tag_field="kind",
    tag="wafer",
):
    """A wafer job. Events have the columns of `schemas.wafers.WAFER_COLUMNS`."""

    name: str
    kafka: KafkaSettings
    source: SourceSettings
    windows: WindowSettings
    wafers: WaferSettings
    output: OutputSettings = OutputSettings()


Job = CtrJob | WaferJob


def parse_job(settings: dict[str, Any], where: str) -> Job:
    """A validated job from the content of its TOML file.

    Args:
        settings: Parsed TOML.
        where: Name of the file, for messages.

    Raises:
        ConfigError: Naming the key that is unknown, missing, of the wrong type or out of range.
    """
    try:
        job: Job = msgspec.convert(settings, CtrJob | WaferJob)
    except msgspec.ValidationError as error:
        raise ConfigError(f"{where}: {error}") from error
    try:
        _check_job(job)
    except ConfigError as error:
        raise ConfigError(f"{where}: {error}") from error
    return job


def _check_job(job: Job) -> None:
    if not re.fullmatch(r"[A-Za-z0-9._-]{1,200}", job.name):
        raise ConfigError(f"name: expected letters, digits, '.', '_' or '-', got {job.name!r}")
    for key, text in (
        ("length", job.windows.length),
        ("disorder", job.windows.disorder),
        ("idle_after", job.windows.idle_after),
    ):
        _checked(f"windows.{key}", text)
    if parse_duration_us(job.windows.length) < US_PER_SECOND:
        raise ConfigError(f"windows.length: expected at least '1s', got {job.windows.length!r}")
    _checked("source.max_ahead", job.source.max_ahead)
    _checked("kafka.timeout", job.kafka.timeout)
    try:
        parse_size(job.source.max_record_bytes)
    except ConfigError as error:
        raise ConfigError(f"source.max_record_bytes: {error}") from error
    if not job.kafka.bootstrap_servers:
        raise ConfigError("kafka.bootstrap_servers: expected at least one 'host:port', got an empty list")
    for server in job.kafka.bootstrap_servers:
        if not re.fullmatch(r"\S+:\d{1,5}", server):
            raise ConfigError(f"kafka.bootstrap_servers: expected 'host:port', got {server!r}")
    for key, number in (("readers", job.source.readers), ("block_rows", job.source.block_rows)):
        if number < 1:
            raise ConfigError(f"source.{key}: expected at least 1, got {number}")
    if job.kafka.security_protocol.startswith("SASL") and not (job.kafka.sasl_mechanism and job.kafka.username):
        raise ConfigError("kafka: SASL needs sasl_mechanism and username")
    if isinstance(job, CtrJob):
        _check_ctr(job)


def _check_ctr(job: CtrJob) -> None:
    if job.label not in job.columns:
        raise ConfigError(f"label: expected one of the columns {sorted(job.columns)}, got {job.label!r}")
    if job.columns[job.label] != "int":
        raise ConfigError(
            f"label: expected a column of type 'int' (0 or 1), {job.label!r} is {job.columns[job.label]!r}"
        )
    if job.source.time_column in job.columns:
        raise ConfigError(f"columns: {job.source.time_column!r} is the time column; its type is source.time_format")
    if unknown := sorted(set(job.ranked_features) - set(job.columns)):
        raise ConfigError(f"features: expected names of columns, got {unknown}")
    if reserved := sorted(name for name in job.columns if name.startswith("_")):
        raise ConfigError(f"columns: names that begin with '_' are reserved, got {reserved}")
    if not job.ranked_features:
        raise ConfigError("columns: expected at least one feature besides the label")
    if not 0 < job.rows.alarm_rate < 1:
        raise ConfigError(f"rows.alarm_rate: expected a share between 0 and 1, got {job.rows.alarm_rate}")


def _checked(key: str, text: str) -> None:
    try:
        parse_duration_us(text)
    except ConfigError as error:
        raise ConfigError(f"{key}: {error}") from error
