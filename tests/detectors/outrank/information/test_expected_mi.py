from math import lgamma

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.special import kl_div
from scipy.stats import hypergeom
from sklearn.metrics import adjusted_mutual_info_score
from sklearn.metrics.cluster import expected_mutual_information as peer

from sparsewatch.detectors.outrank.information import mutual_information as module
from sparsewatch.detectors.outrank.information.mutual_information import (
    entropy,
    expected_mutual_information,
    mutual_information,
    permutation_moments,
)

MARGINALS = st.lists(st.integers(1, 40), min_size=1, max_size=12)

#: Independent features against a fair label, 16,384 rows of `RandomState(123)`: distinct values, plug-in mutual
#: information, its expectation and their difference, to six places.
NOISE = [
    (2, 2, 0.000014, 0.000031, -0.000016),
    (10, 10, 0.000330, 0.000275, 0.000055),
    (100, 100, 0.002994, 0.003031, -0.000037),
    (1_000, 1_000, 0.033657, 0.031612, 0.002044),
    (10_000, 8_089, 0.335277, 0.333311, 0.001965),
    (50_000, 13_990, 0.590722, 0.591173, -0.000451),
]


def by_definition(feature: list[int], label: list[int]) -> float:
    """Vinh, Epps and Bailey, eq. 24a, term by term."""
    n = sum(feature)
    total = 0.0
    for a in feature:
        for b in label:
            for r in range(max(1, a + b - n), min(a, b) + 1):
                log_p = sum(map(lgamma, (a + 1, b + 1, n - a + 1, n - b + 1))) - sum(
                    map(lgamma, (n + 1, r + 1, a - r + 1, b - r + 1, n - a - b + r + 1))
                )
                total += r / n * np.log(n * r / (a * b)) * np.exp(log_p)
    return total


def permuted(rows: np.ndarray, clicks: int, times: int, seed: int) -> np.ndarray:
    """Mutual information of `times` random permutations of the label."""
    rng = np.random.default_rng(seed)
    k = rng.multivariate_hypergeometric(rows, clicks, size=times, method="marginals")
    return np.array([mutual_information(np.stack([rows - row, row], axis=1)) for row in k])


@settings(max_examples=60)
@given(MARGINALS, st.integers(1, 5), st.integers(0, 1000))
def test_mean_equals_the_definition(feature: list[int], labels: int, seed: int) -> None:
    rng = np.random.default_rng(seed)
    label = rng.multinomial(sum(feature), np.ones(labels) / labels)
    expected = by_definition(feature, [b for b in label.tolist() if b])
    assert expected_mutual_information(np.array(feature), label) == pytest.approx(expected, abs=1e-10)


@settings(max_examples=30)
@given(MARGINALS, st.floats(0, 1))
def test_mean_equals_scikit_learn(feature: list[int], share: float) -> None:
    rows = np.array(feature)
    clicks = round(share * rows.sum())
    labels = np.array([rows.sum() - clicks, clicks])
    contingency = np.stack([rows - np.minimum(rows, 1), np.minimum(rows, 1)], axis=1)
    if clicks == contingency[:, 1].sum():
        expected = peer(contingency, int(rows.sum()))
        assert expected_mutual_information(rows, labels) == pytest.approx(expected, abs=1e-9)


def test_adjusted_score_equals_scikit_learn() -> None:
    rng = np.random.default_rng(5)
    label = rng.integers(0, 2, 3_000)
    feature = np.where(rng.random(3_000) < 0.2, label, rng.integers(0, 300, 3_000))
    joint = np.zeros((300, 2), np.int64)
    np.add.at(joint, (feature, label), 1)
    rows, labels = joint.sum(axis=1), joint.sum(axis=0)
    chance = expected_mutual_information(rows, labels)
    level = (entropy(rows) + entropy(labels)) / 2
    adjusted = (mutual_information(joint) - chance) / (level - chance)
    assert adjusted == pytest.approx(adjusted_mutual_info_score(label, feature), abs=1e-9)


def test_noise_features_have_the_published_values() -> None:
    random = np.random.RandomState(123)
    label = random.randint(0, 2, 16_384)
    for nominal, distinct, raw, expected, net in NOISE:
        joint = np.zeros((nominal, 2), np.int64)
        np.add.at(joint, (random.randint(0, nominal, label.size), label), 1)
        value = mutual_information(joint)
        chance = expected_mutual_information(joint.sum(axis=1), joint.sum(axis=0))
        assert np.count_nonzero(joint.sum(axis=1)) == distinct
        assert value == pytest.approx(raw, abs=6e-7)
        assert chance == pytest.approx(expected, abs=6e-7)
        assert value - chance == pytest.approx(net, abs=1.1e-6)


@pytest.mark.long
@pytest.mark.parametrize(
    ("rows", "clicks"),
    [
        (np.array([300, 700]), 80),
        (np.array([1] * 500 + [500]), 200),
        (np.array([960, 10, 10, 10, 10]), 300),
        (np.arange(1, 60), 900),
        (np.full(800, 2), 30),
        (np.array([50] * 40), 1_000),
    ],
)
def test_moments_equal_those_of_random_permutations(rows: np.ndarray, clicks: int) -> None:
    values = permuted(rows, clicks, 3_000, seed=7)
    moments = permutation_moments(rows, clicks)
    assert abs(values.mean() - moments.mean) < 4 * values.std() / np.sqrt(values.size) + 1e-12
    assert moments.sd == pytest.approx(values.std(), rel=0.15, abs=1e-12)


def test_both_ways_to_the_mean_agree() -> None:
    rows = np.random.default_rng(0).zipf(1.4, 3_000).clip(max=10_000)
    clicks = int(rows.sum() * 0.07)
    mean = expected_mutual_information(rows, np.array([rows.sum() - clicks, clicks]))
    assert permutation_moments(rows, clicks).mean == pytest.approx(mean, rel=1e-9)


def test_chunks_do_not_matter(monkeypatch: pytest.MonkeyPatch) -> None:
    rows = np.random.default_rng(0).zipf(1.4, 500).clip(max=1_000)
    whole = permutation_moments(rows, 300)
    monkeypatch.setattr(module, "CHUNK", 50)
    assert permutation_moments(rows, 300) == whole


@pytest.mark.parametrize("clicks", [10, 5_000, 3_333_333])
def test_ten_million_rows_keep_eight_digits(clicks: int) -> None:
    n, a = 10_000_000, 4_000_000
    k = np.arange(max(0, a + clicks - n), min(a, clicks) + 1)
    outcomes = k[np.abs(k - a * clicks / n) < 12 * np.sqrt(clicks * 0.24) + 20]
    p = hypergeom.pmf(outcomes, n, clicks, a)
    cells = [
        (outcomes, a, clicks),
        (a - outcomes, a, n - clicks),
        (clicks - outcomes, n - a, clicks),
        (n - a - clicks + outcomes, n - a, n - clicks),
    ]
    expected = sum(p @ kl_div(count, x * (y / n)) for count, x, y in cells) / n / p.sum()
    assert permutation_moments(np.array([a, n - a]), clicks).mean == pytest.approx(expected, rel=1e-7)


def test_many_values_of_large_counts_reach_the_chi_square_limit() -> None:
    moments = permutation_moments(np.full(200, 50_000), 1_000_000)
    assert moments.mean == pytest.approx(199 / 2e7, rel=1e-4)
    assert moments.sd == pytest.approx(np.sqrt(199 / 2) / 1e7, rel=1e-2)


def test_unique_ids_have_no_information_above_chance() -> None:
    labels = np.array([700, 300])
    rows = np.ones(1_000, np.int64)
    assert expected_mutual_information(rows, labels) == pytest.approx(entropy(labels), abs=1e-12)
    assert permutation_moments(rows, 300).sd == pytest.approx(0, abs=1e-7)


def test_one_label_or_one_value_leaves_nothing_to_chance() -> None:
    assert permutation_moments(np.array([5, 3]), 0) == (0, 0)
    assert permutation_moments(np.array([5, 3]), 8) == (0, 0)
    assert permutation_moments(np.array([8]), 3) == (0, 0)
    assert expected_mutual_information(np.array([0]), np.array([0])) == 0


def test_unequal_sums_are_refused() -> None:
    with pytest.raises(ValueError, match="got 3 and 4 rows"):
        expected_mutual_information(np.array([3]), np.array([2, 2]))
