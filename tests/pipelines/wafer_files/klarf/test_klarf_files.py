"""KLARF files of real stations: the good hold what they declare, damaged ones give named errors."""

import random
import re
from pathlib import Path

import numpy as np
import pytest

from sparsewatch.pipelines.wafer_files.faults import WaferFileError
from sparsewatch.pipelines.wafer_files.klarf.read import read_klarf
from tests.kit.wafer_texts import damaged_bytes

#: Files, and the defects of each of their wafers. One lists each defect again with every image of it.
GOOD = {
    "impro02_LAA_FAA_LAA-01.000": [12263],
    "impro02_LARGE_KLARF.000": [22190],
    "impro02_QUU_NUU.000": [56, 36, 95],
    "jklarf_klarf12DefectListExample.klarf": [4],
    "jklarf_klarf12Example.klarf": [2],
    "jklarf_klarfWithImagelist.klarf": [6],
    "jklarf_simple12.klarf": [1],
    "jklarf_simple18.klarf": [3, 1],
    "klarfkit_CPS3TwithoutReview.001": [16],
}
BAD = {
    "jklarf_bad12.klarf": ("missing_field", "expected a DefectList for wafer 'anotherWafer', the file has none"),
    "impro02_klarf_no_defect.000": ("count_mismatch", "expected the 40 defects that SummaryList declares"),
}
#: Mutations of each small file.
_MUTATIONS = 60


@pytest.fixture(scope="module")
def klarf_dir(data_dir: Path) -> Path:
    folder = data_dir / "wafers" / "klarf"
    if not folder.is_dir():
        pytest.skip(f"needs real KLARF files: no folder {folder}")
    return folder


def declared(text: str) -> list[int]:
    """Slow and obvious: counts of the summaries of an old file, lengths of the lists of a new one."""
    if text.startswith("Record"):
        return [int(n) for n in re.findall(r"List DefectList\s*\{\s*Columns[^}]*\}\s*Data (\d+)", text)]
    summaries = re.findall(r"SummaryList\s*([^;]*);", text)
    return [sum(int(line.split()[1]) for line in rows.splitlines() if line.strip()) for rows in summaries]


@pytest.mark.parametrize("name", GOOD)
def test_a_good_file_holds_the_defects_it_declares(klarf_dir: Path, name: str) -> None:
    wafers = list(read_klarf(klarf_dir / name))
    assert [wafer.listed - wafer.collapsed for wafer in wafers] == GOOD[name]
    assert declared((klarf_dir / name).read_text()) == GOOD[name]


@pytest.mark.parametrize("name", ["impro02_LARGE_KLARF.000", "impro02_QUU_NUU.000", "klarfkit_CPS3TwithoutReview.001"])
def test_a_real_wafer_fills_its_disc_and_no_more(klarf_dir: Path, name: str) -> None:
    for wafer in read_klarf(klarf_dir / name):
        (row,) = wafer.rows.to_pylist()
        farthest = np.hypot(row["x_um"], row["y_um"]).max()
        assert 0.8 < farthest / row["radius_um"] <= 1


@pytest.mark.parametrize("name", BAD)
def test_a_bad_file_says_what_is_wrong(klarf_dir: Path, name: str) -> None:
    with pytest.raises(WaferFileError, match=BAD[name][1]) as caught:
        list(read_klarf(klarf_dir / name))
    assert caught.value.code == BAD[name][0]
    assert caught.value.line is not None


def test_a_1_8_file_that_lists_a_part_of_what_it_counts_says_so(klarf_dir: Path) -> None:
    notes = [note for wafer in read_klarf(klarf_dir / "jklarf_simple18.klarf") for note in wafer.notes]
    assert "'FirstWaferId': expected the 4 defects of test 1 that TestSummaryList declares, the list has 2" in notes[0]


def test_every_file_is_one_or_the_other(klarf_dir: Path) -> None:
    assert {path.name for path in klarf_dir.iterdir()} <= GOOD.keys() | BAD.keys()


def test_damaged_files_give_wafers_or_a_named_error_and_nothing_else(klarf_dir: Path, tmp_path: Path) -> None:
    rng = random.Random(20)
    small = sorted(path for path in klarf_dir.iterdir() if path.stat().st_size < 20_000)
    path, seen = tmp_path / "f", set()
    for original in small:
        text = original.read_bytes()
        for _ in range(_MUTATIONS):
            damaged = text
            for _ in range(rng.randint(1, 3)):
                damaged = damaged_bytes(damaged, rng) if damaged else damaged
            path.write_bytes(damaged)
            try:
                seen.add(f"{len(list(read_klarf(path)))} wafers")
            except WaferFileError as error:
                seen.add(error.code)
    assert {"1 wafers", "truncated", "broken_structure", "not_a_number", "wrong_columns", "missing_field"} <= seen
