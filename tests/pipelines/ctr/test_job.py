"""The click-through job from a real broker: every record accounted, every window equal to a recomputation."""

import json
import random
from pathlib import Path
from typing import Any

import polars as pl
import pyarrow as pa
import pytest

from sparsewatch.detectors.rows.training import train_row_model
from sparsewatch.pipelines.job.job_file import load_job
from sparsewatch.pipelines.job.kind import Job
from sparsewatch.pipelines.run.run import load_job_progress, run_job
from sparsewatch.schemas.accounts import Account
from tests.kit.services import KafkaBroker
from tests.kit.topics import create_topic, newest_by_key, produce, read_all
from tests.oracles.accounts import Record, recount
from tests.oracles.windows import assert_window_equals, json_events, window_truths

FEATURES = {"ad": "int", "site": "str", "user": "int", "price": "float", "mobile": "bool"}


def write_job(folder: Path, bootstrap: str, topic: str, columns: dict[str, str], **source: str) -> Path:
    settings = {"time_column": "t", "time_format": "epoch_ms", **source}
    lines = [
        'kind = "ctr"',
        f'name = "{topic}"',
        'label = "label"',
        f'[kafka]\nbootstrap_servers = ["{bootstrap}"]',
        f'[source]\ntopic = "{topic}"',
        *(f'{key} = "{value}"' for key, value in settings.items()),
        '[windows]\nlength = "1m"\ndisorder = "10s"',
        "[columns]",
        *(f'"{name}" = "{kind}"' for name, kind in {**columns, "label": "int"}.items()),
    ]
    path = folder / f"{topic}.toml"
    path.write_text("\n".join(lines))
    return path


def click(rng: random.Random, time_ms: int) -> bytes:
    ad = rng.randrange(20)
    event: dict[str, Any] = {"t": time_ms}
    event |= {"ad": ad, "site": f"s{rng.randrange(9)}", "user": rng.randrange(5000), "mobile": rng.random() < 0.5}
    event |= {"price": rng.choice([None, 0.5, 1.25]), "label": int(rng.random() < 0.1 + 0.02 * ad)}
    return json.dumps(event).encode()


def assert_balanced(job: Job, account: Account) -> None:
    progress = load_job_progress(job)
    assert progress is not None
    assert progress.totals == account


@pytest.mark.parametrize("client", ["kafka-python", "confluent"])
def test_a_stream_with_late_and_broken_records_adds_up(kafka_broker: KafkaBroker, tmp_path: Path, client: str) -> None:
    if client == "confluent":
        pytest.importorskip("confluent_kafka", reason="needs the extra `confluent`")
    rng, topic, start = random.Random(5), f"adds-up-{client}", 1_700_000_000_000
    create_topic(kafka_broker.bootstrap, topic, 3)
    records: list[tuple[int, bytes | None]] = []
    truth: dict[int, list[Record]] = {0: [], 1: [], 2: []}
    for i in range(9000):
        time = start + i * 50 - (rng.randrange(9_000) if rng.random() < 0.3 else 0)
        time -= rng.randrange(80_000, 200_000) if rng.random() < 0.01 else 0
        broken = rng.random() < 0.005
        records.append((i % 3, b"{broken" if broken else click(rng, time)))
        truth[i % 3].append(None if broken else [time * 1000])
    produce(kafka_broker.bootstrap, topic, records)
    job = load_job(write_job(tmp_path, kafka_broker.bootstrap, topic, FEATURES), [f"kafka.client={client}"])
    run_job(job, "latest", "inprocess")

    expected = recount(truth, 60_000_000, 10_000_000)
    assert_balanced(
        job, Account(counted=sum(expected.windows.values()), late=len(expected.late), rejected=len(expected.rejected))
    )
    windows = newest_by_key(read_all(kafka_broker.bootstrap, f"{topic}.windows"))
    assert {w["window_start_us"]: w["rows"] for w in windows.values()} == dict(expected.windows)
    late = {(p, o) for p, o, _ in expected.late}
    on_time = [
        v for p, o, _, _, v, _ in read_all(kafka_broker.bootstrap, topic) if v and v[:2] != b"{b" and (p, o) not in late
    ]
    truths = window_truths(json_events(on_time), "t", 60_000_000, list(FEATURES), "label")
    for record in windows.values():
        assert_window_equals(record, truths[record["window_start_us"]])
    assert len(read_all(kafka_broker.bootstrap, f"{topic}.late")) == len(expected.late)
    rejects = read_all(kafka_broker.bootstrap, f"{topic}.rejects")
    assert [r.value for r in rejects] == [b"{broken"] * len(expected.rejected)


def test_repeated_runs_read_every_record_once(kafka_broker: KafkaBroker, tmp_path: Path) -> None:
    rng, topic, start = random.Random(6), "repeated", 1_700_000_000_000
    create_topic(kafka_broker.bootstrap, topic, 2)
    job = load_job(write_job(tmp_path, kafka_broker.bootstrap, topic, FEATURES))
    for part in range(3):
        times = range(start + part * 100_000, start + (part + 1) * 100_000, 100)
        produce(kafka_broker.bootstrap, topic, ((i % 2, click(rng, t)) for i, t in enumerate(times)))
        run_job(job, "latest", "inprocess", close_at_end=part == 2)
    assert_balanced(job, Account(counted=3000))
    windows = newest_by_key(read_all(kafka_broker.bootstrap, f"{topic}.windows"))
    assert sum(w["rows"] for w in windows.values()) == 3000
    assert [w["complete"] for w in windows.values()].count(False) == 2


def test_rows_are_scored_beside_the_ranking(kafka_broker: KafkaBroker, tmp_path: Path) -> None:
    """In the second minute `price` is a hundredfold in every fourth click."""
    rng, topic, start = random.Random(7), "scored-clicks", 1_700_000_040_000
    numbers = {"price": "float", "depth": "int"}

    def fair(odd: bool) -> dict[str, Any]:
        return {"price": rng.gauss(1.0, 0.1) * (100 if odd else 1), "depth": rng.randrange(5)}

    train_row_model(pa.Table.from_pylist([fair(False) for _ in range(2000)]), method="hbos").save(tmp_path / "rows")
    clicks = [{"t": start + i * 200, "label": rng.randrange(2), **fair(i >= 300 and i % 4 == 0)} for i in range(600)]
    create_topic(kafka_broker.bootstrap, topic)
    produce(kafka_broker.bootstrap, topic, ((0, json.dumps(click).encode()) for click in clicks))
    path = write_job(tmp_path, kafka_broker.bootstrap, topic, numbers)
    job = load_job(path, [f"rows.model={tmp_path / 'rows'}", 'rows.id_columns=["depth"]'])
    run_job(job, "latest", "inprocess")

    assert_balanced(job, Account(counted=600))
    first, second = newest_by_key(read_all(kafka_broker.bootstrap, f"{topic}.windows")).values()
    assert first["row_scores"]["rows"] == second["row_scores"]["rows"] == 300
    assert [one["feature"] for one in second["ranking"]]
    results = newest_by_key(read_all(kafka_broker.bootstrap, f"{topic}.rows"))
    assert len(results) == first["row_scores"]["above"] + second["row_scores"]["above"]
    assert {f"{topic}/0/{offset}/0" for offset in range(300, 600, 4)} <= set(results)
    for result in results.values():
        assert result["identity"] == {"depth": clicks[int(result["id"].split("/")[2])]["depth"]}
    alerts = newest_by_key(read_all(kafka_broker.bootstrap, f"{topic}.alerts"))
    assert [alert["rule"] for alert in alerts.values()] == ["rows_unlike_training"]


REAL: list[tuple[str, str, dict[str, Any]]] = [
    ("talkingdata", "click_time", {}),
    ("avazu", "hour", {}),
    ("criteo", "t", {}),
]


def real_events(data_dir: Path, name: str, time_column: str) -> pl.DataFrame:
    """Rows of a real set with event times in milliseconds, in order of time."""
    path = data_dir / "ctr" / f"{name}.parquet"
    if not path.exists():
        pytest.skip(f"needs {path}")
    events = pl.read_parquet(path)
    if name == "talkingdata":
        events = events.sort(time_column, maintain_order=True).with_columns(pl.col(time_column).dt.epoch("ms"))
    elif name == "avazu":
        hours = (pl.col(time_column).cast(pl.String) + "00").str.to_datetime("%y%m%d%H%M")
        events = events.with_columns(hours.dt.epoch("ms"))
    else:
        events = events.with_row_index("t").with_columns(pl.col("t").cast(pl.Int64) * 1000 + 1_700_000_000_000)
    return events


@pytest.mark.parametrize(("name", "time_column", "source"), REAL, ids=[r[0] for r in REAL])
def test_real_clicks_are_counted_to_the_row_and_scored_as_recomputed(
    kafka_broker: KafkaBroker, data_dir: Path, tmp_path: Path, name: str, time_column: str, source: dict[str, Any]
) -> None:
    events = real_events(data_dir, name, time_column)
    features = [c for c in events.columns if c not in (time_column, "label")]
    columns = {c: "str" if events.schema[c] == pl.String else "int" for c in features}
    topic = f"real-{name}"
    create_topic(kafka_broker.bootstrap, topic, 2)
    lines = events.write_ndjson().encode().splitlines()
    produce(kafka_broker.bootstrap, topic, ((i % 2, line) for i, line in enumerate(lines)))
    job_file = write_job(tmp_path, kafka_broker.bootstrap, topic, columns, time_column=time_column, **source)
    job = load_job(job_file, ["windows.length=3h", "windows.disorder=1h"])
    run_job(job, "latest", "inprocess")

    assert_balanced(job, Account(counted=events.height))
    windows = newest_by_key(read_all(kafka_broker.bootstrap, f"{topic}.windows"))
    truths = window_truths(events, time_column, 3 * 3_600_000_000, features, "label")
    assert {w["window_start_us"] for w in windows.values()} == set(truths)
    for record in windows.values():
        assert_window_equals(record, truths[record["window_start_us"]], tolerance=1e-8)
