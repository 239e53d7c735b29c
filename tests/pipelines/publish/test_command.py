"""Files become records: times converted, partitions and keys deterministic, every event there."""

import json
import time
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pyarrow as pa
import pytest
from click.testing import CliRunner, Result

from sparsewatch.pipelines.publish.command import Plan, publish, publish_batches
from sparsewatch.pipelines.publish.event_files import TimeRule, open_events, read_events
from sparsewatch.schemas.errors import ConfigError, SchemaError, SourceError
from sparsewatch.testing import EmbeddedBroker, FakeBroker
from sparsewatch.testing.child_process import free_port
from sparsewatch.transforms.codecs.arrow import read_arrow
from tests.kit.topics import Raw, read_all

EVENTS = pl.DataFrame(
    {
        "t": pl.Series([3, 1, 2, 4], dtype=pl.Int64).cast(pl.Datetime("ms")),
        "hour": [14102100, 14102123, 14102101, 14102102],
        "user": ["a", "b", None, "a"],
        "text": ["plain", 'quote "', "line\nbreak", "ü"],
    }
)


@pytest.fixture
def parquet(tmp_path: Path) -> Path:
    path = tmp_path / "events.parquet"
    EVENTS.write_parquet(path)
    return path


def published(broker: EmbeddedBroker, topic: str, file: Path, *options: str) -> tuple[list[Raw], Result]:
    arguments = [str(file), "--topic", topic, "--bootstrap", broker.bootstrap, "--partitions", "2", *options]
    result = CliRunner().invoke(publish, arguments, catch_exceptions=False)
    return read_all(broker.bootstrap, topic), result


def events_of(records: list[Raw]) -> list[dict[str, Any]]:
    return [json.loads(r.value or b"") for r in records]


def test_json_events_arrive_whole_and_alternate_between_partitions(
    embedded_broker: EmbeddedBroker, parquet: Path
) -> None:
    records, result = published(embedded_broker, "pub-json", parquet, "--time-column", "t")
    assert [(r.partition, e["t"]) for r, e in zip(records, events_of(records), strict=True)] == [
        (0, 3),
        (0, 2),
        (1, 1),
        (1, 4),
    ]
    assert {e["text"] for e in events_of(records)} == set(EVENTS["text"])
    assert "4 events in 4 records to 'pub-json' in " in result.output
    assert result.output.rstrip().endswith("partitions end at 2, 2")


def test_arrow_records_hold_many_events_and_say_so(embedded_broker: EmbeddedBroker, parquet: Path) -> None:
    records, _ = published(
        embedded_broker, "pub-arrow", parquet, "--time-column", "t", "--format", "arrow", "--rows-per-record", "3"
    )
    assert [r.headers for r in records] == [(("content-type", b"application/vnd.apache.arrow.stream"),)] * 2
    tables = [read_arrow(r.value or b"") for r in records]
    assert [t.num_rows for t in tables] == [3, 1]
    assert pa.concat_tables(tables)["t"].to_pylist() == [3, 1, 2, 4]


def test_sorting_puts_events_in_order_of_time(embedded_broker: EmbeddedBroker, parquet: Path) -> None:
    records, _ = published(embedded_broker, "pub-sort", parquet, "--time-column", "t", "--sort", "--limit", "3")
    assert [e["t"] for e in events_of(records)] == [1, 3, 2]
    assert [r.partition for r in records] == [0, 0, 1]


def test_equal_keys_share_a_partition_and_events_without_one_take_turns(
    embedded_broker: EmbeddedBroker, parquet: Path
) -> None:
    records, _ = published(embedded_broker, "pub-key", parquet, "--time-column", "t", "--key-column", "user")
    assert sorted(r.key or b"none" for r in records) == [b"a", b"a", b"b", b"none"]
    assert len({r.partition for r in records if r.key == b"a"}) == 1
    assert [r.partition for r in records if r.key is None] == [2 % 2]


def test_a_pattern_reads_hours_written_as_integers(parquet: Path) -> None:
    rule = TimeRule(column="hour", pattern="%y%m%d%H", output="iso8601")
    [batch] = read_events(open_events(parquet), rule)
    assert batch["hour"].to_list()[:2] == ["2014-10-21T00:00:00.000000Z", "2014-10-21T23:00:00.000000Z"]


@pytest.mark.parametrize(
    ("values", "pattern"),
    [
        (["2023-11-14T22:13:20Z", None], "iso8601"),
        (["2023-11-15 00:13:20.0+02:00", None], "iso8601"),
        ([1_700_000_000, None], "epoch_s"),
        ([1_700_000_000.0, None], "epoch_s"),
        (["1700000000000000", None], "epoch_us"),
        (["14.11.2023 22:13:20", None], "%d.%m.%Y %H:%M:%S"),
    ],
)
def test_times_of_any_writing_become_the_same_milliseconds(tmp_path: Path, values: list[Any], pattern: str) -> None:
    path = tmp_path / "times.parquet"
    pl.DataFrame({"t": values}).write_parquet(path)
    [batch] = read_events(open_events(path), TimeRule(column="t", pattern=pattern))
    assert batch["t"].to_list() == [1_700_000_000_000, None]


def test_every_column_of_times_is_written_alike(tmp_path: Path) -> None:
    path = tmp_path / "times.parquet"
    moments = pl.Series([1_700_000_000_000_000], dtype=pl.Int64).cast(pl.Datetime("us"))
    there = moments.dt.replace_time_zone("UTC").dt.convert_time_zone("Europe/Berlin")
    pl.DataFrame({"t": moments, "zoned": there, "x": [1]}).write_parquet(path)
    [batch] = read_events(open_events(path), TimeRule(column="t", output="epoch_s"))
    assert batch.rows() == [(1_700_000_000, 1_700_000_000, 1)]


def test_sorting_follows_the_time_that_was_meant_not_its_text(tmp_path: Path) -> None:
    path = tmp_path / "days.csv"
    path.write_text("t,n\n02.01.2024 00h,2\n01.02.2024 00h,3\n03.12.2023 00h,1\n")
    rule = TimeRule(column="t", pattern="%d.%m.%Y %Hh")
    [batch] = read_events(open_events(path), rule, sort=True)
    assert batch["n"].to_list() == [1, 2, 3]


def test_times_are_made_across_batches_where_a_file_has_none(tmp_path: Path) -> None:
    path = tmp_path / "long.parquet"
    pl.DataFrame({"x": range(100_000)}).write_parquet(path)
    rule = TimeRule(column="made", start_us=5_000_000, interval_us=2_000, output="epoch_ms")
    made = pl.concat(read_events(open_events(path), rule))["made"]
    assert made.to_list() == list(range(5_000, 5_000 + 200_000, 2))


def test_memory_does_not_grow_with_the_file(tmp_path: Path) -> None:
    path, rng = tmp_path / "long.parquet", np.random.default_rng(0)
    columns = {f"c{i}": rng.integers(0, 1 << 40, 400_000) for i in range(10)}
    pl.DataFrame(columns).write_parquet(path, row_group_size=20_000)
    before, most = pa.total_allocated_bytes(), 0
    for _ in read_events(open_events(path), TimeRule(column="made", start_us=0, interval_us=1)):
        most = max(most, pa.total_allocated_bytes() - before)
    assert 0 < most < path.stat().st_size / 4


def test_csv_and_wafer_files_are_read(tmp_path: Path) -> None:
    csv = tmp_path / "events.csv"
    EVENTS.select("hour", "user").write_csv(csv)
    assert pl.concat(read_events(open_events(csv), TimeRule(column="hour", pattern="%y%m%d%H"))).height == 4
    wafers = tmp_path / "wafers.npz"
    np.savez(
        wafers,
        maps_flat=np.array([0, 1, 2, 1], dtype=np.uint8),
        offsets=np.array([0, 4]),
        shapes=np.array([[2, 2]]),
        labels=np.array([0]),
        class_names=np.array(["none"]),
    )
    [batch] = read_events(open_events(wafers), TimeRule(column="time", start_us=0, interval_us=1))
    assert batch["map"].to_list() == [[0, 1, 2, 1]]


JOB = """
kind = "ctr"
name = "typed"
label = "click"
[kafka]
bootstrap_servers = ["{broker}"]
[source]
topic = "typed"
time_column = "time"
[windows]
length = "1m"
[columns]
zip = "str"
day = "str"
n = "int"
price = "float"
seen = "int"
click = "int"
"""


def published_by_job(broker: EmbeddedBroker, folder: Path, topic: str, *arguments: object) -> tuple[list[Raw], Result]:
    job = folder / "job.toml"
    job.write_text(JOB.format(broker=broker.bootstrap))
    options = ["--topic", topic, "--time-column", "time", "--job", str(job), "--partitions", "1"]
    result = CliRunner().invoke(publish, [*map(str, arguments), *options], catch_exceptions=False)
    return read_all(broker.bootstrap, topic), result


def test_a_jobs_types_rule_over_what_a_csv_looks_like(embedded_broker: EmbeddedBroker, tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("time,zip,day,n,click\n1,00012,2024-01-02,1.0,0\n2,00013,,,1\n3\n")
    records, result = published_by_job(embedded_broker, tmp_path, "pub-types", tmp_path / "a.csv")
    assert events_of(records) == [
        {"time": 1, "zip": "00012", "day": "2024-01-02", "n": 1, "click": 0},
        {"time": 2, "zip": "00013", "day": None, "n": None, "click": 1},
    ]
    assert "a.csv, record 4: too few fields" in result.stderr
    assert "1 row left out: too few fields" in result.stderr


def test_a_jobs_types_rule_over_those_of_parquet(embedded_broker: EmbeddedBroker, tmp_path: Path) -> None:
    columns = {
        "time": pl.Series([1, 2]).cast(pl.Datetime("ms")),
        "zip": [12, 13],
        "day": pl.Series([0, 1]).cast(pl.Date),
        "price": pl.Series(["1.50", "2.25"]).cast(pl.Decimal(10, 2)),
        "seen": pl.Series([1_000, 2_000]).cast(pl.Datetime("us")),
    }
    pl.DataFrame(columns).write_parquet(tmp_path / "b.parquet")
    records, _ = published_by_job(embedded_broker, tmp_path, "pub-parquet-types", tmp_path / "b.parquet")
    first = {"time": 1, "zip": "12", "day": "1970-01-01", "price": 1.5, "seen": 1}
    assert events_of(records)[0] == first


@pytest.mark.parametrize("name", ["c.csv", "c.parquet", "c.jsonl"])
def test_a_late_value_of_another_type_is_refused_before_the_first_event(
    embedded_broker: EmbeddedBroker, tmp_path: Path, name: str
) -> None:
    values = [*map(str, range(50_000)), "x1"]
    frame = pl.DataFrame({"time": range(50_001), "n": values})
    if name == "c.jsonl":
        lines = [f'{{"time": {i}, "n": {n}}}' for i, n in enumerate(values[:-1])]
        (tmp_path / name).write_text("\n".join([*lines, '{"time": 1, "n": "x1"}']))
    elif name == "c.csv":
        frame.write_csv(tmp_path / name)
    else:
        frame.write_parquet(tmp_path / name)
    with pytest.raises(SchemaError, match=rf"{name}.*x1"):
        published_by_job(embedded_broker, tmp_path, "pub-late", tmp_path / name)
    assert read_all(embedded_broker.bootstrap, "pub-late") == []


def test_the_jobs_columns_that_files_lack_are_named_and_its_time_format_is_written(
    embedded_broker: EmbeddedBroker, tmp_path: Path
) -> None:
    (tmp_path / "a.csv").write_text("time,zip,click\n2026-01-02T00:00:00Z,1,0\n")
    records, result = published_by_job(embedded_broker, tmp_path, "pub-lacks", tmp_path / "a.csv")
    assert events_of(records) == [{"time": 1_767_312_000_000, "zip": "1", "click": 0}]
    assert "a.csv lacks the columns 'day', 'n', 'price', 'seen' of the job: they will be missing" in result.stderr
    with pytest.raises(ConfigError, match="--time-format epoch_s: expected that of the job, epoch_ms"):
        published_by_job(embedded_broker, tmp_path, "pub-lacks", tmp_path / "a.csv", "--time-format", "epoch_s")


def test_files_without_a_usable_row_are_refused(embedded_broker: EmbeddedBroker, tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("time,zip\n1,2,3\n4,5,6\n")
    with pytest.raises(SchemaError, match=r"a\.csv: expected events, got none"):
        published_by_job(embedded_broker, tmp_path, "pub-unusable", tmp_path / "a.csv")


def test_a_folder_and_several_files_are_published(embedded_broker: EmbeddedBroker, tmp_path: Path) -> None:
    (tmp_path / "logs").mkdir()
    for name, first in (("logs/1.csv", 1), ("logs/2.csv.gz", 2), ("3.jsonl", 3)):
        data = f'{{"t": {first}}}\n'.encode() if "jsonl" in name else b"t\n%d\n" % first
        (tmp_path / name).write_bytes(pa.compress(data, "gzip", asbytes=True) if "gz" in name else data)
    records, _ = published(
        embedded_broker, "pub-logs", tmp_path / "logs", str(tmp_path / "3.jsonl"), "--time-column", "t"
    )
    assert sorted(event["t"] for event in events_of(records)) == [1, 2, 3]


def test_a_pattern_is_applied_to_text_as_it_stands(tmp_path: Path) -> None:
    path = tmp_path / "hours.csv"
    path.write_text("hour\n04010207\n04010208\n")
    rule = TimeRule(column="hour", pattern="%y%m%d%H", output="epoch_s")
    assert pl.concat(read_events(open_events(path, rule=rule), rule))["hour"].to_list() == [
        1_073_026_800,
        1_073_030_400,
    ]


def test_a_rate_is_kept_all_along() -> None:
    broker, told = FakeBroker(clock=time.monotonic), list[int]()
    plan = Plan(topic="x", partitions=1, rate=400.0)
    began = time.monotonic()
    batches = [pl.DataFrame({"x": range(150)}), pl.DataFrame({"x": range(50)})]
    done = publish_batches(broker.writer(), batches, plan, told.append)
    assert (done.events, done.records, sum(told)) == (200, 200, 200)
    assert done.seconds >= 180 / 400
    moments = np.array([call.at_s for call in broker.calls if call.name == "send"]) - began
    # Never ahead of the clock by more than a slice of 20 events.
    assert np.all(np.arange(200) <= moments * 400 + 20)


def test_a_rate_does_not_make_arrow_records_smaller() -> None:
    broker = FakeBroker()
    plan = Plan(topic="x", partitions=1, rate=4000.0, format="arrow", rows_per_record=1000)
    done = publish_batches(broker.writer(), [pl.DataFrame({"x": range(2500)})], plan)
    assert [read_arrow(value or b"").num_rows for value in broker.values("x")] == [1000, 1000, 500]
    assert done.seconds >= 2000 / 4000


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--time-column", "nope"], "has the columns t, hour, user, text"),
        (["--time-column", "t", "--key-column", "nope"], "--key-column 'nope'"),
        (["--time-column", "t", "--key-column", "user", "--format", "arrow"], "has no key"),
        (["--time-column", "user", "--input-time-format", "%Y"], "expected times as %Y, got 'a'; --input-time-format"),
        (["--time-column", "user"], "expected event times as numbers, ISO 8601 or dates of one order, got 'a'"),
        (
            ["--time-column", "hour"],
            "14102100 is 1970-01-01 as epoch_ms, but 2014-10-21 with --input-time-format '%y%m%d%H'",
        ),
        (["--time-column", "hour", "--time-format", "iso8601"], "14102100 is no time as iso8601, but 2014-10-21 with"),
        (
            ["--time-column", "user", "--input-time-format", "iso8601"],
            "expected event times in the format iso8601|expected times as iso8601, got 'a'",
        ),
        (["--time-column", "t", "--start", "soon"], "got 'soon'"),
        (["--time-column", "t", "--start", "2026-01-01"], "'t', but it exists"),
        (["--time-column", "x", "--start", "2026-01-01", "--input-time-format", "%Y"], "only one of the two"),
        (["--time-column", "t", "--job", "job.toml"], "either a job file or --bootstrap"),
    ],
)
def test_wrong_options_are_named(
    embedded_broker: EmbeddedBroker, parquet: Path, options: list[str], message: str
) -> None:
    with pytest.raises((ConfigError, SchemaError), match=message):
        published(embedded_broker, "pub-wrong", parquet, *options)


def test_a_missing_file_topic_or_broker_is_named(
    embedded_broker: EmbeddedBroker, parquet: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(ConfigError, match="no such file"):
        open_events(tmp_path / "nothing.parquet")
    (tmp_path / "text.parquet").write_text("no parquet")
    with pytest.raises(SchemaError, match=r"expected Parquet, CSV.* got a file that begins 'no parquet'"):
        open_events(tmp_path / "text.parquet")
    arguments = [str(parquet), "--topic", "pub-none", "--time-column", "t", "--bootstrap", embedded_broker.bootstrap]
    with pytest.raises(ConfigError, match="--partitions N creates it"):
        CliRunner().invoke(publish, arguments, catch_exceptions=False)
    with pytest.raises(ConfigError, match="--time-column 'nope'"):
        published(embedded_broker, "pub-none", parquet, "--time-column", "nope")
    assert read_all(embedded_broker.bootstrap, "pub-none") == []
    monkeypatch.setattr("sparsewatch.pipelines.job.broker_options._TIMEOUT", "1s")
    with pytest.raises(SourceError, match="no broker answers"):
        CliRunner().invoke(publish, [*arguments[:-1], f"127.0.0.1:{free_port()}"], catch_exceptions=False)


_HOUR = pl.col("hour").cast(pl.Int64)


@pytest.mark.parametrize(
    ("name", "time_column", "options", "expected"),
    [
        ("talkingdata", "click_time", [], pl.col("click_time").dt.epoch("ms")),
        (
            "avazu",
            "hour",
            ["--input-time-format", "%y%m%d%H"],
            # 2014-10-21 00:00 is 1,413,849,600 s; the file holds ten days of October from there on.
            (1_413_849_600 + (_HOUR // 100 - 141021) * 86_400 + _HOUR % 100 * 3600) * 1000,
        ),
        ("criteo", "made", ["--start", "2026-01-01", "--interval", "500ms"], 1_767_225_600_000 + pl.row_index() * 500),
    ],
)
def test_real_clicks_arrive_as_they_stand_in_the_file(
    embedded_broker: EmbeddedBroker, data_dir: Path, name: str, time_column: str, options: list[str], expected: pl.Expr
) -> None:
    file = data_dir / "ctr" / f"{name}.parquet"
    records, _ = published(
        embedded_broker, f"pub-{name}", file, "--time-column", time_column, "--limit", "1500", *options
    )
    lines = {2 * r.offset + r.partition: r.value or b"" for r in records}
    whole = pl.read_parquet(file).head(1500).with_columns(expected.cast(pl.Int64).alias(time_column))
    assert [json.loads(lines[i]) for i in range(1500)] == whole.to_dicts()
