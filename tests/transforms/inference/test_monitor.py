import functools
import itertools
from pathlib import Path
from typing import Any

import apache_beam as beam
import numpy as np
import pyarrow as pa
import pytest
from apache_beam.metrics.metric import MetricsFilter
from apache_beam.ml.inference.base import ModelHandler, PredictionResult, RunInference
from apache_beam.testing.test_pipeline import TestPipeline
from apache_beam.testing.util import assert_that
from apache_beam.transforms.window import FixedWindows, TimestampedValue

from sparsewatch.detectors.rows.model import RowModel
from sparsewatch.detectors.rows.windows.monitored_inference import (
    InferenceReport,
    WatchedRows,
    report_on,
    row_hashes,
    watch_rows,
)
from sparsewatch.detectors.rows.windows.thresholds import RowCheck
from sparsewatch.schemas.errors import ConfigError, ModelError, SchemaError, StateError
from sparsewatch.transforms.inference.examples import rows_of_results
from sparsewatch.transforms.inference.monitor import MonitorInference, UnusableResult, Watched
from sparsewatch.transforms.inference.sample import InferenceSample, SampleInferenceFn
from tests.kit.row_models import ordinary_rows, train_small

MINUTE_S = 60


def results(n: int, seed: int, bias: float = 0.0) -> list[PredictionResult]:
    """The output of a model for rows: a probability that goes with the amount, and more of it after a fault."""
    rows = ordinary_rows(n, seed).to_pylist()
    return [PredictionResult(beam.Row(**row), {"p": row["amount"] / 2 + bias, "at": "x"}, "ctr/0007") for row in rows]


@pytest.fixture(scope="module")
def model() -> RowModel:
    return train_small(rows_of_results(results(2_000, 0), ["amount", "weight", "site", "output.p"]))


@pytest.fixture(scope="module")
def folder(model: RowModel, tmp_path_factory: pytest.TempPathFactory) -> str:
    path = tmp_path_factory.mktemp("models") / "watch"
    model.save(path)
    return str(path)


def reports_of(pipeline: beam.Pipeline, timed: list[tuple[Any, float]], monitor: MonitorInference) -> Watched:
    stamped = pipeline | beam.Create(timed) | beam.MapTuple(TimestampedValue)
    watched: Watched = stamped | monitor
    return watched


def test_a_window_is_reported_and_one_in_which_outputs_moved_is_found(folder: str) -> None:
    usual, moved = results(400, 1), results(400, 2, bias=3.0)
    timed = [(result, 5.0) for result in usual] + [(result, MINUTE_S + 5.0) for result in moved]

    def check(reports: list[InferenceReport]) -> None:
        first, second = sorted(reports, key=lambda report: report.window_start_us)
        assert (first.window_start_us, first.window_end_us) == (0, MINUTE_S * 1_000_000)
        assert (first.rows, first.by_model, first.judged_by) == (400, {"ctr/0007": 400}, {"watch/0001": 400})
        assert first.findings == ()
        assert first.share_above < 0.05
        assert [finding.rule for finding in second.findings] == ["rows_unlike_training"]
        assert second.share_above > 0.8
        assert second.findings[0].evidence["also"] == ["row_scores_drift"]
        assert next(iter(second.findings[0].evidence["carried_by"])) in ("output.p", "amount", "weight")
        assert second.drift is not None
        assert second.drift.distance > 0.5
        worst = second.worst[0]
        assert worst.values["output.p"] == pytest.approx(worst.values["amount"] / 2 + 3)
        assert set(worst.values) == {"amount", "weight", "site", "output.p"}

    with TestPipeline() as pipeline:
        assert_that(reports_of(pipeline, timed, MonitorInference(folder, every="1m")).reports, check)


def test_a_report_does_not_depend_on_batches_and_is_what_one_pass_over_all_says(folder: str, model: RowModel) -> None:
    several = results(300, 3) + results(40, 4, bias=3.0)
    columns = model.encoder.names
    stored = RowModel.load(folder)
    whole = watch_rows(stored, rows_of_results(several, columns), {"ctr/0007": 340}, 0.05)
    expected = report_on(whole, RowCheck(), (0, MINUTE_S * 1_000_000))

    def check(reports: list[InferenceReport]) -> None:
        assert reports == [expected]

    with TestPipeline() as pipeline:
        timed = [(("key", result), float(i % 60)) for i, result in enumerate(several)]
        monitor = MonitorInference(folder, every="1m", alarm_rate=0.05)
        assert_that(reports_of(pipeline, timed, monitor).reports, check)
    parts = [
        watch_rows(stored, rows_of_results(part, columns), {"ctr/0007": len(part)}, 0.05)
        for part in (several[:7], several[7:200], several[200:])
    ]
    for order in itertools.permutations(parts):
        merged = functools.reduce(WatchedRows.merge, order, WatchedRows())
        assert merged.to_bytes() == whole.to_bytes()
    assert WatchedRows.from_bytes(whole.to_bytes()) == whole


def test_record_batches_in_and_arrays_out_are_watched_like_single_rows(folder: str) -> None:
    rows = ordinary_rows(200, 5)
    outputs = rows["amount"].to_numpy() / 2
    batches = [
        PredictionResult(rows.slice(i, 40), pa.record_batch({"p": outputs[i : i + 40]}), "ctr/0007")
        for i in range(0, 200, 40)
    ]
    same = [
        PredictionResult(row, {"p": float(p)}, "ctr/0007") for row, p in zip(rows.to_pylist(), outputs, strict=True)
    ]

    def check(reports: list[InferenceReport]) -> None:
        first, second = reports
        assert first == second
        assert first.rows == 200

    with TestPipeline(runner="FnApiRunner") as pipeline:
        both = [
            pipeline
            | f"Create{i}" >> beam.Create(given)
            | f"Watch{i}" >> MonitorInference(folder, every=None, max_wait_secs=wait)
            for i, (given, wait) in enumerate([(batches, None), (same, 1)])
        ]
        assert_that(tuple(watched.reports for watched in both) | beam.Flatten(), check)


def test_examples_that_do_not_fit_come_out_with_the_reason_and_the_others_are_scored(folder: str) -> None:
    good = results(50, 6)
    bad = [
        PredictionResult(beam.Row(amount=1.0, weight=1.0), {"p": 0.5}),
        PredictionResult(beam.Row(amount="one", weight=1.0, site="a"), {"p": 0.5, "at": "x"}),
        PredictionResult(beam.Row(amount=1.0, weight=1.0, site="a"), {"p": "high", "at": "x"}),
        PredictionResult(ordinary_rows(3, 0), {"p": [0.5]}),
    ]

    def check_reports(reports: list[InferenceReport]) -> None:
        (report,) = reports
        assert (report.rows, report.unusable, report.by_model) == (50, 4, {"ctr/0007": 50})

    def check_unusable(unusable: list[UnusableResult]) -> None:
        assert sorted(one.reason for one in unusable) == [
            "column 'amount': expected numbers, got string",
            "column 'output.p': expected numbers, got string",
            "expected columns site, got amount, weight, output.p",
            "output.p: expected 3 entries, one for each row, got 1",
        ]
        assert any(one.result.inference == {"p": "high", "at": "x"} for one in unusable)

    pipeline = TestPipeline()
    watched = reports_of(pipeline, [(one, 1.0) for one in [*good[:20], *bad, *good[20:]]], MonitorInference(folder))
    assert_that(watched.reports, check_reports)
    assert_that(watched.unusable, check_unusable, label="unusable")
    run = pipeline.run()
    run.wait_until_finish()
    found = run.metrics().query(MetricsFilter().with_namespace("sparsewatch"))
    counters = {one.key.metric.name: one.committed for one in found["counters"]}
    assert (counters["watched_rows"], counters["watched_unusable"]) == (50, 4)
    (p_values,) = found["distributions"]
    assert p_values.key.metric.name == "watched_p_values_per_mille"
    assert 0 <= p_values.committed.min < 200 < p_values.committed.mean < 800 < p_values.committed.max <= 1000


def test_a_window_of_unusable_examples_alone_is_reported(folder: str) -> None:
    def check(reports: list[InferenceReport]) -> None:
        (report,) = reports
        assert (report.rows, report.unusable, report.drift, report.findings) == (0, 1, None, ())

    with TestPipeline() as pipeline:
        timed = [(PredictionResult({"x": 1}, 0), 1.0)]
        assert_that(reports_of(pipeline, timed, MonitorInference(folder)).reports, check)


class _Twice(ModelHandler[beam.Row, PredictionResult, None]):
    """A model of another kind than ours."""

    def load_model(self) -> None:
        return None

    def run_inference(self, batch: Any, model: None, inference_args: Any = None) -> Any:
        return [PredictionResult(row, {"p": row.amount / 2}, "twice") for row in batch]


def test_it_is_a_monitoring_transform_of_run_inference(folder: str) -> None:
    @beam.ptransform_fn
    def watch(results: Any) -> Any:
        reports = (results | MonitorInference(folder)).reports
        assert_that(reports | beam.Map(lambda report: (report.rows, report.by_model)), check)
        return reports

    def check(found: list[Any]) -> None:
        assert found == [(60, {"twice": 60})]

    rows = [result.example for result in results(60, 7)]
    with TestPipeline() as pipeline:
        _ = pipeline | beam.Create(rows) | RunInference(_Twice()).with_monitoring_transform(watch())


def test_settings_and_models_that_do_not_do_are_refused_at_once(folder: str, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="alarm rate"):
        MonitorInference(folder, alarm_rate=0.001)
    with pytest.raises(ConfigError, match="a duration"):
        MonitorInference(folder, every="soon")
    with pytest.raises(ModelError):
        MonitorInference(str(tmp_path / "none"))
    with pytest.raises(StateError, match="expected stored watched rows"):
        WatchedRows.from_bytes(b"x")


def test_equal_rows_have_equal_hashes_whatever_the_type_of_their_numbers() -> None:
    floats = pa.record_batch({"a": [1.0, 2.0, None], "b": ["x", "y", "x"]})
    ints = pa.record_batch({"a": [1, 2, None], "b": pa.array(["x", "y", "x"]).dictionary_encode()})
    hashes = row_hashes(floats)
    np.testing.assert_array_equal(hashes, row_hashes(ints))
    assert len(set(hashes.tolist())) == 3
    assert (hashes >= 0).all()


# The sample a row model is trained on.


def numbered(n: int, seed: int) -> list[PredictionResult]:
    rows = ordinary_rows(n, seed).to_pylist()
    return [
        PredictionResult({"id": seed * 10_000 + i, "amount": row["amount"], "new": i % 2 == 0}, 3 if i % 3 else 0.5)
        for i, row in enumerate(rows)
    ]


def sampled(given: list[PredictionResult], **settings: Any) -> InferenceSample:
    sample = InferenceSample(50, **settings)
    for result in given:
        sample.add(result)
    return sample


def test_a_sample_by_identity_is_the_same_for_any_split_and_order() -> None:
    given = numbered(500, 1)
    whole = sampled(given, by=["id"])
    for order in itertools.permutations((given[:3], given[3:300], given[300:])):
        merged = InferenceSample(50, by=["id"])
        for part in order:
            merged.merge(InferenceSample.from_bytes(sampled(part, by=["id"]).to_bytes()))
        assert merged.to_bytes() == whole.to_bytes()
    rows = whole.rows()
    assert rows.schema == pa.schema({"amount": pa.float64(), "new": pa.bool_(), "output": pa.float64()})
    assert rows.num_rows == 50


def test_a_sample_by_chance_holds_as_many_rows_and_equal_ones_too() -> None:
    rows = sampled([PredictionResult({"x": 1, "y": None}, "a")] * 300).rows()
    assert rows.to_pylist() == [{"x": 1.0, "y": None, "output": "a"}] * 50
    few = sampled(numbered(20, 2), columns=["id", "amount"])
    assert few.rows().schema.names == ["id", "amount"]
    assert sorted(few.rows()["id"].to_pylist()) == [20_000 + i for i in range(20)]


def test_results_that_cannot_be_sampled_are_refused_by_name() -> None:
    with pytest.raises(SchemaError, match=r"expected columns \['id'\] to tell rows apart"):
        sampled([PredictionResult({"x": 1}, 0)], by=["id"]).rows()
    with pytest.raises(SchemaError, match="feature 'x': expected integers"):
        sampled([PredictionResult({"x": b"raw"}, 0)]).rows()
    with pytest.raises(ConfigError, match="capacity: expected a whole number of at least 1"):
        SampleInferenceFn(0)
    with pytest.raises(StateError, match="bytes of a sample of results"):
        InferenceSample.from_bytes(b"x")
    assert InferenceSample(5).rows().num_columns == 0


def test_a_pipeline_samples_trains_and_watches(tmp_path: Path) -> None:
    folder = tmp_path / "watch"

    def train(rows: pa.RecordBatch) -> None:
        train_small(rows).save(folder)

    with TestPipeline() as pipeline:
        _ = (
            pipeline
            | "Past" >> beam.Create(results(600, 8))
            | beam.CombineGlobally(SampleInferenceFn(500, columns=["amount", "weight", "site", "output.p"]))
            | beam.Map(train)
        )
    assert RowModel.load(folder).encoder.names == ("amount", "weight", "site", "output.p")

    def check(reports: list[InferenceReport]) -> None:
        assert [report.rows for report in reports] == [100]

    with TestPipeline() as pipeline:
        watched = (
            pipeline
            | beam.Create(results(100, 9))
            | beam.WindowInto(FixedWindows(10))
            | MonitorInference(str(folder), every=None, alarm_rate=0.05)
        )
        assert_that(watched.reports, check)
