import polars as pl
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sparsewatch.detectors.outrank.columns.multi_values import (
    frequent_tokens,
    parse_multi_values,
    token_columns,
    token_counts,
)
from sparsewatch.schemas.errors import ConfigError, SchemaError

VALUES = st.lists(st.one_of(st.none(), st.text("ab,-{}", max_size=6)))


def table(values: list[str | None]) -> pa.Table:
    return pa.table({"f": pa.array(values, pa.string())})


def tokens_of(value: str | None) -> set[str]:
    return set() if value is None else set(value.replace(",", "-").split("-")) - {"", "{}"}


@given(VALUES)
def test_each_row_holds_the_tokens_of_its_value(values: list[str | None]) -> None:
    tokens = frequent_tokens([token_counts(table(values), "f")])
    columns = token_columns(table(values), "f", tokens)
    assert columns.schema.names == [f"MULTIEX-f-{token}" for token in tokens]
    assert set(tokens) == set().union(*map(tokens_of, values))
    for token, column in zip(tokens, columns.columns, strict=True):
        assert column.to_pylist() == ["1" if token in tokens_of(value) else None for value in values]


@given(VALUES, st.integers(0, 10), st.integers(1, 3))
def test_tokens_are_the_most_frequent_of_all_blocks_and_ties_go_by_token(
    values: list[str | None], cut: int, max_tokens: int
) -> None:
    rows = {token: sum(token in tokens_of(value) for value in values) for value in values for token in tokens_of(value)}
    blocks = [token_counts(table(part), "f") for part in (values[:cut], values[cut:])]
    expected = sorted(rows, key=lambda token: (-rows[token], token))[:max_tokens]
    assert frequent_tokens(blocks, max_tokens) == expected
    assert frequent_tokens(blocks[::-1], max_tokens) == expected


def test_a_token_twice_in_a_value_is_one_row() -> None:
    assert token_counts(table(["a-a,a", "a"]), "f").to_dicts() == [{"token": "a", "rows": 2}]


def test_tokens_named_missing_are_left_out() -> None:
    counts = token_counts(table(["a,null", "b"]), "f", missing=["null", "b"])
    assert counts["token"].to_list() == ["a"]


def test_a_token_that_a_block_lacks_gives_a_missing_column() -> None:
    assert token_columns(table(["a", None]), "f", ["z"]).column(0).to_pylist() == [None, None]
    assert token_columns(table([]), "f", ["z"]).num_rows == 0


def test_no_block_has_no_tokens() -> None:
    assert frequent_tokens([]) == []
    assert frequent_tokens([token_counts(table([None]), "f")]) == []


def test_numbers_are_read_as_text() -> None:
    counts = token_counts(pa.table({"f": [1, -2, None]}), "f")
    assert frequent_tokens([counts]) == ["1", "2"]


def test_a_setting_names_features_between_semicolons() -> None:
    assert parse_multi_values("f1;f2") == ("f1", "f2")


@pytest.mark.parametrize("text", ["", "a;", "a;a"])
def test_a_wrong_setting_is_refused(text: str) -> None:
    with pytest.raises(ConfigError, match="expected distinct names between ';'"):
        parse_multi_values(text)


def test_no_room_for_tokens_is_refused() -> None:
    with pytest.raises(ConfigError, match="got 0"):
        frequent_tokens([pl.DataFrame()], 0)


def test_a_missing_feature_is_named() -> None:
    with pytest.raises(SchemaError, match="expected a column 'z', got only"):
        token_counts(table(["a"]), "z")
