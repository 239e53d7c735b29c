"""KLARF files: positions of known geometry, versions, odd layouts; what is wrong has a name and a line."""

import gzip
import re
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from zoneinfo import ZoneInfo

import numpy as np
import pyarrow as pa
import pytest

from sparsewatch.detectors.sparse_net.points import validate_wafers
from sparsewatch.pipelines.wafer_files import text_files
from sparsewatch.pipelines.wafer_files.faults import WaferFileError
from sparsewatch.pipelines.wafer_files.inspections import Inspections
from sparsewatch.pipelines.wafer_files.klarf import defects as klarf_defects
from sparsewatch.pipelines.wafer_files.klarf.fields import KlarfReading
from sparsewatch.pipelines.wafer_files.klarf.list12 import orbit
from sparsewatch.pipelines.wafer_files.klarf.read import read_klarf
from sparsewatch.schemas.wafers import WAFER_COLUMNS

HEAD = """FileVersion 1 2;
FileTimestamp 03-04-2026 00:00:00;
InspectionStationID "Maker" "Model" "T7";
SampleType WAFER;
ResultTimestamp 03-04-26 05:06:07;
LotID "L1";
SampleSize 1 200;
StepID "M1";
OrientationMarkLocation DOWN;
DiePitch 4.0e3 5000;
DieOrigin 10 20;
"""
WAFER = """WaferID "W1";
Slot 1;
SampleCenterLocation 2000 2500.5;
SampleTestPlan 2
 0 0
 0 1;
DefectRecordSpec 7 DEFECTID XREL YREL XINDEX YINDEX TEST CLASSNUMBER;
DefectList
 1 100 200 0 0 1 0
 2 1.5e2 250.5 3 -2 1 0;
SummarySpec 2 TESTNO NDEFECT;
SummaryList
 1 2;
"""
END = "EndOfFile;\n"
#: Of the two defects of `WAFER`, by hand: rel + index * pitch + origin - centre.
X = [100 + 0 + 10 - 2000, 150 + 12000 + 10 - 2000]
Y = [200 + 0 + 20 - 2500.5, 250.5 - 10000 + 20 - 2500.5]

LATE = """Record FileRecord "1.8"
{
  Record LotRecord "L1"
  {
    Record WaferRecord "W1"
    {
      Field DieOrigin 2 {10000, 20000}
      Field SampleCenterLocation 2 {2000000, 2500500}
      List DefectList
      {
        Columns 6 { int32 DEFECTID, int32 XREL, int32 YREL, int32 XINDEX, int32 YINDEX, ImageList IMAGEINFO }
        Data 2
        {
          1 100000 200000
             0 0 N;
          2 150000 250500 3 -2 Images 2 { "a b;c" "JPG" 1 "x}", "d" "JPG" 1 "y" };
        }
      }
    }
    Field DiePitch 2 {4000000, 5000000}
    Field InspectionStationID 3 {"Maker", "Model", "T7"}
    Field OrientationMarkLocation 1 {0}
    Field ResultTimestamp 2 {"2026-03-04", "05:06:07"}
    Field SampleSize 2 {200000000, 0}
    Field StepID 1 {"M1"}
    List ClassLookupList { Columns 1 { string NAME } Data 1 { "a"; } }
  }
}
EndOfFile;
"""


@pytest.fixture(autouse=True, params=[1 << 20, 48], ids=["whole", "in pieces"])
def pieces(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Every test reads its files in one piece and in pieces of some lines."""
    monkeypatch.setattr(text_files, "PIECE_BYTES", request.param)


def written(folder: Path, text: str | bytes) -> Path:
    path = folder / "f.001"
    path.write_bytes(text.encode() if isinstance(text, str) else text)
    return path


def wafers_of(folder: Path, text: str | bytes, *, check_counts: bool = True) -> list[Inspections]:
    return list(read_klarf(written(folder, text), KlarfReading(check_counts=check_counts)))


def one(folder: Path, text: str | bytes) -> dict[str, object]:
    (wafer,) = wafers_of(folder, text)
    return row_of(wafer)


def row_of(wafer: Inspections) -> dict[str, object]:
    assert wafer.rows.schema == WAFER_COLUMNS
    assert validate_wafers(wafer.rows) == []
    (row,) = wafer.rows.to_pylist()
    return dict(row)


def fault(folder: Path, text: str | bytes) -> WaferFileError:
    with pytest.raises(WaferFileError) as caught:
        wafers_of(folder, text)
    return caught.value


@pytest.mark.parametrize("version", ["1 1", "1 2"])
def test_positions_count_from_the_centre_in_micrometres(tmp_path: Path, version: str) -> None:
    row = one(tmp_path, HEAD.replace("1 2", version, 1) + WAFER + END)
    assert row["x_um"] == X
    assert row["y_um"] == Y
    named = {"wafer_id": "W1", "lot": "L1", "step": "M1", "tool": "T7", "radius_um": 100_000.0}
    assert {name: row[name] for name in named} == named
    assert row["map"] is None


def test_version_1_8_gives_the_same_wafer_though_its_lot_is_described_behind_it(tmp_path: Path) -> None:
    assert one(tmp_path, LATE) == one(tmp_path, HEAD + WAFER + END)


@pytest.mark.parametrize(
    ("mark", "degrees", "turned"),
    [
        ("DOWN", 0, (X, Y)),
        ('"UP"', 180, ([-x for x in X], [-y for y in Y])),
        # The notch at the left is brought down by a quarter turn counter-clockwise: left, up -> down, left.
        ("left", 270, ([-y for y in Y], X)),
        ("RIGHT", 90, (Y, [-x for x in X])),
    ],
)
def test_the_mark_ends_at_the_bottom(
    tmp_path: Path, mark: str, degrees: int, turned: tuple[list[float], list[float]]
) -> None:
    old = one(tmp_path, HEAD.replace("Location DOWN", f"Location {mark}") + WAFER + END)
    assert (old["x_um"], old["y_um"]) == turned
    new = one(tmp_path, LATE.replace("MarkLocation 1 {0}", f"MarkLocation 1 {{{degrees}}}"))
    assert (new["x_um"], new["y_um"]) == turned


def test_a_defect_at_the_notch_lies_at_the_bottom_whatever_the_angle(tmp_path: Path) -> None:
    for degrees in (17, 123, 251):
        # The notch of a 200 mm wafer, so many degrees counter-clockwise from down.
        x, y = 1e8 * np.sin(np.radians(degrees)), -1e8 * np.cos(np.radians(degrees))
        text = LATE.replace("MarkLocation 1 {0}", f"MarkLocation 1 {{{degrees}}}").replace(
            "Origin 2 {10000, 20000}", "Origin 2 {0, 0}"
        )
        text = text.replace("1 100000 200000", f"1 {x + 2000000:.0f} {y + 2500500:.0f}")
        row = one(tmp_path, text)
        assert row["x_um"][0] == pytest.approx(0, abs=0.02)  # type: ignore[index]
        assert row["y_um"][0] == pytest.approx(-100_000, abs=0.02)  # type: ignore[index]


def test_defects_outside_of_the_wafer_are_kept(tmp_path: Path) -> None:
    row = one(tmp_path, HEAD + WAFER.replace(" 3 -2 1 0", " 40 -2 1 0") + END)
    assert row["x_um"][1] > 100_000  # type: ignore[index]


@pytest.mark.parametrize(
    "text",
    ["03-04-26 05:06:07", "03-04-2026 05:06:07", "2026-03-04 05:06:07", "3/4/2026 5:06:07.5"],
)
def test_times_are_read_in_the_zone_given(tmp_path: Path, text: str) -> None:
    path = written(tmp_path, HEAD.replace("03-04-26 05:06:07", text) + WAFER + END)
    for zone in (UTC, ZoneInfo("Europe/Rome")):
        (wafer,) = read_klarf(path, KlarfReading(zone=zone))
        assert wafer.times_us.tolist() == [datetime(2026, 3, 4, 5, 6, 7, tzinfo=zone).timestamp() * 1e6]


def test_without_its_own_time_a_wafer_has_its_file_s_or_none(tmp_path: Path) -> None:
    text = HEAD.replace("ResultTimestamp 03-04-26 05:06:07;\n", "")
    assert wafers_of(tmp_path, text + WAFER + END)[0].times_us == datetime(2026, 3, 4, tzinfo=UTC).timestamp() * 1e6
    text = text.replace("FileTimestamp 03-04-2026 00:00:00;\n", "")
    assert wafers_of(tmp_path, text + WAFER + END)[0].times_us == -1


def test_a_file_holds_several_wafers_each_with_its_own_counts(tmp_path: Path) -> None:
    second = WAFER.replace('"W1"', '"W2"').replace(" 1 100 200 0 0 1 0\n", "").replace(" 1 2;", " 1 1;")
    second = "ResultTimestamp 03-05-26 00:00:00;\n" + second.replace(
        "SampleCenterLocation 2000 2500.5", "SampleCenterLocation 0 0"
    )
    first, last = wafers_of(tmp_path, HEAD + WAFER + second + END)
    assert (row_of(first)["x_um"], row_of(last)["x_um"]) == (X, [150 + 12000 + 10])
    assert (last.times_us - first.times_us).tolist() == [(24 * 3600 - 5 * 3600 - 6 * 60 - 7) * 1_000_000]


def test_a_wafer_without_defects_is_one(tmp_path: Path) -> None:
    text = HEAD + re.sub(r"DefectList.*?;", "DefectList;", WAFER, flags=re.DOTALL).replace(" 1 2;", " 1 0;") + END
    assert one(tmp_path, text)["x_um"] == []


def test_lists_in_parts_and_images_within_records_are_read(tmp_path: Path) -> None:
    spec = "DefectRecordSpec 7 DEFECTID XREL YREL XINDEX YINDEX IMAGECOUNT IMAGELIST;"
    rows = [
        "DefectList;\nTiffFileName a.tif;\nDefectList\n 1 10 0 0 0 2 2 1 0\n 2 0\n 2 20 0 0 0 0 0;",
        "TiffFileName b.tif;\nDefectList\n 3 30 0 0 0 1 1 5 5 4 40 0 0 0 0 0\n 5 50 0 0 0 3 3 1 1 1 1 1 1;",
    ]
    body = re.sub(r"DefectRecordSpec.*?;\nDefectList.*?;", "\n".join([spec, *rows]), WAFER, flags=re.DOTALL)
    row = one(tmp_path, HEAD + body.replace(" 1 2;", " 1 5;") + END)
    assert row["x_um"] == [x + 10 - 2000 for x in (10, 20, 30, 40, 50)]


def test_records_reached_are_found_as_by_walking(tmp_path: Path) -> None:
    rng = np.random.default_rng(3)
    for n in (0, 1, 2, 17, 300):
        following = np.arange(n) + rng.integers(1, 6, n)
        walked, at = [], 0
        while at < n:
            walked.append(at)
            at = int(following[at])
        assert orbit(following).tolist() == walked


#: Rows of seven columns, for `with_rows`.
ROWS = [
    "1 100 200 0 0 1 0",
    "7 100.3 200.3 0 0 1 0",  # the same square micrometre
    "8 -3900 200 1 0 1 0",  # the same place, seen from the next die
    "9 103 200 0 0 1 0",
    "9 900 900 0 0 1 0",  # the same number elsewhere
    "9 950 900 0 0 2 0",
]


def with_rows(rows: list[str], summary: str) -> str:
    """The sound file with other defects and counts."""
    body = WAFER.replace(" 1 100 200 0 0 1 0\n 2 1.5e2 250.5 3 -2 1 0;", " " + "\n ".join(rows) + ";")
    return HEAD + body.replace(" 1 2;", f" {summary};") + END


def test_defects_at_the_same_place_count_once_and_numbers_that_repeat_elsewhere_are_defects(tmp_path: Path) -> None:
    for declared in ("6", "4"):
        (wafer,) = wafers_of(tmp_path, with_rows(ROWS, f"1 {declared}"))
        assert (wafer.listed, wafer.collapsed) == (6, 2)
        assert row_of(wafer)["x_um"] == [x + 10 - 2000 for x in (100, 103, 900, 950)]
    assert fault(tmp_path, with_rows(ROWS, "1 5")).code == "count_mismatch"


@pytest.mark.parametrize("ids", [(0, 0, 0, 0, 0), (1, 2, 1, 2, 1), (5, 5, 6, 6, 6)])
def test_numbers_of_defects_need_not_differ(tmp_path: Path, ids: tuple[int, ...]) -> None:
    rows = [f"{number} {100 * i} 200 {i} 0 1 0" for i, number in enumerate(ids)]
    (wafer,) = wafers_of(tmp_path, with_rows(rows, "1 5"))
    assert (wafer.listed, wafer.collapsed) == (5, 0)


def test_a_record_repeated_word_by_word_does_not_make_up_for_a_lost_one(tmp_path: Path) -> None:
    rows = ["1 100 200 0 0 1 0", "2 300 200 0 0 1 0", "2 300 200 0 0 1 0"]
    assert wafers_of(tmp_path, with_rows(rows, "1 2"))[0].collapsed == 1
    assert "expected the 3 defects that SummaryList declares, the list has 3, 2 of them at places of their own" in str(
        fault(tmp_path, with_rows(rows, "1 3"))
    )


def test_counts_of_several_tests_are_compared_one_by_one_and_may_be_left_unchecked(tmp_path: Path) -> None:
    assert wafers_of(tmp_path, with_rows(ROWS, "1 5\n 2 1"))[0].listed == 6
    assert "expected the 4 defects of test 1 that SummaryList declares, the list has 5" in str(
        fault(tmp_path, with_rows(ROWS, "1 4\n 2 2"))
    )
    assert "has some of test 2" in str(fault(tmp_path, with_rows(ROWS, "1 5\n 3 1")))
    wrong = HEAD + WAFER.replace(" 1 2;", " 1 3;") + END
    found = fault(tmp_path, wrong)
    assert found.code == "count_mismatch"
    assert re.search(
        r"wafer 'W1': expected the 3 defects that SummaryList declares, the list has 2; --counts", str(found)
    )
    assert wafers_of(tmp_path, wrong, check_counts=False)[0].listed == 2


@pytest.mark.parametrize(
    ("old", "new", "says"),
    [
        ("SummarySpec 2 TESTNO NDEFECT;\n", "", "expected a statement SummarySpec before SummaryList"),
        ("SummaryList\n 1 2;\n", "", "expected a SummaryList for wafer 'W1'"),
        (" 1 2;\nE", " 1 2\n 1 3;\nE", "expected one number of defects for test 1, got 2 and 3"),
        ("Spec 2 TESTNO", "Spec 3 TESTNO", "expected SummarySpec with a number and that many names"),
    ],
)
def test_a_summary_is_whole(tmp_path: Path, old: str, new: str, says: str) -> None:
    assert old in SOUND
    assert says in str(fault(tmp_path, SOUND.replace(old, new)))


@pytest.mark.parametrize("pack", ["gzip", "zstd"])
def test_packed_files_are_read(tmp_path: Path, pack: str) -> None:
    text = (HEAD + WAFER + END).encode()
    packed = gzip.compress(text) if pack == "gzip" else pa.compress(text, pack, asbytes=True)
    if pack == "zstd":
        sink = pa.BufferOutputStream()
        with pa.CompressedOutputStream(sink, "zstd") as stream:
            stream.write(text)
        packed = sink.getvalue().to_pybytes()
    assert one(tmp_path, packed)["x_um"] == X
    assert fault(tmp_path, packed[: len(packed) // 2]).code in {"unreadable", "truncated"}


def test_ends_of_lines_and_of_files_may_be_those_of_dos(tmp_path: Path) -> None:
    text = (HEAD + WAFER + END).replace("\n", "\r\n") + "\x1a"
    assert one(tmp_path, b"\xef\xbb\xbf" + text.encode())["x_um"] == X


SOUND = HEAD + WAFER + END


@pytest.mark.parametrize(
    ("text", "code", "line", "message"),
    [
        (SOUND[: len(SOUND) - len(END)], "truncated", 24, "the file ends"),
        (SOUND[: SOUND.index(" 2 1.5e2") + 5], "truncated", 21, "expected ';' after the records of DefectList"),
        (SOUND.replace("DefectRecordSpec", "Nothing"), "missing_field", 19, "DefectRecordSpec before DefectList"),
        (SOUND.replace("DiePitch", "NoPitch"), "missing_field", 19, "expected a statement DiePitch"),
        (SOUND.replace("OrientationMarkLocation", "No"), "missing_field", 19, "statement OrientationMarkLocation"),
        (SOUND.replace("DefectList", "NoList"), "missing_field", 25, "expected a DefectList for wafer 'W1'"),
        (SOUND.replace("WaferID", "NoID"), "missing_field", 19, "expected a statement WaferID before DefectList"),
        (SOUND.replace(" 1 100 200 0 0 1 0", " 1 100 200 0 0 1"), "wrong_columns", 21, "the last record has 6"),
        (SOUND.replace("3 -2 1 0;", "3 -2 1;"), "wrong_columns", 21, "expected records of 7 columns in DefectList"),
        (SOUND.replace(" 1 100 ", " 1 1_00 "), "not_a_number", 20, "expected a number in column XREL, got '1_00'"),
        (SOUND.replace(" 1 100 ", " 1 nan "), "not_a_number", 20, "expected a number in column XREL, got 'nan'"),
        (SOUND.replace("3 -2 1 0;", "3.5 -2 1 0;"), "not_a_number", 21, "whole number in column XINDEX, got '3.5'"),
        (SOUND.replace("3 -2 1 0;", "999999999 -2 1 0;"), "bad_field", 25, "expected defects within"),
        (SOUND.replace("FileVersion 1 2", "FileVersion 1 7"), "unknown_version", 1, "1 1 or 1 2, got '1 7'"),
        (SOUND.replace("Spec 7", "Spec 8"), "wrong_columns", 18, "got '8' and 7 names"),
        (SOUND.replace("Spec 7", "Spec 999999999999"), "wrong_columns", 18, "got '999999999999' and 7 names"),
        (SOUND.replace("XREL", "XABS"), "wrong_columns", 18, "missing: XREL"),
        (SOUND.replace("CLASSNUMBER", "XREL"), "wrong_columns", 18, "got XREL more than once"),
        (SOUND.replace("SampleSize 1 200", "SampleSize 2 200 100"), "bad_field", 19, "expected a round sample"),
        (SOUND.replace("SampleSize 1 200", "SampleSize 1 0"), "bad_field", 19, "expected a diameter above 20000"),
        (SOUND.replace("4.0e3", "1e300"), "bad_field", 19, "expected lengths above 0"),
        (SOUND.replace("Location DOWN", "Location ASKEW"), "bad_field", 19, "MarkLocation, got 'ASKEW'"),
        (SOUND.replace("03-04-26", "13-13-26"), "bad_field", 19, "expected mm-dd-yyyy hh:mm:ss"),
        (SOUND.replace("StepID", "Step\0ID"), "not_text", 8, "expected text, got the byte"),
        (SOUND.replace('"M1"', '"M1'), "broken_structure", 8, "expected a closing quote"),
        (SOUND + "FileVersion 1 2;", "broken_structure", 26, "expected nothing after EndOfFile"),
        (SOUND.replace('"T7"', '"' + "T" * 5000 + '"'), "too_large", 3, "at most 4096 bytes, got one of 5002"),
        (SOUND.replace(" 1 2;\nE", " 1 x;\nE"), "bad_field", 24, "NDEFECT a whole number each, got '1' and 'x'"),
        ("\x7fELF" + SOUND, "not_text", 1, "expected text"),
        ("", "truncated", 1, "the file ends"),
    ],
)  # fmt: skip
def test_what_is_wrong_with_an_old_file_has_a_name_and_a_line(
    tmp_path: Path, text: str, code: str, line: int, message: str
) -> None:
    found = fault(tmp_path, text)
    assert (found.code, found.line) == (code, line), found
    assert re.search(message, str(found)), found
    assert str(found).startswith(f"{tmp_path / 'f.001'}, line {line}: expected ")


@pytest.mark.parametrize(
    ("old", "new", "code", "line"),
    [
        ('"1.8"', '"1.9"', "unknown_version", 1),
        ("Data 2", "Data 3", "count_mismatch", 17),
        ("Data 2", "Data 99999999999999999999999", "too_large", 13),
        ("Data 2", "Data x", "bad_field", 12),
        ("Columns 6", "Columns 7", "wrong_columns", 11),
        (" 0 0 N;", " 0 0;", "wrong_columns", 14),
        (" 0 0 N;", " 0 0 N 5;", "wrong_columns", 14),
        ("1 100000 ", "1 ab ", "not_a_number", 14),
        ("150000 250500", "150000 x", "not_a_number", 16),
        ("DieOrigin 2", "DieOrigin 3", "bad_field", 7),
        ("Field DiePitch", "Field NoPitch", "missing_field", 19),
        ("List DefectList", "List OtherList", "missing_field", 19),
        ("WaferRecord", "OtherRecord", "missing_field", 29),
        ("Field StepID", "Fjeld StepID", "broken_structure", 25),
        ("Record WaferRecord", "Record A { " * 20 + "Record WaferRecord", "broken_structure", 5),
        ("}\nEndOfFile;", "", "truncated", 27),
        ("EndOfFile;", "EndOfFile; more", "broken_structure", 29),
    ],
)
def test_what_is_wrong_with_a_new_file_has_a_name_and_a_line(
    tmp_path: Path, old: str, new: str, code: str, line: int
) -> None:
    assert old in LATE
    found = fault(tmp_path, LATE.replace(old, new))
    assert (found.code, found.line) == (code, line), found


def test_a_wafer_of_too_many_defects_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(klarf_defects, "MOST_DEFECTS", 1)
    assert fault(tmp_path, SOUND).code == "too_large"


def test_lines_and_texts_without_end_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(text_files, "PIECE_BYTES", 1 << 20)
    assert fault(tmp_path, SOUND.replace("Slot 1;", "Slot " + "1 " * 1_200_000 + ";")).code == "too_large"
    monkeypatch.setattr(text_files, "MOST_BYTES", 500)
    assert fault(tmp_path, SOUND).code == "too_large"


def test_a_record_without_end_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(text_files, "PIECE_BYTES", 1 << 16)
    found = fault(tmp_path, LATE.replace(" 0 0 N;", "\n" + "0 0 0 0\n" * 30_000))
    assert found.code in {"too_large", "wrong_columns"}


def test_only_one_wafer_is_held_at_a_time(tmp_path: Path) -> None:
    broken = WAFER.replace('"W1"', '"W2"').replace(" 1 100 ", " 1 x ")
    wafers: Iterator[Inspections] = read_klarf(written(tmp_path, HEAD + WAFER + broken + END))
    assert row_of(next(wafers))["wafer_id"] == "W1"
    with pytest.raises(WaferFileError, match="column XREL"):
        next(wafers)
