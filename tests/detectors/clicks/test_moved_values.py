from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sparsewatch.detectors.clicks.moved_values import EXAMPLES, most_frequent

TEXTS, NUMBERS = st.text(max_size=3), st.integers(-5, 5)


@given(st.dictionaries(TEXTS, st.integers(1, 4), max_size=30) | st.dictionaries(NUMBERS, st.integers(1, 4)))
def test_the_most_frequent_come_first_and_ties_by_ascending_value(rows: dict[Any, int]) -> None:
    values = pa.array(list(rows), pa.large_string() if any(isinstance(one, str) for one in rows) else pa.int64())
    by_bytes = sorted(rows.items(), key=lambda one: one[0].encode() if isinstance(one[0], str) else one[0])
    expected = sorted(by_bytes, key=lambda one: -one[1])[:EXAMPLES]
    assert most_frequent(values, np.array(list(rows.values()), np.int64)) == expected


@pytest.mark.parametrize("kind", [pa.null(), pa.float64()])
def test_of_no_values_there_are_none(kind: Any) -> None:
    assert most_frequent(pa.array([], kind), np.zeros(0, np.int64)) == []
