"""Bin maps as text: what stands in the picture stands in the wafer, its notch turned down."""

from datetime import UTC, datetime
from pathlib import Path

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
