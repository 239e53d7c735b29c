"""Streams that fall silent or turn into rejects, on a real Apache Kafka: every window is closed and judged."""

import json
import subprocess
import sys
import time
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from sparsewatch.detectors.clicks.reference import fit_reference
from sparsewatch.detectors.counts.feature_counts import FeatureCounts
from sparsewatch.pipelines.job.job_file import load_job
from sparsewatch.pipelines.run.run import load_job_progress, run_job
from sparsewatch.schemas.accounts import Account
from tests.kit.services import KafkaBroker
from tests.kit.topics import create_topic, newest_by_key, produce, read_all
from tests.kit.waiting import wait_for

START_MS = 1_700_000_040_000
MINUTE_MS = 60_000
ROWS = 200
SPARSEWATCH = Path(sys.executable).parent / "sparsewatch"


def visit(i: int, minute: int, **more: Any) -> bytes:
    event = {"t": START_MS + minute * MINUTE_MS + i * 250, "page": f"p{i % 6}", "label": int(i % 4 == 0), **more}
    return json.dumps(event).encode()


def minutes(numbers: Iterable[int], rows: int = ROWS, **more: Any) -> list[bytes]:
    return [visit(i, minute, **more) for minute in numbers for i in range(rows)]


def write_job(folder: Path, bootstrap: str, topic: str, client: str, more: str = "") -> Path:
    path = folder / f"{topic}.toml"
    path.write_text(
        f'kind = "ctr"\nname = "{topic}"\nlabel = "label"\n'
        f'[kafka]\nbootstrap_servers = ["{bootstrap}"]\nclient = "{client}"\n'
        f'[source]\ntopic = "{topic}"\ntime_column = "t"\n'
        '[columns]\npage = "str"\nlabel = "int"\n' + (more or '[windows]\nlength = "1m"\n')
    )
    return path


def reference(folder: Path) -> str:
    windows = []
    for _ in range(8):
        counts = FeatureCounts(["page"], "label")
        rows = [json.loads(event) for event in minutes([0])]
        counts.update(pa.RecordBatch.from_pylist([{"page": row["page"], "label": row["label"]} for row in rows]))
        windows.append(counts)
    fit_reference(windows).save(folder / "reference")
    return f'[windows]\nlength = "1m"\n[checks]\nreference = "{folder / "reference"}"\n'


def run(kafka: KafkaBroker, job_file: Path, topic: str, *batches: list[bytes]) -> list[dict[str, Any]]:
    """Alerts of bounded runs, each after one of the batches, in order of window and rule."""
    create_topic(kafka.bootstrap, topic)
    for batch in batches:
        produce(kafka.bootstrap, topic, ((0, value) for value in batch))
        run_job(load_job(job_file), "latest", "inprocess", close_at_end=batch is batches[-1])
    alerts = newest_by_key(read_all(kafka.bootstrap, f"{topic}.alerts")).values()
    return sorted(alerts, key=lambda alert: (alert["window_start_us"], alert["rule"]))


def records(kafka: KafkaBroker, topic: str) -> dict[int, int]:
    """Rows by minute, of all windows that have a record."""
    found = newest_by_key(read_all(kafka.bootstrap, f"{topic}.windows")).values()
    return {(w["window_start_us"] // 1000 - START_MS) // MINUTE_MS: w["rows"] for w in found}


#: What the budget allows takes longer in windows this short.
SOON = "[stream]\nsilence_chance = 0.001\n"


def told(alerts: list[dict[str, Any]], rule: str) -> list[tuple[int, float]]:
    """Minute and value of the alerts of a rule."""
    return [((a["window_start_us"] // 1000 - START_MS) // MINUTE_MS, a["value"]) for a in alerts if a["rule"] == rule]


@pytest.mark.parametrize(("rows", "client"), [(0, "confluent"), (1, "kafka-python")])
def test_windows_without_a_row_are_judged_as_those_with_few(
    kafka_broker: KafkaBroker, tmp_path: Path, rows: int, client: str
) -> None:
    topic = f"silent-{rows}-{client}"
    job_file = write_job(tmp_path, kafka_broker.bootstrap, topic, client, reference(tmp_path))
    events = [*minutes(range(4)), *minutes(range(4, 9), rows), *minutes(range(9, 12))]
    alerts = run(kafka_broker, job_file, topic, events)
    assert told(alerts, "volume_low") == [(minute, rows) for minute in range(4, 9)]
    assert records(kafka_broker, topic) == {m: rows if 4 <= m < 9 else ROWS for m in range(12)}


def test_without_a_reference_the_streams_own_windows_tell_what_is_odd(
    kafka_broker: KafkaBroker, tmp_path: Path
) -> None:
    topic = "silent-own"
    job_file = write_job(tmp_path, kafka_broker.bootstrap, topic, "kafka-python", f'[windows]\nlength = "1m"\n{SOON}')
    # The history is read back by the second run.
    alerts = run(kafka_broker, job_file, topic, minutes(range(30), 20), minutes([*range(30, 33), *range(39, 42)], 20))
    assert told(alerts, "volume_low") == [(minute, 0) for minute in range(33, 39)]
    assert told(alerts, "no_data") == [(34, 2)]
    assert {a["rule"] for a in alerts} == {"volume_low", "no_data"}


@pytest.mark.parametrize(("percent", "client"), [(100, "kafka-python"), (45, "confluent")])
def test_events_that_turn_into_rejects_are_told_with_reasons(
    kafka_broker: KafkaBroker, tmp_path: Path, client: str, percent: int
) -> None:
    topic = f"rejects-{percent}-{client}"
    job_file = write_job(tmp_path, kafka_broker.bootstrap, topic, client, reference(tmp_path))
    bad = [visit(i, m, **({"label": 7} if i % 100 < percent else {})) for m in range(4, 8) for i in range(ROWS)]
    alerts = run(kafka_broker, job_file, topic, [*minutes(range(4)), *bad, *minutes(range(8, 12))])
    rejected = 4 * ROWS * percent // 100
    progress = load_job_progress(load_job(job_file))
    assert progress is not None
    assert progress.totals == Account(counted=12 * ROWS - rejected, rejected=rejected)
    found = [alert for alert in alerts if alert["rule"] == "rejects_high"]
    assert found
    assert sum(alert["evidence"]["rejected"] for alert in found) == rejected
    shown = found[0]["evidence"]["sample"][0]
    assert (shown["reason"], shown["topic"], shown["offset"]) == ("bad_label", topic, 4 * ROWS)
    assert '"label": 7' in shown["head"]
    left = ROWS * (100 - percent) // 100
    assert records(kafka_broker, topic) == {m: left if 4 <= m < 8 else ROWS for m in range(12)}
    if percent == 100:
        assert told(alerts, "volume_low") == [(minute, 0) for minute in range(4, 8)]


def test_a_stream_of_rejects_alone_is_told_at_the_time_of_its_records(
    kafka_broker: KafkaBroker, tmp_path: Path
) -> None:
    topic = "rejects-alone"
    job_file = write_job(tmp_path, kafka_broker.bootstrap, topic, "kafka-python")
    create_topic(kafka_broker.bootstrap, topic)
    for minute in range(3):
        produce(kafka_broker.bootstrap, topic, [(0, b"{broken")] * 10, timestamp_ms=START_MS + minute * MINUTE_MS)
    run_job(load_job(job_file), "latest", "inprocess")
    assert records(kafka_broker, topic) == {0: 0, 1: 0, 2: 0}
    [alert] = newest_by_key(read_all(kafka_broker.bootstrap, f"{topic}.alerts")).values()
    assert (alert["rule"], alert["severity"], alert["value"]) == ("rejects_high", "critical", 1.0)
    assert alert["window_start_us"] == START_MS * 1000
    assert alert["evidence"]["reasons"] == {"broken_json": 30}


def test_a_partition_of_rejects_does_not_stop_the_job(kafka_broker: KafkaBroker, tmp_path: Path) -> None:
    topic = "rejects-beside"
    job_file = write_job(tmp_path, kafka_broker.bootstrap, topic, "kafka-python")
    create_topic(kafka_broker.bootstrap, topic, 2)
    produce(kafka_broker.bootstrap, topic, ((0, value) for value in minutes(range(6))))
    # They are written years after the times of the events: the lead of the other partition's rows counts.
    produce(kafka_broker.bootstrap, topic, [(1, b"{broken")] * 20)
    run_job(load_job(job_file), "latest", "inprocess", close_at_end=False)
    assert records(kafka_broker, topic) == dict.fromkeys(range(5), ROWS)


def test_on_prism_a_stream_that_falls_silent_is_told_and_its_gauges_do_not_stand(
    prism_binary: Path, kafka_broker: KafkaBroker, tmp_path: Path
) -> None:
    bootstrap, topic = kafka_broker.bootstrap, "silent-live"
    windows = f'[windows]\nlength = "1s"\ndisorder = "0s"\nidle_after = "1s"\n{SOON}'
    job_file, log = write_job(tmp_path, bootstrap, topic, "kafka-python", windows), tmp_path / "log"
    create_topic(bootstrap, topic)
    begin = round(time.time() - 41) * 1000
    events = [
        {"t": begin + second * 1000 + i * 40, "page": f"p{i % 6}", "label": int(i % 4 == 0)}
        for second in range(40)
        for i in range(25)
    ]
    produce(bootstrap, topic, ((0, json.dumps(event).encode()) for event in events))
    with log.open("wb") as out:
        process = subprocess.Popen([SPARSEWATCH, "run", job_file, "--runner", "prism"], stdout=out, stderr=out)
    try:

        def alerts() -> list[dict[str, Any]]:
            assert process.poll() is None, log.read_text()[-3000:]
            return [a for a in newest_by_key(read_all(bootstrap, f"{topic}.alerts")).values() if a["rule"] == "no_data"]

        [alert, *_] = wait_for(alerts, 60, "an alert on the silence")
    finally:
        process.terminate()
        process.wait(timeout=60)
    assert (alert["value"], alert["severity"]) == (2, "critical")
    assert alert["window_start_us"] == (begin + 41_000) * 1000
    samples = {key: json.loads(value) for key, value in newest(bootstrap, f"{topic}.metrics").items() if value}
    by_name = {sample["name"]: sample["value"] for sample in samples.values()}
    assert by_name["sparsewatch_window_rows"] == 0
    assert by_name["sparsewatch_silence_seconds"] >= 2
    assert by_name["sparsewatch_window_end_timestamp_seconds"] >= begin / 1000 + 42
    assert {"sparsewatch_window_click_ratio", "sparsewatch_feature_rank"} & by_name.keys() == set()


def newest(bootstrap: str, topic: str) -> dict[str, bytes | None]:
    """The newest value of each key, also None."""
    return {(record.key or b"").decode(): record.value for record in read_all(bootstrap, topic)}
