import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from sklearn.metrics import mutual_info_score

from sparsewatch.detectors.outrank.information.mutual_information import entropy, mutual_information

TABLES = arrays(np.int64, st.tuples(st.integers(1, 8), st.integers(1, 4)), elements=st.integers(0, 50))


def table(feature: list[int], label: list[int]) -> np.ndarray:
    joint = np.zeros((max(feature) + 1, max(label) + 1), np.int64)
    np.add.at(joint, (feature, label), 1)
    return joint


@pytest.mark.parametrize(
    ("feature", "label", "expected"),
    [
        ([1, 0, 0, 0, 1, 1, 1, 0], [1, 0, 0, 0, 1, 1, 1, 0], 0.6931472),
        ([1, 0, 0, 0, 1, 1, 1, 0], [1, 1, 0, 0, 1, 1, 1, 1], 0.2157615),
        ([1, 0, 0, 0, 1, 1, 1, 0], [1, 0, 0, 0, 1, 1, 1, 1], 0.3803957),
        ([0, 1, 0, 1, 2, 2], [1, 0, 1, 0, 2, 2], 1.0986123),
        ([0, 0, 1, 1, 2, 2, 0, 1], [0, 0, 0, 0, 1, 1, 1, 1], 0.2157616),
        ([0] * 8, [0, 1] * 4, 0.0),
        (list(range(8)), [0, 1] * 4, 0.6931472),
    ],
)
def test_small_tables_have_the_published_values(feature: list[int], label: list[int], expected: float) -> None:
    assert mutual_information(table(feature, label)) == pytest.approx(expected, abs=1e-6)


@pytest.mark.parametrize(
    ("modulus", "step", "divisor", "expected"),
    [(97, 7919, 97, 0.6930952), (31, 104729, 31, 0.0000127), (97, 7919, 5, 0.0007556)],
)
def test_ten_thousand_rows_have_the_published_values(modulus: int, step: int, divisor: int, expected: float) -> None:
    i = np.arange(10_000)
    feature, label = (step * i) % modulus % divisor, (7919 * i) % 97 % 2
    value = mutual_information(table(feature.tolist(), label.tolist()))
    assert value == pytest.approx(expected, abs=1e-6)


@given(TABLES)
def test_value_equals_scikit_learn(joint: np.ndarray) -> None:
    rows, labels = np.nonzero(joint)
    times = joint[rows, labels]
    if times.sum():
        expected = mutual_info_score(np.repeat(rows, times), np.repeat(labels, times))
        assert mutual_information(joint) == pytest.approx(expected, abs=1e-9)


@settings(max_examples=50)
@given(TABLES)
def test_value_is_symmetric_and_lies_between_zero_and_the_entropies(joint: np.ndarray) -> None:
    value = mutual_information(joint)
    assert value == pytest.approx(mutual_information(joint.T), abs=1e-12)
    assert value >= -1e-12
    assert value <= min(entropy(joint.sum(axis=0)), entropy(joint.sum(axis=1))) + 1e-12


def test_a_variable_says_its_entropy_about_itself() -> None:
    counts = np.array([1, 5, 20, 0, 3])
    assert mutual_information(np.diag(counts)) == pytest.approx(entropy(counts), abs=1e-12)


def test_nothing_counted_says_nothing() -> None:
    assert mutual_information(np.zeros((3, 2), np.int64)) == 0
    assert entropy(np.zeros(3, np.int64)) == 0
