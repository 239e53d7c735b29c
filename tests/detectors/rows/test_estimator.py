from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pyarrow as pa
import pytest
from numpy.typing import NDArray
from sklearn.base import clone
from sklearn.exceptions import NotFittedError
from sklearn.utils.estimator_checks import parametrize_with_checks

from sparsewatch.detectors.rows.cross_conformal import train_on_few_rows
from sparsewatch.detectors.rows.encoding.encode import one_batch
from sparsewatch.detectors.rows.estimator import RowOutlierDetector
from sparsewatch.detectors.rows.methods.registry import DEFAULT
from sparsewatch.detectors.rows.model import RowModel
from sparsewatch.schemas.errors import ConfigError, SchemaError


def blob(n: int, seed: int = 0) -> NDArray[np.float64]:
    mixed: NDArray[np.float64] = np.array([[1, 0.8, 0], [0, 0.6, 0], [0, 0, 5]])
    X: NDArray[np.float64] = np.random.default_rng(seed).normal(size=(n, 3)) @ mixed + 7
    return X


def visits(n: int, seed: int = 0) -> pl.DataFrame:
    """Text, numbers with gaps, and booleans."""
    rng = np.random.default_rng(seed)
    price = np.where(rng.random(n) < 0.2, np.nan, rng.normal(10, 2, n))
    return pl.DataFrame(
        {
            "site": rng.choice(["a", "b", "c"], n, p=[0.6, 0.3, 0.1]),
            "price": price,
            "seen": rng.random(n) < 0.5,
            "hits": rng.poisson(4, n),
        }
    )


@parametrize_with_checks([RowOutlierDetector(), RowOutlierDetector("ecod", contamination=0.05)])
def test_scikit_learn_s_own_checks_pass(estimator: Any, check: Callable[[Any], None]) -> None:
    check(estimator)


def test_settings_are_those_of_the_call_and_are_cloned() -> None:
    detector = RowOutlierDetector("hbos", contamination=0.1, scaling="robust", random_state=3)
    expected = {"method": "hbos", "contamination": 0.1, "scaling": "robust", "random_state": 3}
    assert clone(detector).get_params() == expected
    assert RowOutlierDetector().method == DEFAULT


@pytest.mark.parametrize("n", [300, 1200])
def test_scores_are_the_models_with_the_sign_turned(n: int) -> None:
    X = blob(n)
    detector = RowOutlierDetector(random_state=0).fit(X)
    batch = pa.record_batch({f"x{j}": X[:, j] for j in range(3)})
    np.testing.assert_array_equal(detector.score_samples(X), -detector.model_.score(batch).astype(np.float64))
    np.testing.assert_array_equal(detector.p_values(X), detector.model_.p_values(detector.model_.score(batch)))
    np.testing.assert_array_equal(detector.attribute(X), detector.model_.attribute(batch).astype(np.float64))


@pytest.mark.parametrize("method", ["ensemble", "ecod"])
@pytest.mark.parametrize("contamination", [0.01, 0.1, 0.5])
def test_contamination_is_the_share_of_fitted_rows_called_outliers(method: str, contamination: float) -> None:
    X = blob(400)
    called = RowOutlierDetector(method, contamination=contamination, random_state=0).fit_predict(X)
    assert np.mean(called == -1) == pytest.approx(contamination, abs=0.02)


@pytest.mark.parametrize("method", ["ensemble", "isolation_forest", "ecod"])
def test_auto_finds_planted_rows_and_few_others(method: str) -> None:
    X = np.concatenate([blob(600), blob(20, 1) + 40])
    called = RowOutlierDetector(method, random_state=0).fit_predict(X) == -1
    assert called[600:].all()
    assert called[:600].mean() < 0.08


def test_auto_is_tukeys_fence() -> None:
    X = blob(200)
    detector = RowOutlierDetector("ecod").fit(X)
    low, high = np.quantile(-detector.score_samples(X), [0.25, 0.75])
    assert detector.offset_ == pytest.approx(-(high + 1.5 * (high - low)))


def test_the_same_random_state_gives_the_same_scores() -> None:
    X = blob(150)
    scores = [RowOutlierDetector(random_state=seed).fit(X).score_samples(X) for seed in (4, 4, 5)]
    np.testing.assert_array_equal(scores[0], scores[1])
    assert (scores[0] != scores[2]).any()


def test_few_rows_are_all_fitted_and_all_calibrate() -> None:
    detector = RowOutlierDetector("ecod").fit(blob(240))
    assert len(detector.model_.calibration) == 240
    assert detector.model_.scorer.to_state()[1]["rows"] == 240
    assert len(RowOutlierDetector("ecod").fit(blob(1000)).model_.calibration) == 200


@pytest.mark.parametrize("method", ["ensemble", "ecod"])
def test_p_values_of_few_fitted_rows_are_near_uniform_on_later_ones(method: str) -> None:
    # 200 calibration rows: the rate at a threshold has a standard deviation of 2 %.
    later = blob(2000, 9)
    fitted = [RowOutlierDetector(method, random_state=seed).fit(blob(200, seed)) for seed in range(6)]
    assert 0.06 < np.mean([detector.p_values(later) <= 0.1 for detector in fitted]) < 0.14


@pytest.mark.parametrize("frame", [lambda df: df, lambda df: df.to_arrow(), lambda df: one_batch(df.to_arrow())])
def test_data_frames_and_tables_keep_text_gaps_and_names(frame: Callable[[pl.DataFrame], Any]) -> None:
    detector = RowOutlierDetector(random_state=0).fit(frame(visits(400)))
    assert detector.feature_names_in_.tolist() == ["site", "price", "seen", "hits"]
    odd = visits(3, 1).with_columns(site=pl.lit("never"), hits=pl.lit(500))
    assert detector.predict(frame(odd)).tolist() == [-1] * 3
    assert detector.attribute(frame(odd)).shape == (3, 4)
    assert (detector.p_values(frame(odd)) < 0.01).all()


def test_a_stored_model_is_the_same_detector_in_a_job_and_back(tmp_path: Path) -> None:
    rows = visits(300)
    detector = RowOutlierDetector("isolation_forest", random_state=0).fit(rows)
    detector.save(tmp_path / "rows", about={"rows": 300})
    model = RowModel.load(tmp_path / "rows")
    np.testing.assert_array_equal(model.score(one_batch(rows.to_arrow())), -detector.score_samples(rows))
    again = RowOutlierDetector.of(model, contamination=0.05)
    assert again.get_params()["method"] == "isolation_forest"
    np.testing.assert_array_equal(again.score_samples(rows), detector.score_samples(rows))
    assert np.mean(again.predict(visits(2000, 1)) == -1) == pytest.approx(0.05, abs=0.04)


def test_a_stored_model_of_an_array_takes_arrays_again(tmp_path: Path) -> None:
    X = blob(120)
    detector = RowOutlierDetector("ecod").fit(X)
    again = RowOutlierDetector.of(RowModel.load(detector.save(tmp_path / "rows")))
    assert not hasattr(again, "feature_names_in_")
    np.testing.assert_array_equal(again.score_samples(X), detector.score_samples(X))


def test_before_fit_there_is_nothing_to_ask(tmp_path: Path) -> None:
    for ask in ("predict", "score_samples", "decision_function", "p_values", "attribute"):
        with pytest.raises(NotFittedError):
            getattr(RowOutlierDetector(), ask)(blob(5))
    with pytest.raises(NotFittedError):
        RowOutlierDetector().save(tmp_path / "rows")


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"method": "magic"}, "method: expected one of .*ensemble.*, got 'magic'"),
        ({"contamination": 0.0}, "contamination: expected 'auto' or a share"),
        ({"contamination": 0.6}, "contamination"),
        ({"contamination": "some"}, "contamination"),
        ({"scaling": "none"}, "scaling: expected 'plain' or 'robust'"),
    ],
)
def test_settings_out_of_range_are_refused_by_fit(wrong: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        RowOutlierDetector(**wrong).fit(blob(50))


def test_two_rows_are_enough() -> None:
    detector = RowOutlierDetector(random_state=0).fit(blob(2))
    assert np.isfinite(detector.score_samples(blob(10, 1))).all()


def test_cross_conformal_scores_come_from_models_of_the_other_rows() -> None:
    # A row among its own kind is ordinary; scored by a model that never saw it, it lies beyond all.
    X = np.concatenate([blob(39), [[500, 500, 500]]])
    model = train_on_few_rows(pa.table({f"x{j}": X[:, j] for j in range(3)}), method="ecod")
    assert model.calibration[-1] == pytest.approx(3 * np.log(len(X) * 4 // 5 + 1), rel=1e-5)
    with pytest.raises(ConfigError, match="at least 2 rows to train on, got 1"):
        train_on_few_rows(pa.table({"x": [1.0]}), method="ecod")


def test_tables_without_rows_or_with_a_name_twice_are_refused() -> None:
    with pytest.raises(SchemaError, match="at least 2 rows and 1 column, got 1 and 4"):
        RowOutlierDetector().fit(visits(1))
    twice = pa.table([[1.0, 2.0], [3.0, 4.0]], names=["a", "a"])
    with pytest.raises(SchemaError, match="distinct names"):
        RowOutlierDetector().fit(twice)
