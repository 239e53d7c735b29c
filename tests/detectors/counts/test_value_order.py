from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sparsewatch.detectors.counts.value_order import ascending

#: Of few letters, zeros among them, so that many agree in eight bytes and more; and any other.
TEXTS = st.one_of(st.text("a\0é", max_size=20), st.text(max_size=12), st.sampled_from(["", "\0", "user-", "user-1"]))


def in_order(values: Any) -> list[Any]:
    return [values[int(place)].as_py() for place in ascending(values, few=0)]


@given(st.sets(TEXTS), st.sampled_from(["", "user-", "https://www.example.org/", "\0" * 9]), st.integers(0, 3))
def test_texts_come_in_the_order_of_their_bytes(texts: set[str], prefix: str, cut: int) -> None:
    values = pa.array([prefix + text for text in texts], pa.large_string()).slice(cut)
    assert in_order(values) == sorted(values.to_pylist(), key=str.encode)


@given(st.sets(st.integers(-(2**63), 2**63 - 1)))
def test_integers_come_by_size(numbers: set[int]) -> None:
    assert in_order(pa.array(list(numbers), pa.int64())) == sorted(numbers)


@given(st.sets(st.floats(allow_nan=False)))
def test_floats_come_by_size(numbers: set[float]) -> None:
    assert in_order(pa.array(list(numbers), pa.float64())) == sorted(numbers)


@pytest.mark.parametrize("template", ["{:x}", "user-{:09}", "{:09}-of-a-long-name", "a-name-that-all-share-{}"])
def test_many_texts_come_in_the_order_of_their_bytes(template: str) -> None:
    values = np.random.default_rng(0).permutation(20_000)
    texts = pa.array([template.format(value) for value in values], pa.large_string())
    assert in_order(texts) == sorted(texts.to_pylist())


@pytest.mark.parametrize("few", [0, 30])
def test_few_texts_come_in_the_same_order(few: int) -> None:
    assert ascending(pa.array([f"{i}" for i in range(30)], pa.large_string()), few=few).tolist() == sorted(
        range(30), key=str
    )


def test_no_values_have_no_order() -> None:
    assert in_order(pa.array([], pa.large_string())) == []
    assert in_order(pa.array([], pa.null())) == []
