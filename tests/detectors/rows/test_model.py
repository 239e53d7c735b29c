import functools
import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import roc_auc_score

from sparsewatch.detectors.artefacts.artefact import load_artefact, save_artefact
from sparsewatch.detectors.rows.encoding.encode import one_batch
from sparsewatch.detectors.rows.methods.apre.score import score
from sparsewatch.detectors.rows.methods.apre.scorer import AutoencoderScorer, fit_apre
from sparsewatch.detectors.rows.methods.apre.train import TrainConfig
from sparsewatch.detectors.rows.model import RowModel
from sparsewatch.detectors.rows.training import train_row_model
from sparsewatch.schemas.errors import ConfigError, ModelError


def trained(table: pa.Table, steps: int, seed: int = 0) -> RowModel:
    fit = functools.partial(fit_apre, training=TrainConfig(steps=steps))
    return train_row_model(table, method="apre", fit=fit, seed=seed)


def clicks(n: int, seed: int) -> pa.Table:
    """Rows in which `double` follows `number`, and `word` is skewed."""
    rng = np.random.default_rng(seed)
    number = rng.normal(10, 3, n)
    return pa.table(
        {
            "number": number,
            "double": 2 * number + rng.normal(0, 0.3, n),
            "word": rng.choice(["a", "b", "c"], n, p=[0.7, 0.25, 0.05]),
            "gap": pa.array(np.where(rng.random(n) < 0.1, np.nan, rng.random(n)), from_pandas=True),
        }
    )


@pytest.fixture(scope="module")
def model() -> RowModel:
    return trained(clicks(3000, 0), 300)


def test_a_score_is_the_formula_on_the_networks_output(model: RowModel) -> None:
    assert isinstance(model.scorer, AutoencoderScorer)
    X = model.encoder.transform(one_batch(clicks(500, 1)))
    with torch.no_grad():
        mean, raw = model.scorer.net(torch.from_numpy(X))
        expected = score(mean, raw, torch.from_numpy(X), model.scorer.config)
    np.testing.assert_allclose(model.score_matrix(X), expected.numpy(), rtol=1e-4, atol=1e-4)


def test_contributions_sum_to_the_score_and_name_the_column(model: RowModel) -> None:
    rows = clicks(500, 1)
    broken = rows.set_column(1, "double", pa.array(rows["double"].to_numpy() + 9))
    for batch in (one_batch(rows), one_batch(broken)):
        attributed = model.attribute(batch)
        assert attributed.shape == (500, 4)
        np.testing.assert_allclose(attributed.sum(axis=1), model.score(batch), rtol=1e-4, atol=1e-3)
    excess = np.median(model.attribute(one_batch(broken)) - model.baseline, axis=0)
    assert excess.argmax() == 1


@pytest.mark.parametrize(
    ("column", "value"),
    [("double", -20.0), ("word", "never seen"), ("number", None)],
)
def test_broken_rows_score_higher(model: RowModel, column: str, value: object) -> None:
    rows = clicks(400, 2)
    place = rows.column_names.index(column)
    kind = rows.schema.field(column).type
    broken = rows.set_column(place, column, pa.array([value] * 400, kind))
    scores = np.concatenate([model.score(one_batch(rows)), model.score(one_batch(broken))])
    assert roc_auc_score(np.repeat([0, 1], 400), scores) > 0.9


def test_blame_is_the_fall_of_the_score_with_a_column_at_its_centre(model: RowModel) -> None:
    rows = clicks(300, 6)
    X = model.encoder.transform(one_batch(rows))
    columns, falls = model.blame_matrix(X, 4)
    features = [[0], [1], [2], [3, 4]]
    for i in (0, 7, 150):
        assert sorted(columns[i]) == [0, 1, 2, 3]
        for column, fall in zip(columns[i], falls[i], strict=True):
            centred = X[i : i + 1].copy()
            centred[0, features[column]] = 0
            assert fall == model.score_matrix(X[i : i + 1])[0] - model.score_matrix(centred)[0]
    assert (np.diff(falls, axis=1) <= 0).all()


def test_a_column_is_tried_for_its_contribution_beyond_the_usual_one(model: RowModel) -> None:
    rows = clicks(400, 6)
    broken = rows.set_column(1, "double", pa.array([-20.0] * 400))
    X = model.encoder.transform(one_batch(broken))
    assert np.mean(model.blame_matrix(X, 1)[0] == 1) > 0.5
    baseline = np.where(np.arange(4) == 1, np.float32(1e6), model.baseline)
    assert not (replace(model, baseline=baseline).blame_matrix(X, 1)[0] == 1).any()


@pytest.mark.parametrize(("column", "value"), [(1, -20.0), (2, "never seen")])
def test_blame_falls_on_the_broken_column(model: RowModel, column: int, value: object) -> None:
    rows = clicks(400, 6)
    kind = rows.schema.field(column).type
    broken = rows.set_column(column, rows.column_names[column], pa.array([value] * 400, kind))
    blamed, _ = model.blame_matrix(model.encoder.transform(one_batch(broken)), 3)
    assert np.mean(blamed[:, 0] == column) > 0.95


@settings(max_examples=12)
@given(cuts=st.lists(st.integers(0, 9000), max_size=6), seed=st.integers(0, 100))
def test_a_score_does_not_depend_on_the_rows_around_it(model: RowModel, cuts: list[int], seed: int) -> None:
    X = np.random.default_rng(7).normal(size=(9000, 5)).astype(np.float32)
    order = np.random.default_rng(seed).permutation(9000)
    parts = np.split(X[order], sorted(cuts))
    scores = np.concatenate([model.score_matrix(part) for part in parts])
    np.testing.assert_array_equal(scores, model.score_matrix(X)[order])
    attributed = np.concatenate([model.attribute_matrix(part) for part in parts])
    np.testing.assert_array_equal(attributed, model.attribute_matrix(X)[order])


@pytest.mark.parametrize("n_features", [1, 39, 150, 300])
def test_this_holds_for_networks_of_any_width(model: RowModel, n_features: int) -> None:
    rng = np.random.default_rng(n_features)
    X = rng.normal(size=(3000, n_features)).astype(np.float32)
    numbers = pa.table({f"x{j}": X[:200, j] for j in range(n_features)})
    wide = trained(numbers, 2)
    order = rng.permutation(3000)
    scores = np.concatenate([wide.score_matrix(part) for part in np.split(X[order], [1, 700])])
    np.testing.assert_array_equal(scores, wide.score_matrix(X)[order])


def test_no_rows_have_no_scores(model: RowModel) -> None:
    batch = one_batch(clicks(1, 0).slice(0, 0))
    assert model.score(batch).shape == (0,)
    assert model.attribute(batch).shape == (0, 4)


def test_scoring_leaves_its_input_alone(model: RowModel) -> None:
    X = np.ones((10, 5), dtype=np.float32)
    X.flags.writeable = False
    np.testing.assert_array_equal(model.score_matrix(X), model.score_matrix(X.copy(order="F")))


def test_p_values_count_the_calibration_scores_not_below(model: RowModel) -> None:
    few = replace(model, calibration=np.array([1, 2, 2, 5], dtype=np.float32))
    scores = np.array([0, 1, 2, 3, 5, 6], dtype=np.float32)
    slow = [(1 + sum(c >= s for c in few.calibration)) / 5 for s in scores]
    assert few.p_values(scores).tolist() == slow == [1, 1, 0.8, 0.4, 0.4, 0.2]


@given(
    calibration=st.lists(st.integers(0, 20), min_size=1, max_size=60),
    rate=st.floats(0.01, 0.99),
)
def test_the_threshold_is_passed_where_the_p_value_is_within_the_rate(
    model: RowModel, calibration: list[int], rate: float
) -> None:
    held_out = np.sort(np.array(calibration, dtype=np.float32))
    model = replace(model, calibration=held_out)
    if rate * (len(held_out) + 1) < 1 - 1e-9:
        with pytest.raises(ConfigError, match="alarm rate"):
            model.threshold(rate)
        return
    scores = np.arange(-1, 22).astype(np.float32)
    above = scores > model.threshold(rate)
    np.testing.assert_array_equal(above, model.p_values(scores) <= rate + 1e-9)


def test_rows_like_the_trainings_pass_the_threshold_at_its_rate(model: RowModel) -> None:
    scores = model.score(one_batch(clicks(20_000, 5)))
    share = np.mean(scores > model.threshold(0.05))
    # 600 calibration rows: the threshold's true rate has a standard deviation of 0.9 %.
    assert 0.05 - 4 * 0.009 < share < 0.05 + 4 * 0.009


def test_many_rare_values_do_not_spoil_the_rate() -> None:
    rng = np.random.default_rng(3)
    table, later = (pa.table({"id": rng.zipf(1.3, n).astype(str)}) for n in (5000, 20_000))
    model = trained(table, 50)
    share = np.mean(model.score(one_batch(later)) > model.threshold(0.05))
    assert share < 0.05 + 4 * 0.007


def test_the_same_rows_and_seed_give_the_same_model(tmp_path: Path) -> None:
    digests = []
    for run, seed in enumerate((1, 1, 2)):
        model = trained(clicks(500, 0), 10, seed)
        version = model.save(tmp_path / str(run) / "rows")
        digests.append(json.loads((version / "manifest.json").read_text())["files"])
    assert digests[0] == digests[1] != digests[2]


def test_a_stored_model_scores_to_the_bit_and_knows_its_name(model: RowModel, tmp_path: Path) -> None:
    model.save(tmp_path / "rows", about={"rows": 3000})
    again = RowModel.load(tmp_path / "rows")
    rows = one_batch(clicks(300, 4))
    np.testing.assert_array_equal(again.score(rows), model.score(rows))
    np.testing.assert_array_equal(again.attribute(rows), model.attribute(rows))
    assert again.threshold(0.01) == model.threshold(0.01)
    assert again.id == "rows/0001"


def test_an_incomplete_model_is_refused(model: RowModel, tmp_path: Path) -> None:
    version = model.save(tmp_path / "rows")
    stored = load_artefact(version, "rows")
    meta = {key: value for key, value in stored.meta.items() if key != "scorer"}
    save_artefact(tmp_path / "rows", kind="rows", tensors=stored.tensors, meta=meta)
    with pytest.raises(ModelError, match="incomplete"):
        RowModel.load(tmp_path / "rows")


def test_too_few_rows_and_odd_shares_are_refused() -> None:
    with pytest.raises(ConfigError, match="at least 20 rows to train on, got 19"):
        train_row_model(clicks(19, 0))
    with pytest.raises(ConfigError, match="calibration_share"):
        train_row_model(clicks(30, 0), calibration_share=1.0)


@pytest.mark.parametrize(("name", "least"), [("38_thyroid", 0.85), ("4_breastw", 0.9), ("42_WBC", 0.9)])
def test_outliers_of_real_data_rank_high_without_labels(data_dir: Path, name: str, least: float) -> None:
    with np.load(data_dir / "outliers" / f"{name}.npz", allow_pickle=False) as stored:
        X, y = stored["X"], stored["y"]
    table = pa.table({f"x{j}": X[:, j] for j in range(X.shape[1])})
    aucs = [
        roc_auc_score(
            y,
            trained(table, 100, seed).score(one_batch(table)),
        )
        for seed in range(3)
    ]
    assert np.mean(aucs) > least
