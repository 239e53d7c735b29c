from typing import Any

import numpy as np
import pytest
from numpy.typing import ArrayLike
from sklearn.decomposition import TruncatedSVD
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import StratifiedKFold, cross_val_score
from sklearn.preprocessing import OneHotEncoder
from sklearn.random_projection import SparseRandomProjection

from sparsewatch.detectors.outrank import surrogates
from sparsewatch.detectors.outrank.columns.codes import Codes
from sparsewatch.detectors.outrank.surrogates import MODELS, surrogate_score
from sparsewatch.schemas.errors import ConfigError, SchemaError


def codes(values: ArrayLike) -> Codes:
    array = np.asarray(values, np.int32)
    return Codes(array, int(array.max(initial=-1)) + 1)


@pytest.fixture
def exclusive_or() -> tuple[Codes, Codes, Codes]:
    """Two columns, of four values together, and a label that only both together tell."""
    rng = np.random.default_rng(0)
    a, b = rng.integers(0, 2, (2, 600))
    return codes(a), codes(2 * a + b), codes(a ^ b)


@pytest.mark.parametrize("model", MODELS)
def test_a_perfect_feature_is_near_one_and_noise_near_a_guess(model: str) -> None:
    rng = np.random.default_rng(0)
    label = rng.integers(0, 2, 500)
    assert surrogate_score(model, [codes(label)], codes(label)) > 0.95
    assert surrogate_score(model, [codes(rng.integers(0, 3, 500))], codes(label)) == pytest.approx(
        1 - np.log(2), abs=0.1
    )


@pytest.mark.parametrize("folds", [2, 5])
def test_score_is_one_plus_the_median_log_likelihood(folds: int) -> None:
    rng = np.random.default_rng(1)
    label = rng.integers(0, 3, 400)
    columns = [np.where(rng.random(400) < 0.4, label, rng.integers(0, 8, 400)) for _ in range(2)]
    splits = StratifiedKFold(folds, shuffle=True, random_state=7)
    encoded = OneHotEncoder().fit_transform(np.stack(columns, axis=1))
    expected = cross_val_score(LogisticRegression(), encoded, label, scoring="neg_log_loss", cv=splits)
    value = surrogate_score("LR", [codes(column) for column in columns], codes(label), folds=folds, seed=7)
    assert value == pytest.approx(1 + np.median(expected), abs=1e-4)


@pytest.mark.parametrize("model", MODELS)
def test_a_reference_feature_adds_what_it_knows(model: str) -> None:
    rng = np.random.default_rng(2)
    known, candidate = rng.integers(0, 2, (2, 600))
    label = np.where(rng.random(600) < 0.7, known, candidate)
    alone = surrogate_score(model, [codes(candidate)], codes(label))
    assert surrogate_score(model, [codes(known), codes(candidate)], codes(label)) > alone + 0.05


def test_a_combination_is_learnt_as_values_of_its_own(exclusive_or: tuple[Codes, Codes, Codes]) -> None:
    part, both, label = exclusive_or
    assert surrogate_score("LR", [part], label) < 0.35
    assert surrogate_score("LR", [both], label) > 0.9


@pytest.mark.parametrize("model", MODELS)
def test_scores_repeat_by_their_seed(model: str) -> None:
    rng = np.random.default_rng(3)
    feature, label = codes(rng.integers(0, 30, 300)), codes(rng.integers(0, 2, 300))
    assert surrogate_score(model, [feature], label, seed=1) == surrogate_score(model, [feature], label, seed=1)
    assert surrogate_score(model, [feature], label, seed=1) != surrogate_score(model, [feature], label, seed=2)


@pytest.mark.parametrize("model", MODELS)
def test_rows_of_a_value_too_rare_to_learn_are_left_out(model: str) -> None:
    rng = np.random.default_rng(4)
    label = rng.integers(0, 2, 300)
    feature = np.where(rng.random(300) < 0.5, label, 2)
    expected = surrogate_score(model, [codes(feature)], codes(label))
    with_rare = surrogate_score(model, [codes(np.append(feature, 1))], codes(np.append(label, 2)))
    assert with_rare == pytest.approx(expected, abs=1e-12)


@pytest.mark.parametrize(("model", "rows"), [("SGD", 2), ("LR", 2), ("SGD-RP", 2), ("SGD-SVD", 2), ("SVM", 4)])
def test_the_fewest_rows_that_can_be_learnt_are_learnt(model: str, rows: int) -> None:
    label = np.repeat([0, 1], [rows, 40])
    feature = np.arange(label.size) % 5
    assert np.isfinite(surrogate_score(model, [codes(feature)], codes(label)))
    expected = rf"two values with {rows} rows or more each, got values with \[40, {rows - 1}\]"
    with pytest.raises(SchemaError, match=expected):
        surrogate_score(model, [codes(feature[1:])], codes(label[1:]))


@pytest.mark.parametrize("target", [[], [0], [0] * 10, list(range(10))])
def test_a_target_of_one_value_or_of_single_rows_is_refused(target: list[int]) -> None:
    with pytest.raises(SchemaError, match="expected at least two values with 2 rows or more"):
        surrogate_score("SGD", [codes(target)], codes(target))


@pytest.mark.parametrize(("model", "step"), [("SGD-SVD", TruncatedSVD), ("SGD-RP", SparseRandomProjection)])
def test_projection_and_decomposition_never_see_the_tested_fold(
    model: str, step: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen = []
    whole = step.fit_transform

    def spy(self: Any, X: Any, y: object = None) -> Any:
        seen.append(X.shape[0])
        return whole(self, X, y)

    monkeypatch.setattr(step, "fit_transform", spy)
    feature = Codes(np.random.default_rng(5).integers(0, 2_000, 300, np.int32), 2_000)
    surrogate_score(model, [feature], codes(np.repeat([0, 1], 150)), folds=3)
    assert seen == [200] * 3


def test_a_fit_that_does_not_converge_is_no_warning(monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(6)
    feature, label = codes(rng.integers(0, 9, 300)), codes(rng.integers(0, 2, 300))
    monkeypatch.setattr(surrogates, "MAX_ITER", 1)
    with pytest.warns(ConvergenceWarning):
        LogisticRegression(max_iter=1).fit(feature.codes[:, None], label.codes)
    for model in ("LR", "SGD"):
        assert np.isfinite(surrogate_score(model, [feature], label))


def test_unknown_models_and_single_folds_are_refused() -> None:
    columns = codes([0, 1] * 10)
    with pytest.raises(ConfigError, match=r"expected one of .*'SGD'.*got 'tree'"):
        surrogate_score("tree", [columns], columns)
    with pytest.raises(ConfigError, match="folds: expected a number of at least 2, got 1"):
        surrogate_score("SGD", [columns], columns, folds=1)
