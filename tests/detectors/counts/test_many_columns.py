from typing import Any

import numpy as np
import pyarrow as pa
from hypothesis import given
from hypothesis import strategies as st

from sparsewatch.detectors.counts.feature_counts import FeatureCounts
from sparsewatch.detectors.counts.many_columns import thin_columns
from sparsewatch.detectors.counts.value_counts import ValueCounts

KINDS = {"int": pa.int64(), "str": pa.large_string(), "float": pa.float64()}
CELLS = st.lists(st.none() | st.integers(-20, 20), max_size=40)


def column(kind: str, cells: list[Any], cap: int = 1_000) -> ValueCounts:
    counts = ValueCounts(cap)
    counts.kind = kind
    values = [cell if cell is None or kind != "str" else str(cell) for cell in cells]
    for half in (values[::2], values[1::2]):
        counts.count(pa.chunked_array([pa.array(half, KINDS[kind])]), np.arange(len(half)).astype(np.uint8) % 2)
    return counts


def state(counts: ValueCounts) -> tuple[Any, ...]:
    part, hashed = counts.sorted(), counts.hashed
    held = None if hashed is None else (hashed.rows.tolist(), hashed.clicks.tolist())
    return counts.kind, counts.nulls, counts.limit(), held, part.values.to_pylist(), *(of.tolist() for of in part[1:])


@given(st.lists(st.tuples(st.sampled_from(sorted(KINDS)), CELLS, st.sampled_from([10, 1_000])), max_size=6))
def test_columns_are_thinned_together_as_each_alone(cells: list[tuple[str, list[Any], int]]) -> None:
    every = [column(*one) for one in cells]
    for most in (1, 4, 8):
        assert [state(one) for one in thin_columns(every, most)] == [state(column.thinned(most)) for column in every]


def counted(words: list[str]) -> FeatureCounts:
    counts = FeatureCounts(["word"], "click", max_values=8)
    counts.update(pa.record_batch({"word": pa.array(words, pa.string()), "click": np.zeros(len(words), np.int8)}))
    return counts


WORDS = st.lists(st.text("abc", max_size=2), min_size=1, max_size=20)


@given(WORDS, WORDS, st.booleans())
def test_what_was_read_in_order_is_in_order_after_more_is_added(
    first: list[str], second: list[str], merge: bool
) -> None:
    counts = FeatureCounts.from_bytes(counted(first).to_bytes())
    target = counts.without_rows()
    target.merge(counts)
    if merge:
        target.merge(FeatureCounts.from_bytes(counted(second).to_bytes()))
    assert target.to_bytes() == counted(first + second * merge).to_bytes()
