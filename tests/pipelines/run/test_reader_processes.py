"""Readers as processes on one machine, as docs/jobs.md runs them: the accounts are those of an offline recount."""

import json
import random
from pathlib import Path

import pytest

from sparsewatch import load_job, run_job
from sparsewatch.pipelines.run.run import load_job_progress
from tests.kit.services import KafkaBroker
from tests.kit.topics import create_topic, newest_by_key, produce, read_all
from tests.oracles.accounts import Record, recount

PARTITIONS = 4
WINDOW_S, DISORDER_S = 10, 1
AS_PROCESSES = (
    "--direct_running_mode=multi_processing",
    "--direct_num_workers=2",
    "--default_sdk_harness_log_level=ERROR",
)
_JOB = """
kind = "ctr"
name = "processes"
label = "click"
[kafka]
bootstrap_servers = ["{bootstrap}"]
[source]
topic = "processes-clicks"
time_column = "t"
readers = 2
[windows]
length = "{window}s"
disorder = "{disorder}s"
[columns]
ad = "int"
click = "int"
"""


def _values() -> list[bytes]:
    """Clicks every 10 ms, some of them half a minute late, some broken."""
    rng, values = random.Random(5), []
    for i in range(8_000):
        late = 30_000 if i > 4_000 and rng.random() < 0.02 else rng.randrange(1_000)
        event = {"t": 1_700_000_000_000 + 10 * i - late, "ad": rng.randrange(20), "click": i % 3 == 0}
        values.append(b"{b" if rng.random() < 0.01 else json.dumps({**event, "click": int(event["click"])}).encode())
    return values


@pytest.mark.kafka
@pytest.mark.long
def test_two_readers_in_two_processes_count_every_record_once(kafka_broker: KafkaBroker, tmp_path: Path) -> None:
    bootstrap, values = kafka_broker.bootstrap, _values()
    create_topic(bootstrap, "processes-clicks", PARTITIONS)
    produce(bootstrap, "processes-clicks", ((i % PARTITIONS, value) for i, value in enumerate(values)))
    times: list[Record] = [None if value == b"{b" else [json.loads(value)["t"] * 1000] for value in values]
    truth = recount({p: times[p::PARTITIONS] for p in range(PARTITIONS)}, WINDOW_S * 1_000_000, DISORDER_S * 1_000_000)
    job_file = tmp_path / "processes.toml"
    job_file.write_text(_JOB.format(bootstrap=bootstrap, window=WINDOW_S, disorder=DISORDER_S), encoding="utf-8")
    job = load_job(job_file)
    run_job(job, "latest", "inprocess", extra=AS_PROCESSES)
    windows = newest_by_key(read_all(bootstrap, "processes.windows")).values()
    assert {w["window_start_us"]: w["rows"] for w in windows if w["rows"]} == dict(truth.windows)
    progress = load_job_progress(job)
    assert progress is not None
    totals = progress.totals
    assert (totals.counted, totals.late, totals.rejected) == (
        sum(truth.windows.values()),
        len(truth.late),
        len(truth.rejected),
    )
    assert min(totals.late, totals.rejected) > 20
    assert totals.read == len(values)
