from collections import Counter

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sparsewatch.detectors.outrank.columns.sub_features import (
    SubFeature,
    frequent_columns,
    parse_sub_features,
    sub_feature_columns,
    sub_feature_counts,
)
from sparsewatch.schemas.errors import ConfigError, SchemaError

Row = tuple[str | None, str | None]
ROWS = st.lists(st.tuples(*[st.one_of(st.none(), st.sampled_from(["", "1", "x"]))] * 2), max_size=20)
ONE, BOTH = parse_sub_features("a->b;a<->b")


def table(rows: list[Row]) -> pa.Table:
    schema = pa.schema([("a", pa.string()), ("b", pa.string())])
    return pa.Table.from_pylist([{"a": a, "b": b} for a, b in rows], schema)


def columns(rows: list[Row], mapping: SubFeature) -> dict[str, list[str | None]]:
    chosen = frequent_columns([sub_feature_counts(table(rows), mapping)])
    batch = sub_feature_columns(table(rows), mapping, chosen)
    return {name: column.to_pylist() for name, column in zip(batch.schema.names, batch.columns, strict=True)}


@given(ROWS)
def test_one_sided_columns_hold_the_first_value_where_the_second_is_theirs(rows: list[Row]) -> None:
    expected = {
        f"SUBFEATURE-a&{value}": [f"{a or ''}AND{value}" if b == value else None for a, b in rows]
        for value in {b for _, b in rows if b is not None}
    }
    assert columns(rows, ONE) == expected


@given(ROWS)
def test_two_sided_columns_say_where_both_values_are_theirs(rows: list[Row]) -> None:
    expected = {
        f"SUBFEATURE|a|b-{pair[0]}&{pair[1]}": ["1" if row == pair else "0" for row in rows]
        for pair in {row for row in rows if None not in row}
    }
    assert columns(rows, BOTH) == expected


@given(ROWS, st.integers(0, 20), st.integers(1, 3))
def test_columns_are_those_of_most_rows_over_all_blocks_and_ties_go_by_value(
    rows: list[Row], cut: int, max_columns: int
) -> None:
    times = Counter(row for row in rows if None not in row)
    blocks = [sub_feature_counts(table(part), BOTH) for part in (rows[:cut], rows[cut:])]
    expected = sorted(times, key=lambda pair: (-times[pair], pair))[:max_columns]
    assert frequent_columns(blocks, max_columns) == expected
    assert frequent_columns(blocks[::-1], max_columns) == expected


def test_a_value_that_a_block_lacks_gives_an_empty_column() -> None:
    assert sub_feature_columns(table([("1", "x")]), ONE, [("z",)]).column(0).to_pylist() == [None]
    assert sub_feature_columns(table([("1", "x")]), BOTH, [("z", "x")]).column(0).to_pylist() == ["0"]


def test_numbers_are_read_as_text() -> None:
    rows = pa.table({"a": [1, 2], "b": [7, None]})
    assert sub_feature_columns(rows, ONE, [("7",)]).to_pydict() == {"SUBFEATURE-a&7": ["1AND7", None]}


def test_a_feature_mapped_to_several_has_columns_that_name_them() -> None:
    mappings = parse_sub_features("a->b; a->c;d->b;a<->b")
    assert [mapping.prefix for mapping in mappings] == [
        "SUBFEATURE-a&b=",
        "SUBFEATURE-a&c=",
        "SUBFEATURE-d&",
        "SUBFEATURE|a|b-",
    ]


@pytest.mark.parametrize("text", ["", "a", "a-b", "a->", "->b", "a->b->c", "a->a", "a<->b<->c", "a->b;"])
def test_what_is_no_mapping_is_refused(text: str) -> None:
    with pytest.raises(ConfigError, match="expected 'a->b' or 'a<->b' of two features"):
        parse_sub_features(text)


def test_a_mapping_twice_is_refused() -> None:
    with pytest.raises(ConfigError, match="expected each mapping once"):
        parse_sub_features("a->b;a->b")


def test_no_room_for_columns_is_refused() -> None:
    with pytest.raises(ConfigError, match="got 0"):
        frequent_columns([], 0)


def test_pairs_of_one_name_are_refused() -> None:
    with pytest.raises(SchemaError, match="expected distinct names"):
        sub_feature_columns(table([]), BOTH, [("1&2", "3"), ("1", "2&3")])


def test_a_missing_feature_is_named() -> None:
    with pytest.raises(SchemaError, match="expected a column 'b'"):
        sub_feature_counts(pa.table({"a": ["1"]}), ONE)
