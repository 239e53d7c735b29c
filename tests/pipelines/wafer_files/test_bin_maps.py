"""Bin maps as text: what stands in the picture stands in the wafer, its notch turned down."""

import re
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from sparsewatch.detectors.sparse_net.points import read_points, validate_wafers
from sparsewatch.pipelines.wafer_files.bin_maps import read_bin_map
from sparsewatch.pipelines.wafer_files.faults import WaferFileError

HEADER = "wafer: W3\nlot: L9\nstep: sort\ntool: prober 2\ntime: 2026-03-04 05:06:07\ndiameter_mm: 200\n"
PICTURE = [".17.", "1111", "1X11", ".11."]
SINF = """DEVICE:D
LOT:L9
WAFER:W3
FNLOC:180
ROWCT:2
COLCT:3
BCEQU:01,0A
REFPX:0
RowData:__ 01 02
RowData:0A 01 __
"""


def written(folder: Path, text: str) -> Path:
    (folder / "map.txt").write_text(text)
    return folder / "map.txt"


def points(folder: Path, text: str) -> set[tuple[float, float]]:
    (wafer,) = read_bin_map(written(folder, text))
    assert validate_wafers(wafer.rows) == []
    found = read_points(wafer.rows)
    return set(zip(found.x.tolist(), found.y.tolist(), strict=True))


@pytest.mark.parametrize("separator", ["map:\n", "\n"])
def test_the_top_row_of_the_picture_is_the_top_of_the_wafer(tmp_path: Path, separator: str) -> None:
    # The 7 is in the third of four columns and the top row, the X in the second column and the third row.
    text = HEADER + separator + "\n".join(PICTURE)
    assert points(tmp_path, text) == {(0.25, 0.75), (-0.25, -0.25)}
    (wafer,) = read_bin_map(written(tmp_path, text))
    (row,) = wafer.rows.to_pylist()
    named = {"wafer_id": "W3", "lot": "L9", "step": "sort", "tool": "prober 2", "radius_um": 100_000.0}
    assert {name: row[name] for name in named} == named
    assert np.reshape(row["map"], (4, 4))[::-1].tolist() == [[0, 1, 2, 0], [1, 1, 1, 1], [1, 2, 1, 1], [0, 1, 1, 0]]
    assert wafer.times_us.tolist() == [datetime(2026, 3, 4, 5, 6, 7, tzinfo=UTC).timestamp() * 1e6]


@pytest.mark.parametrize(
    ("notch", "expected"), [("down", (-1, -1)), ("up", (1, 1)), ("left", (1, -1)), ("right", (-1, 1))]
)
def test_the_notch_ends_at_the_bottom(tmp_path: Path, notch: str, expected: tuple[int, int]) -> None:
    # One die fails, bottom left of the picture. With the notch left it is next to the notch, clockwise seen from
    # it; turned down, it is at the right of the bottom.
    (found,) = points(tmp_path, f"wafer: a\nlot: b\nnotch: {notch}\nmap:\n111\n111\n211\n")
    assert np.sign(found).tolist() == list(expected)


def test_sinf_names_its_passing_bins(tmp_path: Path) -> None:
    (wafer,) = read_bin_map(written(tmp_path, SINF))
    assert wafer.rows["map"].to_pylist() == [[1, 1, 0, 0, 1, 2]]
    assert wafer.rows["wafer_id"].to_pylist() == ["W3"]
    (turned,) = read_bin_map(written(tmp_path, SINF.replace("FNLOC:180", "FNLOC:0")))
    assert turned.rows["map"].to_pylist() == [[2, 1, 0, 0, 1, 1]]


def test_other_bins_pass_if_the_header_says_so(tmp_path: Path) -> None:
    assert points(tmp_path, "wafer: a\nlot: b\npass: 1, 7\nmap:\n17\n73\n") == {(0.5, -0.5)}


@pytest.mark.parametrize(
    ("text", "code", "line"),
    [
        (HEADER, "truncated", None),
        (HEADER + "map:\n11\n1\n", "wrong_columns", 9),
        (HEADER + "what is this\nmap:\n1", "broken_structure", 7),
        ("wafer: a\nmap:\n1", "missing_field", None),
        (HEADER + "notch: aside\nmap:\n1", "bad_field", None),
        (HEADER.replace("200", "2e5") + "map:\n1", "bad_field", None),
        (HEADER.replace("2026-03", "2026-13") + "map:\n1", "bad_field", None),
        (SINF + "RowData:__ 01\n", "wrong_columns", 11),
        (SINF + "more\n", "broken_structure", 11),
        (SINF.replace("RowData", "Rows"), "truncated", None),
        (HEADER + "map:\n1\0", "not_text", 8),
    ],
)
def test_what_is_wrong_has_a_name(tmp_path: Path, text: str, code: str, line: int | None) -> None:
    with pytest.raises(WaferFileError) as caught:
        list(read_bin_map(written(tmp_path, text)))
    assert (caught.value.code, caught.value.line) == (code, line), caught.value


ROUND = ["__ 01 01 __", "01 02 01 0A", "01 01 01 01", "__ 01 01 __"]


def sinf(rows: list[str], **header: str) -> str:
    lines = {"LOT": "L", "WAFER": "W", "FNLOC": "180", "ROWCT": "4", "COLCT": "4", "BCEQU": "01"} | header
    return "".join(f"{key}:{value}\n" for key, value in lines.items() if value) + "".join(
        f"RowData:{r}\n" for r in rows
    )


def counts(folder: Path, text: str, **options: Any) -> list[int]:
    """Dies outside, good and failing."""
    (wafer,) = read_bin_map(written(folder, text), **options)
    dies = wafer.rows["map"][0].as_py()
    return [dies.count(kind) for kind in range(3)]


@pytest.mark.parametrize(
    ("rows", "header"),
    [
        (ROUND, {}),
        ([row.lower() for row in ROUND], {"BCEQU": "01,0a"}),
        ([row.replace("01", "0a") for row in ROUND], {"BCEQU": "0A"}),
        (["\t".join(row.split()) for row in ROUND], {}),
        ([row.replace(" ", "") for row in ROUND], {}),
        ([row.replace(" ", "") for row in ROUND], {"COLCT": ""}),
        ([row.replace(" ", "", 1) for row in ROUND], {}),
        ([row.replace("0", "00").replace("__", "___") for row in ROUND], {}),
        ([row.replace("0", "00").replace("__", "___").replace(" ", "") for row in ROUND], {"BCEQU": "001"}),
        ([row.replace("__", "..") for row in ROUND], {"BCEQU": "01;   codes that pass"}),
        (ROUND, {"BCEQU": "01 ;0B"}),
        (ROUND, {"BCEQU": "01 # good ones", "ROWCT": "4 ; rows", "FNLOC": "180; down"}),
        (ROUND, {"PRDCT": "12"}),
        (ROUND, {"DUTMS": "mm\n"}),
    ],
)
def test_sinf_of_all_makers_is_the_same_wafer(tmp_path: Path, rows: list[str], header: dict[str, str]) -> None:
    outside, good, failing = counts(tmp_path, sinf(rows, **header))
    expected = 1 if "0A" in header.get("BCEQU", "").upper() else 2
    assert (outside, good, failing) == (4, 12 - expected, expected)


def test_edge_and_reference_dies_neither_pass_nor_fail(tmp_path: Path) -> None:
    rows = [row.replace("02", "FE").replace("0A", "ff") for row in ROUND]
    assert counts(tmp_path, sinf(rows, PRDCT="10")) == [6, 10, 0]
    (wafer,) = read_bin_map(written(tmp_path, sinf(rows)))
    assert wafer.notes == ("1 die of FE, 1 die of ff as edge or reference dies, not tested; --no-die names such codes",)
    assert counts(tmp_path, sinf(rows), no_die=()) == [4, 10, 2]
    assert counts(tmp_path, sinf(rows, BCEQU="01,FE")) == [5, 11, 0]
    assert counts(tmp_path, sinf(ROUND, SKPBC="0A")) == [5, 10, 1]
    assert counts(tmp_path, "wafer: a\nlot: b\nskip: E\nmap:\n1E\n12\n") == [1, 2, 1]


@pytest.mark.parametrize(
    ("rows", "header", "code", "says"),
    [
        (ROUND[:3], {}, "count_mismatch", "expected 4 rows as ROWCT declares, got 3"),
        ([*ROUND, ROUND[3]], {}, "count_mismatch", "expected 4 rows as ROWCT declares, got 5"),
        ([row + " 01" for row in ROUND], {}, "wrong_columns", "expected 4 codes, as COLCT declares"),
        (["01 01 01"] * 4, {}, "wrong_columns", "expected 4 codes, as COLCT declares"),
        ([*ROUND[:3], "__ 01 01"], {}, "wrong_columns", "expected 4 dies as in the first row, got 3"),
        ([*ROUND[:3], "__ 01 01 _"], {}, "wrong_columns", "of equal width"),
        (ROUND, {"PRDCT": "13"}, "count_mismatch", "expected 13 dies as PRDCT declares, got 12"),
        (ROUND, {"ROWCT": "four"}, "bad_field", "expected a whole number as ROWCT"),
        (ROUND, {"BCEQU": "good"}, "bad_field", "codes of 2 characters in BCEQU as in the rows"),
        (ROUND, {"BCEQU": "codes that pass"}, "bad_field", "remarks behind ';'"),
        ([r.replace("01", "1A2") for r in ["01 01 01 01"] * 4], {"BCEQU": "1A"}, "bad_field", "no die has such a code"),
        ([r.replace("02", "?!") for r in ROUND], {}, "bad_field", "codes of letters and digits"),
        (ROUND, {"BCEQX": "0A", "BCEQU": ""}, "broken_structure", "is it BCEQU"),
        (ROUND, {"RowDatas": "01 01 01 01"}, "broken_structure", "is it ROWDATA"),
        (ROUND, {"LOT": "L\nLOT:M"}, "bad_field", "expected one value of LOT"),
    ],
)
def test_sinf_that_does_not_fit_is_refused(
    tmp_path: Path, rows: list[str], header: dict[str, str], code: str, says: str
) -> None:
    with pytest.raises(WaferFileError, match=re.escape(says)) as caught:
        list(read_bin_map(written(tmp_path, sinf(rows, **header))))
    assert caught.value.code == code


def test_a_size_that_is_declared_may_be_left_unchecked(tmp_path: Path) -> None:
    assert counts(tmp_path, sinf(ROUND[:3]), check_counts=False) == [2, 8, 2]


@pytest.mark.parametrize("text", [sinf(["________"] * 4), sinf(["EEEE____"] * 4), HEADER + "map:\n...\n...\n"])
def test_a_map_without_a_die_is_no_clean_wafer(tmp_path: Path, text: str) -> None:
    with pytest.raises(WaferFileError, match=r"expected dies on the wafer, got none in \d+ places") as caught:
        list(read_bin_map(written(tmp_path, text)))
    assert caught.value.code == "bad_field"


@pytest.mark.parametrize("outside", [".", "_", "-", "@"])
def test_places_outside_of_a_plain_map_are_written_as_in_sinf(tmp_path: Path, outside: str) -> None:
    rows = "\n".join(PICTURE).replace(".", outside)
    assert counts(tmp_path, HEADER + "map:\n" + rows) == counts(tmp_path, HEADER + "map:\n" + "\n".join(PICTURE))


def test_signs_are_codes_of_a_plain_map_where_its_header_says_so(tmp_path: Path) -> None:
    with pytest.raises(WaferFileError, match=r"expected a letter or digit for a die, .* got '\*'") as caught:
        list(read_bin_map(written(tmp_path, HEADER + "map:\n1*1\n1?-\n")))
    assert caught.value.code == "bad_field"
    assert counts(tmp_path, HEADER + "pass: * -\nskip: ?\nmap:\n1*1\n1?-\n") == [1, 2, 3]


def test_a_map_without_a_passing_die_says_so(tmp_path: Path) -> None:
    (wafer,) = read_bin_map(written(tmp_path, sinf(ROUND, BCEQU="07")))
    assert wafer.notes == ("no die has a code that passes (7); there are 10 dies of 01, 1 die of 02, 1 die of 0A",)


@pytest.mark.parametrize("between", [" ", "  ", "\t", ",", ", ", ";", " | "])
def test_dies_of_a_plain_map_may_be_set_apart(tmp_path: Path, between: str) -> None:
    rows = "\n".join(between.join(row) for row in PICTURE)
    assert counts(tmp_path, HEADER + "map:\n" + rows) == counts(tmp_path, HEADER + "map:\n" + "\n".join(PICTURE))


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("map:\n1 1\n111\n", "broken_structure"),
        ("map:\n01 01\n01 02\n", "broken_structure"),
        ("map:\n1,,1\n", "broken_structure"),
        ("rowct: 3\nmap:\n11\n11\n", "count_mismatch"),
        ("colct: 3\nmap:\n11\n11\n", "count_mismatch"),
        ("\nRows: 11\n", "broken_structure"),
    ],
)
def test_a_plain_map_that_does_not_fit_is_refused(tmp_path: Path, text: str, code: str) -> None:
    with pytest.raises(WaferFileError) as caught:
        list(read_bin_map(written(tmp_path, HEADER + text)))
    assert caught.value.code == code
