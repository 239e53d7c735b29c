"""Both jobs on a real Flink, submitted by the command line, with the accounts of the in-process runner."""

import json
import subprocess
import sys
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from sparsewatch.detectors.sparse_net.train import TrainConfig
from sparsewatch.detectors.wafers.drawn import make_wafers
from sparsewatch.detectors.wafers.training import WaferTrainingConfig, train_wafer_model
from sparsewatch.pipelines.job.job_file import load_job
from sparsewatch.pipelines.run.run import load_job_progress, run_job
from sparsewatch.schemas.accounts import Account
from tests.kit.flink import FlinkStack
from tests.kit.job_files import write_click_job, write_wafer_job
from tests.kit.services import KafkaBroker
from tests.kit.topics import create_topic, newest_by_key, produce, read_all

pytestmark = pytest.mark.timeout(900)  # three JVMs on a busy machine

START = 1_700_000_000_000 // 60_000 * 60_000
SPARSEWATCH = Path(sys.executable).parent / "sparsewatch"
_RUN_S = 400


def sparsewatch(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run([SPARSEWATCH, *arguments], capture_output=True, text=True, timeout=_RUN_S, check=False)


def run_on_flink(job_file: Path, flink: FlinkStack) -> str:
    options = flink.options(checkpointing_interval_ms=None)
    done = sparsewatch("run", job_file, "--runner", "portable", "--until", "latest", "--", *options)
    assert done.returncode == 0, done.stderr + flink.workers.log_tail() + flink.job_server.log_tail()
    return done.stdout


def windows_and_side_records(bootstrap: str, topic: str) -> tuple[Any, Counter[Any], Counter[Any]]:
    """What the job said of each window, and what it set aside (record, code), apart from where it was written."""
    windows = newest_by_key(read_all(bootstrap, f"{topic}.windows"))
    said = {w["window_start_us"]: {k: v for k, v in w.items() if k not in ("job", "alerts")} for w in windows.values()}
    late, rejected = (
        Counter((r.value, dict(r.headers)["sparsewatch.code"]) for r in read_all(bootstrap, f"{topic}.{name}"))
        for name in ("late", "rejects")
    )
    return said, late, rejected


def clicks() -> list[bytes]:
    rng = np.random.default_rng(3)
    times = START + np.arange(4000) * 50 - rng.integers(0, 9_000, 4000)
    times[rng.random(4000) < 0.01] -= 150_000
    events = [
        {"t": int(t), "ad": int(a), "site": f"s{a % 9}", "price": 0.5, "mobile": True, "label": int(a % 5 == 0)}
        for t, a in zip(times, rng.integers(0, 50, 4000), strict=True)
    ]
    return [b"{broken" if i % 400 == 7 else json.dumps(e).encode() for i, e in enumerate(events)]


def fill(bootstrap: str, topic: str, values: Sequence[bytes]) -> None:
    create_topic(bootstrap, topic, 3)
    produce(bootstrap, topic, ((i % 3, value) for i, value in enumerate(values)))


def test_a_click_job_on_flink_says_what_the_in_process_runner_says(
    kafka_broker: KafkaBroker, flink: FlinkStack, tmp_path: Path
) -> None:
    bootstrap, values = kafka_broker.bootstrap, clicks()
    for topic in ("flink-clicks", "flink-clicks-here"):
        fill(bootstrap, topic, values)
    remote, here = (write_click_job(tmp_path, bootstrap, topic) for topic in ("flink-clicks", "flink-clicks-here"))
    said = run_on_flink(remote, flink)
    run_job(load_job(here), "latest", "inprocess")

    progress, expected = load_job_progress(load_job(remote)), load_job_progress(load_job(here))
    assert progress is not None
    assert expected is not None
    assert progress.totals == expected.totals
    assert progress.totals.read == len(values)
    assert progress.totals.rejected == 10
    assert progress.totals.late > 20
    assert f"{len(values)} read = " in said
    assert windows_and_side_records(bootstrap, "flink-clicks") == windows_and_side_records(
        bootstrap, "flink-clicks-here"
    )


def test_a_wafer_job_on_flink_gives_one_result_a_wafer(
    kafka_broker: KafkaBroker, flink: FlinkStack, tmp_path: Path
) -> None:
    bootstrap, topic = kafka_broker.bootstrap, "flink-wafers"
    labels = np.random.default_rng(0).choice(["center", "edge_ring", "normal"], 240).tolist()
    rows = make_wafers(labels, np.random.default_rng(1), defects=(30, 40))
    model, _ = train_wafer_model(rows, labels, WaferTrainingConfig(grid=128, train=TrainConfig(epochs=1)))
    model.save(tmp_path / "model", metrics={}, training={})
    events = [{"t": START + i * 1000, **row} for i, row in enumerate(rows.to_pylist())]
    fill(bootstrap, topic, [json.dumps(e).encode() for e in events] + [b"no wafer"])
    job_file = write_wafer_job(tmp_path, bootstrap, topic, tmp_path / "model")
    run_on_flink(job_file, flink)

    progress = load_job_progress(load_job(job_file))
    assert progress is not None
    assert progress.totals == Account(counted=240, rejected=1)
    results = newest_by_key(read_all(bootstrap, f"{topic}.wafers"))
    verdicts = model.recognise(rows)
    expected = zip(rows["wafer_id"].to_pylist(), verdicts["verdict"].to_pylist(), strict=True)
    assert {r["wafer_id"]: r["verdict"] for r in results.values()} == dict(expected)
    windows = newest_by_key(read_all(bootstrap, f"{topic}.windows"))
    assert {w["window_start_us"]: w["rows"] for w in windows.values()} == {
        (START + m * 60_000) * 1000: 60 for m in range(4)
    }
