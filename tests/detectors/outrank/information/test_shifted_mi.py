import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import ArrayLike

from sparsewatch.detectors.outrank.columns.codes import Codes
from sparsewatch.detectors.outrank.information.adjusted_mi import codes_mutual_information
from sparsewatch.detectors.outrank.information.shifted_mi import shifted_mutual_information, stratified_rows
from sparsewatch.schemas.errors import ConfigError
from tests.oracles import outrank as oracle

LABEL = [1, 0, 0, 0, 1, 1, 1, 0]
#: Feature, target; raw, corrected and corrected the other way round, as release 0.97.5 of the public tool gives them.
SMALL = [
    (LABEL, LABEL, 0.6931472, 0.6931472, 0.6931472),
    (LABEL, [1, 1, 0, 0, 1, 1, 1, 1], 0.2157615, 0.0424747, 0.2157615),
    (LABEL, [1, 0, 0, 0, 1, 1, 1, 1], 0.3803957, 0.1078808, 0.3465736),
    ([2, 1, 1, 1, 2, 2, 2, 1], LABEL, 0.6931472, 0.6931472, 0.6931472),
    ([0, 1, 0, 1, 2, 2], [1, 0, 1, 0, 2, 2], 1.0986123, 1.0986123, 1.0986123),
    ([0, 0, 1, 1, 2, 2, 0, 1], [0, 0, 0, 0, 1, 1, 1, 1], 0.2157616, 0.0, 0.0),
    ([0] * 8, [0, 1] * 4, 0.0, 0.0, 0.0),
    (list(range(8)), [0, 1] * 4, 0.6931472, 0.0, 0.0),
]

I = np.arange(10_000)  # noqa: E741 - the row's number
A = 7919 * I % 97
B = 104729 * I % 31
LARGE = [
    (A, A % 2, 0.6930952, 0.1714721),
    (B, A % 2, 0.0000127, -0.0000286),
    (A % 5, A % 2, 0.0007556, 0.0005451),
    (A % 2, A % 2, 0.6930951, 0.6930951),
    (A % 2, A, 0.6930951, 0.0137993),
]

#: Independent features against a fair label, 16,384 rows of `RandomState(123)`: values to draw from, raw, corrected.
NOISE = [
    (2, 0.000014, -0.000016),
    (10, 0.000330, 0.000115),
    (100, 0.002994, 0.000053),
    (1_000, 0.033657, 0.002829),
    (10_000, 0.335277, -0.000567),
    (50_000, 0.590722, 0.000106),
]

COLUMNS = st.integers(1, 60).flatmap(lambda n: st.tuples(*[st.lists(st.integers(0, 6), min_size=n, max_size=n)] * 2))


def codes(values: ArrayLike) -> Codes:
    array = np.asarray(values, np.int32)
    return Codes(array, int(array.max(initial=-1)) + 1)


def corrected(feature: ArrayLike, target: ArrayLike, *, diagonal: str = "equal") -> float:
    return shifted_mutual_information(codes(feature), codes(target), diagonal=diagonal)  # type: ignore[arg-type]


def raw(feature: ArrayLike, target: ArrayLike) -> float:
    return codes_mutual_information(codes(feature), codes(target))


@pytest.mark.parametrize(("feature", "target", "plain", "score", "swapped"), SMALL)
def test_small_columns_score_as_the_public_tool(
    feature: list[int], target: list[int], plain: float, score: float, swapped: float
) -> None:
    assert raw(feature, target) == pytest.approx(plain, abs=1e-6)
    assert corrected(feature, target, diagonal="sum") == pytest.approx(score, abs=1e-6)
    assert corrected(target, feature, diagonal="sum") == pytest.approx(swapped, abs=1e-6)


@pytest.mark.parametrize("diagonal", ["equal", "sum"])
@pytest.mark.parametrize(("feature", "target", "plain", "score"), LARGE)
def test_ten_thousand_rows_score_as_the_public_tool(
    feature: np.ndarray, target: np.ndarray, plain: float, score: float, diagonal: str
) -> None:
    assert raw(feature, target) == pytest.approx(plain, abs=1e-6)
    assert corrected(feature, target, diagonal=diagonal) == pytest.approx(score, abs=1e-6)


def test_noise_scores_as_the_public_tool() -> None:
    random = np.random.RandomState(123)
    label = random.randint(0, 2, 16_384)
    for values, plain, score in NOISE:
        feature = random.randint(0, values, label.size)
        assert raw(feature, label) == pytest.approx(plain, abs=1e-6)
        assert corrected(feature, label) == pytest.approx(score, abs=1e-6)


def test_only_columns_equal_row_by_row_are_their_own_copy_by_default() -> None:
    feature, target = [0, 1, 0, 1, 2, 2], [1, 0, 1, 0, 2, 2]
    assert corrected(feature, target) == pytest.approx(oracle.shifted_mutual_information(feature, target), abs=1e-12)
    assert corrected(feature, target) < raw(feature, target) - 0.1
    assert corrected(feature, feature) == pytest.approx(raw(feature, feature), abs=1e-12)


@given(COLUMNS)
def test_closed_form_equals_the_groups_entropies(columns: tuple[list[int], list[int]]) -> None:
    feature, target = columns
    same = feature == target
    expected = (oracle.mutual_information if same else oracle.shifted_mutual_information)(feature, target)
    assert corrected(feature, target) == pytest.approx(expected, abs=1e-9)
    assert raw(feature, target) == pytest.approx(oracle.mutual_information(feature, target), abs=1e-9)


def test_closed_form_equals_the_groups_entropies_where_columns_have_many_values() -> None:
    rng = np.random.default_rng(0)
    feature, target = rng.integers(0, 2_000, 3_000), rng.integers(0, 40, 3_000)
    expected = oracle.shifted_mutual_information(feature.tolist(), target.tolist())
    assert corrected(feature, target) == pytest.approx(expected, abs=1e-9)


@settings(max_examples=50)
@given(COLUMNS, st.permutations(range(7)), st.permutations(range(7)))
def test_names_of_values_do_not_matter(
    columns: tuple[list[int], list[int]], names: list[int], others: list[int]
) -> None:
    # Numbers of target values lie apart, so that renaming never makes two different columns equal.
    feature, target = columns
    expected = corrected(feature, [10 + t for t in target])
    renamed = corrected([names[f] for f in feature], [10 + others[t] for t in target])
    assert renamed == pytest.approx(expected, abs=1e-12)


def test_score_is_not_symmetric() -> None:
    assert corrected(A, A % 2) > corrected(A % 2, A) + 0.1


def test_order_of_rows_decides_how_much_of_a_perfect_feature_is_seen() -> None:
    rng = np.random.default_rng(0)
    feature = rng.integers(0, 97, 10_000)
    label = feature % 2
    ordered = np.argsort(label, kind="stable")
    assert corrected(feature, label) > 0.67
    assert corrected(feature[ordered], label[ordered]) < 0.2
    assert raw(feature, label) == pytest.approx(raw(feature[ordered], label[ordered]), abs=1e-12)
    assert raw(feature, label) > 0.69


@pytest.mark.parametrize("label", [np.repeat([0, 1], 5_000), np.tile([0, 1], 5_000)])
def test_sorted_and_alternating_rows_hide_a_perfect_feature(label: np.ndarray) -> None:
    assert corrected(2 * label, label) == 0
    assert raw(2 * label, label) == pytest.approx(np.log(2), abs=1e-9)


@given(COLUMNS)
def test_unique_and_constant_columns_score_exactly_nothing(columns: tuple[list[int], list[int]]) -> None:
    values = columns[0]
    unique, constant = list(range(10, 10 + len(values))), [10] * len(values)
    assert corrected(unique, values) == 0
    assert corrected(values, unique) == 0
    assert corrected(values, constant) == 0
    assert corrected(constant, values) == 0


def test_shuffled_labels_score_nothing_on_average() -> None:
    rng = np.random.default_rng(1)
    feature, label = rng.integers(0, 200, 2_000), rng.integers(0, 2, 2_000)
    scores = np.array([corrected(feature, rng.permutation(label)) for _ in range(200)])
    assert abs(scores.mean()) < 3 * scores.std() / np.sqrt(scores.size)


def test_no_rows_score_nothing() -> None:
    assert corrected([], []) == 0


def test_an_unknown_diagonal_is_refused() -> None:
    with pytest.raises(ConfigError, match=r"'equal', 'sum'.*got 'difference'"):
        corrected([0, 1], [1, 0], diagonal="difference")


@settings(max_examples=50)
@given(st.lists(st.integers(0, 4), max_size=80), st.floats(0.01, 1), st.integers(0, 5))
def test_a_sample_keeps_a_share_of_every_target_value(target: list[int], ratio: float, seed: int) -> None:
    rows = stratified_rows(codes(target), ratio, seed)
    assert rows.tolist() == sorted(set(rows.tolist()))
    for value in set(target):
        taken = sum(target[row] == value for row in rows)
        assert taken == np.ceil(ratio * target.count(value))


def test_a_sample_depends_on_nothing_but_its_seed() -> None:
    target = codes(A % 3)
    assert np.array_equal(stratified_rows(target, 0.3, 1), stratified_rows(target, 0.3, 1))
    assert not np.array_equal(stratified_rows(target, 0.3, 1), stratified_rows(target, 0.3, 2))


@pytest.mark.parametrize("ratio", [0.0, -0.5, 1.5, float("nan")])
def test_a_share_out_of_range_is_refused(ratio: float) -> None:
    with pytest.raises(ConfigError, match="ratio"):
        stratified_rows(codes([0, 1]), ratio, 0)
