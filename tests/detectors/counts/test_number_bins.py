import math
from fractions import Fraction
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sparsewatch.detectors.counts.feature_counts import FeatureCounts
from sparsewatch.detectors.counts.number_bins import (
    BITS,
    GROUPS,
    bin_text,
    binned,
    bins_of,
    far_borders,
    grouped,
    groups_of,
)
from sparsewatch.schemas.errors import ConfigError, SchemaError, StateError

FINITE = st.floats(allow_nan=False, allow_infinity=False)
NORMAL = st.floats(1e-300, 1e300)
NUMBERS = st.lists(st.none() | st.floats() | st.sampled_from([0.0, -0.0, 1.0, 1.01, -3.0]), max_size=60)


def one(number: float, bits: int = BITS) -> float:
    return float(bins_of(np.array([number]), bits)[0])


def by_definition(number: float, bits: int) -> float:
    """The number cut, in exact fractions, behind so many digits that follow its leading one."""
    if number == 0 or math.isinf(number):
        return abs(number) if number == 0 else number
    magnitude = Fraction(abs(number))
    exponent = max(math.frexp(abs(number))[1] - 1, -1022)
    step = Fraction(2) ** (exponent - bits)
    return math.copysign(float(magnitude // step * step), number) + 0.0


@given(st.floats(allow_nan=False), st.integers(1, 20))
def test_a_bin_is_what_its_definition_says(number: float, bits: int) -> None:
    assert one(number, bits) == by_definition(number, bits)
    assert math.copysign(1, one(0.0 * (number > 0), bits)) == 1


@given(FINITE, FINITE, st.integers(1, 20))
def test_bins_ascend_with_their_numbers(a: float, b: float, bits: int) -> None:
    low, high = sorted((a, b))
    assert one(low, bits) <= one(high, bits)
    assert one(one(a, bits), bits) == one(a, bits)


@given(NORMAL, st.sampled_from([1, -1]), st.integers(1, 20))
def test_a_bin_holds_its_number_and_is_as_narrow_as_its_bits_say(number: float, sign: int, bits: int) -> None:
    near = one(sign * number, bits)
    (far,) = far_borders(np.array([near]), bits)
    assert abs(near) <= number < abs(far)
    assert 2.0 ** -(bits + 1) <= (far - near) / far < 2.0**-bits
    assert one(float(far), bits) == far
    assert one(float(np.nextafter(far, 0)), bits) == near


@pytest.mark.parametrize("number", [*map(float, range(65)), -7.0, math.inf, -math.inf, 0.5, 2.0**-1074 * 2**47])
def test_zero_infinities_and_small_whole_numbers_are_bins_of_their_own(number: float) -> None:
    assert one(number) == number


@pytest.mark.parametrize(
    ("number", "text"),
    [
        (12.6, "[12.5, 12.75)"),
        (-12.6, "(-12.75, -12.5]"),
        (0.0, "0"),
        (1000.0, "[992, 1008)"),
        (math.inf, "inf"),
        (-math.inf, "-inf"),
    ],
)
def test_a_bin_reads_as_its_interval(number: float, text: str) -> None:
    assert bin_text(one(number), BITS) == text


@pytest.mark.parametrize("chunks", [1, 3])
def test_missing_values_of_a_column_stay_missing(chunks: int) -> None:
    values = [1.5, None, math.nan, -0.0, 12.6]
    column: Any = pa.chunked_array([pa.array(values)] * chunks)
    if chunks == 1:
        column = column.chunk(0)
    assert binned(column, BITS).to_pylist() == [1.5, None, None, 0.0, 12.5] * chunks
    assert binned(pa.array([2**60 + 1, None, -5]), BITS).to_pylist() == [2.0**60, None, -5.0]


@given(st.lists(st.integers(1, 400), min_size=1, max_size=300), st.integers(1, 64))
def test_groups_are_adjacent_bins_of_few_rows_or_one_bin_of_many(rows: list[int], most: int) -> None:
    counts = np.array(rows)
    groups = groups_of(counts, most)
    assert groups[0] == 0
    assert set(np.diff(groups)) <= {0, 1}
    part = counts.sum() / most
    alone = counts >= part
    for group in range(groups[-1] + 1):
        members = groups == group
        # What is grouped spans less than a part between the middles of its first and its last bin.
        assert members.sum() == 1 or (not alone[members].any() and counts[members].sum() < 3 * part)
    assert groups[-1] + 1 <= most + 1 + 2 * alone.sum()


def test_many_light_bins_become_groups_of_equally_many_rows() -> None:
    groups = groups_of(np.full(3_200, 5))
    assert np.bincount(groups).tolist() == [100] * GROUPS


def counts_of(values: list[float | None], numbers: tuple[str, ...] = ("x",), **settings: Any) -> FeatureCounts:
    counts = FeatureCounts(["x", "name"], "click", numbers=numbers, **settings)
    counts.update(
        pa.record_batch(
            {
                "x": pa.array(values, pa.float64()),
                "name": pa.array([f"n{i % 3}" for i in range(len(values))], pa.string()),
                "click": pa.array([i % 2 for i in range(len(values))], pa.int8()),
            }
        )
    )
    return counts


@given(NUMBERS)
def test_counts_in_bins_are_counts_of_the_bins(values: list[float | None]) -> None:
    bins = [None if value is None or math.isnan(value) else by_definition(value, BITS) for value in values]
    assert counts_of(values).table("x").equals(counts_of(bins, numbers=()).table("x"))
    assert counts_of(values).table("name").equals(counts_of(bins, numbers=()).table("name"))


@given(NUMBERS, NUMBERS)
def test_any_split_of_the_rows_gives_the_same_bytes(first: list[float | None], second: list[float | None]) -> None:
    whole, back = counts_of(first), counts_of(second)
    whole.merge(counts_of(second))
    back.merge(counts_of(first))
    assert whole.to_bytes() == back.to_bytes()
    assert FeatureCounts.from_bytes(whole.to_bytes()).to_bytes() == whole.to_bytes()
    assert whole.without_rows().bins == whole.bins


@given(NUMBERS)
def test_groups_keep_rows_and_clicks(values: list[float | None]) -> None:
    counts = counts_of(values)
    held = counts.marginals("x")
    assert (held.rows.sum(), held.clicks.sum()) == (counts.rows, counts.clicks)
    assert held.rows.size <= counts.cardinality("x") + 1


def test_counts_by_other_bins_or_by_value_do_not_merge() -> None:
    for settings in ({"numbers": ()}, {"number_bits": BITS + 1}):
        with pytest.raises(StateError, match="expected counts of"):
            counts_of([1.5]).merge(counts_of([1.5], **settings))
    counts_of([1.5], numbers=()).merge(counts_of([1.5], numbers=(), number_bits=3))


def test_integers_are_counted_in_the_bins_of_floats() -> None:
    counts = FeatureCounts(["x"], "click", numbers=["x"])
    counts.update(pa.record_batch({"x": pa.array([1_001, 1_002, None]), "click": [1, 0, 1]}))
    counts.update(pa.record_batch({"x": pa.array([1_003.5, 7.0, None]), "click": [1, 0, 1]}))
    counts.update(pa.record_batch({"x": pa.nulls(1), "click": [0]}))
    assert counts.table("x").rows() == [(None, 3, 2), (7.0, 1, 0), (992.0, 3, 2)]
    assert counts.value_text("x", 992.0) == "[992, 1008)"
    assert counts.value_text("x", None) is None


def test_what_is_no_number_or_no_feature_is_refused() -> None:
    counts = FeatureCounts(["x"], "click", numbers=["x"])
    with pytest.raises(SchemaError, match="'x': expected integers or floats, to be counted in bins, got string"):
        counts.update(pa.record_batch({"x": ["a"], "click": [1]}))
    with pytest.raises(ConfigError, match=r"numbers: expected some of the features \['x'\], got \['y'\]"):
        FeatureCounts(["x"], "click", numbers=["y"])
    with pytest.raises(ConfigError, match="number_bits: expected a whole number from 1 to 20"):
        FeatureCounts(["x"], "click", numbers=["x"], number_bits=0)


def test_heavy_bins_beyond_the_cap_have_names() -> None:
    rng = np.random.default_rng(0)
    values = np.concatenate([np.full(4_000, 7.0), np.exp(rng.uniform(-200, 200, 8_000))])
    counts = counts_of(values.tolist(), max_values=1_024)
    assert counts.others("x").rows > 0
    heavy = counts.heavy_values("x", pa.array([7.01, 7.0, 1e50]))
    assert heavy.row(0, named=True)["value"] == 7.0
    assert 4_000 <= heavy.row(0, named=True)["rows"] <= 4_100


def test_no_bins_are_no_groups() -> None:
    assert grouped(*FeatureCounts(["x"], "click").stored(["x"]))[0].size == 0
