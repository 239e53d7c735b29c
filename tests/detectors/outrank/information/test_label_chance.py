import numpy as np
import pytest

from sparsewatch.detectors.outrank.information.label_chance import chance_of_labels
from sparsewatch.detectors.outrank.information.mutual_information import (
    expected_mutual_information,
    mutual_information,
    permutation_chance,
)

#: Rows a value, and shares of the labels.
CASES: dict[str, tuple[np.ndarray, np.ndarray]] = {
    "few": (np.array([300, 200, 500]), np.array([0.8, 0.15, 0.05])),
    "pairs": (np.full(1_000, 2), np.full(5, 0.2)),
    "mixed": (np.array([1] * 900 + [20] * 15), np.array([0.5, 0.2, 0.2, 0.1])),
    "zipf": (np.random.default_rng(1).zipf(1.5, 300).clip(max=400), 1 / np.arange(1, 9.0)),
}


def permuted(rows: np.ndarray, labels: np.ndarray, times: int) -> np.ndarray:
    rng = np.random.default_rng(0)
    codes = np.repeat(np.arange(rows.size), rows) * labels.size
    label = np.repeat(np.arange(labels.size), labels)
    tables = (
        np.bincount(codes + rng.permutation(label), minlength=rows.size * labels.size).reshape(rows.size, -1)
        for _ in range(times)
    )
    return np.array([mutual_information(table) for table in tables])


@pytest.mark.long
@pytest.mark.parametrize("case", CASES)
def test_moments_equal_those_of_random_permutations(case: str) -> None:
    rows, shares = CASES[case]
    labels = np.random.default_rng(2).multinomial(rows.sum(), shares / shares.sum())
    values = permuted(rows, labels, 1_500)
    chance = chance_of_labels(rows, labels)
    assert abs(values.mean() - chance.mean) < 4 * values.std() / np.sqrt(values.size)
    assert np.sqrt(chance.variance) == pytest.approx(values.std(), rel=0.1)


def test_mean_is_the_exact_one() -> None:
    rows, labels = np.array([5, 1, 1, 9, 4]), np.array([7, 7, 6])
    assert chance_of_labels(rows, labels).mean == pytest.approx(expected_mutual_information(rows, labels), rel=1e-9)


def test_both_variables_may_change_places() -> None:
    rows, labels = np.array([5, 1, 1, 9, 4, 30]), np.array([17, 17, 16])
    assert chance_of_labels(rows, labels)[:3] == pytest.approx(chance_of_labels(labels, rows)[:3], rel=1e-9)


def test_two_labels_are_a_binary_label() -> None:
    rows = np.array([5, 0, 1, 9])
    chance = chance_of_labels(rows, np.array([0, 10, 5]))
    assert chance[:3] == pytest.approx(permutation_chance(rows, 10)[:3], rel=1e-9)


def test_many_large_counts_reach_the_chi_square_limit() -> None:
    n, k, labels = 4_000_000, 100, 8
    chance = chance_of_labels(np.full(k, n // k), np.full(labels, n // labels))
    freedom = (k - 1) * (labels - 1)
    assert chance.mean == pytest.approx(freedom / (2 * n), rel=1e-3)
    assert chance.variance == pytest.approx(freedom / (2 * n**2), rel=1e-2)


def test_one_label_or_value_leaves_nothing_to_chance() -> None:
    assert chance_of_labels(np.array([5, 3]), np.array([8, 0]))[:2] == (0, 0)
    assert chance_of_labels(np.array([8]), np.array([3, 3, 2]))[:2] == (0, 0)
    assert chance_of_labels(np.zeros(0, np.int64), np.zeros(0, np.int64))[:2] == (0, 0)
