import math
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pyarrow as pa
import pyarrow.parquet
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sparsewatch.detectors.rows.encoding.encode import EncoderConfig, RowEncoder, fit_encoder, one_batch, scale_of
from sparsewatch.schemas.errors import ConfigError, ModelError, SchemaError


def encode(table: pa.Table, rows: pa.Table | None = None, **config: Any) -> np.ndarray:
    encoder = fit_encoder(table, EncoderConfig(**config))
    return encoder.transform(one_batch(table if rows is None else rows))


def unscaled(table: pa.Table, rows: pa.Table, **config: Any) -> np.ndarray:
    """Raw features: the scaling undone."""
    encoder = fit_encoder(table, EncoderConfig(clip=1e9, **config))
    X = encoder.transform(one_batch(rows)).astype(np.float64)
    raw: np.ndarray = X * scale_of(encoder.spread) + encoder.centre
    return raw


def log_frequencies(fitted: list[Any], rows: list[Any], cap: int) -> list[float]:
    """The encoding of categories, value by value."""
    counts = {value: fitted.count(value) for value in fitted if value is not None}
    frequent = sorted(counts, key=lambda value: (-counts[value], value))[:cap]
    tail = [counts[value] for value in counts if value not in frequent]
    mean_tail = sum(tail) / len(tail) if tail else 0.0
    once = sum(counts[value] == 1 for value in frequent) / len(fitted)

    def seen(value: Any) -> float:
        if value is None:
            return max(0.5, mean_tail, fitted.count(None))
        return counts[value] if value in frequent else max(mean_tail, 0.5 + 0.5 * once)

    return [math.log(seen(value) / len(fitted)) for value in rows]


WORDS = st.lists(st.none() | st.sampled_from("abcdefg"), min_size=1, max_size=30)
NUMBERS = st.lists(st.none() | st.integers(-3, 3), min_size=1, max_size=30)


@given(fitted=WORDS, rows=WORDS, cap=st.integers(1, 8))
def test_strings_are_encoded_by_the_frequency_of_their_value(
    fitted: list[str | None], rows: list[str | None], cap: int
) -> None:
    table, later = (pa.table({"c": pa.array(v, pa.string())}) for v in (fitted, rows))
    X = unscaled(table, later, max_values=cap)
    np.testing.assert_allclose(X[:, 0], log_frequencies(fitted, rows, cap), rtol=1e-5, atol=1e-5)


@given(fitted=NUMBERS, rows=NUMBERS)
def test_numbers_named_categorical_are_encoded_by_frequency(fitted: list[int | None], rows: list[int | None]) -> None:
    table, later = (pa.table({"c": pa.array(v, pa.int32())}) for v in (fitted, rows))
    X = unscaled(table, later, categorical=("c",))
    np.testing.assert_allclose(X[:, 0], log_frequencies(fitted, rows, 99), rtol=1e-5, atol=1e-5)


def test_booleans_and_dictionaries_are_categories() -> None:
    words = ["x", "x", "x", "y"]
    table = pa.table(
        {
            "flag": [True, True, False, True],
            "word": pa.array(words).dictionary_encode(),
        }
    )
    X = unscaled(table, table)
    expected = [math.log(3 / 4), math.log(3 / 4), math.log(1 / 4), math.log(3 / 4)]
    np.testing.assert_allclose(X[:, 0], expected, rtol=1e-6)
    np.testing.assert_allclose(X[:, 1], np.log([3 / 4, 3 / 4, 3 / 4, 1 / 4]), rtol=1e-6)


def test_decimal_numbers_named_categorical_are_categories_and_nan_is_missing() -> None:
    table = pa.table({"c": [0.5, 0.5, float("nan"), 2.0]})
    rows = pa.table({"c": pa.array([0.5, float("nan"), 3.0, None])})
    X = unscaled(table, rows, categorical=("c",))
    np.testing.assert_allclose(X[:, 0], np.log([2 / 4, 1 / 4, (0.5 + 0.5 / 4) / 4, 1 / 4]), atol=1e-5)


def test_fitted_numbers_have_mean_0_and_the_deviation_of_the_formula() -> None:
    rng = np.random.default_rng(0)
    table = pa.table({"x": rng.normal(1e6, 50, 4000), "n": rng.integers(0, 9, 4000)})
    X = encode(table).astype(np.float64)
    deviation = np.array([np.std(table.column(i).to_numpy(), ddof=1) for i in range(2)])
    np.testing.assert_allclose(X.mean(axis=0), 0, atol=1e-6)
    np.testing.assert_allclose(X.std(axis=0, ddof=1), deviation / (deviation + 1e-5), rtol=1e-6)


def test_robust_scaling_is_not_moved_by_a_tenth_of_absurd_values() -> None:
    x = np.random.default_rng(0).normal(5, 2, 2000)
    dirty = np.where(np.arange(2000) % 10 == 0, 1e9, x)
    encoder = fit_encoder(pa.table({"x": dirty}), EncoderConfig(scaling="robust"))
    assert encoder.centre[0] == pytest.approx(5, abs=0.5)
    assert encoder.spread[0] == pytest.approx(2, abs=0.5)


def test_robust_scaling_falls_back_where_the_quartiles_agree() -> None:
    x = np.array([0.0] * 90 + [1.0] * 10)
    encoder = fit_encoder(pa.table({"x": x}), EncoderConfig(scaling="robust"))
    assert encoder.spread[0] == pytest.approx(x.std(ddof=1))


def test_a_constant_column_gives_0_and_its_change_the_clip() -> None:
    table = pa.table({"x": [3, 3, 3], "w": ["a", "a", "a"]})
    rows = pa.table({"x": [3, 4], "w": ["a", "a"]})
    assert encode(table, rows, clip=30.0)[:, 0].tolist() == [0, 30]
    assert encode(table)[:, 1].tolist() == encode(table)[:1, 1].tolist() * 3


def test_a_known_null_sits_at_the_centre_and_has_an_indicator() -> None:
    table = pa.table({"x": pa.array([1.0, None, 3.0, 2.0])})
    X = encode(table)
    assert X.shape == (4, 2)
    assert X[1, 0] == 0
    assert X[1, 1] > 1
    assert (X[[0, 2, 3], 1] < 0).all()


def test_a_null_where_fitting_saw_none_is_an_extreme_of_that_column() -> None:
    table = pa.table({"x": [1.0, 2.0, 3.0], "y": [1.0, 2.0, 4.0]})
    rows = pa.table({"x": pa.array([None, 2.0], pa.float64()), "y": [2.0, float("nan")]})
    X = encode(table, rows, clip=20.0)
    assert (X[0, 0], X[1, 1]) == (20, 20)
    assert np.abs([X[0, 1], X[1, 0]]).max() < 1


@given(
    fitted=st.lists(st.none() | st.floats(), min_size=1, max_size=20),
    rows=st.lists(st.none() | st.floats(), max_size=20),
    scaling=st.sampled_from(["plain", "robust"]),
)
def test_any_numbers_give_finite_codes_within_the_clip(
    fitted: list[float | None], rows: list[float | None], scaling: str
) -> None:
    tables = [pa.table({"x": pa.array(values, pa.float64())}) for values in (fitted, rows)]
    X = encode(tables[0], tables[1], scaling=scaling, clip=10.0)
    assert X.dtype == np.float32
    assert len(X) == len(rows)
    assert (np.abs(X) <= 10).all()


def test_columns_are_found_by_name_and_types_of_one_kind_mix() -> None:
    table = pa.table({"a": pa.array([1, 2, 3], pa.int8()), "b": ["x", "y", "x"]})
    encoder = fit_encoder(table, EncoderConfig())
    other = pa.table({"b": pa.array(["x", "y", "x"], pa.large_string()), "z": [0, 0, 0]})
    other = other.append_column("a", pa.array([1.0, 2.0, 3.0]))
    expected = encoder.transform(one_batch(table))
    np.testing.assert_array_equal(encoder.transform(one_batch(other)), expected)


def test_state_gives_back_the_same_encoder() -> None:
    table = pa.table(
        {
            "x": pa.array([1.5, None, 3.0]),
            "n": [1, 2, 3],
            "word": ["a", None, "ü"],
            "id": [7, 7, 8],
            "flag": [True, False, None],
        }
    )
    encoder = fit_encoder(table, EncoderConfig(categorical=("id",), max_values=1))
    arrays, meta = encoder.to_state()
    rows = one_batch(table)
    again = RowEncoder.from_state(arrays, meta)
    np.testing.assert_array_equal(again.transform(rows), encoder.transform(rows))
    assert again.names == tuple(table.column_names)
    with pytest.raises(ModelError, match="format 1, got 2"):
        RowEncoder.from_state(arrays, meta | {"format": 2})
    with pytest.raises(ModelError, match=r"counts\.2"):
        RowEncoder.from_state({k: v for k, v in arrays.items() if k != "counts.2"}, meta)
    with pytest.raises(ModelError, match="Arrow stream"):
        RowEncoder.from_state(arrays | {"values.2": np.zeros(9, np.uint8)}, meta)


def test_missing_and_foreign_columns_are_named() -> None:
    encoder = fit_encoder(pa.table({"n": [1, 2], "w": ["1", "b"]}), EncoderConfig())
    encoder.check_schema(pa.schema([("w", pa.string()), ("n", pa.int64())]))
    with pytest.raises(SchemaError, match=r"expected a column 'n', got \['w'\]"):
        encoder.check_schema(pa.schema([("w", pa.string())]))
    with pytest.raises(SchemaError, match="column 'n': expected numbers, got string"):
        encoder.check_schema(pa.schema([("w", pa.string()), ("n", pa.string())]))
    with pytest.raises(ConfigError, match="column 'w': expected numbers, strings or booleans, got list"):
        encoder.check_schema(pa.schema([("w", pa.list_(pa.int8())), ("n", pa.int64())]))


@pytest.mark.parametrize(
    ("fitted", "kind", "fits"),
    [
        (["1", "b"], pa.string(), True),
        (["1", "b"], pa.large_string(), True),
        (["1", "b"], pa.dictionary(pa.int8(), pa.string()), True),
        (["1", "b"], pa.float64(), False),
        (["1", "b"], pa.int64(), False),
        (["1", "b"], pa.bool_(), False),
        ([True, False], pa.bool_(), True),
        ([True, False], pa.int64(), False),
        ([1, 2], pa.int32(), True),
        ([1, 2], pa.float64(), False),
        ([1, 2], pa.string(), False),
        ([1, 2], pa.null(), True),
    ],
)
def test_categories_are_of_the_type_of_the_fit(fitted: list[Any], kind: Any, fits: bool) -> None:
    encoder = fit_encoder(pa.table({"c": fitted}), EncoderConfig(categorical=("c",)))
    if fits:
        encoder.check_schema(pa.schema([("c", kind)]))
        return
    with pytest.raises(SchemaError, match=r"column .c.: expected .*, a category in the training, got"):
        encoder.check_schema(pa.schema([("c", kind)]))


def test_what_cannot_be_fitted_is_refused() -> None:
    with pytest.raises(ConfigError, match="expected rows to fit, got 0"):
        fit_encoder(pa.table({"a": pa.array([], pa.int64())}), EncoderConfig())
    with pytest.raises(ConfigError, match=r"categorical: .*got \['b'\]"):
        fit_encoder(pa.table({"a": [1]}), EncoderConfig(categorical=("b",)))
    with pytest.raises(ConfigError, match=r"column 'a': .*got list"):
        fit_encoder(pa.table({"a": [[1]]}), EncoderConfig())


@pytest.mark.parametrize("wrong", [{"scaling": "none"}, {"max_values": 0}, {"clip": 0.0}])
def test_wrong_settings_are_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(ConfigError, match=next(iter(wrong))):
        EncoderConfig(**wrong)


def test_infinite_numbers_are_left_out_of_the_fit_and_extreme_in_rows() -> None:
    table = pa.table({"x": [1.0, 2.0, 3.0, math.inf, -math.inf]})
    encoder = fit_encoder(table, EncoderConfig())
    assert (encoder.centre[0], encoder.spread[0]) == (2, 1)
    assert encoder.transform(one_batch(table))[3:, 0].tolist() == [30, -30]


@pytest.mark.parametrize("scaling", ["plain", "robust"])
def test_an_indicator_stands_out_as_its_nulls_are_rare(scaling: Any) -> None:
    shares = (0.01, 0.24, 0.26, 0.5, 0.9)
    columns = {f"s{share}": [None if i < share * 1000 else float(i % 7) for i in range(1000)] for share in shares}
    X = encode(pa.table(columns), scaling=scaling)
    for i, share in enumerate(shares):
        assert X[0, 2 * i + 1] == pytest.approx(math.sqrt((1 - share) / share), rel=0.01)


@pytest.mark.parametrize("scaling", ["plain", "robust"])
def test_a_column_of_nulls_gives_0_and_a_later_value_the_clip(scaling: Any) -> None:
    table = pa.table({"x": pa.nulls(3, pa.float64()), "w": pa.nulls(3, pa.string()), "n": [1, 2, 3]})
    rows = pa.table({"x": [None, 5.0], "w": [None, "a"], "n": [2, 2]})
    encoder = fit_encoder(table, EncoderConfig(scaling=scaling))
    X = encoder.transform(one_batch(rows))
    assert X[0].tolist() == [0, 0, 0, 0]
    assert np.abs(X[1, :3]).tolist() == [30, 30, 30]
    assert encoder.constant == ("x", "w")


def test_constant_columns_are_named_however_large_or_uneven_their_value() -> None:
    table = pa.table({"a": [0.1] * 77, "b": [1e100] * 77, "c": ["x"] * 77, "d": [None, *[1.0] * 76], "e": range(77)})
    for scaling in ("plain", "robust"):
        encoder = fit_encoder(table, EncoderConfig(scaling=scaling))
        assert encoder.constant == ("a", "b", "c", "d")
        assert not encoder.transform(one_batch(table))[:, :4].any()


def test_a_column_that_vanished_is_null_if_it_is_there_at_all() -> None:
    table = pa.table({"known": [1.0, None, 3.0], "new": [1.0, 2.0, 3.0], "word": ["a", "b", "a"]})
    encoder = fit_encoder(table, EncoderConfig())
    gone = pa.table({"known": pa.nulls(1), "new": pa.nulls(1), "word": pa.nulls(1)})
    X = encoder.transform(one_batch(gone))
    assert X[0, 0] == 0
    assert X[0, 1] > 1
    assert X[0, 2] == 30
    unseen = encoder.transform(one_batch(pa.table({"known": [1.0], "new": [1.0], "word": ["z"]})))
    assert X[0, 3] < unseen[0, 3]


@pytest.mark.parametrize("kind", [pa.int8(), pa.uint64(), pa.float32(), pa.decimal128(9, 2)])
def test_every_type_of_number_is_encoded_alike(kind: pa.DataType) -> None:
    numbers = pa.array([None, 1, 2, 5], pa.float64())
    expected = encode(pa.table({"x": numbers}), scaling="robust")
    for column in (numbers.cast(kind), numbers.cast(kind).dictionary_encode()):
        np.testing.assert_array_equal(encode(pa.table({"x": column}), scaling="robust"), expected)


def test_a_row_is_encoded_alike_whatever_rows_it_comes_with() -> None:
    rng = np.random.default_rng(0)
    x = rng.normal(size=(700, 590))
    x[rng.random(x.shape) < 0.05] = np.nan
    columns = {f"s{i}": pa.array(x[:, i], from_pandas=bool(i % 2)) for i in range(590)}
    table = pa.table(columns | {"w": rng.choice(["a", "b"], 700)})
    encoder = fit_encoder(table, EncoderConfig(scaling="robust"))
    whole = encoder.transform(one_batch(table))
    parts = [encoder.transform(one_batch(table.slice(start, 123))) for start in range(0, 700, 123)]
    np.testing.assert_array_equal(np.concatenate(parts), whole)
    assert whole.flags.c_contiguous


def test_no_rows_give_no_rows() -> None:
    table = pa.table({"x": [1.0, None], "w": ["a", "b"]})
    assert encode(table, table.slice(0, 0)).shape == (0, 3)


def test_secom_is_encoded_with_its_missing_cells_and_constant_columns(data_dir: Path) -> None:
    path = data_dir / "sensors" / "secom.parquet"
    if not path.exists():
        pytest.skip(f"{path} is not there")
    table = pa.parquet.read_table(path, columns=[f"s{i:03d}" for i in range(590)])
    encoder = fit_encoder(table, EncoderConfig(scaling="robust"))
    X = encoder.transform(one_batch(table))
    nulls = sum(column.null_count for column in table.columns)
    values = encoder.first_features
    indicators = np.setdiff1d(np.arange(encoder.n_features), values)
    constant = [i for i, name in enumerate(encoder.names) if name in encoder.constant]
    assert len(constant) == 116
    assert not X[:, values[constant]].any()
    assert np.isfinite(X).all()
    assert (X[:, indicators] > 0).sum() == nulls


@pytest.mark.parametrize("unit", [1e-12, 1e-9, 1e-3, 1e6])
@pytest.mark.parametrize("scaling", ["plain", "robust"])
def test_a_columns_unit_does_not_matter(scaling: Literal["plain", "robust"], unit: float) -> None:
    values = np.random.default_rng(0).normal(3, 0.5, 200)
    rows = np.array([0.0, 3.0, 9.0])
    encoded = [
        fit_encoder(pa.table({"x": values * u}), EncoderConfig(scaling=scaling)).transform(
            one_batch(pa.table({"x": rows * u}))
        )
        for u in (1.0, unit)
    ]
    np.testing.assert_allclose(encoded[0], encoded[1], rtol=1e-4, atol=1e-4)


def test_absurd_numbers_do_not_rule_the_fit() -> None:
    values = np.random.default_rng(0).standard_normal(200)
    encoders = [fit_encoder(pa.table({"x": x}), EncoderConfig()) for x in (values, np.append(values, [1e300, -1e200]))]
    np.testing.assert_allclose(encoders[0].spread, encoders[1].spread)


def test_a_column_of_values_that_came_once_does_not_mark_every_new_row() -> None:
    ids = pa.table({"id": [f"a{i}" for i in range(500)]})
    encoder = fit_encoder(ids, EncoderConfig())
    assert (encoder.transform(one_batch(pa.table({"id": ["new", "a7"]}))) == 0).all()


def test_nan_and_null_are_one_missing_category() -> None:
    table = pa.table({"code": pa.array([1.0, 2.0, float("nan"), 1.0, None] * 10)})
    encoder = fit_encoder(table, EncoderConfig(categorical=("code",)))
    rows = pa.table({"code": pa.array([float("nan"), None])})
    first, second = encoder.transform(one_batch(rows))
    assert first == second == pytest.approx(encoder.transform(one_batch(table))[2])
