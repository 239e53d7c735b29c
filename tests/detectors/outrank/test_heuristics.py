import subprocess
import sys

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import ArrayLike
from scipy.stats import pearsonr
from sklearn.feature_selection import mutual_info_classif
from sklearn.metrics import adjusted_mutual_info_score

from sparsewatch.detectors.outrank import heuristics
from sparsewatch.detectors.outrank.columns.codes import Codes, combine, encode_as_text
from sparsewatch.detectors.outrank.heuristics import DEFAULT_HEURISTIC, HEURISTICS, score
from sparsewatch.schemas.errors import ConfigError, SchemaError

COLUMNS = st.integers(2, 60).flatmap(lambda n: st.tuples(*[st.lists(st.integers(0, 6), min_size=n, max_size=n)] * 2))
#: What the public tool has a name for.
PUBLIC = {
    "MI-numba-randomized",
    "MI-numba-3mr",
    "MI-numba",
    "MI",
    "AMI",
    "correlation-Pearson",
    "max-value-coverage",
    "surrogate-SGD",
    "surrogate-SVM",
    "surrogate-SGD-RP",
    "surrogate-SGD-SVD",
    "surrogate-LR",
    "surrogate-SGD-prior",
    "Constant",
}
WITHOUT_MODEL = sorted(name for name in HEURISTICS if HEURISTICS[name].reference == "no")


def codes(values: ArrayLike) -> Codes:
    array = np.asarray(values, np.int32)
    return Codes(array, int(array.max(initial=-1)) + 1)


def reference_of(name: str, column: Codes) -> list[Codes]:
    return [column] if HEURISTICS[name].reference == "must" else []


def random_columns(rows: int = 400) -> tuple[Codes, Codes]:
    rng = np.random.default_rng(3)
    label = rng.integers(0, 2, rows)
    return codes(np.where(rng.random(rows) < 0.5, label, rng.integers(0, 9, rows))), codes(label)


def test_every_public_name_is_known_and_the_default_comes_first() -> None:
    assert set(HEURISTICS) == {*PUBLIC, "MI-EMI"}
    assert next(iter(HEURISTICS)) == DEFAULT_HEURISTIC == "MI-EMI"


@pytest.mark.parametrize("name", HEURISTICS)
def test_every_heuristic_is_finite_repeatable_and_described_in_one_line(name: str) -> None:
    feature, target = random_columns()
    reference = reference_of(name, feature)
    value = score(name, feature, target, reference=reference, seed=5)
    assert np.isfinite(value)
    assert isinstance(value, float)
    assert value == score(name, feature, target, reference=reference, seed=5)
    assert HEURISTICS[name].summary
    assert "\n" not in HEURISTICS[name].summary


@pytest.mark.parametrize("name", sorted(set(HEURISTICS) - {"Constant", "max-value-coverage"}))
def test_every_heuristic_prefers_a_copy_of_the_label_to_noise(name: str) -> None:
    _, target = random_columns()
    noise = codes(np.random.default_rng(0).integers(0, 2, target.codes.size))
    reference = reference_of(name, noise)
    assert score(name, target, target, reference=reference) > score(name, noise, target, reference=reference) + 0.1


@pytest.mark.parametrize("name", sorted(name for name in HEURISTICS if HEURISTICS[name].from_counts))
def test_scores_from_counts_do_not_depend_on_the_order_of_rows(name: str) -> None:
    feature, target = random_columns()
    order = np.random.default_rng(1).permutation(target.codes.size)
    shuffled = score(name, Codes(feature.codes[order], 9), Codes(target.codes[order], 2))
    assert shuffled == pytest.approx(score(name, feature, target), abs=1e-12)


@pytest.mark.parametrize("name", WITHOUT_MODEL)
@pytest.mark.parametrize("values", [[], [3], [3, 3, 3]])
def test_few_rows_and_constants_have_a_finite_score(name: str, values: list[int]) -> None:
    assert np.isfinite(score(name, codes(values), codes(range(len(values)))))
    assert np.isfinite(score(name, codes(values), codes(values)))


@given(COLUMNS)
def test_mutual_information_equals_scikit_learn(columns: tuple[list[int], list[int]]) -> None:
    feature, target = columns
    expected = mutual_info_classif(np.array(feature)[:, None], target, discrete_features=True)[0]
    for name in ("MI", "MI-numba", "MI-numba-3mr"):
        assert score(name, codes(feature), codes(target)) == pytest.approx(expected, abs=1e-9)


@settings(max_examples=200)
@given(COLUMNS)
def test_adjusted_mutual_information_equals_scikit_learn(columns: tuple[list[int], list[int]]) -> None:
    feature, target = columns
    expected = adjusted_mutual_info_score(target, feature)
    assert score("AMI", codes(feature), codes(target)) == pytest.approx(expected, abs=1e-9)


@pytest.mark.parametrize("values", [2, 50, 3_000, 100_000])
def test_adjusted_mutual_information_equals_scikit_learn_at_any_cardinality(values: int) -> None:
    rng = np.random.default_rng(values)
    label = rng.integers(0, 5, 5_000)
    feature = np.where(rng.random(5_000) < 0.2, label, rng.integers(0, values, 5_000))
    expected = adjusted_mutual_info_score(label, feature)
    assert score("AMI", codes(feature), codes(label)) == pytest.approx(expected, abs=1e-9)


@given(COLUMNS)
def test_correlation_equals_scipy_and_is_zero_for_constants(columns: tuple[list[int], list[int]]) -> None:
    feature, target = columns
    value = score("correlation-Pearson", codes(feature), codes(target))
    if len(set(feature)) == 1 or len(set(target)) == 1:
        assert value == 0
    else:
        assert value == pytest.approx(pearsonr(feature, target)[0], abs=1e-9)


def test_correlation_goes_by_text_order() -> None:
    assert HEURISTICS["correlation-Pearson"].text_order
    numbers = np.array([2, 10, 2, 10])
    assert score("correlation-Pearson", encode_as_text(numbers), codes([0, 1, 0, 1])) == pytest.approx(-1)


def test_value_coverage_is_the_share_of_the_most_frequent_pair() -> None:
    # The example of the public tool, and a constant, which scores the share of the larger class.
    assert score("max-value-coverage", codes([1, 1, 2, 3, 1, 1, 1, 5]), codes([0, 0, 5, 5, 3, 0, 0, 0])) == 0.5
    assert score("max-value-coverage", codes([0] * 10), codes([1] * 7 + [0] * 3)) == 0.7


def test_pairs_that_share_a_bucket_of_the_public_tool_are_counted_apart() -> None:
    # (1471343 f - t) mod 10**6 is 0 for both.
    assert score("max-value-coverage", codes([0, 1]), codes([0, 471_343])) == 0.5


@pytest.mark.parametrize(("values", "expected"), [(2, -0.000016), (1_000, 0.002044), (50_000, -0.000451)])
def test_default_takes_chance_off(values: int, expected: float) -> None:
    random = np.random.RandomState(123)
    label = random.randint(0, 2, 16_384)
    drawn = {k: random.randint(0, k, label.size) for k in (2, 10, 100, 1_000, 10_000, 50_000)}
    assert score("MI-EMI", codes(drawn[values]), codes(label)) == pytest.approx(expected, abs=1.1e-6)


def test_default_is_nothing_on_average_for_a_target_of_many_values() -> None:
    rng = np.random.default_rng(2)
    feature, target = codes(rng.integers(0, 300, 1_000)), rng.integers(0, 40, 1_000)
    scores = np.array([score("MI-EMI", feature, codes(rng.permutation(target))) for _ in range(150)])
    assert abs(scores.mean()) < 3 * scores.std() / np.sqrt(scores.size)


@pytest.mark.parametrize("name", ["MI", "MI-EMI"])
def test_only_the_combination_tells_of_an_exclusive_or(name: str) -> None:
    rng = np.random.default_rng(0)
    a, b = rng.integers(0, 2, (2, 1_000))
    first, second, target = codes(a), codes(b), codes(a ^ b)
    assert score(name, first, target) < 0.01
    assert score(name, second, target) < 0.01
    assert score(name, combine([first, second]), target) > 0.60


@pytest.mark.parametrize("ratio", [0.9, 0.5, 0.3, 0.001])
@pytest.mark.parametrize("name", WITHOUT_MODEL)
def test_a_sample_of_a_rare_label_has_a_finite_score(name: str, ratio: float) -> None:
    # The public kernel ends with a segmentation fault here.
    target = np.repeat([0, 1], [990, 10])
    feature = np.random.default_rng(0).integers(0, 5, 1_000)
    assert np.isfinite(score(name, codes(feature), codes(target), ratio=ratio))


def test_a_sample_estimates_the_score_of_all_rows() -> None:
    feature, target = random_columns(20_000)
    whole = score("MI-EMI", feature, target)
    assert score("MI-EMI", feature, target, ratio=0.3) == pytest.approx(whole, rel=0.1)
    assert score("MI-EMI", feature, target, ratio=0.3) != whole


def test_an_unknown_name_is_refused_with_all_known_ones() -> None:
    with pytest.raises(ConfigError, match=r"MI-EMI, MI, .*Constant, got 'mi'"):
        score("mi", codes([0]), codes([0]))


def test_reference_features_are_refused_where_they_have_no_use_and_asked_for_where_they_are_needed() -> None:
    feature, target = random_columns()
    with pytest.raises(ConfigError, match="expected no reference feature, got 1"):
        score("MI", feature, target, reference=[feature])
    with pytest.raises(ConfigError, match="expected at least one reference feature, got 0"):
        score("surrogate-SGD-prior", feature, target)


def test_columns_of_different_length_are_refused() -> None:
    with pytest.raises(SchemaError, match="expected 3 rows as of the target, got 2"):
        score("MI", codes([0, 1]), codes([0, 1, 0]))


def test_scikit_learn_and_its_like_are_not_imported_with_the_list() -> None:
    heavy = ["sklearn", "torch", "apache_beam", "matplotlib"]
    code = f"import sys, {heuristics.__name__}; print([name for name in {heavy} if name in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
