"""Wafers that are not where, or how, their model expects them: told of in records, metrics, alerts and rejects."""

import json
import logging
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pytest

from sparsewatch.detectors.wafers.thresholds import WaferCheck
from sparsewatch.detectors.wafers.window_counts import WaferCounts
from sparsewatch.pipelines.job.job_file import load_job
from sparsewatch.pipelines.job.model_in_use import ModelInUse
from sparsewatch.pipelines.job.ready import ready
from sparsewatch.pipelines.wafer.job import ConcludeWafers, LoadForJob, RecogniseBlock
from sparsewatch.schemas.block import META, Block, Span
from sparsewatch.schemas.wafers import MISFIT, WAFER_COLUMNS
from sparsewatch.transforms.codecs.decode import decode
from sparsewatch.transforms.records import Fetched
from sparsewatch.transforms.window.measure import Window
from tests.kit.job_files import write_wafer_job
from tests.kit.wafer_models import fresh_wafers, tiny_model


def block_of(rows: pa.RecordBatch) -> Block:
    n = rows.num_rows
    places = [pa.array(np.arange(n) if field.name == META[1].name else np.zeros(n), field.type) for field in META]
    whole = pa.RecordBatch.from_arrays([*rows.columns, *places], schema=pa.schema([*rows.schema, *META]))
    return Block((Span("t", 0, 0, n),), whole)


def scaled(rows: pa.RecordBatch, name: str, factor: float) -> pa.RecordBatch:
    """Wafers with one of their columns in another unit."""
    return rows.set_column(rows.schema.get_field_index(name), rows.schema.field(name), pc.multiply(rows[name], factor))


def maps(wafers: int) -> pa.RecordBatch:
    """Die maps with some failing dies."""
    dies = [1, 2, 1, 1, 2, 1, 1, 1, 2]
    events = [
        {"wafer_id": f"M{i}", "lot": "L", "step": "s", "tool": "t", "radius_um": 150_000.0}
        | {"map_rows": 3, "map_columns": 3, "map": dies}
        for i in range(wafers)
    ]
    return pa.RecordBatch.from_pylist(events, schema=WAFER_COLUMNS)


def judged(folder: Path, rows: pa.RecordBatch, inputs: str = "lists") -> tuple[list[Any], Any]:
    """Results and the conclusion of a window of these wafers."""
    replace(tiny_model(), inputs=inputs).save(folder / "m", metrics={}, training={})
    recognised = RecogniseBlock(ModelInUse(str(folder / "m"), LoadForJob(None, ())))(block_of(rows))
    counts = WaferCounts()
    counts.add(recognised.results, recognised.looking_novel)
    return list(recognised.results), ConcludeWafers(WaferCheck(), "normal")(Window(0, 1), [counts.to_bytes()])


def test_defects_outside_are_in_results_metrics_and_alerts(tmp_path: Path) -> None:
    rows = scaled(fresh_wafers("normal", 20), "radius_um", 0.9)
    results, conclusion = judged(tmp_path, rows)
    outside = sum(result.outside for result in results)
    assert outside > 0
    values = {sample.name: sample.value for sample in conclusion.metrics if not sample.labels}
    assert values["sparsewatch_window_defects_outside"] == outside
    share = outside / (outside + sum(result.defects for result in results))
    assert values["sparsewatch_window_defects_outside_ratio"] == pytest.approx(share)
    assert "defects_outside" in {finding.rule for finding in conclusion.findings}
    assert conclusion.summary["outside"] == outside


@pytest.mark.parametrize(("rows", "inputs"), [(maps(6), "lists"), (fresh_wafers("center", 6), "maps")])
def test_wafers_of_another_kind_are_said_not_to_fit_once(
    tmp_path: Path, rows: pa.RecordBatch, inputs: str, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.WARNING)
    replace(tiny_model(), inputs=inputs).save(tmp_path / inputs, metrics={}, training={})
    recognise = RecogniseBlock(ModelInUse(str(tmp_path / inputs), LoadForJob(None, ())), level=1.0)
    for _ in range(3):
        recognised = recognise(block_of(rows))
        assert {result.verdict for result in recognised.results} == {MISFIT}
        assert list(recognised.looking_novel) == []
    assert caplog.text.count(f"knows wafers given as {inputs}") <= 1
    _, conclusion = judged(tmp_path, rows, inputs)
    assert [finding.rule for finding in conclusion.findings] == [MISFIT]
    assert {s.labels["verdict"]: s.value for s in conclusion.metrics if "verdict" in s.labels} == {
        "known": 0, "normal": 0, "novel": 0, MISFIT: 6
    }  # fmt: skip


@pytest.mark.parametrize(
    ("name", "factor", "says"),
    [
        ("radius_um", 1e-3, "1,000 times too far out"),
        ("radius_um", 2 / 3, "they fit a wafer of 300 mm, not 200 mm"),
        ("radius_um", 1.0, None),
    ],
)
def test_a_wafer_outside_of_itself_is_a_reject_of_the_stream(
    tmp_path: Path, name: str, factor: float, says: str | None
) -> None:
    job = load_job(write_wafer_job(tmp_path, "localhost:1", "t", tmp_path))
    rows = scaled(fresh_wafers("edge_ring", 4), name, factor)
    events = [{k: v for k, v in row.items() if v is not None} | {"t": 5} for row in rows.to_pylist()]
    values: list[bytes | None] = [json.dumps(event).encode() for event in events]
    n = len(values)
    fetched = [Fetched(0, list(range(n)), [0] * n, values, [[] for _ in values], lambda _: None, n)]
    found = decode("t", fetched, ready(job).events)
    assert [reject.code for reject in found.rejects] == ["outside_wafer"] * (0 if says is None else n)
    assert all(says in reject.message for reject in found.rejects if says)
