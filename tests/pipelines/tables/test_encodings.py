"""Encodings, byte order marks, names and separators: read alike by all, or refused with the place and the mend."""

import itertools
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from click.testing import CliRunner
from hypothesis import given
from hypothesis import settings as examples
from hypothesis import strategies as st

from sparsewatch.pipelines.cli import cli
from sparsewatch.pipelines.rank.inputs import InputSettings, open_input
from sparsewatch.pipelines.tables import streams
from sparsewatch.pipelines.tables.encodings import ToUtf8, check_encoding
from sparsewatch.pipelines.tables.settings import Reading, TableSettings
from sparsewatch.pipelines.tables.table import open_table
from sparsewatch.schemas.errors import ConfigError, SchemaError

TEXTS = {"csv": "a,b\ncaf\xe9,\u20ac\nx,y\n", "jsonl": '{"a": "caf\xe9", "b": "\u20ac"}\n{"a": "x", "b": "y"}\n'}
ROWS = {"a": ["caf\xe9", "x"], "b": ["\u20ac", "y"]}


def read(path: Path, encoding: str | None = None) -> dict[str, list[Any]]:
    table = open_table([path], TableSettings(reading=Reading(encoding=encoding)))
    columns: dict[str, list[Any]] = pa.Table.from_batches(table.pieces(), table.schema).to_pydict()
    return columns


def ranked(path: Path, encoding: str | None = None) -> dict[str, list[Any]]:
    batches = open_input(path, InputSettings(reading=Reading(encoding=encoding))).batches()
    columns: dict[str, list[Any]] = pa.Table.from_batches(batches).to_pydict()
    return columns


@pytest.mark.parametrize("ending", ["csv", "jsonl"])
@pytest.mark.parametrize("reader", [read, ranked])
@pytest.mark.parametrize(
    ("written", "asked"),
    [
        ("utf-8", None),
        ("utf-8-sig", None),
        ("utf-16", None),
        ("utf-32", None),
        ("utf-8-sig", "cp1252"),
        ("cp1252", "cp1252"),
        ("utf-16-le", "utf-16-le"),
        ("utf-16-be", "utf-16-be"),
    ],
)
def test_a_byte_order_mark_decides_and_the_setting_without_it(
    tmp_path: Path, reader: Any, ending: str, written: str, asked: str | None
) -> None:
    path = tmp_path / f"x.{ending}"
    path.write_bytes(TEXTS[ending].encode(written))
    assert reader(path, asked) == ROWS


@pytest.mark.parametrize("ending", ["csv", "jsonl"])
@pytest.mark.parametrize("reader", [read, ranked])
def test_a_byte_that_does_not_fit_is_named_with_its_place_and_the_likely_encoding(
    tmp_path: Path, reader: Any, ending: str
) -> None:
    path = tmp_path / f"x.{ending}"
    path.write_bytes(TEXTS[ending].encode("cp1252"))
    expected = rf"x.{ending}, line 2, character 4: expected text as utf-8, got the byte 0xe9; as cp1252 it reads 'café"
    if ending == "jsonl":
        expected = r"line 1, character 11: .* as cp1252 it reads '\{\"a\": \"café"
    with pytest.raises(SchemaError, match=rf"{expected}.*: if that is right, add --encoding cp1252"):
        reader(path)


def test_a_wrong_byte_far_into_the_file_is_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(streams, "_CHUNK_BYTES", 1000)
    path = tmp_path / "x.csv"
    path.write_bytes(b"a\n" + "日本\n".encode() * 5_000 + b"x\x81\n")
    with pytest.raises(SchemaError, match=r"line 5002, character 2: .* 0x81; as latin-1 it reads 'x\\x81'"):
        read(path)
    path.write_bytes("a\n日".encode()[:-1])
    with pytest.raises(SchemaError, match=r"line 2, character 1: expected text as utf-8, got the byte 0xe6"):
        read(path)


@pytest.mark.parametrize("order", ["le", "be"])
def test_utf_16_without_a_mark_is_refused_with_the_mend(tmp_path: Path, order: str) -> None:
    path = tmp_path / "x.csv"
    path.write_bytes("a,b\nx,y\n".encode(f"utf-16-{order}"))
    with pytest.raises(SchemaError, match=f"bytes that are zero: if it is UTF-16, add --encoding utf-16-{order}"):
        read(path)


def test_only_encodings_of_text_are_taken() -> None:
    assert check_encoding("UTF8") == check_encoding("utf-8-sig") == "utf-8"
    for name in ("nonsense", "hex", "zlib"):
        with pytest.raises(ConfigError, match=r"--encoding: expected an encoding such as utf-8, .* got"):
            check_encoding(name)


@examples(max_examples=150)
@given(
    st.text(st.characters(codec="utf-8"), max_size=40),
    st.sampled_from(["utf-8", "utf-8-sig", "utf-16", "utf-32", "utf-16-le"]),
    st.lists(st.integers(0, 200), max_size=6),
)
def test_text_is_the_same_wherever_a_chunk_ends(text: str, encoding: str, cuts: list[int]) -> None:
    text = "a" * 8 + text
    data, asked = text.encode(encoding), encoding if encoding == "utf-16-le" else None
    places = sorted({0, len(data), *(cut % (len(data) + 1) for cut in cuts)})
    chunks = [data[a:b] for a, b in itertools.pairwise(places)] + [b"", b""]
    convert = ToUtf8(asked, AssertionError)
    assert b"".join(convert(pa.py_buffer(chunk)) for chunk in chunks).decode() == text + "\n"


@pytest.mark.parametrize("reader", [read, ranked])
@pytest.mark.parametrize(
    ("text", "names"),
    [
        (" a , b\t\n1,2\n", ["a", "b"]),
        ('\ufeff"a"," b "\r\n1,2\r\n', ["a", "b"]),
        ("a,b\r1,2\r", ["a", "b"]),
        (",a\n0,1\n", ["column 1", "a"]),
        ("a, ,\n0,1,2\n", ["a", "column 2", "column 3"]),
        ("a;b\n1;2,5\n", ["a", "b"]),
        ("a\tb\n1\t2\n", ["a", "b"]),
        ("a;b,c\n1;2,5\n", ["a;b", "c"]),
        ("a\n1\n", ["a"]),
        ("ORC,BZh\n1,2\n", ["ORC", "BZh"]),
    ],
)
def test_names_of_columns_are_those_of_the_header_without_blanks(
    tmp_path: Path, reader: Any, text: str, names: list[str]
) -> None:
    (tmp_path / "x.csv").write_bytes(text.encode())
    assert list(reader(tmp_path / "x.csv")) == names


@pytest.mark.parametrize("reader", [read, ranked])
def test_names_that_are_alike_without_blanks_are_refused(tmp_path: Path, reader: Any) -> None:
    (tmp_path / "x.csv").write_text("a, a\n1,2\n")
    with pytest.raises(SchemaError, match="expected each column once, got more than once: 'a'"):
        reader(tmp_path / "x.csv")


@pytest.mark.parametrize("command", ["rank", "rows", "reference", "publish", "retrain"])
def test_every_command_that_reads_tables_takes_an_encoding(command: str) -> None:
    words = ["train", command] if command in ("rows", "reference") else [command]
    result = CliRunner().invoke(cli, [*words, "--encoding", "nonsense"])
    assert "--encoding: expected an encoding such as utf-8" in str(result.exception)
