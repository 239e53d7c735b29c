from pathlib import Path
from typing import Any

import apache_beam as beam
import pyarrow as pa
import pytest
from apache_beam.ml.inference.base import PredictionResult, RunInference
from apache_beam.testing.test_pipeline import TestPipeline
from apache_beam.testing.util import assert_that

from sparsewatch.detectors.wafers.model import WaferModel
from sparsewatch.detectors.wafers.verdicts import VERDICT_COLUMNS
from sparsewatch.schemas.block import Block, Span
from sparsewatch.schemas.errors import ConfigError, SchemaError
from sparsewatch.transforms.inference.wafers import WaferModelHandler
from tests.kit.wafer_models import fresh_wafers, tiny_model


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    tiny_model().save(tmp_path / "wafer", metrics={}, training={})
    return tmp_path / "wafer"


def examples() -> list[Any]:
    """Batches of one wafer and of more, one with a further column, a block, and an empty one."""
    rows = fresh_wafers("center", 9)
    further = rows.slice(1, 3).append_column("more", pa.array([1, 2, 3]))
    return [rows.slice(0, 1), further, Block((Span("t", 0, 0, 5),), rows.slice(4, 5)), rows.slice(0, 0)]


def test_each_example_gets_the_verdicts_of_its_own_wafers(folder: Path) -> None:
    model = WaferModel.load(folder)
    found = list(WaferModelHandler(str(folder)).run_inference(examples(), model))
    assert [result.inference.num_rows for result in found] == [1, 3, 5, 0]
    assert {result.model_id for result in found} == {"wafer/0001"}
    whole = pa.Table.from_batches([result.inference for result in found])
    assert whole == pa.Table.from_batches([model.recognise(fresh_wafers("center", 9))])


def test_a_pipeline_infers(folder: Path) -> None:
    expected = tiny_model().recognise(fresh_wafers("edge_ring", 6))["pattern"].to_pylist()

    def check(results: list[PredictionResult]) -> None:
        assert len(results) == 6
        by_wafer = {r.example["wafer_id"][0].as_py(): r.inference for r in results}
        assert [by_wafer[wafer]["pattern"][0].as_py() for wafer in sorted(by_wafer)] == expected
        assert all(r.inference.schema == VERDICT_COLUMNS for r in results)

    rows = fresh_wafers("edge_ring", 6)
    with TestPipeline() as pipeline:
        results = (
            pipeline
            | beam.Create([rows.slice(i, 1) for i in range(6)])
            | RunInference(WaferModelHandler(str(folder), false_novel_rate=0.1))
        )
        assert_that(results, check)


def test_the_stated_rate_and_another_path_hold_from_the_next_load_on(folder: Path) -> None:
    handler = WaferModelHandler(str(folder), false_novel_rate=0.3)
    assert 0.2 < handler.load_model().false_novel_rate <= 0.3
    path = tiny_model().save(folder, metrics={}, training={})
    handler.update_model_path(str(folder / "0001"))
    assert handler.load_model().id == "wafer/0001"
    handler.update_model_path(str(path))
    assert handler.load_model().id == "wafer/0002"
    handler.update_model_path(None)
    assert handler.load_model().id == "wafer/0002"


def test_batches_are_formed_by_points() -> None:
    handler = WaferModelHandler("m", batch_points=1_000)
    rows = fresh_wafers("center", 4)
    options = handler.batch_elements_kwargs()
    assert (options["min_batch_size"], options["max_batch_size"]) == (1_000, 1_000)
    assert options["element_size_fn"](rows) == len(rows["x_um"].flatten()) + 4
    assert handler.get_num_bytes([rows]) == rows.nbytes


def test_settings_and_rows_that_do_not_do_are_refused() -> None:
    with pytest.raises(ConfigError, match="false_novel_rate: expected a number above 0 and below 1, got 1"):
        WaferModelHandler("m", false_novel_rate=1.5)
    with pytest.raises(ConfigError, match="batch_points: expected a whole number of at least 1"):
        WaferModelHandler("m", batch_points=0)
    handler = WaferModelHandler("m")
    with pytest.raises(ConfigError, match="expected none, got speed"):
        handler.validate_inference_args({"speed": 1})
    rows = fresh_wafers("center", 2)
    with pytest.raises(SchemaError, match="got none of radius_um"):
        list(handler.run_inference([rows.drop_columns(["radius_um"])], tiny_model()))
    texts = rows.set_column(rows.schema.get_field_index("radius_um"), "radius_um", pa.array(["a", "b"]))
    with pytest.raises(SchemaError, match="of the types of wafer events"):
        list(handler.run_inference([texts], tiny_model()))
