import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sparsewatch.detectors.outrank.columns.numeric_transformers import (
    numbers,
    transformed_columns,
    transforms_of,
    worth_keeping,
    worthwhile_transforms,
)
from sparsewatch.detectors.outrank.columns.transformer_presets import preset_formulas
from sparsewatch.schemas.errors import ConfigError, SchemaError


def test_columns_have_the_names_of_the_public_tool_and_the_formulas_values() -> None:
    rows = pa.table({"price": [4.0, None, 9.0], "n": ["1", '"2"', ""]})
    batch = transformed_columns(rows, transforms_of(["price", "n"], {"_tr_sqrt": "sqrt(X)", "_up": "X + 1"}))
    assert batch.schema.types == [pa.float64()] * 4
    assert batch.to_pydict() == {
        "price_tr_sqrt": [2.0, None, 3.0],
        "price_up": [5.0, None, 10.0],
        "n_tr_sqrt": [1.0, pytest.approx(2**0.5), None],
        "n_up": [2.0, 3.0, None],
    }


def test_missing_values_are_zeros_on_request() -> None:
    rows = pa.table({"f": ["", None, "2"]})
    batch = transformed_columns(rows, transforms_of(["f"], {"": "X"}), missing_as_zero=True)
    assert batch.column(0).to_pylist() == [0.0, 0.0, 2.0]


def test_an_undefined_value_is_missing() -> None:
    rows = pa.table({"f": [-1, 0, 1]})
    assert transformed_columns(rows, transforms_of(["f"], {"": "log(X)"})).column(0).to_pylist() == [None, -np.inf, 0.0]


@given(st.lists(st.sampled_from([0.0, 1.0, 2.0, np.inf, np.nan]), max_size=40))
def test_a_column_stays_by_the_rule_of_the_public_tool(values: list[float]) -> None:
    texts = [str(value) for value in values]
    expected = (
        len(set(texts)) > 1
        and max(texts.count(text) for text in texts) / len(texts) < 0.80
        and texts.count("nan") / len(texts) < 0.75
    )
    assert worth_keeping(np.array(values)) == expected


@pytest.mark.parametrize(("equal", "stays"), [(79, True), (80, False)])
def test_a_value_of_four_fifths_of_the_rows_is_too_much(equal: int, stays: bool) -> None:
    assert worth_keeping(np.append(np.zeros(equal), np.arange(1, 101 - equal))) == stays


@pytest.mark.parametrize(("missing", "stays"), [(74, True), (75, False)])
def test_three_quarters_missing_are_too_much(missing: int, stays: bool) -> None:
    assert worth_keeping(np.append(np.full(missing, np.nan), np.arange(100 - missing))) == stays


def test_transforms_are_chosen_once_and_give_every_block_the_same_columns() -> None:
    rows = pa.table({"f": np.arange(100.0)})
    chosen = worthwhile_transforms(rows, transforms_of(["f"], preset_formulas("default")))
    assert [transform.name for transform in chosen] == [
        "f_tr_sqrt",
        "f_tr_log(x+1)",
        "f_tr_sqrt(abs(x))",
        "f_tr_log(abs(x)+1)",
        "f_tr_div(x,abs(x))*log(abs(x))",
        "f_tr_log(x + sqrt(pow(x,2), 1)",
        "f_tr_log*sqrt",
        "f_tr_log*100",
        "f_tr_round(div(x,max))",
    ]
    assert transformed_columns(rows.slice(0, 1), chosen).schema.names == [transform.name for transform in chosen]


@pytest.mark.parametrize(
    "column",
    [
        pa.array([1, None, 3], pa.int8()),
        pa.array([1, np.nan, 3], pa.float32()),
        pa.array([" 1", "", '"3.0"']),
        pa.array(["1", None, "3e0"], pa.string_view()),
        pa.array(["1", None, "3"]).dictionary_encode(),
        pa.chunked_array([["1", None], ["3"]]),
    ],
)
def test_numbers_are_read_from_any_column_of_them(column: pa.Array) -> None:
    np.testing.assert_array_equal(numbers(column, "f"), [1, np.nan, 3])


def test_what_is_no_number_is_named() -> None:
    with pytest.raises(SchemaError, match="feature 'f': expected numbers, got 'x' in row 1"):
        numbers(pa.array(["1", "x"]), "f")
    with pytest.raises(SchemaError, match="feature 'f': expected numbers or text of numbers, got timestamp"):
        numbers(pa.array([0], pa.timestamp("s")), "f")
    with pytest.raises(SchemaError, match=r"expected columns \['z'\], got only \['f'\]"):
        transformed_columns(pa.table({"f": [1]}), transforms_of(["z"], {"": "X"}))


def test_a_wrong_formula_is_refused_before_any_row_is_read() -> None:
    with pytest.raises(ConfigError, match="formula 'Y'"):
        transforms_of(["f"], {"": "Y"})
