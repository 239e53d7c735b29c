"""KLARF files as other tools write them: read right, or refused by the statement that is broken."""

from datetime import UTC, datetime
from pathlib import Path

import pytest

from sparsewatch.pipelines.wafer_files.faults import WaferFileError
from sparsewatch.pipelines.wafer_files.inspections import Inspections
from sparsewatch.pipelines.wafer_files.klarf.fields import DieOrigin, KlarfReading
from sparsewatch.pipelines.wafer_files.klarf.read import read_klarf

HEAD = """FileVersion 1 2;
FileTimestamp 05-06-2026 07:08:09;
LotID "K";
SampleSize 1 200;
OrientationMarkLocation DOWN;
DiePitch 5000 4000;
DieOrigin 0 0;
"""
WAFER = """WaferID "A";
Slot 3;
SampleCenterLocation 100 200;
DefectRecordSpec 6 DEFECTID XREL YREL XINDEX YINDEX TEST;
"""
ROWS = ("11 500 600 0 0 1", "12 700 800 2 -1 1", "13 900 1000 -3 4 1")
X = [400.0, 10600.0, -14200.0]
SUMMARY = "SummarySpec 2 TESTNO NDEFECT;\nSummaryList 1 3;\n"
END = "EndOfFile;\n"
SOUND = HEAD + WAFER + "DefectList\n" + "\n".join(ROWS) + ";\n" + SUMMARY + END


def wafers_of(folder: Path, text: str | bytes, die_origin: DieOrigin = "auto") -> list[Inspections]:
    (folder / "f").write_bytes(text.encode() if isinstance(text, str) else text)
    return list(read_klarf(folder / "f", KlarfReading(die_origin=die_origin)))


def xs(folder: Path, text: str | bytes, die_origin: DieOrigin = "auto") -> list[list[float]]:
    return [wafer.rows["x_um"][0].as_py() for wafer in wafers_of(folder, text, die_origin)]


def fault(folder: Path, text: str) -> str:
    with pytest.raises(WaferFileError) as caught:
        wafers_of(folder, text)
    return f"{caught.value.code}: {caught.value}"


@pytest.mark.parametrize(
    "listed",
    [
        "DefectList\n" + ";\n".join(ROWS) + ";\n",
        "DefectList;\n" + "\n".join(ROWS) + ";\n",
        "DefectList;\n" + ";\n".join(ROWS) + ";;\n;\n",
        f"DefectList\n{ROWS[0]};\n{ROWS[1]}\n{ROWS[2]};\n",
        "DefectList " + " ".join(ROWS) + ";\n",
        "DefectList " + "\n".join(ROWS) + "\n;\n",
        "defectlist\n" + "\n".join(ROWS).replace(" ", "\t") + ";\n",
        "DefectList\n" + "\nFILENAME a_1.jpg\n".join(ROWS) + "\nfilename a_2.jpg;\n",
        "DefectList\nTiffFileName all.tif\n" + "\n".join(ROWS) + ";\n",
        "".join(f"TiffFileName {row[:2]}.tif;\nDefectList\n{row};\n" for row in ROWS),
        f"DefectList\n{ROWS[0]}\n{ROWS[1]};\nInspectionTest 2;\nAreaPerTest 1e9;\nDefectList\n{ROWS[2]};\n",
    ],
)
@pytest.mark.parametrize("summary", [SUMMARY, ""])
def test_lists_of_all_makers_are_read_whole(tmp_path: Path, listed: str, summary: str) -> None:
    assert xs(tmp_path, HEAD + WAFER + listed + summary + END) == [X]


@pytest.mark.parametrize(
    ("old", "new", "why"),
    [
        # A semicolon lost before a known statement, and before an unknown one.
        (ROWS[2] + ";", ROWS[2], "broken_structure.*';' before the statement 'SummarySpec'"),
        ('"A";', '"A"', "broken_structure.*before the statement 'Slot'"),
        (ROWS[2] + ";", ROWS[2] + "\nAuditTrail 1 2 3 4 5;", "not_a_number.*at the begin of each record"),
        (ROWS[2] + ";", ROWS[2] + "\nAuditTrail 1 2;", "wrong_columns.*the last record has 3"),
        ('"K";', '"K"\nAuditTrail 7;', "bad_field.*at most 1 value.*is a ';' lost"),
        ('LotID "K"', "LotID K 7", "bad_field.*at most 1 value"),
        # A name lost: its values begin a statement.
        ("SummaryList 1", "1", "broken_structure.*expected the name of a statement, got '1'"),
        ("LotID ", "", "broken_structure.*expected the name of a statement, got 'K'"),
        # Misspelt names that matter.
        ("DefectList\n", "DefectLits\n", "broken_structure.*is it DefectList"),
        ("SummaryList", "SummaryLst", "broken_structure.*is it SummaryList"),
        ("DieOrigin", "DieOrigjn", "broken_structure.*is it DieOrigin"),
        ("EndOfFile", "EndOfFiles", "broken_structure.*is it EndOfFile"),
        # Records of another width than declared.
        ("Spec 6 DEFECTID XREL YREL XINDEX YINDEX TEST", "Spec 5 XREL YREL XINDEX YINDEX TEST", "wrong_columns.*has 3"),
        (ROWS[1], ROWS[1] + " 5", "wrong_columns"),
        (ROWS[1], ROWS[1].replace(" 800", ""), "wrong_columns"),
        # Other ways to write a number.
        ("700 800", "700,5 800", "broken_structure.*with a decimal point"),
        ("Pitch 5000", "Pitch 5000,5", "broken_structure.*with blanks between them and a decimal point"),
        ("700 800", "NaN 800", "not_a_number.*column XREL"),
        ("700 800", "1.#IND 800", "not_a_number.*column XREL"),
        ("700 800", "1e308 800", "not_a_number.*column XREL"),
        ("2 -1 1\n", "1e308 -1 1\n", "not_a_number.*column XINDEX"),
        ("2 -1 1\n", "2 -1 1e300\n", "not_a_number.*column TEST"),
        # Statements that disagree, or stand where they do not count.
        ("Slot 3;", "Slot 3;\nSlot 4;", "bad_field.*expected one statement Slot"),
        ("DiePitch 5000", "DiePitch 9000 9000;\nDiePitch 5000", "bad_field.*expected one statement DiePitch"),
        ("DieOrigin 0 0;\n", "", None),
        (END, "DieOrigin 50 50;\n" + END, "broken_structure.*DieOrigin before the DefectList of wafer 'A'"),
        (END, "DefectList\n14 1 1 0 0 1;\n" + END, "broken_structure.*a WaferID or another InspectionTest"),
        (END, "Slot 4;\nDefectList\n14 1 1 0 0 1;\n" + END, "broken_structure.*a WaferID or another InspectionTest"),
        (END, "Wafer 4;\nInspectionTest 1;\nWfr 5;\nDefectList;\n" + END, "broken_structure.*a WaferID or another"),
        (END, "", "truncated"),
        # Units.
        ("SampleSize 1 200", "SampleSize 1 200000", "bad_field.*diameter"),
        ("SampleSize 1 200", "SampleSize 1 8", "bad_field.*diameter"),
        ("DiePitch 5000 4000", "DiePitch 5 4", "bad_field.*KLARF gives micrometres"),
    ],
)  # fmt: skip
def test_a_broken_structure_is_named(tmp_path: Path, old: str, new: str, why: str | None) -> None:
    assert old in SOUND
    text = SOUND.replace(old, new, 1)
    if why is None:
        assert xs(tmp_path, text) == [X]
        return
    code, _, message = why.partition(".*")
    found = fault(tmp_path, text)
    assert found.startswith(f"{code}: "), found
    assert all(part in found for part in message.split(".*")), found


def test_an_origin_first_stated_behind_the_list_is_refused(tmp_path: Path) -> None:
    second = WAFER.replace('"A"', '"B"').replace("Slot 3", "Slot 4") + "DefectList;\n"
    text = SOUND.replace("DieOrigin 0 0;\n", "").replace(END, "DieOrigin 0 0;\n" + second + END)
    assert "the statement DieOrigin before the DefectList of wafer 'A'" in fault(tmp_path, text)


def test_each_wafer_states_what_the_first_states_of_its_own(tmp_path: Path) -> None:
    second = WAFER.replace('"A"', '"B"').replace("Slot 3", "Slot 4").replace("100 200", "0 0") + "DefectList;\n"
    assert xs(tmp_path, SOUND.replace(END, second + END)) == [X, []]
    for lost in ("Slot 4;\n", "SampleCenterLocation 0 0;\n"):
        found = fault(tmp_path, SOUND.replace(END, second.replace(lost, "") + END))
        assert f"expected a statement {lost.split()[0]} of wafer 'B', as the file's first wafer has" in found
    swallowed = fault(tmp_path, SOUND.replace(END, "LotStatus 1 2\n" + second + END))
    assert "before the statement 'WaferID'" in swallowed


def test_a_slot_stands_for_an_empty_name_and_tells_wafers_of_one_name_apart(tmp_path: Path) -> None:
    (unnamed,) = wafers_of(tmp_path, SOUND.replace('"A"', '""').replace("Slot 3", "Slot 03"))
    assert (unnamed.rows["wafer_id"][0].as_py(), unnamed.slots) == ("03", ["3"])
    assert "or a Slot in its place" in fault(tmp_path, SOUND.replace('"A"', '""').replace("Slot 3;\n", ""))
    others = "".join(WAFER.replace("Slot 3", f"Slot {slot}") + "DefectList;\n" for slot in (4, 3))
    names = [w.rows["wafer_id"][0].as_py() for w in wafers_of(tmp_path, SOUND.replace(END, others + END))]
    assert names == ["A", "A (slot 4)", "A"]


@pytest.mark.parametrize(
    ("written", "meant"),
    [
        ("2026-05-06T07:08:09", datetime(2026, 5, 6, 7, 8, 9, tzinfo=UTC)),
        ("2026-05-06T07:08:09.250Z", datetime(2026, 5, 6, 7, 8, 9, tzinfo=UTC)),
        ("2026-05-06T07:08:09+02:00", datetime(2026, 5, 6, 5, 8, 9, tzinfo=UTC)),
        ('"2026-05-06 07:08:09"', datetime(2026, 5, 6, 7, 8, 9, tzinfo=UTC)),
        ("05-06-2026 07:08", datetime(2026, 5, 6, 7, 8, tzinfo=UTC)),
    ],
)
def test_iso_times_are_read(tmp_path: Path, written: str, meant: datetime) -> None:
    (wafer,) = wafers_of(tmp_path, SOUND.replace("05-06-2026 07:08:09", written))
    assert wafer.times_us.tolist() == [meant.timestamp() * 1e6]


def test_flat_1_8_has_the_units_its_sample_s_size_is_written_in(tmp_path: Path) -> None:
    flat = SOUND.replace("FileVersion 1 2", "FileVersion 1 8")
    assert xs(tmp_path, flat) == [X]
    numbers = {"1 200;": "200000000 0;", "5000 4000": "5000000 4000000", "100 200;": "100000 200000;"}
    for old, new in numbers.items():
        flat = flat.replace(old, new)
    for row in ROWS:
        parts = row.split()
        flat = flat.replace(row, " ".join([parts[0], parts[1] + "000", parts[2] + "000", *parts[3:]]))
    assert xs(tmp_path, flat) == [X]


def test_names_may_be_latin_1(tmp_path: Path) -> None:
    (wafer,) = wafers_of(tmp_path, SOUND.replace('"K"', '"Läufer"').encode("latin-1"))
    assert wafer.rows["lot"][0].as_py() == "Läufer"


ORIGIN = SOUND.replace("DieOrigin 0 0", "DieOrigin 2000 -1000")


def with_radius(radii: list[float]) -> str:
    text = ORIGIN.replace("Spec 6", "Spec 7").replace("YINDEX TEST", "YINDEX TEST RADIUS")
    for row, radius in zip(ROWS, radii, strict=True):
        text = text.replace(row, f"{row} {radius:.1f}")
    return text


def test_die_origin_is_what_a_radius_column_says(tmp_path: Path) -> None:
    y = [400.0, -3400.0, 16800.0]
    for times, reading in ((1, "added"), (0, "ignored"), (-1, "subtracted")):
        expected = [x + times * 2000 for x in X]
        radii = [(x**2 + (b - times * 1000) ** 2) ** 0.5 for x, b in zip(expected, y, strict=True)]
        (wafer,) = wafers_of(tmp_path, with_radius(radii))
        assert wafer.rows["x_um"][0].as_py() == expected
        assert bool(wafer.notes) == (reading != "added")
        assert all(f"DieOrigin is {reading}" in note for note in wafer.notes)


def test_die_origin_that_nothing_settles_is_added_with_a_warning_or_as_stated(tmp_path: Path) -> None:
    (wafer,) = wafers_of(tmp_path, ORIGIN)
    assert wafer.rows["x_um"][0].as_py() == [x + 2000 for x in X]
    assert "DieOrigin 2000, -1000 um is added to each position" in wafer.notes[0]
    assert "--die-origin ignored" in wafer.notes[0]
    assert xs(tmp_path, ORIGIN, "ignored") == [X]
    (odd,) = wafers_of(tmp_path, with_radius([1.0, 2.0, 3.0]))
    assert "the RADIUS column is not the defects' distance" in odd.notes[0]
    assert wafers_of(tmp_path, SOUND)[0].notes == ()


def test_coordinates_of_another_unit_than_the_dies_are_noted(tmp_path: Path) -> None:
    far = SOUND
    for row in ROWS[1:]:
        number, x, y, *rest = row.split()
        far = far.replace(row, " ".join([number, f"{x}00", y, *rest]))
    (wafer,) = wafers_of(tmp_path, far)
    assert "2 of 3 defects lie outside of the dies that they are in" in wafer.notes[0]
    rows = "\n".join(f"{i} {i / 10} 3.5 {i - 9} 1 1" for i in range(20))
    (near,) = wafers_of(tmp_path, HEAD + WAFER + f"DefectList\n{rows};\n" + END)
    assert "all defects lie in the corners of their dies" in near.notes[0]


NESTED = """Record FileRecord "1.8"
{ Record LotRecord "L" {
  Field DiePitch 2 {5000000, 4000000} Field OrientationMarkLocation 1 {0} Field SampleSize 2 {200000000, 0}
  Record WaferRecord "A" {
    Field SampleCenterLocation 2 {0, 0}
    List DefectList { Columns 4 { int32 XREL, int32 YREL, int32 XINDEX, int32 YINDEX } Data 2 { 1 2 0 0; 3 4 1 1; } }
    Record SummaryRecord { List TestSummaryList { Columns 2 { int32 TESTNO, int32 NDEFECT } Data 1 { 1 2; } } }
  }
} }
EndOfFile;
"""


@pytest.mark.parametrize(
    ("old", "new", "why"),
    [
        ("Data 2 {", "Data 5 {", "count_mismatch.*the 5 defects that Data declares, DefectList has 2; --counts listed"),
        ("Data 2 { 1 2 0 0; 3 4 1 1; }", "Data 0 { }", "count_mismatch.*the 2 defects that TestSummaryList declares"),
        ("Data 1 { 1 2; }", "Data 1 { 1 2 }", "wrong_columns"),
        ('Record WaferRecord "A" {', 'Record WafferRecord "A" {', "broken_structure.*is it WaferRecord"),
        ('Record WaferRecord "A" {', 'Record WaferRecord "A" { Record TestRecord "1" {', "got it in 'TestRecord'"),
        ("Field DiePitch 2", "Field DiePitch 2 {1000000, 1000000} Field DiePitch 2", "bad_field.*one field DiePitch"),
        ("{5000000, 4000000}", "{5000, 4000}", "bad_field.*a KLARF 1.8 gives nanometres"),
        ("{200000000, 0}", "{200000, 0}", "bad_field.*diameter"),
    ],
)
def test_a_broken_nested_file_is_named(tmp_path: Path, old: str, new: str, why: str) -> None:
    assert old in NESTED
    assert len(xs(tmp_path, NESTED)[0]) == 2
    text = NESTED.replace(old, new, 1).replace(
        "} }\nEndOfFile", "} } }\nEndOfFile" if "TestRecord" in new else "} }\nEndOfFile"
    )
    found = fault(tmp_path, text)
    assert all(part in found for part in why.split(".*")), found


def test_a_nested_list_is_taken_whatever_is_declared_if_that_is_asked_for(tmp_path: Path) -> None:
    (tmp_path / "f").write_text(NESTED.replace("Data 2 {", "Data 5 {"))
    (wafer,) = read_klarf(tmp_path / "f", KlarfReading(check_counts=False))
    assert wafer.listed == 2
    part = wafers_of(tmp_path, NESTED.replace("Data 1 { 1 2; }", "Data 1 { 1 7; }"))[0]
    assert "the 7 defects that TestSummaryList declares, the list has 2" in part.notes[0]


def test_names_of_a_nested_file_may_be_in_any_case(tmp_path: Path) -> None:
    lower = NESTED
    for name in ("WaferRecord", "DiePitch", "DefectList", "SampleCenterLocation"):
        lower = lower.replace(name, name.lower())
    assert xs(tmp_path, lower) == xs(tmp_path, NESTED)


SWALLOWED = "Unknown " + "\n".join(ROWS) + ";\n" + SUMMARY


@pytest.mark.parametrize(
    ("text", "says"),
    [
        (HEAD + SWALLOWED + SOUND.removeprefix(HEAD), "expected a statement WaferID before SummaryList"),
        (SOUND.replace(END, SWALLOWED + END), "expected one SummarySpec for each list of wafer 'A', got another"),
        (SOUND.replace(END, "SummaryList 1 3;\n" + END), "expected one SummaryList for each list of wafer 'A'"),
    ],
    ids=["ahead", "behind", "twice"],
)
def test_a_list_that_an_unknown_statement_swallowed_is_missed_by_its_summary(
    tmp_path: Path, text: str, says: str
) -> None:
    with pytest.raises(WaferFileError, match=says):
        wafers_of(tmp_path, text)


def test_each_test_of_a_wafer_may_have_a_summary(tmp_path: Path) -> None:
    more = "InspectionTest 2;\nDefectList\n21 100 200 1 1 2;\n" + SUMMARY.replace("1 3", "2 1")
    assert len(xs(tmp_path, SOUND.replace(END, more + END))[0]) == 4
