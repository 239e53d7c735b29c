import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sparsewatch.detectors.outrank.feature_cost import ColumnSize, add_sizes, column_sizes, feature_costs
from sparsewatch.detectors.outrank.ranking import ScoredFeature
from sparsewatch.schemas.errors import ConfigError, SchemaError

ROWS = pa.record_batch(
    {
        "text": pa.array(["ab", None, "é", ""]),
        "kind": pa.array(["x", "yy", "x", None]).dictionary_encode(),
        "small": pa.array([1, 2, None, 4], pa.int16()),
        "real": pa.array([1.0, float("nan"), None, 2.0]),
        "yes": pa.array([True, False, None, True]),
        "none": pa.nulls(4),
        "view": pa.array(["abc", None, "d", ""], pa.string_view()),
        "list": pa.array([[1], [2], [3], [4]]),
    }
)


@pytest.mark.parametrize(
    ("name", "nulls", "size"),
    [("text", 1, 4), ("kind", 1, 4), ("small", 1, 6), ("real", 2, 16), ("yes", 1, 3), ("none", 4, 0), ("view", 1, 4)],
)
def test_bytes_are_those_of_the_values(name: str, nulls: int, size: int) -> None:
    assert column_sizes(ROWS, [name]) == {name: ColumnSize(4, nulls, size)}


@given(
    st.lists(st.one_of(st.none(), st.text(st.characters(exclude_categories=["Cs"]))), max_size=20), st.integers(0, 20)
)
def test_parts_add_up_in_any_order(values: list[str | None], at: int) -> None:
    def sizes(part: list[str | None]) -> dict[str, ColumnSize]:
        return column_sizes(pa.record_batch({"x": pa.array(part, pa.string())}), ["x"])

    first, second = sizes(values[:at]), sizes(values[at:])
    assert add_sizes([first, second]) == add_sizes([second, first]) == sizes(values)
    held = [value for value in values if value is not None]
    assert sizes(values)["x"].bytes == sum(len(value.encode()) for value in held)


def ranked(feature: str, score: float) -> ScoredFeature:
    return ScoredFeature(feature=feature, rank=1, score=score, cardinality=1, coverage=1.0)


def test_cost_is_beside_what_it_buys() -> None:
    dear, cheap, empty = feature_costs(
        [ranked("dear", 0.5), ranked("cheap", 0.4), ranked("empty", 0.0)],
        {"dear": ColumnSize(10, 2, 80), "cheap": ColumnSize(10, 0, 10), "empty": ColumnSize()},
    )
    assert (dear.bytes_a_value, dear.bytes_a_row, dear.coverage, dear.null_share) == (10, 8, 0.8, 0.2)
    assert dear.score_a_byte == pytest.approx(0.0625)
    assert cheap.score_a_byte == pytest.approx(0.4)
    assert (empty.bytes_a_row, empty.score_a_byte, empty.coverage) == (0, 0, 0)


def test_what_does_not_fit_is_refused() -> None:
    with pytest.raises(SchemaError, match=r"expected columns \['x'\]"):
        column_sizes(ROWS, ["text", "x"])
    with pytest.raises(SchemaError, match="feature 'list': expected numbers, booleans or strings"):
        column_sizes(ROWS, ["list"])
    with pytest.raises(ConfigError, match=r"expected a size of every ranked feature, got none of \['x'\]"):
        feature_costs([ranked("x", 0.0)], {})
