from typing import Any

import numpy as np
import polars as pl
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sparsewatch.detectors.clicks.known_values import KnownValues
from sparsewatch.detectors.counts.feature_counts import FeatureCounts

TYPES = {"number": pa.int64(), "text": pa.large_string(), "amount": pa.float64()}
#: The same few values in all columns: only the column tells them apart.
CELLS = st.lists(st.none() | st.integers(0, 9), min_size=1, max_size=40)


def column(name: str, values: list[Any]) -> Any:
    cells = [None if value is None else str(value) if name == "text" else value for value in values]
    return pa.array(cells, TYPES[name])


def window(cells: dict[str, list[Any]]) -> FeatureCounts:
    counts = FeatureCounts(list(cells), "click")
    rows = len(next(iter(cells.values())))
    arrays = {name: column(name, values) for name, values in cells.items()}
    counts.update(pa.record_batch({**arrays, "click": np.zeros(rows, np.int8)}))
    return counts


@given(st.fixed_dictionaries(dict.fromkeys(TYPES, st.sets(st.integers(0, 9)))), st.data())
def test_rows_and_unseen_shares_are_those_of_each_feature_alone(
    known: dict[str, set[int]], data: st.DataObject
) -> None:
    rows = data.draw(st.integers(1, 30))
    some = st.lists(st.none() | st.integers(0, 12), min_size=rows, max_size=rows)
    cells = {name: data.draw(some) for name in TYPES}
    values = {name: pl.Series(column(name, sorted(known[name]))) for name in TYPES}
    held, counts = KnownValues(values), window(cells)
    matched = held.match(counts)
    assert not matched.apart
    expected = [cells[name].count(value) for name in TYPES for value in sorted(known[name])]
    assert matched.rows.tolist() == expected
    shares = held.unseen_shares(counts, matched)
    for name in TYPES:
        listed = [value for value in cells[name] if value is not None]
        unseen = sum(value not in known[name] for value in listed)
        assert shares[name] == (unseen / len(listed) if listed else None)


def test_values_of_another_type_are_all_unseen() -> None:
    held = KnownValues({"number": pl.Series(["1", "2"]), "text": pl.Series(["1"])})
    counts = window({"number": [1, 2, 0, None], "text": ["1", None, None, None]})
    matched = held.match(counts)
    assert matched.apart == {"number"}
    assert held.unseen_shares(counts, matched) == {"number": 1.0, "text": 0.0}


def test_features_that_only_one_side_has_are_passed_over() -> None:
    held = KnownValues({"gone": pl.Series([1]), "number": pl.Series([1])})
    counts = window({"number": [1, 3], "text": ["1", "2"]})
    assert held.unseen_shares(counts, held.match(counts)) == {"number": 0.5}


@pytest.mark.parametrize("unknown", [0, 3_000])
def test_of_a_sample_of_known_values_the_share_is_an_estimate_and_exact_where_none_is_unseen(unknown: int) -> None:
    before = FeatureCounts(["number"], "click", max_values=500)
    before.update(pa.record_batch({"number": np.arange(9_000), "click": np.zeros(9_000, np.int8)}))
    held = KnownValues(
        {"number": before.sampled_values("number").table["value"]}, {"number": before.hash_limit("number")}
    )
    counts = window({"number": list(range(unknown, unknown + 9_000))})
    shares = held.unseen_shares(counts, held.match(counts))
    assert shares["number"] == pytest.approx(unknown / 9_000, abs=0.1 if unknown else 0.0)


def test_places_of_values_are_those_among_all_known_ones() -> None:
    held = KnownValues({"number": pl.Series([5, 7]), "empty": pl.Series([], dtype=pl.Null), "text": pl.Series(["7"])})
    found = held.places({"text": pl.Series(["5", "7"]), "number": pl.Series([7, 5, 6])})
    assert found.tolist() == [-1, 2, 1, 0, -1]
