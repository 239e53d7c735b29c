"""Values of a feature over the windows of a stretch: counted as a join of tables counts them."""

from collections import Counter
from collections.abc import Sequence
from typing import Any

import numpy as np
import polars as pl
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sparsewatch.detectors.clicks.known_values import is_known
from sparsewatch.detectors.clicks.outlying import PART
from sparsewatch.detectors.clicks.values_over import LEAST_SHARE, MOST_FREQUENT, ValuesOver
from sparsewatch.detectors.counts.feature_counts import FeatureCounts
from sparsewatch.detectors.counts.window_values import WindowValues

#: What windows draw from: texts, whole numbers, and numbers.
KINDS: dict[str, list[Any]] = {
    "str": [f"v{i}" for i in range(150)],
    "int": list(range(-75, 75)),
    "float": [i / 4 for i in range(-75, 75)],
}


def window(kind: str, values: Sequence[Any], most: int) -> FeatureCounts:
    arrow = {"str": pa.large_string(), "int": pa.int64(), "float": pa.float64()}[kind]
    counts = FeatureCounts(["x"], "click")
    counts.update(
        pa.record_batch({"x": pa.array(values, arrow), "click": pa.array([i % 2 for i in range(len(values))])})
    )
    return counts.thinned(most)


def expected_rows(tables: Sequence[pl.DataFrame], chosen: Sequence[set[Any]]) -> list[float]:
    return [
        float(sum(row["rows"] * row["weight"] for row in table.iter_rows(named=True) if row["value"] in some))
        for table, some in zip(tables, chosen, strict=True)
    ]


@pytest.mark.parametrize("kind", list(KINDS))
@settings(max_examples=15, deadline=None)
@given(st.integers(1, 30), st.integers(0, 1 << 30), st.sampled_from([64, 10_000]), st.booleans())
def test_values_are_counted_as_a_table_of_them_says(
    kind: str, number: int, seed: int, most: int, some_are_empty: bool
) -> None:
    random = np.random.default_rng(seed)
    drawn = [
        [KINDS[kind][place] for place in (random.random(300) ** 3 * 150).astype(int)]
        if not some_are_empty or random.random() < 0.8
        else [None, None]
        for _ in range(number)
    ]
    windows = [window(kind, values, most) for values in drawn]
    own = np.ones((1, number), np.bool_)
    found = ValuesOver([WindowValues(one) for one in windows], range(1), own)
    [abundances] = found.abundances
    tables = [one.sampled_values("x", found.limits[0]).table for one in windows]
    held = [set(table["value"].to_list()) for table in tables]
    times = Counter(value for one in held for value in one)
    rows: Counter[Any] = Counter()
    for table in tables:
        rows.update(dict(table.select("value", "rows").iter_rows()))

    assert found.values(0).to_list() == sorted(times)
    assert abundances.sizes @ abundances.times == sum(rows.values())
    rare = {value for value, count in times.items() if count <= max(number // PART, 1)}
    assert found.rare[0].tolist() == pytest.approx(expected_rows(tables, [rare] * number), rel=1e-12)
    new = [one - set().union(*held[:place]) for place, one in enumerate(held)]
    assert found.new[0].tolist() == pytest.approx(expected_rows(tables, new), rel=1e-12)
    frequent = sorted((value for value, count in rows.items() if count >= max(LEAST_SHARE * found.listed.sum(), 1)))
    frequent = sorted(frequent, key=lambda value: -rows[value])[:MOST_FREQUENT]
    assert found.frequent_values(0).to_list() == frequent
    by_window = [dict(table.select("value", "rows").iter_rows()) for table in tables]
    assert found.frequent.rows.T.tolist() == [[one.get(value, 0.0) for value in frequent] for one in by_window]


@pytest.mark.parametrize("kind", list(KINDS))
def test_known_values_are_those_of_the_same_type(kind: str) -> None:
    counts = window(kind, KINDS[kind][:9], 10_000)
    values = counts.sampled_values("x").part.values
    known = pl.Series(KINDS[kind][3:6])
    assert sorted(
        value for value, one in zip(values.to_pylist(), is_known(values, known), strict=True) if one
    ) == sorted(KINDS[kind][3:6])
    assert not is_known(values, pl.Series([True])).any()
    assert not is_known(values, pl.Series([], dtype=known.dtype)).any()
