"""Files become records: times converted, partitions and keys deterministic, every event there."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pyarrow as pa
import pytest
from click.testing import CliRunner, Result

from pipelines.demo.broker import EmbeddedBroker
from pipelines.event_files import TimeRule, open_events, read_events
from pipelines.publish import Plan, publish, publish_batches
from schemas.errors import ConfigError
from tests.kit.topics import Raw, read_all
from transforms.codecs.arrow import read_arrow

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
    assert "4 events in 4 records to 'pub-json' (2 partitions)" in result.output


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


def test_equal_keys_share_a_partition(embedded_broker: EmbeddedBroker, parquet: Path) -> None:
    records, _ = published(embedded_broker, "pub-key", parquet, "--time-column", "t", "--key-column", "user")
    assert sorted((r.key or b"").decode() for r in records) == ["", "a", "a", "b"]
    assert len({r.partition for r in records if r.key == b"a"}) == 1


def test_a_pattern_reads_hours_written_as_integers(parquet: Path) -> None:
    rule = TimeRule(column="hour", pattern="%y%m%d%H", output="iso8601")
    [batch] = read_events(open_events(parquet), rule)
    assert batch["hour"].to_list()[:2] == ["2014-10-21T00:00:00.000000Z", "2014-10-21T23:00:00.000000Z"]


def test_times_are_made_across_batches_where_a_file_has_none(tmp_path: Path) -> None:
    path = tmp_path / "long.parquet"
    pl.DataFrame({"x": range(100_000)}).write_parquet(path)
    rule = TimeRule(column="made", start_us=5_000_000, interval_us=2_000, output="epoch_ms")
    made = pl.concat(read_events(open_events(path), rule))["made"]
    assert made.to_list() == list(range(5_000, 5_000 + 200_000, 2))


def test_csv_and_wafer_files_are_read(tmp_path: Path) -> None:
    csv = tmp_path / "events.csv"
    EVENTS.select("hour", "user").write_csv(csv)
    assert pl.concat(read_events(open_events(csv), TimeRule(column="hour"))).height == 4
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


def test_a_rate_is_kept(embedded_broker: EmbeddedBroker) -> None:
    class Sent:
        def send(self, *rest: Any, **more: Any) -> None: ...
        def flush(self) -> None: ...
        def close(self) -> None: ...

    plan = Plan(topic="x", partitions=1, rate=400.0)
    done = publish_batches(Sent(), [pl.DataFrame({"x": range(200)})], plan)
    assert done.events == 200
    assert done.seconds >= 180 / 400


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--time-column", "nope"], "has the columns t, hour, user, text"),
        (["--time-column", "t", "--key-column", "nope"], "--key-column 'nope'"),
        (["--time-column", "t", "--key-column", "user", "--format", "arrow"], "has no key"),
        (["--time-column", "user", "--input-time-format", "%Y"], "do not follow it"),
        (["--time-column", "t", "--start", "soon"], "got 'soon'"),
    ],
)
def test_wrong_options_are_named(
    embedded_broker: EmbeddedBroker, parquet: Path, options: list[str], message: str
) -> None:
    with pytest.raises(ConfigError, match=message):
        published(embedded_broker, "pub-wrong", parquet, *options)


def test_a_missing_file_topic_or_broker_is_named(
    embedded_broker: EmbeddedBroker, parquet: Path, tmp_path: Path
) -> None:
    with pytest.raises(ConfigError, match="no such file"):
        open_events(tmp_path / "nothing.parquet")
    (tmp_path / "text.parquet").write_text("no parquet")
    with pytest.raises(ConfigError, match="expected Parquet, CSV"):
        open_events(tmp_path / "text.parquet")
    arguments = [str(parquet), "--topic", "pub-none", "--time-column", "t", "--bootstrap", embedded_broker.bootstrap]
    with pytest.raises(ConfigError, match="--partitions N creates it"):
        CliRunner().invoke(publish, arguments, catch_exceptions=False)
