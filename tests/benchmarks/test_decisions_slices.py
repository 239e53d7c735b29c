from typing import Any

import polars as pl
import pytest

from benchmarks.decisions_slices import is_same

ROWS = pl.DataFrame(
    {"site": [1, 1, 1, 2, None], "twin": ["a", "a", "a", "b", "c"], "price": [0.5, 1.0, 2.0, 3.0, None]}
)


@pytest.mark.parametrize(
    ("conditions", "same"),
    [
        ([{"column": "site", "value": 1}], True),
        ([{"column": "twin", "value": "a"}], True),
        ([{"column": "price", "below": 3.0}], True),
        ([{"column": "site", "value": 1}, {"column": "price", "at_least": 1.0, "below": 2.5}], False),
        ([{"column": "site", "value": 2}], False),
        ([], False),
    ],
)
def test_a_slice_is_right_by_its_rows(conditions: list[dict[str, Any]], same: bool) -> None:
    assert is_same(conditions, {"site": 1}, ROWS) is same


def test_missing_values_and_open_ranges() -> None:
    assert is_same([{"column": "site"}], {"twin": "c"}, ROWS)
    assert is_same([{"column": "price", "at_least": 3.0}], {"site": 2}, ROWS)
