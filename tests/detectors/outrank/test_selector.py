"""The scikit-learn selector: its contract, and that it keeps what the ranking says."""

from collections.abc import Callable
from typing import Any

import numpy as np
import polars as pl
import pyarrow as pa
import pytest
import scipy.sparse
from numpy.typing import NDArray
from sklearn.exceptions import NotFittedError
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder
from sklearn.utils import estimator_checks
from sklearn.utils.estimator_checks import parametrize_with_checks

from sparsewatch.detectors.outrank.columns.codes import encode
from sparsewatch.detectors.outrank.columns.quantile_bins import code_column
from sparsewatch.detectors.outrank.heuristics import HEURISTICS, score
from sparsewatch.detectors.outrank.ranking import RankedFeature, rank_codes
from sparsewatch.detectors.outrank.selector import OutRankSelector
from sparsewatch.schemas.errors import ConfigError, SchemaError

N = 2_000


def clicks(seed: int = 0) -> tuple[pl.DataFrame, NDArray[Any]]:
    """Two features that tell of the label, one of them by being missing, and three that do not."""
    rng = np.random.default_rng(seed)
    y = rng.integers(0, 3, N)
    table = pl.DataFrame(
        {
            "noise": rng.integers(0, 500, N),
            "site": [f"site {c}" for c in np.where(rng.random(N) < 0.7, y, rng.integers(0, 3, N))],
            "price": np.where((y == 1) & (rng.random(N) < 0.5), np.nan, rng.normal(size=N)),
            "id": np.arange(N).astype(str),
            "wave": rng.normal(size=N),
        }
    )
    return table, np.array(["no", "click", "buy"])[y]


@pytest.mark.long
@parametrize_with_checks(
    [
        OutRankSelector(),
        OutRankSelector(k=1),
        OutRankSelector(k=None, alpha=0.05),
        OutRankSelector("AMI", k=2, bins=4),
    ]
)
# With alpha it may select nothing, of which scikit-learn warns.
@pytest.mark.filterwarnings("ignore:No features were selected")
def test_scikit_learn_s_own_checks_pass(estimator: Any, check: Callable[[Any], None]) -> None:
    check(estimator)


@pytest.mark.parametrize(
    "check",
    [
        estimator_checks.check_set_output_transform,
        estimator_checks.check_set_output_transform_polars,
        estimator_checks.check_global_set_output_transform_polars,
        estimator_checks.check_transformer_get_feature_names_out,
    ],
)
@pytest.mark.filterwarnings("ignore:X .* valid feature names", "ignore:X has feature names")
def test_names_and_chosen_outputs_pass_scikit_learn_s_checks(check: Callable[[str, Any], None]) -> None:
    check("OutRankSelector", OutRankSelector(k=1))


def test_features_with_information_on_the_label_are_selected() -> None:
    table, y = clicks()
    selector = OutRankSelector(k=2).fit(table, y)
    assert selector.get_feature_names_out().tolist() == ["site", "price"]
    assert selector.get_support().tolist() == [False, True, True, False, False]
    assert selector.n_features_in_ == 5
    assert selector.feature_names_in_.tolist() == table.columns


def test_a_false_discovery_rate_keeps_them_and_no_other() -> None:
    table, y = clicks()
    selector = OutRankSelector(k=None, alpha=0.01).fit(table, y)
    assert selector.get_feature_names_out().tolist() == ["site", "price"]


def test_a_false_discovery_rate_is_that_of_benjamini_and_hochberg() -> None:
    rng = np.random.default_rng(3)
    y = rng.integers(0, 2, 300)
    X = np.stack([np.where(rng.random(300) < share, y, rng.integers(0, 2, 300)) for share in np.linspace(0, 0.3, 40)]).T
    selector = OutRankSelector(k=None, alpha=0.1).fit(X, y)
    assert selector.p_values_ is not None
    p = np.sort(selector.p_values_)
    selected = max((i for i in range(1, 41) if p[i - 1] <= 0.1 * i / 40), default=0)
    assert 0 < selected < 40
    assert selector.get_support().sum() == selected
    assert set(selector.p_values_[selector.get_support()]) == set(p[:selected])


def test_k_and_alpha_hold_together() -> None:
    table, y = clicks()
    assert OutRankSelector(k=1, alpha=0.01).fit(table, y).get_feature_names_out().tolist() == ["site"]
    assert OutRankSelector(k=4, alpha=0.01).fit(table, y).get_support().sum() == 2
    assert OutRankSelector(k=None).fit(table, y).get_support().all()


def test_noise_of_many_columns_is_left_out() -> None:
    rng = np.random.default_rng(4)
    X, y = rng.integers(0, 50, (500, 200)), rng.integers(0, 2, 500)
    selector = OutRankSelector(k=None, alpha=0.05).fit(X, y)
    assert selector.get_support().sum() <= 1
    with pytest.warns(UserWarning, match="[Nn]o"):
        assert OutRankSelector(k=None, alpha=1e-9).fit_transform(X, y).shape == (500, 0)


def test_the_ranking_is_that_of_rank_codes() -> None:
    table, y = clicks()
    selector = OutRankSelector().fit(table, y)
    codes = {name: code_column(table[name].to_numpy(), 16).codes for name in table.columns}
    ranking = rank_codes(codes, encode(y))
    assert [r.feature for r in selector.ranking_] == [r.feature for r in ranking]
    for ours, theirs in zip(selector.ranking_, ranking, strict=True):
        assert isinstance(ours, RankedFeature)
        assert (ours.rank, ours.score, ours.p_value) == (theirs.rank, theirs.score, theirs.p_value)
    by_name = {r.feature: r for r in selector.ranking_}
    assert selector.scores_.tolist() == [by_name[name].score for name in table.columns]
    assert (by_name["id"].cardinality, by_name["id"].coverage) == (N, 1.0)
    assert by_name["price"].coverage == pytest.approx(1 - np.isnan(table["price"].to_numpy()).mean())


@pytest.mark.long
@pytest.mark.parametrize("name", HEURISTICS)
def test_every_heuristic_selects(name: str) -> None:
    table, y = clicks()
    table, y = table.head(100).drop("id"), y[:100]
    reference = ("noise",) if HEURISTICS[name].reference == "must" else ()
    selector = OutRankSelector(name, k=2, reference=reference, random_state=0).fit(table, y)
    again = OutRankSelector(name, k=2, reference=reference, random_state=0).fit(table, y)
    assert np.array_equal(selector.scores_, again.scores_)
    assert selector.get_support().sum() == 2
    assert (selector.p_values_ is None) == (name != "MI-EMI")


def test_scores_are_those_of_the_heuristic() -> None:
    table, y = clicks()
    selector = OutRankSelector("correlation-Pearson").fit(table.select("site"), y)
    site, label = (code_column(values, 16, text_order=True).codes for values in (table["site"].to_numpy(), y))
    assert selector.scores_.tolist() == [score("correlation-Pearson", site, label)]


def as_array(table: pl.DataFrame) -> Any:
    return np.array([column.to_list() for column in table], object).T


def as_batch(table: pl.DataFrame) -> Any:
    return table.to_arrow().to_batches()[0]


@pytest.mark.parametrize("of", [as_array, pl.DataFrame.to_arrow, as_batch])
def test_arrays_and_tables_of_the_same_values_score_the_same(of: Callable[[pl.DataFrame], Any]) -> None:
    table, y = clicks()
    expected = OutRankSelector(k=2).fit(table, y)
    selector = OutRankSelector(k=2).fit(of(table), y)
    assert selector.scores_.tolist() == expected.scores_.tolist()
    assert selector.get_support().tolist() == expected.get_support().tolist()


@pytest.mark.parametrize("of", [pl.DataFrame, pl.DataFrame.to_arrow, as_batch])
def test_a_table_stays_a_table_with_its_types(of: Callable[[pl.DataFrame], Any]) -> None:
    table, y = clicks()
    X = of(table)
    chosen = OutRankSelector(k=2).fit(X, y).transform(X)
    assert type(chosen) is type(X)
    assert pl.DataFrame(chosen).equals(table.select("site", "price"))


def test_output_is_of_the_type_that_was_set() -> None:
    table, y = clicks()
    chosen = OutRankSelector(k=2).set_output(transform="polars").fit_transform(table.to_arrow(), y)
    assert chosen.equals(table.select("site", "price"))


@pytest.mark.parametrize("kind", ["csr", "csc", "coo"])
def test_a_sparse_matrix_scores_as_its_dense_twin(kind: str) -> None:
    rng = np.random.default_rng(5)
    dense = rng.integers(0, 3, (200, 30)) * (rng.random((200, 30)) < 0.2)
    y = (dense[:, 7] > 0).astype(int)
    sparse = scipy.sparse.coo_array(dense).asformat(kind)
    selector = OutRankSelector(k=3).fit(sparse, y)
    assert selector.scores_.tolist() == OutRankSelector(k=3).fit(dense, y).scores_.tolist()
    assert selector.ranking_[0].feature == "x7"
    chosen = selector.transform(sparse)
    assert scipy.sparse.issparse(chosen)
    assert np.array_equal(chosen.toarray(), dense[:, selector.get_support()])


def test_a_label_of_many_numbers_is_binned() -> None:
    rng = np.random.default_rng(6)
    X = rng.normal(size=(1_000, 3))
    selector = OutRankSelector(k=1).fit(X, X[:, 1] ** 2 + 0.1 * rng.normal(size=1_000))
    assert selector.get_support().tolist() == [False, True, False]


def test_equal_scores_rank_by_name() -> None:
    y = np.arange(100) % 2
    assert [r.feature for r in OutRankSelector().fit(np.stack([y] * 11).T, y).ranking_[:3]] == ["x0", "x1", "x10"]


def test_it_is_a_step_of_a_pipeline_and_its_settings_can_be_searched() -> None:
    table, y = clicks()
    steps = make_pipeline(OutRankSelector(), OneHotEncoder(handle_unknown="ignore"), LogisticRegression(max_iter=500))
    search = GridSearchCV(steps, {"outrankselector__k": [1, 2]}, cv=2).fit(table.drop("id"), y)
    assert search.best_score_ > 0.7


@pytest.mark.parametrize(
    ("settings", "says"),
    [
        ({"heuristic": "MI-emi"}, "heuristic: expected one of MI-EMI, .* got 'MI-emi'"),
        ({"k": 0}, "k: expected an integer of at least 1, got 0"),
        ({"k": "3"}, "k: expected an integer of at least 1, got '3'"),
        ({"bins": 1}, "bins: expected an integer of at least 2, got 1"),
        ({"alpha": 0}, "alpha: expected a number above 0 and below 1, got 0"),
        ({"heuristic": "AMI", "alpha": 0.1}, "alpha: expected heuristic 'MI-EMI', .* got 'AMI': set k instead"),
        ({"heuristic": "surrogate-LR", "reference": ["zz"]}, r"reference: expected names of columns, got \['zz'\]"),
        ({"reference": ["site"]}, "heuristic MI-EMI: expected no reference feature"),
        ({"heuristic": "surrogate-SGD-prior"}, "expected at least one reference feature"),
    ],
)
def test_wrong_settings_are_named(settings: dict[str, Any], says: str) -> None:
    with pytest.raises(ConfigError, match=says):
        OutRankSelector(**settings).fit(*clicks())


TABLE, LABEL = clicks()


@pytest.mark.parametrize(
    ("X", "y", "says"),
    [
        (TABLE, ["no"] * N, "y: expected at least two classes, got one class"),
        (TABLE, [None, "a"] * (N // 2), "y: expected a class for each row, got 50.0% rows without"),
        (TABLE.head(1), ["a"], "X: expected at least 2 rows and 1 column, got 1 and 5"),
        (np.array([[1], ["a"]], object), [0, 1], "x0: expected values of one type, text or numbers"),
        (pl.DataFrame({"d": [[1], [2]]}), [0, 1], "d: expected values of one type, text or numbers"),
        (pa.table([[1, 2], [1, 2]], names=["a", "a"]), [0, 1], "X: expected columns of distinct names"),
    ],
)
def test_data_that_cannot_be_ranked_is_named(X: Any, y: Any, says: str) -> None:
    with pytest.raises(SchemaError, match=says):
        OutRankSelector().fit(X, y)


@pytest.mark.parametrize(
    ("X", "y", "says"),
    [
        (TABLE, None, "requires y to be passed"),
        (TABLE, LABEL[:5], "inconsistent numbers of samples"),
        (TABLE, [np.nan, 1.0] * (N // 2), "Input y contains NaN"),
        (TABLE["site"], LABEL, "Expected 2D array"),
    ],
)
def test_what_scikit_learn_refuses_is_refused(X: Any, y: Any, says: str) -> None:
    with pytest.raises(ValueError, match=says):
        OutRankSelector().fit(X, y)


def test_a_table_of_other_columns_is_refused() -> None:
    selector = OutRankSelector(k=2).fit(*clicks())
    with pytest.raises(ValueError, match="feature names should match"):
        selector.transform(TABLE.rename({"site": "place"}))
    with pytest.raises(NotFittedError):
        OutRankSelector().transform(TABLE)
