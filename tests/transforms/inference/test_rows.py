import functools
import math
from pathlib import Path
from typing import Any

import apache_beam as beam
import numpy as np
import pyarrow as pa
import pytest
from apache_beam.ml.anomaly.aggregations import AverageScore
from apache_beam.ml.anomaly.base import AnomalyResult, EnsembleAnomalyDetector
from apache_beam.ml.anomaly.detectors.offline import OfflineDetector
from apache_beam.ml.anomaly.transforms import AnomalyDetection
from apache_beam.ml.inference.base import KeyedModelHandler, ModelMetadata, PredictionResult, RunInference
from apache_beam.testing.test_pipeline import TestPipeline
from apache_beam.testing.util import assert_that

from sparsewatch.detectors.rows.model import RowModel
from sparsewatch.detectors.rows.verdicts import ROW_VERDICTS
from sparsewatch.schemas.block import Block, Span
from sparsewatch.schemas.errors import ConfigError, SchemaError
from sparsewatch.transforms.inference.rows import RowModelHandler, RowOfflineDetector, RowVerdict
from sparsewatch.transforms.inference.wafers import WaferModelHandler
from tests.kit.row_models import odd_rows, ordinary_rows, tiny_model
from tests.kit.wafer_models import fresh_wafers


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("models") / "rows"
    tiny_model().save(path)
    return path


def singles(rows: pa.RecordBatch) -> list[beam.Row]:
    return [beam.Row(**row) for row in rows.to_pylist()]


def infer(examples: list[Any], folder: Path, **settings: Any) -> list[PredictionResult]:
    handler = RowModelHandler(str(folder), **settings)
    return list(handler.run_inference(examples, handler.load_model()))


def test_each_example_gets_the_verdicts_of_its_own_rows(folder: Path) -> None:
    rows = ordinary_rows(9, 3)
    further = rows.slice(1, 3).append_column("more", pa.array([1, 2, 3]))
    examples = [rows.slice(0, 1), further, Block((Span("t", 0, 0, 5),), rows.slice(4, 5)), rows.slice(0, 0)]
    found = infer(examples, folder)
    assert [result.inference.num_rows for result in found] == [1, 3, 5, 0]
    assert {result.model_id for result in found} == {"rows/0001"}
    whole = pa.Table.from_batches([result.inference for result in found])
    assert whole.schema == ROW_VERDICTS
    np.testing.assert_array_equal(whole["score"], tiny_model().score(rows))


def test_single_rows_and_batches_of_them_get_the_same_verdicts_in_any_mixture(folder: Path) -> None:
    rows = pa.Table.from_batches([ordinary_rows(3, 3), odd_rows(2, 4)]).combine_chunks().to_batches()[0]
    one = singles(rows)
    mixture = [one[0], rows, one[1]._asdict(), one[2], rows.slice(3, 1), one[3], one[4]]
    found = infer(mixture, folder)
    whole = [tuple(row.values()) for row in found[1].inference.to_pylist()]
    for place, row in ((0, 0), (2, 1), (3, 2), (5, 3), (6, 4)):
        assert isinstance(found[place].inference, RowVerdict)
        assert tuple(found[place].inference)[:3] == whole[row][:3]
        assert list(found[place].inference.blamed) == whole[row][3]
    assert found[4].inference.to_pylist()[0]["score"] == found[5].inference.score


def test_the_columns_that_do_not_go_together_are_blamed_and_of_odd_rows_only(folder: Path) -> None:
    odd = infer([odd_rows(50, 5)], folder)[0].inference.to_pylist()
    assert all(row["above"] and row["blamed"][0] in ("amount", "weight") for row in odd)
    assert all("site" not in row["blamed"] for row in odd)
    usual = infer([ordinary_rows(500, 6)], folder, alarm_rate=0.05)[0].inference.to_pylist()
    assert 0 < sum(row["above"] for row in usual) < 60
    assert all(bool(row["blamed"]) == row["above"] == (row["p_value"] <= 0.05) for row in usual)


def test_numbers_of_other_types_nulls_and_absent_fields(folder: Path) -> None:
    whole, as_int, null = infer(
        [
            {"amount": 1.0, "weight": 1.0, "site": "a", "tags": ["x"], "when": object()},
            {"amount": np.float32(1), "weight": 1, "site": "a"},
            {"amount": None, "weight": 1.0, "site": "a"},
        ],
        folder,
    )
    assert whole.inference == as_int.inference
    assert math.isfinite(null.inference.score)
    assert null.inference.above
    with pytest.raises(SchemaError, match="expected a column 'site'"):
        infer([{"amount": 1.0, "weight": 1.0}], folder)
    with pytest.raises(SchemaError, match="expected a field 'site' in every example"):
        infer([{"amount": 1.0, "weight": 1.0, "site": "a"}, {"amount": 1.0, "weight": 1.0}], folder)
    with pytest.raises(SchemaError, match="amount: expected values of one type"):
        infer([{"amount": 1.0, "weight": 1.0, "site": "a"}, {"amount": "one", "weight": 1.0, "site": "a"}], folder)


def test_a_pipeline_infers_and_takes_the_model_that_a_side_input_names(folder: Path) -> None:
    second = tiny_model().save(folder, promote=False)

    def check(results: list[tuple[int, PredictionResult]]) -> None:
        assert sorted(key for key, _ in results) == list(range(40))
        assert {result.model_id for _, result in results} == {"rows/0002"}

    with TestPipeline() as pipeline:
        update = pipeline | "Update" >> beam.Create([ModelMetadata(model_id=str(second), model_name="second")])
        results = (
            pipeline
            | beam.Create(list(enumerate(singles(ordinary_rows(40, 7)))))
            | RunInference(
                KeyedModelHandler(RowModelHandler(str(folder / "0001"))),
                model_metadata_pcoll=update,
            )
        )
        assert_that(results, check)


def test_the_path_and_the_latest_version_hold_from_the_next_load_on(folder: Path, tmp_path: Path) -> None:
    handler = RowModelHandler(str(tmp_path / "nothing"))
    handler.update_model_path(str(folder / "0001"))
    assert handler.load_model().id == "rows/0001"
    handler.update_model_path(None)
    assert handler.load_model().id == "rows/0001"


def labels(results: list[AnomalyResult]) -> dict[float, int]:
    return {result.example.amount: next(iter(result.predictions)).label for result in results}


def expected_labels(rows: pa.RecordBatch, alarm_rate: float) -> dict[float, int]:
    model = tiny_model()
    p_values = model.p_values(model.score(rows))
    return dict(zip(rows["amount"].to_pylist(), (p_values <= alarm_rate).astype(int).tolist(), strict=True))


def test_anomaly_detection_labels_the_rows_that_the_alarm_rate_says(folder: Path) -> None:
    rows = pa.Table.from_batches([ordinary_rows(300, 8), odd_rows(5, 9)]).combine_chunks().to_batches()[0]

    def check(results: list[AnomalyResult]) -> None:
        assert labels(results) == expected_labels(rows, 0.05)
        for result in results:
            (prediction,) = result.predictions
            assert prediction.model_id == str(folder)
            assert prediction.threshold == -math.log10(0.05)
            assert prediction.info.startswith("model rows/0001, p ")
            assert ("main columns: " in prediction.info) == bool(prediction.label)

    with TestPipeline() as pipeline:
        results = (
            pipeline | beam.Create(singles(rows)) | AnomalyDetection(RowOfflineDetector(str(folder), alarm_rate=0.05))
        )
        assert_that(results, check)


def test_keyed_rows_chosen_features_and_an_exchanged_model(folder: Path) -> None:
    second = folder / "0002" if (folder / "0002").exists() else tiny_model().save(folder, promote=False)
    rows = [(key, beam.Row(**row, further="x")) for key, row in enumerate(odd_rows(4, 10).to_pylist())]

    def check(results: list[tuple[int, AnomalyResult]]) -> None:
        assert sorted(key for key, _ in results) == [0, 1, 2, 3]
        for _, result in results:
            (prediction,) = result.predictions
            assert (prediction.label, prediction.model_id) == (1, "mine")
            assert "rows/0002" in prediction.info
            assert result.example.further == "x"

    with TestPipeline() as pipeline:
        update = pipeline | "Update" >> beam.Create([ModelMetadata(model_id=str(second), model_name="second")])
        detector = RowOfflineDetector(
            str(folder),
            features=["amount", "weight", "site"],
            model_id="mine",
            run_inference_args={"model_metadata_pcoll": update},
        )
        results = pipeline | beam.Create(rows) | AnomalyDetection(detector)
        assert_that(results, check)


def test_beams_own_detector_takes_the_handler_and_gives_the_models_score(folder: Path) -> None:
    rows = ordinary_rows(20, 11)
    scores = dict(zip(rows["amount"].to_pylist(), tiny_model().score(rows).tolist(), strict=True))

    def check(results: list[AnomalyResult]) -> None:
        assert {r.example.amount: next(iter(r.predictions)).score for r in results} == scores

    handler = KeyedModelHandler(RowModelHandler(str(folder)))
    detector = OfflineDetector(handler.with_postprocess_fn(OfflineDetector.score_prediction_adapter))
    with TestPipeline() as pipeline:
        assert_that(pipeline | beam.Create(singles(rows)) | AnomalyDetection(detector), check)


def test_detectors_of_two_rates_are_averaged(folder: Path) -> None:
    detectors = [RowOfflineDetector(str(folder), alarm_rate=rate, model_id=f"{folder}@{rate}") for rate in (0.01, 0.1)]

    def check(results: list[AnomalyResult]) -> None:
        assert len(results) == 3
        for result in results:
            (prediction,) = result.predictions
            assert prediction.score == pytest.approx(-math.log10(1 / 401))

    both = EnsembleAnomalyDetector(detectors, aggregation_strategy=AverageScore())
    with TestPipeline() as pipeline:
        assert_that(pipeline | beam.Create(singles(odd_rows(3, 12))) | AnomalyDetection(both), check)


def test_batches_are_formed_by_rows_of_keyed_examples_too() -> None:
    handler = RowModelHandler("m", batch_rows=1_000)
    options = handler.batch_elements_kwargs()
    assert (options["min_batch_size"], options["max_batch_size"]) == (1_000, 1_000)
    size = options["element_size_fn"]
    rows = ordinary_rows(7, 0)
    assert [size(rows), size(("key", rows)), size(beam.Row(amount=1.0)), size(("key", {"amount": 1.0}))] == [7, 7, 1, 1]
    assert handler.get_num_bytes([rows, beam.Row(amount=1.0, weight=2.0)]) == rows.nbytes + 16
    wafers = fresh_wafers("center", 2)
    of_wafers = WaferModelHandler("m").batch_elements_kwargs()["element_size_fn"]
    assert of_wafers(("key", wafers)) == of_wafers(wafers)


@pytest.mark.parametrize("door", [RowModelHandler, functools.partial(RowOfflineDetector)])
def test_settings_that_do_not_do_are_refused_at_once(door: Any) -> None:
    with pytest.raises(ConfigError, match="alarm_rate: expected a number above 0 and below 1, got 1"):
        door("m", alarm_rate=1.0)
    with pytest.raises(ConfigError, match="batch_rows: expected a whole number of at least 1"):
        door("m", batch_rows=0)


def test_arguments_and_rates_that_do_not_do_are_refused_before_a_row_is_scored(folder: Path) -> None:
    with pytest.raises(ConfigError, match="expected none, got speed"):
        RowModelHandler("m").validate_inference_args({"speed": 1})
    with pytest.raises(ConfigError, match="needs 999 calibration scores, got 400"):
        RowModelHandler(str(folder), alarm_rate=0.001).load_model()


def test_a_loaded_model_says_what_the_stored_one_said(folder: Path) -> None:
    rows = ordinary_rows(50, 13)
    np.testing.assert_array_equal(RowModel.load(folder / "0001").score(rows), tiny_model().score(rows))
