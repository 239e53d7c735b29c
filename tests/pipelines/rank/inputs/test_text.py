"""CSV and Vowpal Wabbit: what becomes of each text, and of each record that does not fit."""

import csv
import io
import random
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sparsewatch.pipelines.rank.inputs import InputSettings, RankInput, open_input, vw_files
from sparsewatch.pipelines.tables import csv_files, streams
from sparsewatch.pipelines.tables.settings import Reading
from sparsewatch.schemas.errors import SchemaError


def opened(folder: Path, name: str, data: bytes, **given: Any) -> RankInput:
    (folder / name).write_bytes(data)
    return open_input(folder / name, InputSettings(**given))


def values(source: RankInput) -> list[list[Any]]:
    return [list(row.values()) for batch in source.batches() for row in batch.to_pylist()]


@pytest.mark.parametrize(
    ("data", "rows"),
    [
        (b"a,b\n01,1\n1,x", [["01", "1"], ["1", "x"]]),
        (b"a,b\r\n1,2\r\n\r\n3,4\r\n", [["1", "2"], ["3", "4"]]),
        (b"\xef\xbb\xbfa,b\n1,2\n", [["1", "2"]]),
        (b'\xef\xbb\xbf"a","b"\n1,2\n', [["1", "2"]]),
        (b"\n\na,b\n1,2\n", [["1", "2"]]),
        (b'a,b\n"x,y","p\nq"\n"say ""hi""",\n{},""\n', [["x,y", "p\nq"], ['say "hi"', None], ["{}", None]]),
        (b'a,b\n5" disk,x\n', [['5" disk', "x"]]),
        (b"a,b\ntrue,2020-01-01\nNA,null\n", [["true", "2020-01-01"], ["NA", "null"]]),
        ("a,b\nčaj,日本\n".encode(), [["čaj", "日本"]]),
    ],
)
def test_a_csv_is_read_as_text(tmp_path: Path, data: bytes, rows: list[list[Any]]) -> None:
    source = opened(tmp_path, "x.csv", data)
    assert (source.columns, values(source)) == (("a", "b"), rows)
    assert source.rejected.rows == 0


def test_a_header_may_be_quoted_across_lines_and_in_another_encoding(tmp_path: Path) -> None:
    source = opened(tmp_path, "x.csv", b'"a,\nb",caf\xe9\n1,2\n', reading=Reading(encoding="latin-1"))
    assert (source.columns, values(source)) == (("a,\nb", "café"), [["1", "2"]])


def test_tabs_separate_the_fields_of_tsv(tmp_path: Path) -> None:
    assert values(opened(tmp_path, "x.tsv", b"a\tb\n1,5\t2\n")) == [["1,5", "2"]]


def test_ragged_records_are_counted_with_samples_and_the_others_kept(tmp_path: Path) -> None:
    good, bad = b'1,"x\ny"\n', b"1\n1,2,3\n\n"
    source = opened(tmp_path, "x.csv", b"\na,b\n" + good + bad + good + "é\n".encode() * 10)
    assert values(source) == [["1", "x\ny"]] * 2
    assert source.rejected.counts == {"too few fields": 11, "too many fields": 1}
    assert source.rejected.rows == 12
    few = [sample for sample in source.rejected.samples if sample.reason == "too few fields"]
    assert [sample.record for sample in few] == [3, 6, 7, 8, 9]
    assert few[1].detail == "expected 2 fields, got 1: 'é'"
    assert few[0].path == tmp_path / "x.csv"


def test_each_sth_row_is_counted_among_usable_rows(tmp_path: Path) -> None:
    data = b"a,b\n" + b"".join(b"%d,x\n%d\n" % (i, i) for i in range(10))
    assert [a for a, _ in values(opened(tmp_path, "x.csv", data, subsampling=3))] == ["2", "5", "8"]


def test_a_quote_left_open_is_named(tmp_path: Path) -> None:
    data = b'a,b\n1,2\n1,"2\n' + b"1,2\n" * 600_000
    with pytest.raises(SchemaError, match=r"x.csv: expected records of less than .* is a quote left open"):
        values(opened(tmp_path, "x.csv", data))


def test_a_header_that_does_not_end_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(csv_files, "_HEAD_BYTES", 10)
    monkeypatch.setattr(csv_files, "_MOST_HEAD_BYTES", 1_000)
    with pytest.raises(SchemaError, match=r"x.csv: expected the first record to end within 160 bytes; is a quote"):
        opened(tmp_path, "x.csv", b'a,"b\n' + b"1,2\n" * 600)


def test_wide_records_are_read(tmp_path: Path) -> None:
    row = ",".join(str(i) * 20 for i in range(20_000))
    source = opened(tmp_path, "x.csv", (",".join(map(str, range(20_000))) + "\n" + f"{row}\n" * 3).encode())
    assert [",".join(read) for read in values(source)] == [row] * 3


def test_without_a_header_the_first_record_of_ob_csv_is_a_row(tmp_path: Path) -> None:
    (tmp_path / "dataset_desc.json").write_text('{"data_features": [{"name": "label"}, {"name": "a"}]}')
    (tmp_path / "data.csv").write_text("1,x")
    assert values(open_input(tmp_path, InputSettings())) == [["1", "x"]]


def test_all_files_of_a_raw_dump_are_read_with_the_names_of_its_header(tmp_path: Path) -> None:
    for name, text in (
        ("0_header/header.csv", "label\ta"),
        ("1_train/d1/p", "label\ta\n1\tx\n"),
        ("1_train/d2/p", "0\ty"),
    ):
        path = tmp_path / "raw_data" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    assert values(open_input(tmp_path, InputSettings())) == [["1", "x"], ["0", "y"]]


def test_json_lines_keep_numbers_and_count_what_is_no_object(tmp_path: Path) -> None:
    data = b'{"a": 1, "b": "x", "n": {"c": 1}}\nnonsense\n\n{"b": "", "a": 2.5}\n{"a": null, "b": "{}"}\n'
    source = opened(tmp_path, "x.jsonl", data, columns=["a", "b"])
    assert (source.columns, values(source)) == (("a", "b"), [[1.0, "x"], [2.5, ""], [None, "{}"]])
    assert source.numeric == {"a"}
    assert source.rejected.counts == {"no JSON object": 1}
    assert (source.rejected.samples[0].record, source.bytes_read) == (2, len(data))
    with pytest.raises(SchemaError, match="column 'n': expected numbers, text or times, got struct"):
        opened(tmp_path, "x.jsonl", data)


def test_columns_of_csv_files_may_come_in_another_order(tmp_path: Path) -> None:
    (tmp_path / "1.csv").write_text("a,b\n1,2\n")
    (tmp_path / "2.csv").write_text("b,a\n2,1\n")
    assert values(open_input(tmp_path, InputSettings())) == [["1", "2"]] * 2


FIELD = st.text(st.characters(codec="utf-8", exclude_characters="\r\x00"), max_size=6)


@settings(max_examples=100)
@given(st.lists(st.tuples(FIELD, FIELD), min_size=1, max_size=8), st.sampled_from(["\n", "\r\n"]))
def test_what_a_csv_writer_quotes_comes_back(rows: list[tuple[str, str]], ending: str) -> None:
    text = io.StringIO()
    csv.writer(text, lineterminator=ending).writerows([("a", "b"), *rows])
    with TemporaryDirectory() as folder:
        source = opened(Path(folder), "x.csv", text.getvalue().encode())
        assert values(source) == [[field or None for field in row] for row in rows]


MAP = "A,site\nB,ad\nlong,price,f32\n"
NAMES = {"A": "site", "B": "ad", "long": "price"}


def vw(folder: Path, data: bytes, namespaces: str = MAP, **given: Any) -> RankInput:
    (folder / "vw_namespace_map.csv").write_text(namespaces)
    return opened(folder, "data.vw", data, **given)


def slow_vw(line: str) -> list[str | None]:
    """One line, word by word."""
    label, *parts = line.split("|")
    row: dict[str, str | None] = dict.fromkeys(NAMES.values())
    for part in parts:
        name, *tokens = part.split() or [""]
        if name in NAMES:
            row[NAMES[name]] = "-".join(tokens)[2:]
    return [label.split()[0], *row.values()]


def random_line(rng: random.Random) -> str:
    parts = []
    for _ in range(rng.randrange(1, 5)):
        tokens = [rng.choice(["A_x", "B_čaj", "日本語", "é", "x", "l_1.5", "{}"]) for _ in range(rng.randrange(4))]
        parts.append((" " * rng.choice([1, 1, 2])).join([rng.choice([*NAMES, "other", ""]), *tokens]))
    blank = [" " * rng.choice([0, 1, 1, 3]) for _ in range(3)]
    return rng.choice(["1", "-1", "0 2.0 tag"]) + blank[0] + "|" + (blank[1] + "|" + blank[2]).join(parts)


@pytest.mark.parametrize("seed", range(20))
def test_lines_are_read_as_word_by_word(tmp_path: Path, seed: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(streams, "_CHUNK_BYTES", random.Random(seed).choice([7, 100, 1_000]))
    monkeypatch.setattr(vw_files, "_CELLS", random.Random(seed).choice([1, 40, 1_000]))
    rng = random.Random(seed)
    lines = [random_line(rng) for _ in range(100)]
    text = "".join(line + rng.choice(["\n", " \n", "\r\n", "\n\n", "\n "]) for line in lines)
    source = vw(tmp_path, text.encode())
    assert values(source) == [[None if value in ("", "{}") else value for value in slow_vw(line)] for line in lines]
    assert source.rejected.rows == 0
    assert source.numeric == {"price"}


def test_the_map_may_say_how_many_characters_are_dropped(tmp_path: Path) -> None:
    assert values(vw(tmp_path, b"1 |A xyz", MAP + "_namespace_skip_prefix,0\n")) == [["1", "xyz", None, None]]


def test_an_absent_or_empty_namespace_is_missing_and_the_last_of_two_counts(tmp_path: Path) -> None:
    source = vw(tmp_path, b"1 |A A_x |B\n0 |A A_x |B B_{} |A A_z")
    assert values(source) == [["1", "x", None, None], ["0", "z", None, None]]


def test_lines_without_label_or_namespace_are_counted_and_unknown_namespaces_ignored(tmp_path: Path) -> None:
    source = vw(tmp_path, b"\xef\xbb\xbf1 |A A_x\n|A A_x\n\nnothing\n0 |Z Z_x |A A_caf\xc3\xa9\n |B B_y\n")
    assert values(source) == [["1", "x", None, None], ["0", "café", None, None]]
    assert source.rejected.counts == {"no label": 2, "no namespace": 1}
    assert source.rejected.ignored == {"unknown namespace": 1}
    assert [(sample.record, sample.reason) for sample in source.rejected.samples] == [
        (2, "no label"),
        (6, "no label"),
        (4, "no namespace"),
        (5, "unknown namespace"),
    ]
    assert source.rejected.samples[2].detail.endswith("got 'nothing'")


def test_a_line_that_does_not_end_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(streams, "_CHUNK_BYTES", 100)
    monkeypatch.setattr(streams, "_MOST_LINE_BYTES", 1_000)
    with pytest.raises(SchemaError, match=r"data.vw: expected lines of less than 1000 bytes"):
        values(vw(tmp_path, b"1 |A " + b"x" * 2_000))


def test_a_map_that_skips_more_characters_than_names_have_is_refused(tmp_path: Path) -> None:
    for skip in ("99999999999999", "-1", "\u0662"):
        with pytest.raises(SchemaError, match="line 4: expected _namespace_skip_prefix,number"):
            vw(tmp_path, b"1 |A xyz", MAP + f"_namespace_skip_prefix,{skip}\n")
