"""Settings of a job: what is right is read as written, what is wrong is named by its key."""

import contextlib
import copy
import math
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sparsewatch.pipelines.ctr.settings import CtrJob
from sparsewatch.pipelines.job.kinds import KINDS, parse_job
from sparsewatch.pipelines.rows.settings import RowsJob
from sparsewatch.pipelines.wafer.settings import WaferJob
from sparsewatch.schemas.errors import ConfigError
from sparsewatch.schemas.settings import parse_duration_us, parse_size

CTR: dict[str, Any] = {
    "kind": "ctr",
    "name": "clicks",
    "label": "click",
    "kafka": {"bootstrap_servers": ["broker:9092", "[::1]:9093"]},
    "source": {"topic": "clicks", "time_column": "t"},
    "windows": {"length": "5m"},
    "columns": {"ad": "int", "site": "str", "click": "int"},
}
WAFER: dict[str, Any] = {
    **{key: CTR[key] for key in ("name", "kafka", "source", "windows")},
    "kind": "wafer",
    "wafers": {"model": "models/wafer"},
}
ROWS: dict[str, Any] = {
    **{key: CTR[key] for key in ("name", "kafka", "source", "windows")},
    "kind": "rows",
    "columns": {"wafer_id": "str", "pressure": "float", "tool": "str"},
    "rows": {"model": "models/rows", "id_columns": ["wafer_id"]},
}
SASL = {"security_protocol": "SASL_SSL", "sasl_mechanism": "PLAIN", "username": "u", "password_env": "P"}


def changed(settings: dict[str, Any], key: str, value: Any) -> dict[str, Any]:
    settings = copy.deepcopy(settings)
    *path, last = key.split(".")
    inner = settings
    for name in path:
        inner = inner.setdefault(name, {})
    inner[last] = value
    return settings


def test_a_small_job_takes_the_defaults() -> None:
    job = parse_job(CTR, "x.toml")
    assert isinstance(job, CtrJob)
    assert job.ranked_features == ("ad", "site")
    assert (job.source.format, job.windows.disorder, job.kafka.client) == ("json", "10s", "kafka-python")
    assert isinstance(parse_job(WAFER, "x.toml"), WaferJob)


def test_named_features_keep_their_order() -> None:
    job = parse_job(changed(CTR, "features", ["site", "ad"]), "x.toml")
    assert isinstance(job, CtrJob)
    assert job.ranked_features == ("site", "ad")


@pytest.mark.parametrize(
    ("key", "value", "says"),
    [
        ("kind", "clicks", rf"kind: expected one of {', '.join(KINDS)}, got 'clicks'"),
        ("kafak", {}, "unknown key 'kafak'"),
        ("kafka.server", "x", r"kafka: unknown key 'server'"),
        ("source.block_rows", "1", r"source.block_rows: expected `int`, got `str`"),
        ("source.format", "avro", r"source.format: expected one of 'json', 'arrow', got 'avro'"),
        ("columns.ad", "integer", r"columns.ad: expected one of 'int', 'float', 'str', 'bool', got 'integer'"),
        ("name", "my job", "name: expected letters, digits.*got 'my job'"),
        ("output.prefix", "a/b", "output.prefix: expected letters, digits.*got 'a/b'"),
        ("output.replication", 0, "output.replication: expected a whole number of at least 1, got 0"),
        ("windows.length", "5", "windows.length: expected a duration such as .*, got '5'"),
        ("windows.length", "100ms", "windows.length: expected at least '1s', got '100ms'"),
        ("windows.disorder", "-1s", "windows.disorder: expected a duration such as .*, got '-1s'"),
        ("windows.idle_after", "soon", "windows.idle_after: expected a duration"),
        ("source.max_ahead", "999999999999d", "source.max_ahead: expected a duration of at most 100 years"),
        ("source.max_record_bytes", "4", "source.max_record_bytes: expected a size such as .*, got '4'"),
        ("source.max_record_bytes", "0B", "source.max_record_bytes: expected 1B to 32MiB, got '0B'"),
        ("source.max_record_bytes", "3000MB", "source.max_record_bytes: expected 1B to 32MiB, got '3000MB'"),
        ("source.readers", 0, "source.readers: expected a whole number of at least 1, got 0"),
        ("source.block_rows", -1, "source.block_rows: expected a whole number of at least 1, got -1"),
        ("source.time_column", "ad", "columns: 'ad' is the time column"),
        ("source.time_column", "_offset", "source.time_column: names that begin with '_' are reserved"),
        ("kafka.timeout", "0s", "kafka.timeout: expected at least '1s', got '0s'"),
        ("kafka.bootstrap_servers", [], "kafka.bootstrap_servers: expected at least one 'host:port'"),
        ("kafka.bootstrap_servers", ["broker"], "expected 'host:port', got 'broker'"),
        ("kafka.bootstrap_servers", ["broker:70000"], "expected 'host:port', got 'broker:70000'"),
        ("kafka.security_protocol", "SASL_SSL", "kafka: SASL needs sasl_mechanism and username"),
        ("kafka", {**CTR["kafka"], **SASL, "password_env": None}, "kafka: SASL needs password_env or password_file"),
        ("label", "clicked", r"label: expected one of the columns \['ad', 'click', 'site'\], got 'clicked'"),
        ("label", "site", "label: expected a column of type 'int' .*'site' is 'str'"),
        ("features", ["ad", "user"], r"features: expected names of columns, got \['user'\]"),
        ("features", ["ad", "click"], "features: expected each column once, without the label"),
        ("features", ["ad", "ad"], "features: expected each column once"),
        ("features", [], "expected at least one feature"),
        ("columns._row", "int", r"names that begin with '_' are reserved, got \['_row'\]"),
        ("windows.length", "9" * 400 + "s", "windows.length: expected a duration of at most 100 years"),
        ("source.max_record_bytes", "9" * 400 + "MB", "source.max_record_bytes: expected a size such as"),
        ("source.time_column", 'a"b', "columns: expected names without quotes, backslashes"),
        ("columns.a\\b", "int", "columns: expected names without quotes, backslashes"),
        ("rows.alarm_rate", 1.0, "rows.alarm_rate: expected a number above 0 and below 1, got 1.0"),
    ],
)
def test_a_wrong_setting_is_named_with_its_file(key: str, value: Any, says: str) -> None:
    with pytest.raises(ConfigError, match=rf"^x\.toml: .*{says}"):
        parse_job(changed(CTR, key, value), "x.toml")


def test_a_missing_setting_is_named() -> None:
    for key in ("name", "label", "kafka", "source", "windows", "columns"):
        with pytest.raises(ConfigError, match=f"expected the key '{key}', it is missing"):
            parse_job({k: v for k, v in CTR.items() if k != key}, "x.toml")


def test_the_time_of_a_wafer_is_no_other_column_of_it() -> None:
    with pytest.raises(ConfigError, match=r"source\.time_column: 'lot' is another column of a wafer event"):
        parse_job(changed(WAFER, "source.time_column", "lot"), "x.toml")


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"windows": -1}, r"wafers\.patterns\.windows: expected a whole number from 0 to 1000, got -1"),
        ({"windows": 1, "history": 0}, r"wafers\.patterns\.windows: expected 0, or at least 2 together with history"),
        ({"min_wafers": 2}, r"wafers\.patterns\.min_wafers: expected a whole number from 3 to 1000, got 2"),
        ({"min_lots": 0}, r"wafers\.patterns\.min_lots: expected a whole number from 1 to 1000, got 0"),
        ({"level": 0.0}, r"wafers\.patterns\.level: expected a number above 0 and at most 1, got 0\.0"),
        ({"false_patterns_per_day": 0.0}, r"false_patterns_per_day: expected a number above 0, got 0\.0"),
    ],
)
def test_settings_of_patterns_are_checked(settings: dict[str, float], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        parse_job(changed(WAFER, "wafers.patterns", settings), "x.toml")


def test_a_rows_job_scores_all_columns_but_those_that_say_what_a_row_is() -> None:
    job = parse_job(ROWS, "x.toml")
    assert isinstance(job, RowsJob)
    assert job.scored_columns == ("pressure", "tool")
    assert job.rows.keeps_panes
    for key in ("sample_rows", "panes"):
        without = parse_job(changed(ROWS, f"rows.{key}", 0), "x.toml")
        assert isinstance(without, RowsJob)
        assert not without.rows.keeps_panes


@pytest.mark.parametrize(
    ("key", "value", "says"),
    [
        ("rows", {}, "rows: expected the key 'model', it is missing"),
        ("rows.model", None, "rows.model: expected `str`, got `null`"),
        ("label", "tool", "unknown key 'label'"),
        ("columns._row", "int", r"names that begin with '_' are reserved, got \['_row'\]"),
        ("source.time_column", "tool", "columns: 'tool' is the time column"),
        ("rows.alarm_rate", 0.0, r"rows\.alarm_rate: expected a number above 0 and below 1, got 0\.0"),
        ("rows.id_columns", ["lot"], r"rows\.id_columns: expected names of columns, got \['lot'\]"),
        ("rows.id_columns", ["wafer_id", "pressure", "tool"], r"at least one column besides rows\.id_columns"),
        ("rows.results_per_window", -1, r"rows\.results_per_window: expected a whole number from 0 to 100000, got -1"),
        ("rows.sample_rows", 1 << 21, r"rows\.sample_rows: expected a whole number from 0 to 1048576, got 2097152"),
        ("rows.panes", 1, r"rows\.panes: expected 0 or at least 2, got 1"),
        ("rows.panes", -1, r"rows\.panes: expected a whole number from 0 to 10000, got -1"),
    ],
)
def test_settings_of_a_rows_job_are_checked(key: str, value: Any, says: str) -> None:
    with pytest.raises(ConfigError, match=rf"^x\.toml: .*{says}"):
        parse_job(changed(ROWS, key, value), "x.toml")


def test_secrets_are_named_not_written() -> None:
    assert parse_job(changed(CTR, "kafka", {**CTR["kafka"], **SASL}), "x.toml").kafka.password_env == "P"
    with pytest.raises(ConfigError, match="kafka: unknown key 'password'"):
        parse_job(changed(CTR, "kafka.password", "secret"), "x.toml")


@given(st.integers(0, 10**5), st.sampled_from([("ms", 10**3), ("s", 10**6), ("m", 6 * 10**7), ("h", 36 * 10**8)]))
def test_durations_are_number_times_unit(number: int, unit: tuple[str, int]) -> None:
    assert parse_duration_us(f"{number}{unit[0]}") == number * unit[1]
    assert parse_duration_us(f" {number}.5 {unit[0]} ") == number * unit[1] + unit[1] // 2


@given(st.text(max_size=8))
def test_any_other_text_is_refused_by_both_and_nothing_else_happens(text: str) -> None:
    for parse in (parse_duration_us, parse_size):
        with contextlib.suppress(ConfigError):
            assert 0 <= parse(text) < math.inf


def test_sizes_know_both_kinds_of_units() -> None:
    assert [parse_size(text) for text in ("12B", "1kB", "4MB", "64KiB", "1.5MiB")] == [
        12,
        1_000,
        4_000_000,
        65_536,
        1_572_864,
    ]
