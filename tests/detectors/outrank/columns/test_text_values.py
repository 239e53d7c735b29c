import numpy as np
import pyarrow as pa
import pytest

from sparsewatch.detectors.outrank.columns.text_values import text_values
from sparsewatch.schemas.errors import SchemaError


@pytest.mark.parametrize(
    "column",
    [
        pa.array(["1", None, "", "1"]),
        pa.array(["1", None, "", "1"]).dictionary_encode(),
        pa.chunked_array([["1", None], ["", "1"]]),
    ],
)
def test_values_and_places_give_the_column_back(column: pa.Array) -> None:
    values = text_values(pa.table({"f": column}), "f")
    assert values.distinct.to_list() == ["1", ""]
    assert values.codes.tolist() == [0, -1, 1, 0]
    assert values.rows().tolist() == [2, 1]


def test_nan_is_missing() -> None:
    assert text_values(pa.table({"f": [0.5, np.nan, None]}), "f").codes.tolist() == [0, -1, -1]


def test_a_column_of_nulls_has_no_value() -> None:
    values = text_values(pa.table({"f": pa.nulls(2)}), "f")
    assert values.distinct.to_list() == []
    assert values.codes.tolist() == [-1, -1]


def test_a_type_that_is_not_counted_is_refused() -> None:
    with pytest.raises(SchemaError, match="feature 'f'"):
        text_values(pa.table({"f": pa.array([0], pa.timestamp("s"))}), "f")
