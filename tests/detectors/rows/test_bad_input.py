"""Bad rows give a documented result or a named error, never a score that is not a number."""

from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from sparsewatch.detectors.rows.cross_conformal import train_on_few_rows
from sparsewatch.detectors.rows.encoding.encode import one_batch
from sparsewatch.detectors.rows.estimator import RowOutlierDetector
from sparsewatch.detectors.rows.methods.registry import DEFAULT, METHODS
from sparsewatch.detectors.rows.model import RowModel
from sparsewatch.detectors.rows.training import train_row_model
from sparsewatch.schemas.errors import ConfigError, SchemaError
from tests.kit.row_methods import quick_fit

N = 60
ABSURD = [np.nan, np.inf, -np.inf, 1e300, -1e300, 5e-324, 0.0, None]

#: A detector of few rows takes six fits.
QUICK = [DEFAULT, "ecod", "hbos", "knn"]

every_method = pytest.mark.parametrize("method", METHODS)


def ordinary(n: int = N, seed: int = 0) -> pa.Table:
    rng = np.random.default_rng(seed)
    return pa.table({"a": rng.normal(size=n), "b": rng.normal(5, 2, n), "word": rng.choice(["x", "y"], n)})


def with_column(table: pa.Table, name: str, values: Any) -> pa.Table:
    return table.set_column(table.column_names.index(name), name, [values])


def assert_judged(model: RowModel, rows: pa.Table) -> NDArray[np.float32]:
    """Scores, once they, the contributions and the p-values are what they should be."""
    batch = one_batch(rows)
    scores, contributions = model.score(batch), model.attribute(batch)
    p_values = model.p_values(scores)
    assert scores.shape == (rows.num_rows,)
    assert np.isfinite(scores).all()
    assert np.isfinite(contributions).all()
    assert ((p_values > 0) & (p_values <= 1)).all()
    assert np.isfinite(model.blame_matrix(model.encoder.transform(batch), 3)[1]).all()
    return scores


@every_method
def test_constant_missing_absurd_and_repeated_values_can_be_trained_on(method: str) -> None:
    rng = np.random.default_rng(0)
    absurd = pa.array([ABSURD[i] for i in rng.integers(0, len(ABSURD), N)], pa.float64())
    table = ordinary().append_column("absurd", absurd)
    table = table.append_column("constant", [[7.0] * N]).append_column("empty", [pa.nulls(N, pa.float64())])
    table = table.append_column("same word", [["w"] * N]).append_column("no word", [pa.nulls(N, pa.string())])
    table = pa.concat_tables([table, table.slice(0, 1), table.slice(0, 1)])
    model = train_row_model(table, method=method, fit=quick_fit(method))
    changed = with_column(table, "constant", [8.0] * (N + 2))
    changed = with_column(changed, "same word", ["v"] * (N + 2))
    for rows in (table, changed):
        assert_judged(model, rows)


@every_method
def test_absurd_values_after_clean_training_are_extremes(method: str) -> None:
    model = train_row_model(ordinary(200), method=method, fit=quick_fit(method))
    typical = np.median(assert_judged(model, ordinary(200, 1)))
    rows = ordinary(len(ABSURD), 2)
    scores = assert_judged(model, with_column(rows, "b", pa.array(ABSURD, pa.float64())))
    absurd = [value is None or not abs(value) < 1e10 for value in ABSURD]
    assert scores[absurd].min() > typical


@every_method
def test_all_rows_alike_are_ordinary_and_any_other_is_not_less_strange(method: str) -> None:
    table = pa.table({"a": [1.5] * N, "b": [2] * N, "word": ["x"] * N})
    model = train_row_model(table, method=method, fit=quick_fit(method))
    alike = assert_judged(model, table)
    assert np.ptp(alike) == 0
    assert (model.p_values(alike) == 1).all()
    other = assert_judged(model, pa.table({"a": [9.0], "b": [3], "word": ["never"]}))
    assert other[0] >= alike[0]


NUMBERS = st.none() | st.floats()


@settings(max_examples=15)
@given(fitted=st.lists(st.tuples(NUMBERS, NUMBERS), min_size=20, max_size=30), rows=st.lists(NUMBERS, min_size=1))
def test_any_numbers_whatever_give_finite_scores(
    fitted: list[tuple[float | None, float | None]], rows: list[float | None]
) -> None:
    columns = {
        name: pa.array(values, pa.float64()) for name, values in zip("ab", zip(*fitted, strict=True), strict=True)
    }
    later = pa.array(rows, pa.float64())
    assert_judged(train_row_model(pa.table(columns), method=DEFAULT), pa.table({"a": later, "b": later}))


def test_one_row_is_too_few_and_says_so() -> None:
    with pytest.raises(ConfigError, match="at least 20 rows to train on, got 1"):
        train_row_model(ordinary(1))
    with pytest.raises(ConfigError, match="at least 2 rows to train on, got 1"):
        train_on_few_rows(ordinary(1), method=DEFAULT)
    with pytest.raises(ValueError, match=r"1 sample.* minimum of 2 is required"):
        RowOutlierDetector().fit([[1.0, 2.0]])
    with pytest.raises(SchemaError, match="at least 2 rows"):
        RowOutlierDetector().fit(ordinary(1))


def test_no_rows_are_scored_as_none() -> None:
    assert_judged(train_row_model(ordinary()), ordinary(0))


@pytest.mark.parametrize("method", [DEFAULT, "isolation_forest"])
def test_a_column_that_appears_is_ignored_and_one_that_vanishes_is_named(method: str) -> None:
    model = train_row_model(ordinary(), method=method, fit=quick_fit(method))
    rows = ordinary(10, 1)
    more = one_batch(rows.add_column(0, "new", [[np.nan] * 10]))
    np.testing.assert_array_equal(model.score(more), model.score(one_batch(rows)))
    with pytest.raises(SchemaError, match="expected a column 'b', got"):
        model.score(one_batch(rows.drop_columns(["b"])))


@pytest.mark.parametrize(
    ("column", "values", "message"),
    [
        ("b", ["5", "6"], "column 'b': expected numbers, got string"),
        ("b", [True, False], "column 'b': expected numbers, got bool"),
        ("b", [[1.0], [2.0]], "column 'b': expected numbers, got list"),
        ("word", [[1], [2]], "column 'word': expected string, got list"),
    ],
)
def test_a_column_of_another_type_is_named(column: str, values: list[Any], message: str) -> None:
    model = train_row_model(ordinary())
    with pytest.raises(SchemaError, match=message):
        model.score(one_batch(with_column(ordinary(2), column, values)))


def test_a_type_that_cannot_be_encoded_is_named_in_training() -> None:
    for train in (train_row_model, lambda table: RowOutlierDetector().fit(table)):
        with pytest.raises(ConfigError, match="column 'b': expected numbers, strings or booleans, got list"):
            train(with_column(ordinary(), "b", [[1.0]] * N))


@pytest.mark.parametrize("method", QUICK)
def test_a_detector_takes_missing_and_infinite_numbers(method: str) -> None:
    rng = np.random.default_rng(0)
    X = rng.normal(size=(N, 3))
    X[3, 0], X[4, 1], X[5, 2], X[6, 0] = np.nan, np.inf, 1e300, -np.inf
    detector = RowOutlierDetector(method, random_state=0).fit(X)
    rows = np.full((4, 3), [[np.nan], [np.inf], [-np.inf], [1e300]])
    for given_rows in (X, rows):
        assert np.isfinite(detector.score_samples(given_rows)).all()
        assert np.isfinite(detector.decision_function(given_rows)).all()
        assert set(detector.predict(given_rows)) <= {-1, 1}
        assert np.isfinite(detector.attribute(given_rows)).all()
        assert ((detector.p_values(given_rows) > 0) & (detector.p_values(given_rows) <= 1)).all()


@pytest.mark.parametrize("method", QUICK)
def test_rows_all_alike_are_no_outliers_to_a_detector(method: str) -> None:
    X = np.full((N, 2), 3.0)
    assert (RowOutlierDetector(method, random_state=0).fit_predict(X) == 1).all()


def test_a_detector_names_columns_that_appear_vanish_or_change_places() -> None:
    detector = RowOutlierDetector().fit(ordinary())
    rows = ordinary(5, 1)
    with pytest.raises(ValueError, match="unseen at fit time:\n- new"):
        detector.predict(rows.append_column("new", [[0] * 5]))
    with pytest.raises(ValueError, match="seen at fit time, yet now missing:\n- b"):
        detector.predict(rows.drop_columns(["b"]))
    with pytest.raises(ValueError, match="same order"):
        detector.predict(rows.select(["b", "a", "word"]))
    with pytest.raises(ValueError, match="has 2 features, but RowOutlierDetector is expecting 3"):
        RowOutlierDetector().fit(np.eye(3)).predict(np.eye(2))


@pytest.mark.parametrize(
    ("X", "error", "message"),
    [
        (np.array([["a", "b"], ["c", "d"]]), ValueError, "could not convert string to float"),
        (np.array([[1j, 2], [3, 4]]), ValueError, "Complex data not supported"),
        (np.arange(4.0), ValueError, "Expected 2D array, got 1D array"),
        (np.empty((5, 0)), ValueError, "0 feature"),
        (np.empty((0, 3)), ValueError, "0 sample"),
        (np.array([[{}, 1], [2, 3]], dtype=object), TypeError, "float"),
    ],
)
def test_arrays_of_wrong_types_or_shapes_are_refused(X: Any, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        RowOutlierDetector().fit(X)
