import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sparsewatch.detectors.outrank.columns.codes import encode, marginal
from sparsewatch.detectors.outrank.columns.quantile_bins import code_column

FLOATS = st.floats(allow_nan=False, width=32)


@pytest.mark.parametrize("values", [["a", None, "b", "a"], [3, 1, 2, 3], [True, False, None, True]])
def test_text_integers_and_booleans_are_values(values: list[object]) -> None:
    column = code_column(pa.array(values), 1)
    assert column.codes.codes.tolist() == encode(pa.array(values)).codes.tolist()
    assert column.cardinality == len(set(values) - {None})
    assert column.coverage == 1 - values.count(None) / 4


def test_few_numbers_are_values() -> None:
    column = code_column(np.array([0.5, 2.5, np.nan, 0.5]), 2)
    assert (column.codes.n_values, column.cardinality, column.coverage) == (3, 2, 0.75)


def test_many_numbers_are_bins_of_equally_many_rows() -> None:
    numbers = np.random.default_rng(0).permutation(1_000).astype(np.float64)
    column = code_column(numbers, 8)
    assert marginal(column.codes).tolist() == [125] * 8
    assert column.codes.codes[numbers.argsort()].tolist() == sorted(column.codes.codes.tolist())
    assert column.cardinality == 1_000


@given(st.lists(st.none() | FLOATS, max_size=40), st.integers(1, 6))
def test_bins_keep_order_and_equality_and_none_is_empty(values: list[float | None], bins: int) -> None:
    column = code_column(pa.array(values, pa.float64()), bins)
    codes = column.codes.codes
    assert np.all(marginal(column.codes) > 0)
    assert column.codes.n_values <= bins + (None in values)
    if column.cardinality <= bins:
        return
    rows = [(value, int(code)) for value, code in zip(values, codes, strict=True) if value is not None]
    for value, code in rows:
        assert all(other <= value for other, c in rows if c < code)
        assert all(c == code for other, c in rows if other == value)
    assert {int(c) for v, c in zip(values, codes, strict=True) if v is None} <= {0}


@pytest.mark.parametrize("scale", [np.exp, lambda x: 3 * x - 7, np.cbrt])
def test_bins_do_not_depend_on_the_scale(scale: np.ufunc) -> None:
    numbers = np.random.default_rng(1).normal(size=500)
    assert np.array_equal(code_column(numbers, 10).codes.codes, code_column(scale(numbers), 10).codes.codes)


def test_infinite_numbers_and_short_floats_are_binned() -> None:
    numbers = np.array([-np.inf, 1, 2, 3, np.inf, np.nan], np.float16)
    assert code_column(numbers, 2).codes.codes.tolist() == [1, 1, 1, 2, 2, 0]


def test_text_order_numbers_values_by_their_text() -> None:
    assert code_column(pa.array([2, 10, 1]), 16, text_order=True).codes.codes.tolist() == [2, 1, 0]
