"""A loss of clicks that no window shows, in a whole job: one incident, and over."""

import json
from collections.abc import Iterator
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from sparsewatch import run_job
from sparsewatch.detectors.clicks.reference import fit_reference
from sparsewatch.detectors.counts.feature_counts import FeatureCounts
from sparsewatch.pipelines.job.kind import Job
from sparsewatch.pipelines.job.kinds import parse_job
from sparsewatch.schemas.units import HOUR_US
from sparsewatch.testing import FakeBroker

ROWS, RATE, LEARNED = 150, 0.2, 120
#: Windows without the loss, with it, and after it; the last one stays open.
BEFORE, DURING, AFTER = 3, 14, 9
START_US = 1_700_006_400_000_000
END_US = START_US + (BEFORE + DURING + AFTER) * HOUR_US


@pytest.fixture(scope="module")
def reference(tmp_path_factory: pytest.TempPathFactory) -> str:
    rng = np.random.default_rng(0)
    windows = []
    for _ in range(LEARNED):
        counts = FeatureCounts(("site",), "click")
        clicks = (rng.random(ROWS) < RATE).astype(np.int64)
        counts.update(pa.record_batch({"site": pa.array(np.arange(ROWS) % 2), "click": clicks}))
        windows.append(counts)
    starts = [START_US + at * HOUR_US for at in range(-LEARNED, 0)]
    return str(fit_reference(windows, HOUR_US, starts).save(tmp_path_factory.mktemp("reference")))


def events() -> Iterator[bytes]:
    rng = np.random.default_rng(3)
    rates = [RATE] * BEFORE + [0.6 * RATE] * DURING + [RATE] * AFTER
    for at, rate in enumerate(rates):
        for row, click in enumerate((rng.random(ROWS) < rate).tolist()):
            time_us = START_US + at * HOUR_US + row * HOUR_US // ROWS
            yield json.dumps({"t": time_us, "site": row % 2, "click": int(click)}).encode()


def job(broker: FakeBroker, reference: str) -> Job:
    return parse_job(
        {
            "kind": "ctr",
            "name": "clicks",
            "kafka": {"bootstrap_servers": broker.settings.bootstrap_servers},
            "source": {"topic": "events", "time_column": "t", "time_format": "epoch_us"},
            "windows": {"length": "1h"},
            "columns": {"site": "int", "click": "int"},
            "label": "click",
            "checks": {"reference": reference},
        },
        "test",
    )


def run(reference: str) -> dict[str, list[dict[str, Any]]]:
    """What a job writes."""
    with FakeBroker(clock=lambda: END_US / 1e6) as broker:
        broker.create("events")
        writer = broker.writer()
        for event in events():
            writer.send("events", None, event)
        writer.close()
        run_job(job(broker, reference), "latest", "inprocess")
        return {
            topic: [json.loads(record.value or b"") for record in broker.records(f"clicks.{topic}")]
            for topic in ("alerts", "incidents")
        }


def test_a_loss_is_one_incident_that_is_over_when_it_is(reference: str) -> None:
    written = run(reference)
    alerts, incidents = written["alerts"], written["incidents"]
    assert {(one["rule"], one["subject"], one["evidence"]["test"]) for one in alerts} == {
        ("click_rate_shift", "stream", "sequential")
    }
    first, *others = [(one["window_start_us"] - START_US) // HOUR_US for one in alerts]
    assert BEFORE < first < BEFORE + DURING
    assert others == list(range(first + 1, others[-1] + 1))
    assert others[-1] < BEFORE + DURING + 5
    assert alerts[0]["value"] == pytest.approx(0.6 * RATE, rel=0.3)
    assert {one["id"] for one in incidents} == {"clicks-1"}
    assert (incidents[0]["change"], incidents[-1]["change"]) == ("opened", "resolved")
    assert alerts[0]["evidence"]["baseline"] == {
        "kind": "fixed",
        "version": "0001",
        "windows": LEARNED,
        "start_us": START_US - LEARNED * HOUR_US,
        "end_us": START_US,
    }
