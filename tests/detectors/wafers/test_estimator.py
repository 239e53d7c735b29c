from typing import Any

import numpy as np
import pytest
from sklearn.base import clone, is_classifier
from sklearn.exceptions import NotFittedError

from sparsewatch.detectors.wafers.estimator import WaferRecogniser
from sparsewatch.schemas.errors import ConfigError
from tests.kit.wafer_models import GRID, KNOWN, WITHHELD, fresh_wafers, labelled_wafers

SETTINGS: dict[str, Any] = {"grid": GRID, "epochs": 6, "false_novel_rate": 0.05}


@pytest.fixture(scope="module")
def fitted() -> WaferRecogniser:
    rows, labels = labelled_wafers(800)
    return WaferRecogniser(**SETTINGS).fit(rows, labels)


def test_settings_are_read_set_and_cloned_as_scikit_learn_does() -> None:
    recogniser = WaferRecogniser(epochs=7, hold_out=("ring",))
    settings = recogniser.get_params()
    assert settings == {
        "epochs": 7,
        "false_novel_rate": 0.02,
        "grid": 0,
        "hold_out": ("ring",),
        "novel": "novel",
        "seed": 0,
        "threads": 1,
    }
    copy = clone(recogniser.set_params(novel="?"))
    assert copy.get_params() == {**settings, "novel": "?"}
    assert is_classifier(copy)
    with pytest.raises(ValueError, match="Invalid parameter"):
        recogniser.set_params(colour="red")


def test_known_patterns_are_predicted_and_a_new_one_is_novel(fitted: WaferRecogniser) -> None:
    rows, labels = labelled_wafers(200, seed=5)
    assert fitted.classes_.tolist() == list(KNOWN)
    assert fitted.score(rows, labels) > 0.8
    assert np.mean(fitted.predict(fresh_wafers(WITHHELD)) == "novel") > 0.5
    named = WaferRecogniser.of(fitted.model_).set_params(novel="?")
    assert np.mean(named.predict(fresh_wafers(WITHHELD)) == "?") > 0.5


def test_higher_scores_are_more_normal_and_below_zero_is_novel(fitted: WaferRecogniser) -> None:
    known, _ = labelled_wafers(100, seed=6)
    novel = fresh_wafers(WITHHELD)
    assert np.median(fitted.score_samples(novel)) < np.median(fitted.score_samples(known))
    for rows in (known, novel):
        np.testing.assert_array_equal(fitted.decision_function(rows) < 0, fitted.predict(rows) == "novel")


def test_probabilities_are_of_the_classes_and_name_what_is_predicted(fitted: WaferRecogniser) -> None:
    rows, _ = labelled_wafers(100, seed=7)
    probabilities = fitted.predict_proba(rows)
    assert probabilities.shape == (100, len(KNOWN))
    assert probabilities.min() >= 0
    assert probabilities.sum(axis=1).max() <= 1 + 1e-6
    predicted = fitted.predict(rows)
    named = predicted != "novel"
    np.testing.assert_array_equal(fitted.classes_[probabilities.argmax(axis=1)][named], predicted[named])


def test_before_fit_there_is_nothing_to_ask() -> None:
    for ask in ("predict", "predict_proba", "score_samples", "decision_function"):
        with pytest.raises(NotFittedError):
            getattr(WaferRecogniser(), ask)(fresh_wafers("center"))


def test_settings_out_of_range_are_refused_by_fit() -> None:
    rows, labels = labelled_wafers(60)
    with pytest.raises(ConfigError, match="false_novel_rate: expected a number above 0 and below 1"):
        WaferRecogniser(false_novel_rate=2.0).fit(rows, labels)
    with pytest.raises(ConfigError, match="cannot hold out moon"):
        WaferRecogniser(hold_out=["moon"]).fit(rows, labels)
