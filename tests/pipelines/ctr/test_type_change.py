"""A producer begins to send a number as text, on a real broker: told in that window, and the other features go on."""

import json
from pathlib import Path
from typing import Any

import pyarrow as pa

from sparsewatch.detectors.clicks.reference import fit_reference
from sparsewatch.detectors.counts.feature_counts import FeatureCounts
from sparsewatch.pipelines.job.job_file import load_job
from sparsewatch.pipelines.run.run import load_job_progress, run_job
from sparsewatch.schemas.accounts import Account
from tests.kit.job_files import write_click_job
from tests.kit.services import KafkaBroker
from tests.kit.topics import create_topic, newest_by_key, produce, read_all

START_MS = 1_700_000_000_000 // 60_000 * 60_000
COLUMNS = {"ad": "int", "site": "str", "label": "int"}
ROWS = 300
#: Share of events whose ad is a text, by minute.
TEXTS = (0.0, 0.0, 1.0, 1.0, 0.0, 0.45, 0.45, 0.03, 0.0)


def event(i: int, minute: int = 0, **other: Any) -> dict[str, Any]:
    at = START_MS + minute * 60_000 + i * 60_000 // ROWS
    return {"t": at, "ad": i % 7, "site": f"s{i % 5}", "label": int(i % 5 == 0), **other}


def events_of(minute: int) -> list[dict[str, Any]]:
    """Events of a minute; those whose ad is a text are spread evenly."""
    texts = {round(k / TEXTS[minute]) for k in range(ROWS)} if TEXTS[minute] else set()
    return [event(i, minute, **({"ad": f"ad-{i % 7}"} if i in texts else {})) for i in range(ROWS)]


def save_reference(folder: Path) -> Path:
    windows = []
    for _ in range(10):
        counts = FeatureCounts(["ad", "site"], "label")
        counts.update(pa.RecordBatch.from_pylist([event(i) for i in range(ROWS)]))
        windows.append(counts)
    return fit_reference(windows).save(folder / "reference").parent


def test_a_number_sent_as_text_is_told_in_its_window_and_costs_no_event(
    kafka_broker: KafkaBroker, tmp_path: Path
) -> None:
    bootstrap, topic = kafka_broker.bootstrap, "type-change"
    create_topic(bootstrap, topic)
    values = [json.dumps(e).encode() for minute in range(len(TEXTS)) for e in events_of(minute)]
    produce(bootstrap, topic, ((0, value) for value in values))
    path = write_click_job(tmp_path, bootstrap, topic, COLUMNS)
    with path.open("a") as file:
        file.write(f'[checks]\nreference = "{save_reference(tmp_path)}"\n')
    job = load_job(path)
    run_job(job, "latest", "inprocess")

    progress = load_job_progress(job)
    assert progress is not None
    assert progress.totals == Account(counted=len(TEXTS) * ROWS)
    records = newest_by_key(read_all(bootstrap, f"{topic}.windows"))
    windows = [records[key] for key in sorted(records)]
    alerts = newest_by_key(read_all(bootstrap, f"{topic}.alerts")).values()
    found = {(a["rule"], a["subject"], (a["window_start_us"] // 1000 - START_MS) // 60_000): a for a in alerts}

    assert [window["rows"] for window in windows] == [ROWS] * len(TEXTS)
    shares = [window["profile"]["features"]["ad"]["mistyped_share"] for window in windows]
    assert shares == list(TEXTS)
    assert [window["profile"]["features"]["ad"]["null_share"] for window in windows] == shares
    assert all(window["profile"]["features"]["site"]["cardinality"] == 5 for window in windows)
    # One alert a window, that names the cause; nothing on the other feature, nothing on the stream.
    assert set(found) == {("feature_type_changed", "ad", minute) for minute, share in enumerate(TEXTS) if share > 0.05}
    whole, part = found["feature_type_changed", "ad", 2], found["feature_type_changed", "ad", 5]
    assert (whole["value"], whole["severity"]) == (1.0, "critical")
    assert {"feature_vanished", "feature_nulls"} <= set(whole["evidence"]["also"])
    assert (part["value"], part["severity"], part["evidence"]["found"]) == (0.45, "warning", {"str": 135})
    assert "feature_nulls" in part["evidence"]["also"]
    examples = part["evidence"]["examples"]
    assert {example["value"] for example in examples} <= {f"'ad-{i}'" for i in range(7)}
    assert len(examples) == 5
    assert all(f"ad-{json.loads(values[e['offset']])['ad'][3:]}" in e["value"] for e in examples)
    metrics = newest_by_key(read_all(bootstrap, f"{topic}.metrics"))
    ratio = {
        m["labels"]["feature"]: m["value"] for m in metrics.values() if m["name"].endswith("feature_mistyped_ratio")
    }
    assert ratio == {"ad": 0.0, "site": 0.0}
