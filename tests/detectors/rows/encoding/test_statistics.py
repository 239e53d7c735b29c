import itertools
import math
from collections import Counter
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sparsewatch.detectors.rows.encoding.column_statistics import CategoryStatistics, Moments
from sparsewatch.detectors.rows.encoding.encode import EncoderConfig, encoder_of, fit_encoder, one_batch
from sparsewatch.detectors.rows.encoding.statistics import EncoderStatistics
from sparsewatch.schemas.errors import ConfigError, SchemaError, StateError

COLUMNS = ("number", "word", "code")
ROW = st.tuples(
    st.none() | st.floats(-1e3, 1e3) | st.just(math.inf),
    st.none() | st.sampled_from("abcdefgh"),
    st.integers(0, 5),
)


def batch(rows: list[tuple[Any, ...]]) -> pa.RecordBatch:
    number, word, code = ([row[i] for row in rows] for i in range(3))
    columns = [pa.array(number, pa.float64()), pa.array(word, pa.string()), pa.array(code, pa.int32())]
    return pa.RecordBatch.from_arrays(columns, names=list(COLUMNS))


def gathered(rows: list[tuple[Any, ...]], **settings: Any) -> EncoderStatistics:
    statistics = EncoderStatistics(COLUMNS, categorical=("code",), **settings)
    statistics.update(batch(rows))
    return statistics


@given(rows=st.lists(ROW, min_size=1, max_size=60), scaling=st.sampled_from(["plain", "robust"]), data=st.data())
def test_any_split_and_order_of_parts_fits_the_encoder_of_all_rows(
    rows: list[tuple[Any, ...]], scaling: str, data: Any
) -> None:
    cuts = sorted(data.draw(st.lists(st.integers(0, len(rows)), max_size=4)))
    merged = EncoderStatistics(COLUMNS, categorical=("code",))
    for a, b in itertools.pairwise([0, *cuts, len(rows)]):
        part = gathered(data.draw(st.permutations(rows[a:b])))
        if data.draw(st.booleans()):
            part = EncoderStatistics.from_bytes(part.to_bytes())
        if data.draw(st.booleans()):
            merged.update(batch(rows[a:b]))
        elif data.draw(st.booleans()):
            part.merge(merged)
            merged = part
        else:
            merged.merge(part)
    config = EncoderConfig(categorical=("code",), scaling=scaling)  # type: ignore[arg-type]
    at_once, of_parts = encoder_of(gathered(rows), config), encoder_of(merged, config)
    assert merged.rows == len(rows)
    if scaling == "plain":
        np.testing.assert_allclose(of_parts.centre, at_once.centre, rtol=1e-9, atol=1e-9)
        np.testing.assert_allclose(of_parts.spread, at_once.spread, rtol=1e-9, atol=1e-9)
    # The scale of a category's frequency is exact either way.
    assert of_parts.centre[-1] == at_once.centre[-1]
    assert of_parts.spread[-1] == at_once.spread[-1]
    assert of_parts.n_features == at_once.n_features
    assert of_parts.columns[1].values(batch(rows).column(1)).tolist() == (
        at_once.columns[1].values(batch(rows).column(1)).tolist()
    )


def test_merged_moments_are_those_of_all_numbers() -> None:
    rng = np.random.default_rng(0)
    for location, scale in ((0, 1), (1e3, 2), (-5e6, 1e6), (1e90, 1e89)):
        values = rng.normal(location, scale, 10_000)
        cuts = np.sort(rng.integers(0, 10_000, 30))
        merged = Moments()
        for part in np.split(values, cuts):
            merged = merged.plus(Moments.of(part))
        assert merged.n == 10_000
        assert merged.mean == pytest.approx(values.mean(), rel=1e-12)
        assert merged.deviation == pytest.approx(values.std(ddof=1), rel=1e-12)
        assert (merged.least, merged.greatest) == (values.min(), values.max())


def test_quartiles_of_many_parts_are_right_to_the_sketchs_rank_error() -> None:
    rng = np.random.default_rng(1)
    values = rng.lognormal(0, 2, 200_000)
    parts = []
    for part in np.array_split(values, 20):
        parts.append(EncoderStatistics(["x"]))
        for piece in np.array_split(part, 4):
            parts[-1].update(pa.record_batch({"x": piece}))
    merged = EncoderStatistics.from_bytes(parts[0].to_bytes())
    for other in parts[1:]:
        merged.merge(other)
    encoder = encoder_of(merged, EncoderConfig(scaling="robust"))
    assert np.mean(values <= encoder.centre[0]) == pytest.approx(0.5, abs=0.02)
    low, high = np.quantile(values, (0.23, 0.27)), np.quantile(values, (0.73, 0.77))
    assert high[0] - low[1] <= encoder.spread[0] * 1.3489795 <= high[1] - low[0]


def test_one_table_is_fitted_exactly_and_the_same_each_time() -> None:
    values = np.random.default_rng(2).normal(size=99_991)
    encoders = [fit_encoder(pa.table({"x": values}), EncoderConfig(scaling="robust")) for _ in range(2)]
    low, middle, high = np.quantile(values, (0.25, 0.5, 0.75))
    assert encoders[0].centre[0] == pytest.approx(middle, rel=1e-12)
    assert encoders[0].spread[0] == pytest.approx((high - low) / 1.3489795003921634, rel=1e-12)
    assert encoders[0].spread[0] == encoders[1].spread[0]


@given(
    parts=st.lists(st.lists(st.integers(0, 30), max_size=60), min_size=1, max_size=6),
    most=st.integers(1, 12),
    data=st.data(),
)
def test_counts_beyond_the_cap_are_too_low_by_a_bounded_number_of_rows(
    parts: list[list[int]], most: int, data: Any
) -> None:
    states = []
    for part in parts:
        states.append(CategoryStatistics(pa.int64(), most))
        states[-1].add(pa.array(part, pa.int64()))
    while len(states) > 1:
        other = states.pop(data.draw(st.integers(1, len(states) - 1)))
        states[0].merge(other)
    states[0].bound()
    true = Counter(itertools.chain(*parts))
    rows = sum(true.values())
    assert len(states[0].counts) <= most
    assert states[0].error <= rows / (most + 1)
    counted = dict(zip(states[0].values.to_pylist(), states[0].counts.tolist(), strict=True))
    for value, count in true.items():
        assert count - states[0].error <= counted.get(value, 0) <= count


def test_a_heavy_value_is_known_among_a_million_ids() -> None:
    statistics = EncoderStatistics(["id"], most_values=1_000)
    rng = np.random.default_rng(3)
    for part in range(10):
        ids = np.where(rng.random(20_000) < 0.2, -1, np.arange(20_000) + 20_000 * part)
        statistics.update(pa.record_batch({"id": pa.array(ids).cast(pa.string())}))
    encoder = encoder_of(statistics, EncoderConfig(max_values=500))
    (frequencies,) = (c.values(pa.array(["-1", "7", "none"])) for c in encoder.columns)
    # An error of rows / 1001 at most; ids that are gone and ids never seen had one row or none.
    assert np.exp(frequencies[0]) == pytest.approx(0.2, abs=0.004)
    assert np.exp(frequencies[1:]).max() <= 2 / 200_000
    assert len(statistics.to_bytes()) < 50_000


def test_columns_without_a_type_take_the_type_that_comes() -> None:
    nulls = pa.record_batch({"x": pa.nulls(3), "w": pa.nulls(3)})
    typed = pa.record_batch({"x": [1.0, 2.0], "w": ["a", "a"]})
    late, early = EncoderStatistics(["x", "w"]), EncoderStatistics(["x", "w"])
    late.update(nulls)
    late.update(typed)
    early.update(typed)
    unknown = EncoderStatistics(["x", "w"])
    unknown.update(nulls)
    early.merge(EncoderStatistics.from_bytes(unknown.to_bytes()))
    unknown.merge(EncoderStatistics(["x", "w"]))
    for statistics in (late, early):
        encoder = encoder_of(statistics, EncoderConfig())
        assert encoder.n_features == 3
        assert encoder.centre.tolist() == encoder_of(late, EncoderConfig()).centre.tolist()
        assert encoder.columns[1].null_rows == 3  # type: ignore[union-attr]
    X = encoder_of(unknown, EncoderConfig()).transform(nulls)
    assert X.tolist() == [[0, 0]] * 3


def test_what_does_not_fit_is_refused_whole() -> None:
    statistics = gathered([(1.0, "a", 1)])
    before = statistics.rows, statistics.columns["number"].nulls
    good = batch([(2.0, "b", 2)])
    with pytest.raises(SchemaError, match=r"expected columns \['word'\]"):
        statistics.update(good.select(["number", "code"]))
    wrong = pa.RecordBatch.from_arrays([pa.nulls(1), good.column(1), pa.array([[1]])], names=list(COLUMNS))
    with pytest.raises(SchemaError, match="column 'code': expected int64, got list"):
        statistics.update(wrong)
    assert (statistics.rows, statistics.columns["number"].nulls) == before
    with pytest.raises(StateError, match="to merge"):
        statistics.merge(gathered([], most_values=7))
    text = EncoderStatistics(COLUMNS, categorical=("code",))
    text.update(pa.record_batch({"number": ["x"], "word": ["a"], "code": [1]}))
    with pytest.raises(StateError, match="column 'number': expected double to merge, got string"):
        statistics.merge(text)
    with pytest.raises(ConfigError, match=r"categorical: expected \('code',\), as in the statistics"):
        encoder_of(statistics, EncoderConfig())
    with pytest.raises(ConfigError, match="statistics of no rows"):
        encoder_of(EncoderStatistics(["x"]), EncoderConfig())


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"columns": ("a", "a")}, "distinct names"),
        ({"columns": ()}, "distinct names"),
        ({"columns": ("a",), "categorical": ("b",)}, "categorical"),
        ({"columns": ("a",), "most_values": 0}, "most_values"),
    ],
)
def test_wrong_settings_are_refused(wrong: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        EncoderStatistics(**wrong)


def test_damaged_bytes_are_refused() -> None:
    data = gathered([(1.0, "a", 1), (None, None, 2)]).to_bytes()
    for damaged in (b"", b"nonsense", data[: len(data) // 2], data.replace(b"\xa7version\x01", b"\xa7version\x02")):
        with pytest.raises(StateError, match="encoder statistics"):
            EncoderStatistics.from_bytes(damaged)


def test_statistics_of_a_batch_leave_it_alone() -> None:
    values = np.array([1.0, np.inf, 1e300, np.nan])
    rows = one_batch(pa.table({"x": values}))
    statistics = EncoderStatistics(["x"])
    statistics.update(rows)
    encoder_of(statistics, EncoderConfig(scaling="robust")).transform(rows)
    np.testing.assert_array_equal(rows.column(0).to_numpy(), [1.0, np.inf, 1e300, np.nan])
