import math
from contextlib import suppress

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sparsewatch.detectors.outrank.columns.formulas import FUNCTIONS, parse_formula
from sparsewatch.schemas.errors import ConfigError

X = np.array([-2.5, -1.0, 0.0, 0.5, 3.0, np.nan])


def value(formula: str, x: float = 2.0) -> float:
    return float(parse_formula(formula).values(np.array([x]))[0])


@pytest.mark.parametrize(
    ("formula", "expected"),
    [
        ("1 + 2 * X", 5),
        ("(1 + 2) * X", 6),
        ("-X ** 2", -4),
        ("2 ** X ** 2", 16),
        ("X - 1 - 1", 0),
        ("8 / X / 2", 2),
        ("2 ** -X", 0.25),
        ("+X", 2),
        ("X > 1", 1),
        ("X <= 1", 0),
        ("(X == 2) + (X != 2)", 1),
        ("where(X < 1, 10, 20)", 20),
        ("where(0, 1 / 0, sqrt(X * 2))", 2),
        ("maximum(X, 3) + minimum(X, 3)", 5),
        ("clip(X, 0, 1)", 1),
        ("round(X / 3)", 1),
        ("round(X / 3, 2)", 0.67),
        ("round32(X / 3, 1)", float(np.float32(0.7))),
        ("floor(-X / 3) + ceil(X / 3)", 0),
        ("abs(-X) + square(X) + cbrt(X * 4)", 8),
        ("log(exp(X)) + log2(exp2(X)) + log1p(expm1(X))", 6),
        ("pi / e", math.pi / math.e),
        (" tanh(X) ", math.tanh(2)),
        ("1e3 * X", 2000),
    ],
)
def test_formulas_have_the_value_of_arithmetic(formula: str, expected: float) -> None:
    assert value(formula) == pytest.approx(expected, rel=1e-12)


@pytest.mark.parametrize(
    "formula",
    [
        "",
        "X +",
        "Y",
        "__import__('os')",
        "X.real",
        "np.sqrt(X)",
        "X[0]",
        "[X]",
        "(X, X)",
        "'a'",
        "True",
        "1j",
        "lambda: X",
        "X if X else X",
        "X and X",
        "not X",
        "~X",
        "X // 2",
        "X % 2",
        "X @ X",
        "1 < X < 2",
        "X is X",
        "X in X",
        "(Y := X)",
        "sqrt",
        "sqrt(x=X)",
        "sqrt(*X)",
        "sqrt(X)(X)",
        "getattr(X, X)",
        "f'{X}'",
        "[x for x in X]",
        "X; X",
        "X = 1",
        "\0",
        "1" + "0" * 400,
    ],
)
def test_what_is_not_of_the_language_is_refused(formula: str) -> None:
    with pytest.raises(ConfigError, match="formula"):
        parse_formula(formula)


@pytest.mark.parametrize(
    ("formula", "message"),
    [
        ("sqrt(X, X)", "sqrt expected 1 arguments, got 2"),
        ("round()", "round expected 1 or 2 arguments, got 0"),
        ("round(X, X)", "expected digits from -20 to 20"),
        ("round(X, 0.5)", "expected digits from -20 to 20, got 0.5"),
        ("percentile(X, 101)", "expected a number from 0 to 100, got 101"),
        ("X + foo(X)", r"expected numbers, X, pi.*, got 'foo\(X\)'"),
        ("X" + " " * 500, "expected at most 500 characters"),
    ],
)
def test_the_message_says_which_part_is_wrong(formula: str, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        parse_formula(formula)


@pytest.mark.parametrize("formula", ["(" * 240 + "X" + ")" * 240, "-" * 499 + "X", "9**" * 100 + "9"])
def test_deep_and_huge_formulas_end_at_once(formula: str) -> None:
    with suppress(ConfigError):
        assert parse_formula(formula).values(np.ones(1)).shape == (1,)


@settings(max_examples=200)
@given(st.text("X0123456789.+-*/()<>=, sqrtlogabsmnwhe", max_size=30))
def test_any_text_is_a_formula_or_a_named_error(text: str) -> None:
    with suppress(ConfigError):
        assert parse_formula(text).values(X).shape == X.shape


@pytest.mark.parametrize("name", sorted(FUNCTIONS))
def test_every_function_takes_columns_and_numbers(name: str) -> None:
    n_arguments = FUNCTIONS[name].n_arguments[0]
    numbers = {2: "2", 3: "1, 2"}.get(n_arguments, "")
    for first in ("X", "0.5"):
        formula = parse_formula(f"{name}({first}{', ' if numbers else ''}{numbers})")
        assert formula.values(X).dtype == np.float64
        assert formula.values(X).shape == X.shape
        assert formula.values(np.empty(0)).shape == (0,)
        assert formula.values(np.array([np.nan])).shape == (1,)


@pytest.mark.parametrize(
    "formula", ["X", "X > 0", "X != 0", "where(X > 0, 1, 0)", "sqrt(X)", "cumsum(X)", "empirical_cdf(X)"]
)
def test_a_missing_value_stays_missing(formula: str) -> None:
    assert np.isnan(parse_formula(formula).values(X)[-1])


def test_tests_see_the_missing_value() -> None:
    assert parse_formula("isnan(X)").values(X).tolist() == [0, 0, 0, 0, 0, 1]
    assert parse_formula("where(isnan(X), 7, X)").values(X)[-1] == 7


def test_statistics_leave_missing_values_out() -> None:
    assert parse_formula("X - mean(X)").values(X).tolist()[:5] == [-2.5, -1.0, 0.0, 0.5, 3.0]
    assert parse_formula("percentile(X, 50) + max(X) + min(X)").values(X)[0] == 0.5
    assert np.isnan(parse_formula("mean(X)").values(np.array([np.nan]))[0])


def test_formulas_over_the_whole_column_say_so() -> None:
    assert parse_formula("X / max(X)").whole_column
    assert not parse_formula("maximum(X, 0)").whole_column


def test_minus_zero_is_zero_and_the_column_is_not_changed() -> None:
    column = np.array([-0.1])
    assert math.copysign(1, parse_formula("round(X)").values(column)[0]) == 1
    parse_formula("sort(-X) + cumsum(X)").values(column)
    assert column.tolist() == [-0.1]
