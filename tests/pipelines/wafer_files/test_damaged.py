"""Wafer files damaged at random: the wafers that were written, or a named error; never a wafer of a lost list."""

import random
from pathlib import Path

import pytest

from sparsewatch.pipelines.wafer_files.faults import WaferFileError
from sparsewatch.pipelines.wafer_files.formats import ReadOptions, read_wafers
from tests.kit.wafer_texts import DAMAGE, damaged_bytes, draw_map, draw_wafers, klarf12, klarf18, sinf

#: Damage that may leave a sound file of other wafers: it changes values, not only what holds them together.
_OTHER_VALUES = {"swap lines", "swap statements", "another case", "lose a word", "another letter"}
#: Damage that a KLARF without a count does not show.
_UNSEEN_WITHOUT_COUNT = {"lose a line"}
#: Damaged files of each kind of damage.
_FILES = 25

#: Ids and points of each wafer.
Wafers = list[tuple[str, list[tuple[float, float]]]]


def read(path: Path, text: str) -> Wafers | None:
    """What a text is read as, None if it is refused."""
    path.write_bytes(text.encode())
    try:
        rows = [row for part in read_wafers(path, ReadOptions()) for row in part.rows.to_pylist()]
    except WaferFileError:
        return None
    return [(row["wafer_id"], list(zip(row["x_um"], row["y_um"], strict=True))) for row in rows]


@pytest.mark.parametrize("damage", DAMAGE)
@pytest.mark.parametrize("kind", ["1.2", "1.2 without counts", "1.8", "1.8 without counts"])
def test_a_damaged_klarf_gives_its_wafers_or_a_named_error(tmp_path: Path, kind: str, damage: str) -> None:
    rng = random.Random(f"{kind} {damage}")
    write = klarf12 if kind.startswith("1.2") else klarf18
    for _ in range(_FILES):
        wafers = draw_wafers(rng)
        text = write(wafers, summary="without" not in kind)
        written = [(wafer.wafer_id, wafer.points) for wafer in wafers]
        assert read(tmp_path / "f", text) == written
        damaged = DAMAGE[damage](text, rng)
        found = read(tmp_path / "f", damaged)
        if found is None or found == written:
            continue
        assert damage in _OTHER_VALUES or (damage in _UNSEEN_WITHOUT_COUNT and kind == "1.2 without counts"), damaged
        if damage not in _UNSEEN_WITHOUT_COUNT:
            assert sorted(len(points) for _, points in found) == sorted(len(w.points) for w in wafers), damaged


@pytest.mark.parametrize("write", [klarf12, klarf18])
def test_a_klarf_cut_anywhere_is_refused_but_behind_its_end_mark(tmp_path: Path, write: object) -> None:
    wafers = draw_wafers(random.Random(4))
    text = write(wafers, summary=False)  # type: ignore[operator]
    whole = text.index("EndOfFile") + len("EndOfFile")
    for end in range(0, len(text), 3):
        assert (read(tmp_path / "f", text[:end]) is None) == (end < whole)


def dies(path: Path, text: str) -> list[int] | None:
    """Dies of a map, None if it is refused."""
    path.write_bytes(text.encode())
    try:
        ((row,),) = (part.rows.to_pylist() for part in read_wafers(path, ReadOptions()))
    except WaferFileError:
        return None
    found: list[int] = row["map"]
    return found


@pytest.mark.parametrize("damage", DAMAGE)
def test_a_damaged_sinf_gives_its_map_or_a_named_error(tmp_path: Path, damage: str) -> None:
    rng = random.Random(f"sinf {damage}")
    for _ in range(_FILES):
        drawn = draw_map(rng)
        text = sinf(drawn)
        right = dies(tmp_path / "f", text)
        assert right is not None
        assert right.count(2) == drawn.failing
        found = dies(tmp_path / "f", DAMAGE[damage](text, rng))
        # Rows that change places are another map of the same dies.
        assert found is None or (sorted(found) if damage.startswith("swap") else found) == (
            sorted(right) if damage.startswith("swap") else right
        )


def test_a_sinf_cut_anywhere_within_its_rows_is_refused(tmp_path: Path) -> None:
    text = sinf(draw_map(random.Random(3)))
    assert all(dies(tmp_path / "f", text[:end]) is None for end in range(len(text) - 1))


@pytest.mark.parametrize("kind", ["1.2", "1.8", "sinf"])
@pytest.mark.parametrize("files", [150, pytest.param(20_000, marks=pytest.mark.slow)])
def test_no_damaged_bytes_give_fewer_defects_or_dies(tmp_path: Path, kind: str, files: int) -> None:
    rng, path, refused = random.Random(f"bytes {kind}"), tmp_path / "f", 0
    for _ in range(files):
        wafers, drawn = draw_wafers(rng), draw_map(rng)
        text = sinf(drawn) if kind == "sinf" else (klarf12 if kind == "1.2" else klarf18)(wafers)
        damaged = damaged_bytes(text.encode(), rng)
        path.write_bytes(damaged)
        try:
            rows = [row for part in read_wafers(path, ReadOptions()) for row in part.rows.to_pylist()]
        except WaferFileError:
            refused += 1
            continue
        found = sum(len(row["map"] or row["x_um"] or ()) for row in rows)
        written = len(drawn.rows) * len(drawn.rows[0]) if kind == "sinf" else sum(len(w.defects) for w in wafers)
        assert found >= written, damaged
    assert files / 2 < refused < files
