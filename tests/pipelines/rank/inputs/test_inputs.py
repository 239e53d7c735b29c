"""What all inputs have in common: layouts, blocks, sampling, packing, progress, and errors that name the file."""

import gzip
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from sparsewatch.pipelines.rank.inputs import InputSettings, RankInput, open_input
from sparsewatch.pipelines.tables.blocks import every, gather, head, read_ahead
from sparsewatch.pipelines.tables.settings import Reading
from sparsewatch.schemas.errors import ConfigError, SchemaError, SparsewatchError

ROWS = 1_000
PACKERS: dict[str, Callable[[bytes], bytes]] = {
    "": bytes,
    ".gz": gzip.compress,
    ".zst": lambda data: pa.compress(data, "zstd", asbytes=True),
}


def rows_of(source: RankInput) -> list[dict[str, Any]]:
    return [row for batch in source.batches() for row in batch.to_pylist()]


def expected() -> list[dict[str, Any]]:
    return [{"label": str(i % 2), "site": f"s{i}", "price": None if i % 3 else f"{i}.5"} for i in range(ROWS)]


def write(folder: Path, source: str, pack: str = "") -> Path:
    """The rows of `expected` in a layout; returns what to open."""
    table = pa.Table.from_pylist(expected())
    lines = [[row["label"], row["site"], row["price"] or ""] for row in expected()]
    text = {
        separator: "".join(separator.join(fields) + "\n" for fields in [list(table.column_names), *lines])
        for separator in ",\t"
    }
    packed = PACKERS[pack]
    if source == "parquet":
        pq.write_table(table, folder / "rows.parquet")
    elif source in ("csv-raw", "ob-csv"):
        (folder / f"data.csv{pack}").write_bytes(packed(text[","].encode()))
    if source == "ob-csv":
        features = [
            {"name": name, "type": "Float32" if name == "price" else "Categorical"} for name in table.column_names
        ]
        (folder / "dataset_desc.json").write_text(json.dumps({"data_features": features}))
    elif source == "csv":
        (folder / f"rows.csv{pack}").write_bytes(packed(text[","].encode()))
    elif source == "ob-vw":
        (folder / "vw_namespace_map.csv").write_text("A,site\nBB,price,f32\n")
        vw = "".join(f"{i % 2} |A A_s{i}" + ("" if i % 3 else f" |BB B_{i}.5") + "\n" for i in range(ROWS))
        (folder / f"data.vw{pack}").write_bytes(packed(vw.encode()))
    elif source == "ob-raw-dump":
        for name in ("0_header", "1_train/day=1"):
            (folder / "raw_data" / name).mkdir(parents=True)
        (folder / "raw_data/0_header/header.csv").write_text("\t".join(table.column_names) + "\n")
        (folder / f"raw_data/1_train/day=1/part-0.tsv{pack}").write_bytes(packed(text["\t"].encode()))
    return folder


@pytest.mark.parametrize("pack", PACKERS)
@pytest.mark.parametrize("source", ["csv", "csv-raw", "ob-csv", "ob-vw", "ob-raw-dump"])
def test_each_layout_gives_the_same_rows_named_or_found_plain_or_packed(tmp_path: Path, source: Any, pack: str) -> None:
    path = write(tmp_path, source, pack)
    for chosen in (source, "auto"):
        opened = open_input(path, InputSettings(source=chosen))
        assert opened.columns == ("label", "site", "price")
        assert rows_of(opened) == expected()
        assert opened.numeric == ({"price"} if source in ("ob-csv", "ob-vw") else set())
        assert (opened.rejected.rows, opened.rejected.samples) == (0, [])


def test_a_folder_of_parquet_gives_the_same_rows(tmp_path: Path) -> None:
    opened = open_input(write(tmp_path, "parquet"), InputSettings())
    assert (opened.columns, rows_of(opened)) == (("label", "site", "price"), expected())


@pytest.mark.parametrize("source", ["csv", "ob-vw", "parquet"])
def test_a_file_is_opened_as_its_folder_is(tmp_path: Path, source: str) -> None:
    folder = write(tmp_path, source)
    file = next(
        path for path in folder.iterdir() if path.suffix in (".csv", ".vw", ".parquet") and "map" not in path.name
    )
    assert rows_of(open_input(file, InputSettings())) == expected()


def test_a_folder_is_read_in_the_order_of_names_without_hidden_files(tmp_path: Path) -> None:
    for name, value in (("b.csv", "2"), ("a.csv", "1"), ("c.csv.gz", "3"), ("_SUCCESS.csv", "x"), (".d.csv", "x")):
        text = f"v,w\n{value},0\n".encode()
        (tmp_path / name).write_bytes(gzip.compress(text) if name.endswith("gz") else text)
    assert [row["v"] for row in rows_of(open_input(tmp_path, InputSettings()))] == ["1", "2", "3"]


@pytest.mark.parametrize("source", ["csv", "ob-vw", "parquet"])
@pytest.mark.parametrize("step", [1, 3, 7, 1_000, 1_001])
def test_subsampling_keeps_each_sth_row(tmp_path: Path, source: str, step: int) -> None:
    opened = open_input(write(tmp_path, source), InputSettings(subsampling=step, block_rows=64))
    assert rows_of(opened) == expected()[step - 1 :: step]


def test_max_rows_ends_the_rows_after_subsampling(tmp_path: Path) -> None:
    opened = open_input(write(tmp_path, "csv"), InputSettings(subsampling=2, max_rows=5))
    assert rows_of(opened) == expected()[1:10:2]


@pytest.mark.parametrize("source", ["csv", "ob-vw", "parquet", "ob-raw-dump"])
def test_only_the_chosen_columns_are_read_in_the_order_of_the_file(tmp_path: Path, source: str) -> None:
    opened = open_input(write(tmp_path, source), InputSettings(columns=["price", "label"]))
    assert opened.columns == ("label", "price")
    assert rows_of(opened) == [{"label": row["label"], "price": row["price"]} for row in expected()]


@pytest.mark.parametrize("source", ["csv", "ob-vw", "parquet"])
def test_a_chosen_column_that_is_missing_is_named_with_the_closest(tmp_path: Path, source: str) -> None:
    path = write(tmp_path, source)
    with pytest.raises(ConfigError, match=r"expected a column 'prise', got 3 columns, the closest price"):
        open_input(path, InputSettings(columns=["label", "prise"]))


@pytest.mark.parametrize("source", ["csv", "ob-vw", "parquet"])
def test_texts_for_the_missing_value_come_on_top_of_those_of_the_layout(tmp_path: Path, source: str) -> None:
    path = write(tmp_path, source)
    rows = rows_of(open_input(path, InputSettings(reading=Reading(missing=("s1", "s2")))))
    assert [row["site"] for row in rows[:4]] == ["s0", None, None, "s3"]
    assert [row["price"] for row in rows] == [row["price"] for row in expected()]


def test_only_layouts_of_the_public_tool_take_empty_brackets_for_missing(tmp_path: Path) -> None:
    (tmp_path / "rows.csv").write_text('a,b\n{},""\n')
    (tmp_path / "folder").mkdir()
    (tmp_path / "folder" / "data.csv").write_text('a,b\n{},""\n')
    (tmp_path / "rows.jsonl").write_text('{"a": "{}", "b": ""}\n')
    pq.write_table(pa.table({"a": ["{}"], "b": [""]}), tmp_path / "rows.parquet")
    found = {path.name: rows_of(open_input(path, InputSettings())) for path in tmp_path.iterdir()}
    assert found == {
        "rows.csv": [{"a": "{}", "b": None}],
        "folder": [{"a": None, "b": None}],
        "rows.jsonl": [{"a": "{}", "b": ""}],
        "rows.parquet": [{"a": "{}", "b": ""}],
    }


@pytest.mark.parametrize("source", ["csv", "ob-vw", "parquet"])
def test_progress_ends_at_the_size_of_the_files_and_reading_again_starts_again(tmp_path: Path, source: str) -> None:
    opened = open_input(write(tmp_path, source), InputSettings(block_rows=100))
    assert opened.bytes_read == 0
    first = rows_of(opened)
    assert 0 < opened.bytes_read == opened.total_bytes
    assert rows_of(opened) == first
    assert opened.bytes_read == opened.total_bytes


def test_leaving_early_closes_the_file(tmp_path: Path) -> None:
    opened = open_input(write(tmp_path, "csv"), InputSettings(block_rows=10))
    batches = opened.batches()
    next(batches)
    del batches
    assert rows_of(opened) == expected()


def batch(*sizes: int) -> pa.RecordBatch:
    return pa.record_batch({"v": ["x" * size for size in sizes]})


@pytest.mark.parametrize("rows", [1, 3, 10, 1_000])
def test_blocks_are_bounded_in_rows_and_bytes_and_lose_nothing(rows: int) -> None:
    pieces = [batch(*([i % 50] * (i % 7))) for i in range(100)] + [batch(5_000), batch(*range(200))]
    blocks = list(gather(iter(pieces), rows, 1_024))
    assert [v for b in blocks for v in b["v"].to_pylist()] == [v for p in pieces for v in p["v"].to_pylist()]
    assert all(0 < block.num_rows <= rows for block in blocks)
    assert all(block.nbytes <= 1_024 + 4 for block in blocks if block.num_rows > 1)


def test_dictionaries_of_several_pieces_are_gathered_and_their_bytes_do_not_cut_rows() -> None:
    pieces = [batch(*range(100)).set_column(0, "v", batch(*range(i, i + 100))["v"].dictionary_encode()) for i in (0, 9)]
    (block,) = gather(iter(pieces), 1_000, 4_096)
    assert block["v"].to_pylist() == [v for piece in pieces for v in piece["v"].to_pylist()]


def test_steps_and_ends_count_over_pieces() -> None:
    pieces = [pa.record_batch({"v": list(range(i, i + 7))}) for i in range(0, 70, 7)]
    assert [v for piece in every(pieces, 5) for v in piece["v"].to_pylist()] == list(range(4, 70, 5))
    assert [v for piece in head(pieces, 10) for v in piece["v"].to_pylist()] == list(range(10))


def test_reading_ahead_passes_errors_on() -> None:
    def pieces() -> Any:
        yield batch(1)
        raise SchemaError("bad")

    ahead = read_ahead(pieces())
    assert next(ahead).num_rows == 1
    with pytest.raises(SchemaError, match="bad"):
        next(ahead)


def test_settings_out_of_range_are_refused() -> None:
    for wrong in ({"source": "xls"}, {"block_rows": 0}, {"subsampling": 0}, {"max_rows": 0}):
        with pytest.raises(ConfigError, match=f"{next(iter(wrong))}: expected"):
            InputSettings(**wrong)


def make(folder: Path, files: dict[str, bytes]) -> Path:
    for name, data in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(data)
    return folder


CSV = b"label,a\n1,x\n"
MAP = {"vw_namespace_map.csv": b"A,a\n"}
DESC = b'{"data_features": [{"name": "label"}, {"name": "a", "type": "float"}]}'


@pytest.mark.parametrize(
    ("source", "files", "path", "message"),
    [
        ("auto", {}, "none", r"no such file or folder: .*none"),
        ("auto", {}, ".", r"got an empty folder"),
        ("auto", {"b.txt": b"", "a.txt": b""}, ".", r"expected Parquet .* got a folder of a.txt, b.txt"),
        ("auto", {"a.txt": b""}, "a.txt", r"got a file a.txt"),
        ("auto", {"a.csv": CSV, "a.parquet": b""}, ".", r"got parquet and csv"),
        ("auto", {"data.vw": b"1 |A A_x\n"}, ".", r"Vowpal Wabbit .*beside vw_namespace_map.csv"),
        ("auto", {"a.parquet": b"PAR1"}, ".", r"a.parquet cannot be read: "),
        ("parquet", {"a.csv": CSV}, ".", r"expected files ending in .parquet"),
        ("parquet", {"a.csv": CSV}, "a.csv", r"a.csv cannot be read: "),
        ("csv", {"a.parquet": b""}, ".", r"expected files ending in .csv or .tsv, got a folder of a.parquet"),
        ("csv", {"a.csv": b""}, ".", r"a.csv: .*got an empty file"),
        ("csv", {"a.csv.gz": b""}, ".", r"a.csv.gz: .*got an empty file"),
        ("csv", {"a.csv": b"\n\r\n"}, ".", r"a.csv: .*got an empty file"),
        ("csv", {"a.csv": b"a,b"}, ".", r"a.csv: expected rows, got a header only"),
        ("csv", {"a.csv": b"a,b\n\n"}, ".", r"a.csv: expected rows, got a header only"),
        ("csv", {"a.csv": b"a,b,a,b\n1,2,3,4\n"}, ".", r"got more than once: 'a', 'b'"),
        ("csv", {"a.csv": CSV, "b.csv": b"label,c\n1,x\n"}, ".", r"b.csv: .*a.csv, got 'a' missing and 'c' unexpected"),
        ("csv", {"a.csv": b'a,"b\n1,2\n'}, ".", r"a.csv: expected rows, got a header only"),
        ("csv-raw", {"a.csv": CSV}, ".", r"expected one of data.csv, data.csv.gz, data.csv.zst, got 0"),
        ("csv-raw", {"data.csv": CSV, "data.csv.gz": CSV}, ".", r"got 2 of them"),
        ("ob-csv", {"data.csv": CSV}, ".", r"no such file: .*dataset_desc.json"),
        ("ob-csv", {"data.csv": CSV, "dataset_desc.json": b"{"}, ".", r"dataset_desc.json: expected"),
        ("ob-csv", {"data.csv": CSV, "dataset_desc.json": b"[]"}, ".", r"dataset_desc.json: expected"),
        ("ob-csv", {"data.csv": b"a,label\n", "dataset_desc.json": DESC}, ".", r"shares 'a', 'label'"),
        ("ob-vw", {"data.vw": b"1 |A A_x\n"}, ".", r"no such file: .*vw_namespace_map.csv"),
        ("ob-vw", MAP, ".", r"expected data.vw, data.vw.gz or data.vw.zst"),
        ("ob-vw", {**MAP, "data.vw": b"\n"}, ".", r"data.vw: expected rows, got an empty file"),
        ("ob-vw", {"data.vw": b"1 |A\n", "vw_namespace_map.csv": b"A,a,b,c\n"}, ".", r"line 1: expected a new id,name"),
        ("ob-vw", {"data.vw": b"1 |A\n", "vw_namespace_map.csv": b"A,a\nA,b\n"}, ".", r"line 2: expected a new id"),
        ("ob-vw", {"data.vw": b"1 |A\n", "vw_namespace_map.csv": b"A,a\nB,a\n"}, ".", r"more than once: 'a'"),
        ("ob-vw", {"data.vw": b"1 |A\n", "vw_namespace_map.csv": b"A,label\n"}, ".", r"more than once: 'label'"),
        ("ob-vw", {"data.vw": b"1 |A\n", "vw_namespace_map.csv": b""}, ".", r"got none"),
        ("ob-raw-dump", {"raw_data/1_train/x": b""}, ".", r"no such file: .*header.csv"),
        ("ob-raw-dump", {"raw_data/0_header/header.csv": b"label\ta\n"}, ".", r"expected files of rows under"),
    ],
)
def test_what_cannot_be_opened_is_named(
    tmp_path: Path, source: Any, files: dict[str, bytes], path: str, message: str
) -> None:
    folder = make(tmp_path, files)
    with pytest.raises((ConfigError, SchemaError), match=message):
        open_input(folder / path, InputSettings(source=source))


@pytest.mark.parametrize("source", ["csv", "ob-vw"])
@pytest.mark.parametrize("pack", [".gz", ".zst"])
def test_a_truncated_or_damaged_file_is_named_after_its_whole_rows(tmp_path: Path, source: str, pack: str) -> None:
    folder = write(tmp_path, source, pack)
    file = next(path for path in folder.iterdir() if path.suffix == pack)
    whole = file.read_bytes()
    # A frame of zstd need not hold a checksum.
    changed = [whole[:1_000] + b"\xff" * 20 + whole[1_020:]] if pack == ".gz" else []
    for damaged in (whole[: len(whole) // 2], whole[:-3], *changed):
        file.write_bytes(damaged)
        with pytest.raises(SparsewatchError, match=rf"{file.name} cannot be read: "):
            rows_of(open_input(folder, InputSettings()))
