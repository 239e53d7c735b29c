"""Tables with types: which types are found, what is missing, what is refused by name, and what is set aside."""

import tracemalloc
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from sparsewatch.pipelines.tables import csv_files, streams
from sparsewatch.pipelines.tables.settings import Reading, TableSettings
from sparsewatch.pipelines.tables.table import Table, open_table
from sparsewatch.schemas.errors import ConfigError, SchemaError


def settings(missing: tuple[str, ...] = (), encoding: str | None = None, **others: Any) -> TableSettings:
    return TableSettings(reading=Reading(missing=missing, encoding=encoding), **others)


def opened(path: Path, text: str | bytes, **given: Any) -> Table:
    path.write_bytes(text.encode() if isinstance(text, str) else text)
    return open_table([path], settings(**given))


def read(table: Table) -> dict[str, list[Any]]:
    columns: dict[str, list[Any]] = pa.Table.from_batches(table.pieces(), table.schema).to_pydict()
    return columns


@pytest.mark.parametrize(
    ("texts", "kind"),
    [
        (["1", "-2", ""], pa.int64()),
        ([" 1", "2 "], pa.int64()),
        (["1", "2.5", "1e3"], pa.float64()),
        (["1", "nan"], pa.int64()),
        (["+5", "-0"], pa.int64()),
        (["0.5", "0", "-0.25"], pa.float64()),
        (["1.5", "inf", "-Infinity"], pa.float64()),
        (["true", " false", "TRUE"], pa.bool_()),
        (["2024-01-31", "1999-12-31"], pa.string()),
        (["2024-01-31T10:00:00Z"], pa.string()),
        (["007", "1"], pa.string()),
        (["-01.5", "1"], pa.string()),
        (["0x1F", "0xA0"], pa.string()),
        (["1_000"], pa.string()),
        (['"1,5"', '"2,25"'], pa.string()),
        ([str(2**63 - 1), str(-(2**63) + 1)], pa.int64()),
        ([str(2**63), "1"], pa.string()),
        (["9" * 40, "1.5"], pa.string()),
        (["1" + "0" * 20 + ".5"], pa.float64()),
        (["٣", "1"], pa.string()),
        (["", ""], pa.null()),
        (["NA", "1"], pa.string()),
        (["x", "1"], pa.string()),
    ],
)
def test_a_csv_column_has_the_first_type_that_holds_all_of_its_values(
    tmp_path: Path, texts: list[str], kind: Any
) -> None:
    table = opened(tmp_path / "x.csv", "a,b\n" + "".join(f"{text},x\n" for text in texts))
    assert table.schema.field("a").type == kind
    assert len(read(table)["a"]) == len(texts)


def test_nan_among_numbers_is_missing_as_in_parquet(tmp_path: Path) -> None:
    assert read(opened(tmp_path / "x.csv", "a,b\n1.5,x\nnan,nan\n")) == {"a": [1.5, None], "b": ["x", "nan"]}


def test_a_late_text_makes_the_column_text_from_its_first_row_on(tmp_path: Path) -> None:
    values = [str(i) for i in range(300_000)] + ["x1"]
    table = opened(tmp_path / "x.csv", "a\n" + "\n".join(values))
    assert (table.schema.field("a").type, read(table)["a"]) == (pa.string(), values)


def test_what_lies_beyond_the_rows_that_are_read_does_not_matter(tmp_path: Path) -> None:
    table = opened(tmp_path / "x.csv", "a\n1\n2\nx\n", most_rows=2)
    assert read(table) == {"a": [1, 2]}


def test_only_the_empty_field_and_texts_that_are_named_are_missing(tmp_path: Path) -> None:
    text = 'a,b\nNA,1\nnull,\n-,3\n"",4\n'
    assert read(opened(tmp_path / "x.csv", text))["a"] == ["NA", "null", "-", None]
    assert read(opened(tmp_path / "x.csv", text, missing=("NA", "-")))["a"] == [None, "null", None, None]
    lines = '{"a": "NA"}\n{"a": ""}\n{"a": null}\n{}\n{"a": "-"}'
    assert read(opened(tmp_path / "x.jsonl", lines, missing=("-",)))["a"] == ["NA", "", None, None, None]
    pq.write_table(pa.table({"a": ["NA", "", None, "-"]}), tmp_path / "x.parquet")
    table = open_table([tmp_path / "x.parquet"], settings(missing=("-",)))
    assert read(table)["a"] == ["NA", "", None, None]


def test_numbers_among_a_few_other_texts_are_told(tmp_path: Path) -> None:
    numbers = "".join(f"{i / 8},s{i % 40},{i % 300}\n" for i in range(500))
    text = f"temp,site,id\n{numbers}-,s,1\n-,s,2\nn/a,s,x9\n"
    table = opened(tmp_path / "x.csv", text, columns=("temp", "site"))
    [remark] = table.found
    assert "x.csv: column 'temp' holds 500 numbers and '-' (2 times), 'n/a' (1 time)" in remark
    assert table.schema.field("temp").type == pa.string()
    cured = opened(tmp_path / "x.csv", text, columns=("temp",), missing=("-", "n/a"))
    assert (cured.found, cured.schema.field("temp").type) == ((), pa.float64())
    # Ids of letters and digits are nothing to be told of.
    ids = "".join(f"{i}\n" for i in range(500)) + "".join(f"x{i}\n" for i in range(9))
    assert opened(tmp_path / "y.csv", "a\n" + ids).found == ()


@pytest.mark.parametrize("name", ["x.csv", "x.parquet"])
def test_a_value_that_is_not_of_a_declared_type_is_refused_by_name(tmp_path: Path, name: str) -> None:
    values = ["1.5"] * 10 + ["-", "?", "-"]
    path = tmp_path / name
    pq.write_table(pa.table({"a": values}), path) if name == "x.parquet" else path.write_text("\n".join(["a", *values]))
    declared = {"a": pa.float64()}
    with pytest.raises(SchemaError, match=rf"{name}: column 'a': expected float, got '-', '\?'; --missing takes texts"):
        read(open_table([path], TableSettings(types=declared)))
    with pytest.raises(SchemaError, match="column 'a': expected float, got"):
        open_table([path], TableSettings(types=declared)).look_over()
    assert read(open_table([path], settings(types=declared, missing=("-", "?"))))["a"] == [1.5] * 10 + [None] * 3


@pytest.mark.parametrize("values", [[1, 2], [0.5], [True]])
def test_numbers_where_only_texts_are_meant_are_refused(tmp_path: Path, values: list[Any]) -> None:
    pq.write_table(pa.table({"a": values}), tmp_path / "x.parquet")
    declared = TableSettings(types={"a": pa.string()}, texts_only=True)
    with pytest.raises(SchemaError, match=r"x.parquet: column 'a': expected text, got (int64|double|bool)"):
        open_table([tmp_path / "x.parquet"], declared)
    pq.write_table(pa.table({"a": ["1"]}), tmp_path / "x.parquet")
    assert read(open_table([tmp_path / "x.parquet"], declared)) == {"a": ["1"]}


def test_declared_types_rule(tmp_path: Path) -> None:
    types = {"zip": pa.string(), "day": pa.string(), "flag": pa.string(), "n": pa.int64()}
    table = opened(tmp_path / "x.csv", "zip,day,flag,n\n007,2024-01-02,true,1.0\n008,,,\n", types=types)
    assert read(table) == {"zip": ["007", "008"], "day": ["2024-01-02", None], "flag": ["true", None], "n": [1, None]}


def test_lines_that_are_no_objects_are_counted_with_their_numbers(tmp_path: Path) -> None:
    table = opened(tmp_path / "x.jsonl", '{"a": 1}\n\nnonsense\n[1]\n{"a": 2.5, "b": "2024-01-01"}\n{"a": ')
    assert read(table) == {"a": [1.0, 2.5], "b": [None, "2024-01-01"]}
    assert table.rejected.counts == {"no JSON object": 3}
    assert [sample.record for sample in table.rejected.samples] == [3, 4, 6]
    assert table.remarks()[-1] == "3 rows left out: no JSON object"


@pytest.mark.parametrize("line", ["null", 'null{"a": 1}', "[]", '"x"', "5", 'true {"a": 1}'])
@pytest.mark.parametrize("good", ["", '{"a": 2}\n'])
def test_lines_that_begin_with_another_value_are_no_objects(tmp_path: Path, line: str, good: str) -> None:
    table = opened(tmp_path / "x.jsonl", f'{{"a": 1}}\n{line}\n{good}')
    assert read(table)["a"] == [1, 2][: 1 + bool(good)]
    assert table.rejected.counts == {"no JSON object": 1}


def test_values_of_several_kinds_in_json_lines_are_refused_where_the_column_is_read(tmp_path: Path) -> None:
    text = '{"a": 1, "b": 2}\n' * 3 + '{"a": "x", "b": 3}\n'
    with pytest.raises(SchemaError, match=r"x.jsonl, line 4: column 'a': expected .* int64 in the lines before, got"):
        opened(tmp_path / "x.jsonl", text)
    assert read(opened(tmp_path / "x.jsonl", text, columns=("b",)))["b"] == [2, 2, 2, 3]
    with pytest.raises(SchemaError, match=r"x.jsonl, line 1: column 'b': expected str, got 2 \(int\)"):
        read(opened(tmp_path / "x.jsonl", text, columns=("b",), types={"b": pa.string()}))


def test_nested_objects_are_refused_where_they_are_read(tmp_path: Path) -> None:
    text = '{"a": [1, 2], "b": {"c": 1}}\n'
    with pytest.raises(SchemaError, match=r"x.jsonl: column 'b': expected numbers, text, times or lists, got struct"):
        opened(tmp_path / "x.jsonl", text)
    assert read(opened(tmp_path / "x.jsonl", text, columns=("a",))) == {"a": [[1, 2]]}


def test_files_of_several_formats_that_are_named_have_types_wide_enough(tmp_path: Path) -> None:
    (tmp_path / "a.jsonl").write_text('{"s": "x", "n": 1}\nnonsense\n')
    (tmp_path / "b.csv").write_text("s,n\ny,2.5\n")
    pq.write_table(pa.table({"n": pa.array([3], pa.int32()), "s": pa.array(["z"], pa.large_string())}), tmp_path / "c")
    table = open_table([tmp_path / name for name in ("a.jsonl", "b.csv", "c")], TableSettings())
    assert read(table) == {"s": ["x", "y", "z"], "n": [1.0, 2.5, 3.0]}
    assert table.schema.types == [pa.string(), pa.float64()]


def test_numbers_of_json_lines_without_an_end_are_missing_and_counted(tmp_path: Path) -> None:
    table = opened(tmp_path / "x.jsonl", '{"a": 1e400, "b": 1}\n{"a": NaN, "b": 2.0}\n{"a": 1.5}\n')
    assert read(table) == {"a": [None, None, 1.5], "b": [1, 2, None]}
    assert table.remarks() == ["column 'a': 1 infinite value read as missing"]


def test_texts_for_the_missing_value_may_stand_among_numbers_of_json_lines(tmp_path: Path) -> None:
    text = '{"a": "-", "b": "-"}\n{"a": 1, "b": "x"}\n{"a": 2.5}\n'
    assert read(opened(tmp_path / "x.jsonl", text, missing=("-",))) == {"a": [None, 1.0, 2.5], "b": [None, "x", None]}
    with pytest.raises(SchemaError, match="column 'a': expected values of one kind"):
        opened(tmp_path / "x.jsonl", text)


def test_ragged_records_are_counted(tmp_path: Path) -> None:
    table = opened(tmp_path / "x.csv", "a,b\n1,2\n3\n4,5,6\n")
    assert read(table) == {"a": [1], "b": [2]}
    assert table.rejected.counts == {"too few fields": 1, "too many fields": 1}


def test_folders_patterns_and_several_files_are_one_table(tmp_path: Path) -> None:
    (tmp_path / "logs").mkdir()
    for name, text in (("2.csv", "b,a\n1.5,x\n"), ("1.csv", "a,b\ny,1\n"), (".hidden.csv", "z\n"), ("notes.txt", "")):
        (tmp_path / "logs" / name).write_text(text)
    both = {"a": ["y", "x"], "b": [1.0, 1.5]}
    for paths in (["logs"], ["logs/*.csv"], ["logs/1.csv", "logs/2.csv"]):
        assert read(open_table([tmp_path / path for path in paths], TableSettings())) == both


@pytest.mark.parametrize(
    ("files", "path", "message"),
    [
        ({"a.csv": b"a\n1\n", "b.jsonl": b'{"a": 1}'}, ".", r"files of one format.* got a.csv \(CSV\) and b.jsonl"),
        ({"a.csv": b"a\n1\n", "b.csv": b"c\n1\n"}, ".", "b.csv: expected the columns of .*a.csv, got 'a' missing"),
        ({"a.txt": b""}, ".", "got a folder of a.txt"),
        ({}, "none.csv", "cannot read .*none.csv: no such file"),
        ({}, "*.csv", "no such file"),
        ({"a.csv": b"PK\x03\x04"}, "a.csv", "a.csv: expected Parquet, CSV .* got a zip archive, such as xlsx"),
        ({"a.parquet": b"a,b\n1,2\n"}, "a.parquet", r"got a file that begins 'a,b\\n1,2\\n'"),
        ({"a.jsonl": b"a,b\n1,2\n"}, "a.jsonl", "got a file that begins"),
        ({"a.parquet": b"PAR1"}, "a.parquet", "a.parquet cannot be read: "),
        ({"a.csv": b"a,a\n1,2\n"}, "a.csv", "got more than once: 'a'"),
        ({"a.jsonl": b'{"a":\n'}, "a.jsonl", "expected rows, got no JSON object"),
    ],
)
def test_what_cannot_be_read_is_named(tmp_path: Path, files: dict[str, bytes], path: str, message: str) -> None:
    for name, data in files.items():
        (tmp_path / name).write_bytes(data)
    with pytest.raises((ConfigError, SchemaError), match=message):
        open_table([tmp_path / path], TableSettings())


def test_files_of_other_kinds_in_a_column_are_named(tmp_path: Path) -> None:
    for name, values in (("1", [1]), ("2", ["x"])):
        pq.write_table(pa.table({"a": values}), tmp_path / f"{name}.parquet")
    with pytest.raises(SchemaError, match=r"2.parquet: column 'a': expected int64 as in .*1.parquet, got string"):
        open_table([tmp_path], TableSettings())


def _write(path: Path, times: int) -> None:
    """A file of 50,000 different rows, `times` times over."""
    numbers = np.random.default_rng(0).integers(0, 1 << 40, (50_000, 8)).tolist()
    if "csv" in path.name:
        text = "a,b,c,d,e,f,g,h\n" + "".join(",".join(map(str, row)) + "\n" for row in numbers) * times
    else:
        text = "".join(f'{{"a": {row[0]}, "b": {row[1]}, "c": "{row[2]}{row[3]}"}}\n' for row in numbers) * times
    path.write_bytes(pa.compress(text.encode(), "gzip", asbytes=True) if path.suffix == ".gz" else text.encode())


def _peak_bytes(path: Path) -> int:
    """Most bytes that Arrow and Python hold while a table is opened and read, and that progress reaches the end."""
    before, most = pa.total_allocated_bytes(), 0
    last = (0, 0)

    def on_bytes(done: int, total: int) -> None:
        nonlocal last, most
        last, most = (done, total), max(most, pa.total_allocated_bytes() - before)

    tracemalloc.start()
    try:
        for _ in open_table([path], TableSettings(piece_rows=4_096), on_bytes).pieces(on_bytes):
            most = max(most, pa.total_allocated_bytes() - before)
        _, python = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert last == (path.stat().st_size,) * 2
    return most + python


@pytest.mark.long
@pytest.mark.parametrize("name", ["x.csv", "x.csv.gz", "x.jsonl"])
def test_memory_does_not_grow_with_the_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    # Arrow reads up to 32 blocks of a CSV ahead: with small ones a small file is more than it holds at once.
    monkeypatch.setattr(csv_files, "_BLOCK_BYTES", 1 << 16)
    monkeypatch.setattr(streams, "_CHUNK_BYTES", 1 << 16)
    peaks = []
    for times in (1, 8):
        _write(tmp_path / name, times)
        peaks.append(_peak_bytes(tmp_path / name))
    # Read whole, the larger file takes 8 times the memory; how far the reading thread is ahead varies within 2.
    assert 0 < peaks[1] < 3 * peaks[0]


def test_numbers_in_json_lines_that_are_no_numbers_are_missing_as_in_every_format(tmp_path: Path) -> None:
    text = '{"x": 1.5, "n": 1}\n{"x": NaN, "n": 2.0}\n{"x": 1e400, "n": 3}\n'
    types = {"x": pa.float64(), "n": pa.int64()}
    table = opened(tmp_path / "x.jsonl", text, types=types)
    assert (read(table), table.rejected.counts) == ({"x": [1.5, None, None], "n": [1, 2, 3]}, {})
    with pytest.raises(SchemaError, match=r"x.jsonl, line 2: column 'n': expected a finite number, got nan"):
        read(opened(tmp_path / "x.jsonl", '{"n": 1}\n{"n": NaN}\n', types={"n": pa.int64()}))


def test_a_parquet_whose_footer_lost_rows_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "x.parquet"
    pq.write_table(pa.table({"x": range(40)}), path, row_group_size=15)
    # The number of all rows in the footer: an integer of 64 bits, zigzag-coded.
    stated, damaged = b"\x16\x50", b"\x16\x52"
    data = path.read_bytes()
    assert data.count(stated) == 1
    path.write_bytes(data.replace(stated, damaged))
    with pytest.raises(SchemaError, match=r"expected 41 rows in its row groups, got 40"):
        list(open_table([path], TableSettings()).pieces())


@pytest.mark.parametrize("key", [r"a\"b", r"a\\b", r"a\tb", r"\ud800"])
def test_json_lines_of_names_that_events_cannot_have_are_refused(tmp_path: Path, key: str) -> None:
    with pytest.raises(SchemaError, match="expected names of columns without quotes, backslashes"):
        opened(tmp_path / "x.jsonl", f'{{"n": 1}}\n{{"{key}": 2}}\n')


def test_a_parquet_whose_names_are_no_utf8_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "x.parquet"
    pq.write_table(pa.table({"long_name": [1]}), path, store_schema=False)
    path.write_bytes(path.read_bytes().replace(b"long_name", b"long\xffname"))
    with pytest.raises(SchemaError, match=r"x\.parquet cannot be read: .*utf-8"):
        open_table([path], TableSettings())
