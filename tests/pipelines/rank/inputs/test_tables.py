"""Parquet: what becomes of each type, of text of few values, and of files that differ."""

from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from sparsewatch.detectors.counts.feature_counts import FeatureCounts
from sparsewatch.pipelines.rank.inputs import InputSettings, RankInput, open_input
from sparsewatch.pipelines.tables import parquet_files
from sparsewatch.pipelines.tables.settings import Reading
from sparsewatch.schemas.errors import SchemaError


def write(path: Path, table: pa.Table, **options: Any) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    pq.write_table(table, path, **options)
    return path


def table_of(source: RankInput) -> pa.Table:
    return pa.Table.from_batches(source.batches())


NA = InputSettings(reading=Reading(missing=("NA",)))
MOMENT = datetime(1970, 1, 1, 0, 0, 1, tzinfo=UTC)


@pytest.mark.parametrize(
    ("given", "kind", "values"),
    [
        (pa.array([1, None], pa.int8()), pa.int8(), [1, None]),
        (pa.array([1, 2**64 - 1], pa.uint64()), pa.string(), ["1", str(2**64 - 1)]),
        (pa.array([True, None]), pa.bool_(), [True, None]),
        (pa.array([0.5, None], pa.float32()), pa.float32(), [0.5, None]),
        (pa.array([np.float16(0.5), None], pa.float16()), pa.float32(), [0.5, None]),
        (pa.array(["x", "{}"]), pa.string(), ["x", "{}"]),
        (pa.array(["", "NA"], pa.large_string()), pa.large_string(), ["", None]),
        (pa.array(["x", "NA"], pa.string_view()), pa.string(), ["x", None]),
        (pa.array(["café".encode(), b"NA"]), pa.string(), ["café", None]),
        (pa.array([0.5, float("inf")]), pa.float64(), [0.5, None]),
        (pa.array([float("nan"), 0.5]), pa.float64(), [None, 0.5]),
        (pa.array([b"ab", None], pa.binary(2)), pa.string(), ["ab", None]),
        (pa.array([None, None]), pa.null(), [None, None]),
        (pa.array([MOMENT, None], pa.timestamp("ms", "UTC")), pa.int64(), [1_000, None]),
        (pa.array([time(0, 0, 2), None], pa.time32("ms")), pa.int64(), [2_000, None]),
        (pa.array([timedelta(seconds=1), None], pa.duration("us")), pa.int64(), [1_000_000, None]),
        (pa.array([date(2020, 1, 2), None]), pa.string(), ["2020-01-02", None]),
        (pa.array([Decimal("1.50"), None]), pa.string(), ["1.50", None]),
        (pa.array(["x", None]).dictionary_encode(), pa.string(), ["x", None]),
        (pa.array([5, None]).dictionary_encode(), pa.int64(), [5, None]),
    ],
)
def test_a_column_becomes_what_is_counted(tmp_path: Path, given: Any, kind: Any, values: list[Any]) -> None:
    source = open_input(write(tmp_path / "x.parquet", pa.table({"v": given, "click": [0, 1]})), NA)
    rows = table_of(source)
    column = rows["v"]
    if pa.types.is_dictionary(column.type):
        column = column.cast(column.type.value_type)
    assert (column.type, column.to_pylist()) == (kind, values)
    assert source.numeric == ({"v"} if pa.types.is_floating(given.type) or pa.types.is_decimal(given.type) else set())
    counts = FeatureCounts(["v"], "click")
    counts.update(rows.to_batches()[0])
    assert counts.nulls("v") == values.count(None)


@pytest.mark.parametrize("nested", [pa.array([[1], [2]]), pa.array([{"x": 1}, {"x": 2}])])
def test_a_nested_column_is_named_unless_it_is_not_chosen(tmp_path: Path, nested: Any) -> None:
    path = write(tmp_path / "x.parquet", pa.table({"v": [1, 2], "deep": nested}))
    with pytest.raises(SchemaError, match=r"x.parquet: column 'deep': expected numbers, text or times, got"):
        open_input(path, InputSettings())
    assert table_of(open_input(path, InputSettings(columns=["v"]))).column_names == ["v"]


def test_text_of_few_values_is_read_as_dictionaries_without_missing_symbols(tmp_path: Path) -> None:
    few = ["{}" if i % 5 == 0 else None if i % 5 == 1 else f"v{i % 5}" for i in range(5_000)]
    many = [f"value {i}" for i in range(5_000)]
    path = write(tmp_path / "x.parquet", pa.table({"few": few, "many": many}), row_group_size=1_500)
    rows = table_of(
        open_input(path, InputSettings(block_rows=1_000, reading=Reading(missing=("{}",))))
    ).unify_dictionaries()
    assert (rows["few"].type, rows["many"].type) == (pa.dictionary(pa.int32(), pa.string()), pa.string())
    assert rows["few"].to_pylist() == [None if value == "{}" else value for value in few]
    assert rows["few"].null_count == 2_000
    assert rows["many"].to_pylist() == many


def test_blocks_span_row_groups_and_wide_rows_make_them_shorter(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = write(tmp_path / "x.parquet", pa.table({"v": np.arange(10_000)}), row_group_size=100)
    blocks = list(open_input(path, InputSettings(block_rows=4_000)).batches())
    assert [block.num_rows for block in blocks] == [4_000, 4_000, 2_000]
    monkeypatch.setattr(parquet_files, "BLOCK_BYTES", 80 * 8)
    sizes = [piece.num_rows for piece in open_input(path, InputSettings())._pieces()]
    assert (sum(sizes), max(sizes) <= 80) == (10_000, True)


def test_files_may_differ_in_the_order_and_width_of_columns(tmp_path: Path) -> None:
    write(tmp_path / "1.parquet", pa.table({"a": pa.nulls(2), "b": pa.array([1, 2], pa.int32())}))
    write(
        tmp_path / "2.parquet", pa.table({"b": pa.array([2**40], pa.int64()), "a": pa.array(["x"], pa.large_string())})
    )
    rows = table_of(open_input(tmp_path, InputSettings()))
    assert rows.to_pydict() == {"a": [None, None, "x"], "b": [1, 2, 2**40]}


@pytest.mark.parametrize(
    ("second", "message"),
    [
        ({"a": ["x"]}, r"2.parquet: column 'a': expected values of kind 'int' as in .*1.parquet, got 'str'"),
        ({"a": [0.5]}, r"2.parquet: column 'a': expected values of kind 'int' as in .*1.parquet, got 'float'"),
        ({"b": [1]}, r"2.parquet: expected the columns of .*1.parquet, got 'a' missing and 'b' unexpected"),
        ({"a": pa.array([], pa.int64())}, r"2.parquet: expected rows, got none"),
    ],
)
def test_files_that_differ_otherwise_are_named(tmp_path: Path, second: dict[str, Any], message: str) -> None:
    write(tmp_path / "1.parquet", pa.table({"a": [1]}))
    write(tmp_path / "2.parquet", pa.table(second))
    with pytest.raises(SchemaError, match=message):
        open_input(tmp_path, InputSettings())


def test_a_file_that_is_damaged_inside_is_named(tmp_path: Path) -> None:
    path = write(tmp_path / "x.parquet", pa.table({"a": np.random.default_rng(0).random(10_000)}))
    data = bytearray(path.read_bytes())
    data[4:5_000] = b"\xff" * 4_996
    path.write_bytes(data)
    with pytest.raises(SchemaError, match=r"x.parquet cannot be read: "):
        table_of(open_input(path, InputSettings()))


def test_real_data_is_read_whole(data_dir: Path) -> None:
    path = data_dir / "ctr" / "census_income.parquet"
    source = open_input(path, InputSettings())
    assert table_of(source).unify_dictionaries().num_rows == 299_285
    assert source.bytes_read == source.total_bytes == path.stat().st_size


def test_a_parquet_whose_row_group_names_a_column_otherwise_than_utf8_is_refused(tmp_path: Path) -> None:
    path = write(tmp_path / "x.parquet", pa.table({"long_name": [str(i) * 9 for i in range(999)]}), store_schema=False)
    begin, _, end = path.read_bytes().rpartition(b"long_name")
    path.write_bytes(begin + b"long\xffname" + end)
    with pytest.raises(SchemaError, match=r"x\.parquet cannot be read: .*utf-8"):
        table_of(open_input(path, InputSettings()))
