"""The snippets of pages of the docs run; what they leave to the reader is given here."""

from pathlib import Path

import apache_beam as beam
import numpy as np
import polars as pl
import pyarrow as pa
import pytest
from apache_beam.transforms.window import TimestampedValue

from tests.kit.installed import REPO_ROOT
from tests.kit.pages import run_page
from tests.kit.wafer_models import fresh_wafers, tiny_model

DOCS = REPO_ROOT / "docs"


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_the_page_of_rows(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    X = np.random.default_rng(0).standard_normal((300, 3))
    run_page(DOCS / "rows.md", capsys, X=X, more=X[:5])
    assert (folder / "models" / "rows" / "0001").is_dir()


def test_the_page_of_the_ranking(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    hours = [i // 50 for i in range(400)]
    rows = pl.DataFrame({"site": ["a", "b"] * 200, "ad": [1, 1, 2, 2] * 100, "hour": hours, "click": [1, 0] * 200})
    rows.write_parquet(folder / "clicks.parquet")
    with beam.Pipeline(runner="FnApiRunner") as pipeline:
        batch = TimestampedValue(rows.to_arrow().to_batches()[0], 0)
        batches = pipeline | beam.Create([0]) | beam.Map(lambda _: batch).with_output_types(pa.RecordBatch)
        ranked, *_ = run_page(DOCS / "ranking.md", capsys, batches=batches)
    assert ranked.startswith("1 site 0.69")


def test_the_page_of_explanations(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    tiny_model().save(folder / "models" / "wafer", metrics={}, training={})
    run_page(DOCS / "explain-wafers.md", capsys, rows=fresh_wafers("half_moon", 3))
