from collections import Counter
from typing import Any

import numpy as np
import polars as pl
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sparsewatch.detectors.outrank.columns import codes as module
from sparsewatch.detectors.outrank.columns.codes import Codes, combine, encode, encode_as_text, joint_counts, marginal

PAIRS = st.lists(st.tuples(st.integers(0, 5), st.integers(0, 3)), max_size=60)


def column(values: list[int], n_values: int) -> Codes:
    return Codes(np.array(values, np.int32), n_values)


@pytest.mark.parametrize(
    "values",
    [
        np.array(["b", "a", "b", "c"]),
        pl.Series(["b", "a", "b", "c"]),
        pl.Series(["b", "a", "b", "c"], dtype=pl.Categorical),
        pa.array(["b", "a", "b", "c"]),
        pa.chunked_array([["b", "a"], ["b", "c"]]),
        pa.chunked_array([pa.array(["b", "a"]).dictionary_encode(), pa.array(["b", "c"]).dictionary_encode()]),
        np.array([7, 3, 7, 9]),
        pa.array([7.5, 3.0, 7.5, 9.0]),
    ],
)
def test_values_are_numbered_as_they_come(values: Any) -> None:
    encoded = encode(values)
    assert encoded.codes.tolist() == [0, 1, 0, 2]
    assert encoded.codes.dtype == np.int32
    assert encoded.n_values == 3


@pytest.mark.parametrize(
    "values",
    [
        pl.Series([1.0, None, 1.0, None]),
        pa.array([1.0, float("nan"), 1.0, None]),
        np.array([1.0, np.nan, 1.0, np.nan]),
        pa.array(["x", None, "x", None]),
        pa.array(["x", None, "x", None]).dictionary_encode(),
    ],
)
def test_what_is_missing_is_one_value(values: Any) -> None:
    assert encode(values).codes.tolist() == [0, 1, 0, 1]
    assert encode_as_text(values).codes.tolist() == [1, 0, 1, 0]


def test_both_zeros_are_one_value() -> None:
    assert encode(np.array([0.0, -0.0])).n_values == 1


def test_an_empty_string_is_not_missing() -> None:
    assert encode_as_text(pa.array(["", None, "a"])).codes.tolist() == [1, 0, 2]


def test_text_order_puts_ten_before_two() -> None:
    assert encode_as_text(np.array([2, 10, 1, 2])).codes.tolist() == [2, 1, 0, 2]


@given(st.lists(st.one_of(st.none(), st.text(alphabet="ab1Z", max_size=3)), max_size=30))
def test_text_codes_are_places_among_the_sorted_values(values: list[str | None]) -> None:
    encoded = encode_as_text(pa.array(values, pa.string()))
    distinct = sorted({*values}, key=lambda value: (value is not None, value or ""))
    assert encoded.codes.tolist() == [distinct.index(value) for value in values]
    assert encoded.n_values == len(distinct)


def test_no_rows_have_no_values() -> None:
    empty = encode(pa.array([], pa.string()))
    assert (empty.codes.size, empty.n_values) == (0, 0)
    assert joint_counts(empty, empty).rows.size == 0
    assert marginal(empty).size == 0


@given(st.lists(st.tuples(*[st.sampled_from(["", "1", "11", "12", "2"])] * 3), min_size=1, max_size=40))
def test_combinations_share_a_code_only_if_all_their_values_are_equal(rows: list[tuple[str, ...]]) -> None:
    combined = combine([encode(pa.array(values)) for values in zip(*rows, strict=True)])
    assert combined.n_values == len(set(rows)) == len(set(combined.codes.tolist()))
    assert len({*zip(rows, combined.codes.tolist(), strict=True)}) == combined.n_values


def test_values_that_read_alike_when_joined_stay_apart() -> None:
    combined = combine([encode(pa.array(["1", "11"])), encode(pa.array(["12", "2"]))])
    assert combined.n_values == 2


def test_a_combination_of_one_column_is_the_column() -> None:
    assert combine([column([2, 0, 2], 3)]).codes.tolist() == [2, 0, 2]


def test_many_columns_of_many_values_do_not_overflow() -> None:
    rng = np.random.default_rng(0)
    columns = [column(rng.permutation(5_000).tolist(), 2**31 - 1) for _ in range(6)]
    assert combine(columns).n_values == 5_000


@pytest.mark.parametrize("dense", [True, False])
@settings(max_examples=50)
@given(PAIRS)
def test_joint_counts_are_those_of_the_pairs(dense: bool, pairs: list[tuple[int, int]]) -> None:
    first, second = column([a for a, _ in pairs], 6), column([b for _, b in pairs], 4)
    with pytest.MonkeyPatch.context() as patch:
        if not dense:
            patch.setattr(module, "DENSE_CELLS", 0)
            patch.setattr(module, "DENSE_CELLS_PER_ROW", 0)
        joint = joint_counts(first, second)
    cells = list(zip(joint.first.tolist(), joint.second.tolist(), strict=True))
    assert cells == sorted(set(pairs))
    assert joint.rows.tolist() == [Counter(pairs)[cell] for cell in cells]


def test_marginals_count_values_without_rows_as_nothing() -> None:
    assert marginal(column([3, 1, 3], 5)).tolist() == [0, 1, 0, 2, 0]
