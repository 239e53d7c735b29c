"""Settings of a job: one TOML file, validated whole before anything is read.

Every struct refuses unknown keys. Durations are strings such as `"500ms"`, `"10s"`, `"5m"`, `"2h"`, `"1d"`; sizes are
strings such as `"4MB"`. Secrets are named, never written: `password_env` or `password_file`.
"""

import re
from typing import Any, Literal

import msgspec

from sparsewatch.schemas.errors import ConfigError
from sparsewatch.schemas.units import US_PER_SECOND, parse_duration_us, parse_size
from sparsewatch.schemas.wafers import WAFER_COLUMNS

#: Largest record a job may accept: a reject must be writable with its headers.
_LARGEST_RECORD_BYTES = 32 << 20
#: Most results of rows a window: they are held and written together.
_MOST_ROW_RESULTS = 100_000
_TOPIC_NAME = r"[A-Za-z0-9._-]{1,200}"

ColumnType = Literal["int", "float", "str", "bool"]
TimeFormat = Literal["epoch_s", "epoch_ms", "epoch_us", "iso8601"]


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
    """Where results go. Topics default to `<job>.windows`, `.alerts`, `.metrics`, `.progress`, `.wafers`, `.rows`."""

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


class RankingSettings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What is told of features beyond their ranking in a window; see docs/ranking.md."""

    #: Windows the sliding ranking and its drift look back on, the newest among them; 0 for none.
    panes: int = 0
    #: Rows of a window kept for what needs whole rows: combinations, twins, leakage; 0 for none of these.
    sample_rows: int = 0
    #: Features a combination; 1 for none.
    interactions: int = 1
    #: Combinations a window; over the windows each has its turn.
    max_combinations: int = 256
    #: Distinct values of a feature that are counted one by one.
    max_values: int = 65_536
    #: Bytes of each feature, and what they buy.
    costs: bool = False
    #: Least, greatest and mean value of numeric features, and quantiles.
    quantiles: bool = False
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
    #: Rows beyond the threshold that have a result of their own, the worst ones of each window.
    results_per_window: int = 1_000
    #: Columns that such a result repeats, to tell what it is about.
    id_columns: list[str] = []


class RowStreamSettings(RowSettings, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Scoring of rows where the job does nothing else."""

    model: str
    #: Rows of a window that are kept to retrain from; 0 for none.
    sample_rows: int = 2_000
    #: Windows of which they are kept, the newest ones; 0 for none.
    panes: int = 48

    @property
    def keeps_panes(self) -> bool:
        """Whether windows leave something behind."""
        return bool(self.sample_rows and self.panes)


class PatternSettings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How emerging patterns are looked for; see docs/patterns.md."""

    #: Windows of wafers that a look goes over, the newest among them; 0 looks for none.
    windows: int = 20
    #: Windows before them whose wafers are taken for known, besides the model's calibration wafers.
    history: int = 180
    #: A wafer is looked at if its p-value is at most this.
    level: float = 0.1
    #: False patterns that known wafers may raise a day, as a mean.
    false_patterns_per_day: float = 1.0
    #: Fewest wafers and lots of a pattern.
    min_wafers: int = 4
    min_lots: int = 2


class WaferSettings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Recognition of wafer patterns."""

    #: Folder of a model made by `sparsewatch train wafer`.
    model: str
    #: Share of known wafers that may be called novel; the model's own rate if absent.
    false_novel_rate: float | None = None
    #: Thresholds by name, handed to the wafer check.
    thresholds: dict[str, Any] = {}
    patterns: PatternSettings = PatternSettings()


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
    ranking: RankingSettings = RankingSettings()
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
    """A wafer job. Events have the columns of `sparsewatch.schemas.wafers.WAFER_COLUMNS`."""

    name: str
    kafka: KafkaSettings
    source: SourceSettings
    windows: WindowSettings
    wafers: WaferSettings
    output: OutputSettings = OutputSettings()


class RowsJob(
    msgspec.Struct,
    frozen=True,
    kw_only=True,
    forbid_unknown_fields=True,
    tag_field="kind",
    tag="rows",
):
    """A job that scores rows of any kind; there is no label."""

    name: str
    kafka: KafkaSettings
    source: SourceSettings
    windows: WindowSettings
    #: Type of each column of an event, but the time column.
    columns: dict[str, ColumnType]
    rows: RowStreamSettings
    output: OutputSettings = OutputSettings()

    @property
    def scored_columns(self) -> tuple[str, ...]:
        """Columns that a model may score, in a fixed order: all but those that only say what a row is about."""
        return tuple(name for name in self.columns if name not in self.rows.id_columns)


Job = CtrJob | WaferJob | RowsJob


def parse_job(settings: dict[str, Any], where: str) -> Job:
    """A validated job from the content of its TOML file.

    Args:
        settings: Parsed TOML.
        where: Name of the file, for messages.

    Raises:
        ConfigError: Naming the key that is unknown, missing, of the wrong type or out of range.
    """
    try:
        job: Job = msgspec.convert(settings, CtrJob | WaferJob | RowsJob)
    except msgspec.ValidationError as error:
        raise ConfigError(f"{where}: {error}") from error
    try:
        _check_job(job)
    except ConfigError as error:
        raise ConfigError(f"{where}: {error}") from error
    return job


def _check_job(job: Job) -> None:
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
    for key, number in (
        ("source.readers", job.source.readers),
        ("source.block_rows", job.source.block_rows),
        ("output.replication", job.output.replication),
    ):
        if number < 1:
            raise ConfigError(f"{key}: expected at least 1, got {number}")
    _check_record_size(job.source.max_record_bytes)
    _check_kafka(job.kafka)
    if job.source.time_column.startswith("_"):
        raise ConfigError(f"source.time_column: names that begin with '_' are reserved, got {job.source.time_column!r}")
    if isinstance(job, CtrJob):
        _check_ctr(job)
    elif isinstance(job, RowsJob):
        _check_rows_job(job)
    else:
        _check_wafers(job)


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


def _check_kafka(kafka: KafkaSettings) -> None:
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


def _check_ctr(job: CtrJob) -> None:
    if job.label not in job.columns:
        raise ConfigError(f"label: expected one of the columns {sorted(job.columns)}, got {job.label!r}")
    if job.columns[job.label] != "int":
        raise ConfigError(
            f"label: expected a column of type 'int' (0 or 1), {job.label!r} is {job.columns[job.label]!r}"
        )
    _check_columns(job)
    if unknown := sorted(set(job.ranked_features) - set(job.columns)):
        raise ConfigError(f"features: expected names of columns, got {unknown}")
    if job.label in job.ranked_features or len(set(job.ranked_features)) < len(job.ranked_features):
        raise ConfigError(f"features: expected each column once and the label not at all, got {job.features}")
    if not job.ranked_features:
        raise ConfigError("columns: expected at least one feature besides the label")
    _check_ranking(job.ranking)
    _check_scoring(job.rows, job.columns)


def _check_columns(job: CtrJob | RowsJob) -> None:
    if job.source.time_column in job.columns:
        raise ConfigError(f"columns: {job.source.time_column!r} is the time column; its type is source.time_format")
    if reserved := sorted(name for name in job.columns if name.startswith("_")):
        raise ConfigError(f"columns: names that begin with '_' are reserved, got {reserved}")


def _check_rows_job(job: RowsJob) -> None:
    _check_columns(job)
    _check_scoring(job.rows, job.columns)
    if not job.scored_columns:
        raise ConfigError("columns: expected at least one column besides rows.id_columns")
    for key, number, most in (("sample_rows", job.rows.sample_rows, 1 << 20), ("panes", job.rows.panes, 10_000)):
        if not 0 <= number <= most:
            raise ConfigError(f"rows.{key}: expected 0 to {most}, got {number}")
    if job.rows.panes == 1:
        raise ConfigError("rows.panes: expected 0 or at least 2, got 1")


def _check_scoring(rows: RowSettings, columns: dict[str, ColumnType]) -> None:
    if not 0 < rows.alarm_rate < 1:
        raise ConfigError(f"rows.alarm_rate: expected a share between 0 and 1, got {rows.alarm_rate}")
    if not 0 <= rows.results_per_window <= _MOST_ROW_RESULTS:
        raise ConfigError(f"rows.results_per_window: expected 0 to {_MOST_ROW_RESULTS}, got {rows.results_per_window}")
    if unknown := sorted(set(rows.id_columns) - set(columns)):
        raise ConfigError(f"rows.id_columns: expected names of columns, got {unknown}")


def _check_wafers(job: WaferJob) -> None:
    if job.source.time_column in WAFER_COLUMNS.names:
        raise ConfigError(f"source.time_column: {job.source.time_column!r} is another column of a wafer event")
    patterns = job.wafers.patterns
    for key, number, least, most in (
        ("windows", patterns.windows, 0, 1_000),
        ("history", patterns.history, 0, 10_000),
        ("min_wafers", patterns.min_wafers, 3, 1_000),
        ("min_lots", patterns.min_lots, 1, 1_000),
    ):
        if not least <= number <= most:
            raise ConfigError(f"wafers.patterns.{key}: expected {least} to {most}, got {number}")
    if not 0 < patterns.level <= 1:
        raise ConfigError(f"wafers.patterns.level: expected a share above 0 and up to 1, got {patterns.level}")
    if not patterns.false_patterns_per_day > 0:
        raise ConfigError(
            f"wafers.patterns.false_patterns_per_day: expected a number above 0, got {patterns.false_patterns_per_day}"
        )
    if patterns.windows + patterns.history == 1:
        raise ConfigError("wafers.patterns.windows: expected 0, or at least 2 together with history")


def _check_ranking(ranking: RankingSettings) -> None:
    for key, number, least, most in (
        ("panes", ranking.panes, 0, 10_000),
        ("sample_rows", ranking.sample_rows, 0, 1 << 20),
        ("interactions", ranking.interactions, 1, 3),
        ("max_combinations", ranking.max_combinations, 1, 1 << 20),
        ("max_values", ranking.max_values, 1_024, 1 << 24),
    ):
        if not least <= number <= most:
            raise ConfigError(f"ranking.{key}: expected {least} to {most}, got {number}")
    if ranking.panes == 1:
        raise ConfigError("ranking.panes: expected 0 or at least 2, got 1: one window alone is no sliding view")
    if ranking.interactions > 1 and not ranking.sample_rows:
        raise ConfigError("ranking.interactions: combinations need whole rows, but ranking.sample_rows is 0")
