from itertools import islice
from typing import Any

import numpy as np
import polars as pl
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sparsewatch.detectors.counts.feature_counts import FeatureCounts
from sparsewatch.detectors.outrank.columns.codes import combine, encode, joint_counts
from sparsewatch.detectors.outrank.columns.interactions import (
    AND_REL,
    interaction_columns,
    interaction_name,
    interaction_names,
)
from sparsewatch.detectors.outrank.information.mutual_information import mutual_information
from sparsewatch.schemas.errors import ConfigError, SchemaError

#: Values that separators, concatenation or a stand-in for null would confuse.
VALUES = st.one_of(
    st.none(), st.sampled_from(["", "1", "11", "12", "2", " ", "\0", "None", "a AND b"]), st.text(max_size=9)
)
#: Of the rows ('1', 12, 0.5), ('', null, 0.0) and (null, -1, null).
GOLDEN = [4376639593472205382, -4437354021944739451, -6103270166618124187]
ROWS = st.integers(2, 3).flatmap(lambda order: st.lists(st.tuples(*[VALUES] * order), min_size=1, max_size=60))


def interaction_values(columns: list[Any]) -> Any:
    names = [str(place) for place in range(len(columns))]
    return interaction_columns(pa.table(columns, names=names), [names]).column(0)


@given(ROWS)
def test_values_are_equal_exactly_where_the_tuples_are(rows: list[tuple[str | None, ...]]) -> None:
    values = interaction_values([pa.array(column, pa.string()) for column in zip(*rows, strict=True)])
    assert values.type == pa.int64()
    assert values.null_count == 0
    by_hash = {value: i for i, value in enumerate(values.to_pylist())}
    by_tuple = {row: i for i, row in enumerate(rows)}
    assert [by_hash[value] for value in values.to_pylist()] == [by_tuple[row] for row in rows]


def test_values_with_equal_concatenations_differ() -> None:
    first, second = interaction_values([pa.array(["1", "11"]), pa.array(["12", "2"])]).to_pylist()
    assert first != second


def test_values_depend_on_the_place() -> None:
    first, second = interaction_values([pa.array(["a", "b"]), pa.array(["b", "a"])]).to_pylist()
    assert first != second


def test_values_stay_the_same_from_version_to_version() -> None:
    """They are in stored counts: another number here is a change of state."""
    columns = [pa.array(["1", "", None]), pa.array([12, None, -1]), pa.array([0.5, 0.0, np.nan])]
    assert interaction_values(columns).to_pylist() == GOLDEN


@pytest.mark.long
def test_a_million_tuples_of_small_numbers_do_not_collide() -> None:
    i = np.arange(1_000_000)
    values = interaction_values([pa.array(i // 1000), pa.array(i % 1000)])
    assert np.unique(values.to_numpy()).size == i.size


def test_names_are_those_of_the_public_tool_in_the_order_of_the_features() -> None:
    assert list(interaction_names(["b", "a", "c"], 2)) == ["b AND a", "b AND c", "a AND c"]
    assert list(interaction_names(["b", "a", "c"], 3)) == ["b AND a AND c"]
    assert list(interaction_names(["b", "a"], 2, AND_REL)) == ["b AND_REL a"]


def test_names_come_one_at_a_time() -> None:
    names = interaction_names([f"f{i}" for i in range(10_000)], 3)
    assert list(islice(names, 2)) == ["f0 AND f1 AND f2", "f0 AND f1 AND f3"]


@pytest.mark.parametrize("order", [0, 1, 3])
def test_an_order_that_there_is_not_is_refused(order: int) -> None:
    with pytest.raises(ConfigError, match=f"expected 2 to 2, the number of features, got {order}"):
        interaction_names(["a", "b"], order)


def test_columns_are_named_and_each_is_the_values_of_its_features() -> None:
    rows = pa.table({"a": ["x", "y"], "b": [1, 2], "c": [0.5, None]})
    columns = interaction_columns(rows, [("a", "b"), ("c", "a", "b")])
    assert columns.schema.names == ["a AND b", "c AND a AND b"]
    expected = interaction_values([rows.column(name) for name in "cab"])
    assert columns.column(1).equals(expected)


def test_a_missing_feature_is_named() -> None:
    with pytest.raises(SchemaError, match=r"expected columns \['z'\], got only \['a'\]"):
        interaction_columns(pa.table({"a": [1]}), [("a", "z")])


def information(counts: FeatureCounts, feature: str) -> float:
    table = counts.table(feature)
    return mutual_information(table.select(pl.col("rows") - pl.col("clicks"), "clicks").to_numpy())


def test_exclusive_or_is_found_by_the_interaction_and_by_none_of_its_parts() -> None:
    x = np.random.default_rng(0).integers(0, 2, (1000, 2))
    label = x[:, 0] ^ x[:, 1]
    rows = pa.table({"x1": x[:, 0], "x2": x[:, 1]})
    both = interaction_columns(rows, [("x1", "x2")]).column(0)
    counts = FeatureCounts(["x1", "x2", "x1 AND x2"], "label")
    # Two blocks, so that hashes of one are counted with those of the other.
    table = rows.append_column("x1 AND x2", both).append_column("label", pa.array(label))
    for batch in table.to_batches(max_chunksize=600):
        counts.update(batch)
    assert information(counts, "x1 AND x2") > 0.60
    assert max(information(counts, "x1"), information(counts, "x2")) < 0.01


def test_hashes_and_exact_codes_say_the_same() -> None:
    rng = np.random.default_rng(1)
    columns = [pa.array(rng.integers(0, 30, 2000)).cast(pa.string()) for _ in range(3)]
    label = encode(rng.integers(0, 2, 2000))
    tables = [
        joint_counts(codes, label).rows
        for codes in (encode(interaction_values(columns)), combine([encode(column) for column in columns]))
    ]
    assert sorted(tables[0]) == sorted(tables[1])


def test_a_name_joins_any_number_of_features() -> None:
    assert interaction_name(["a", "b", "c", "d"]) == "a AND b AND c AND d"
