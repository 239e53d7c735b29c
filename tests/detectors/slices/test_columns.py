import numpy as np
import pyarrow as pa
import pytest

from sparsewatch.detectors.slices.columns import Coded, Condition, code_columns


def batch(**columns: object) -> pa.RecordBatch:
    return pa.record_batch({name: pa.array(values) for name, values in columns.items()})


def holding(column: Coded, text: str, *, before: bool = False) -> list[int]:
    """Rows in which the condition of this text holds."""
    texts = [column.condition(number).text for number in range(column.first.size)]
    return np.flatnonzero(column.holds(texts.index(text), column.before if before else column.now)).tolist()


def test_a_condition_holds_where_it_says() -> None:
    now = batch(site=["a", None, "b", "a"])
    (site,) = code_columns(now, batch(site=["b", "c", None]), ["site"])
    assert holding(site, "site = a") == [0, 3]
    assert holding(site, "site is missing") == [1]
    assert holding(site, "site = b", before=True) == [0]
    assert holding(site, "site = c") == []


def test_nan_is_missing_and_the_two_zeros_are_one() -> None:
    (price,) = code_columns(batch(price=[0.0, -0.0, np.nan]), batch(price=[1.0]), ["price"])
    assert holding(price, "price = 0.0") == [0, 1]
    assert holding(price, "price is missing") == [2]


def test_numbers_of_many_values_are_told_in_ranges_of_equally_many_rows() -> None:
    numbers = np.arange(160) / 10
    (price,) = code_columns(batch(price=[*numbers, np.nan]), batch(price=numbers), ["price"])
    assert price.is_ranges
    assert holding(price, "price below 1") == [*range(10)]
    assert holding(price, "price from 15") == [*range(150, 160)]
    assert holding(price, "price from 2 to below 4") == [*range(20, 40)]
    assert holding(price, "price is missing") == [160]
    sizes = {len(np.flatnonzero(price.holds(n, price.before))) for n in range(price.first.size)}
    assert sizes == {0, 10, 20, 40, 80}


def test_integers_of_many_values_are_told_both_ways() -> None:
    numbers = np.arange(200) % 100
    ranges, values = code_columns(batch(ad=numbers), batch(ad=numbers), ["ad"])
    assert (ranges.is_ranges, values.is_ranges) == (True, False)
    assert holding(values, "ad = 7") == [7, 107]


def test_sums_are_those_of_the_codes_of_each_condition() -> None:
    rng = np.random.default_rng(0)
    for column in code_columns(batch(ad=rng.integers(0, 90, 500)), batch(ad=rng.integers(0, 99, 700)), ["ad"]):
        sums = column.sums(np.bincount(column.now, minlength=column.n_codes))
        assert sums.tolist() == [int(column.holds(n, column.now).sum()) for n in range(column.first.size)]


def test_columns_that_one_side_lacks_or_has_in_another_kind_are_left_out() -> None:
    now, before = batch(a=["x"], b=[1], d=pa.nulls(1)), batch(a=[1], c=[1], d=["y"])
    assert [column.name for column in code_columns(now, before, ["a", "b", "c", "d"])] == ["d"]


@pytest.mark.parametrize(
    ("condition", "text"),
    [
        (Condition(column="site", value=14), "site = 14"),
        (Condition(column="site"), "site is missing"),
        (Condition(column="site", value="x" * 99), f"site = {'x' * 24}…{'x' * 15}"),
        # Long values often differ at their end.
        (Condition(column="site", value="y" * 50 + "-17"), f"site = {'y' * 24}…{'y' * 12}-17"),
        (Condition(column="price", below=2.5), "price below 2.5"),
        (Condition(column="price", at_least=2.0), "price from 2"),
    ],
)
def test_conditions_in_words(condition: Condition, text: str) -> None:
    assert condition.text == text
