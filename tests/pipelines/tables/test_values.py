"""What columns of Parquet and texts of CSV mean, and what is refused: the tables in docs/tables.md, line by line."""

import re
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from sparsewatch.pipelines.tables.settings import TableSettings
from sparsewatch.pipelines.tables.table import open_table
from sparsewatch.schemas.errors import SchemaError

INT, FLOAT, TEXT, BOOL = pa.int64(), pa.float64(), pa.string(), pa.bool_()
MOMENT = pa.array([datetime(2026, 1, 2, 3, 4, 5, 678_901, tzinfo=UTC)]).cast(pa.timestamp("us"))
BEFORE_1970 = pa.array([datetime(1969, 12, 31, 23, 59, 59, 999_999, tzinfo=UTC)]).cast(pa.timestamp("us"))
ZONED = MOMENT.cast(pa.timestamp("us", "Europe/Berlin"))
MS = 1_767_323_045_678


def read(folder: Path, column: Any, **settings: Any) -> tuple[Any, list[Any]]:
    pq.write_table(pa.table({"a": column}), folder / "x.parquet")
    table = open_table([folder / "x.parquet"], TableSettings(columns=("a",), **settings))
    return table.schema.field("a").type, pa.Table.from_batches(table.pieces(), table.schema)["a"].to_pylist()


@pytest.mark.parametrize(
    ("column", "kind", "values"),
    [
        (pa.array([1, None], pa.int8()), INT, [1, None]),
        (pa.array([2**63 - 1], pa.uint64()), INT, [2**63 - 1]),
        (pa.array([0.1], pa.float32()), FLOAT, [0.10000000149011612]),
        (pa.array([1.5, float("nan"), float("inf"), float("-inf"), None]), FLOAT, [1.5, None, None, None, None]),
        (pa.array([Decimal("1.10")]), FLOAT, [1.1]),
        (pa.array([True, None]), BOOL, [True, None]),
        (pa.array(["x", "", None], pa.large_string()), TEXT, ["x", "", None]),
        (pa.array(["x"]).cast(pa.string_view()), TEXT, ["x"]),
        (pa.array(["x", None, "x"]).dictionary_encode(), TEXT, ["x", None, "x"]),
        (pa.array([3, 3]).dictionary_encode(), INT, [3, 3]),
        (pa.array(["caf\xe9".encode(), None]), TEXT, ["caf\xe9", None]),
        (pa.array([b"ab"], pa.binary(2)), TEXT, ["ab"]),
        (pa.array([date(2026, 1, 2)]), TEXT, ["2026-01-02"]),
        (pa.array([time(1, 2, 3)]), TEXT, ["01:02:03.000000"]),
        (MOMENT, INT, [MS]),
        (ZONED, INT, [MS]),
        (pa.array([timedelta(seconds=1.5)]), FLOAT, [1.5]),
        (pa.array([None, None]), pa.null(), [None, None]),
        (pa.array([[1, 2]]), pa.list_(pa.field("element", pa.int64())), [[1, 2]]),
    ],
)
def test_columns_without_a_declared_type(tmp_path: Path, column: Any, kind: Any, values: list[Any]) -> None:
    assert read(tmp_path, column) == (kind, values)


@pytest.mark.parametrize(
    ("column", "kind", "values"),
    [
        (pa.array([1, 2]), FLOAT, [1.0, 2.0]),
        (pa.array([2**60 + 1]), FLOAT, [float(2**60)]),
        (pa.array([1.0, float("nan")]), INT, [1, None]),
        (pa.array([1, 0, None]), BOOL, [True, False, None]),
        (pa.array([True, False]), INT, [1, 0]),
        (pa.array([12, 13]), TEXT, ["12", "13"]),
        (pa.array(["007", " 8 ", "1.0", "-2e3", "nan", "+5"]), INT, [7, 8, 1, -2000, None, 5]),
        (pa.array(["9007199254740993.0"]), INT, [9007199254740993]),
        (pa.array(["007", " 8 ", "1.5", "nan", "inf", "1e400"]), FLOAT, [7.0, 8.0, 1.5, None, None, None]),
        (pa.array(["true", "FALSE", "1", " 0 "]), BOOL, [True, False, True, False]),
        (pa.array([b"1.5"]), FLOAT, [1.5]),
        (pa.array([Decimal("3.00")]), INT, [3]),
        (pa.array([Decimal("1.10")]), TEXT, ["1.10"]),
        (pa.array([2**64 - 1], pa.uint64()), TEXT, [str(2**64 - 1)]),
        (MOMENT, INT, [MS]),
        (BEFORE_1970, INT, [-1]),
        (pa.array([date(2026, 1, 2)]), INT, [1_767_312_000_000]),
        (MOMENT, TEXT, ["2026-01-02 03:04:05.678901"]),
    ],
)
def test_values_become_those_of_a_declared_type(tmp_path: Path, column: Any, kind: Any, values: list[Any]) -> None:
    assert read(tmp_path, column, types={"a": kind}) == (kind, values)


@pytest.mark.parametrize(("moments", "value"), [("epoch_s", MS // 1_000), ("epoch_us", 1_767_323_045_678_901)])
def test_times_are_integers_in_the_units_of_the_job(tmp_path: Path, moments: Any, value: int) -> None:
    assert read(tmp_path, ZONED, types={"a": INT}, moments=moments)[1] == [value]


@pytest.mark.parametrize(
    ("column", "kind", "got"),
    [
        (pa.array([1.5]), INT, "got double: .*1.5"),
        (pa.array([2, 0]), BOOL, "got int64: numbers that are neither 0 nor 1"),
        (pa.array([2**64 - 1], pa.uint64()), None, "got uint64: .* 18446744073709551615"),
        (pa.array(["0x1F", "1"]), INT, "got '0x1F'"),
        (pa.array(["0x1F"]), FLOAT, "got '0x1F'"),
        (pa.array(["1,5", "2.5"]), FLOAT, "got '1,5'"),
        (pa.array(["1_000"]), INT, "got numbers with separators, such as '1_000'"),
        (pa.array(["1e300"]), INT, "got '1e300'"),
        (pa.array(["inf"]), INT, "got 'inf'"),
        (pa.array([str(2**63)]), INT, "got '9223372036854775808'"),
        (pa.array(["yes"]), BOOL, "got 'yes'"),
        (pa.array([b"\xff\xfe"]), None, "got binary: bytes that are no text in utf-8; --encoding"),
        (MOMENT, FLOAT, "got timestamp"),
        (pa.array([{"x": 1}]), None, "got struct<x: int64>"),
        (pa.array([[("k", 1)]], pa.map_(TEXT, INT)), None, "got map<string, int64"),
    ],
)
def test_what_has_no_meaning_is_refused_by_name(tmp_path: Path, column: Any, kind: Any, got: str) -> None:
    with pytest.raises(SchemaError, match=rf"x.parquet: column 'a': expected .*, {got}"):
        read(tmp_path, column, types={"a": kind} if kind else {})


def test_columns_that_look_like_numbers_and_are_text_are_told(tmp_path: Path) -> None:
    (tmp_path / "x.csv").write_text(
        'zip,id,comma,share,price,site\n007,99999999999999999999,"1,5",0.5 %,$1.50,a1\n010,7,"2,25",12%,-7 €,b2\n'
    )
    found = open_table([tmp_path / "x.csv"], TableSettings()).found
    assert [remark.split(": it is read")[0] for remark in found] == [
        "x.csv: column 'zip' holds numbers with leading zeros, such as '007'",
        "x.csv: column 'id' holds integers of more than 64 bits, such as '99999999999999999999'",
        "x.csv: column 'comma' holds numbers with separators, such as '1,5', where a decimal point alone is read",
        "x.csv: column 'share' holds numbers with a unit, such as '0.5 %', where numbers alone are read",
        "x.csv: column 'price' holds numbers with a unit, such as '$1.50', where numbers alone are read",
    ]


@pytest.mark.parametrize(
    ("texts", "says"),
    [
        (["1,5", "2,25"], "numbers with separators, such as '1,5', where a decimal point alone is read"),
        (["5%", "7.5 %"], "numbers with a unit, such as '5%', where numbers alone are read"),
        (["1.5", "2,5"], "'2,5'; --missing takes texts that stand for a missing value"),
        (["-", "2.5"], "'-'; --missing takes texts that stand for a missing value"),
    ],
)
def test_a_column_of_another_writing_is_not_called_missing(tmp_path: Path, texts: list[str], says: str) -> None:
    (tmp_path / "x.csv").write_text("a\n" + "".join(f'"{text}"\n' for text in texts))
    table = open_table([tmp_path / "x.csv"], TableSettings(types={"a": FLOAT}))
    with pytest.raises(SchemaError, match=re.escape(f"column 'a': expected float, got {says}")):
        list(table.pieces())


@pytest.mark.parametrize("text", ["a\n1.5\ninf\nnan\n", '{"a": 1.5}\n{"a": null}\n'])
def test_infinite_values_are_missing_and_counted(tmp_path: Path, text: str) -> None:
    path = tmp_path / ("x.csv" if text[0] == "a" else "x.jsonl")
    path.write_text(text)
    table = open_table([path], TableSettings())
    assert pa.Table.from_batches(table.pieces())["a"].drop_null().to_pylist() == [1.5]
    told = ["column 'a': 1 infinite value read as missing"] if text[0] == "a" else []
    assert table.remarks() == told
