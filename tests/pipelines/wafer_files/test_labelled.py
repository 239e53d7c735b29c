import zipfile
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from sparsewatch.detectors.sparse_net.points import read_points, validate_wafers
from sparsewatch.detectors.wafers.drawn import make_wafers
from sparsewatch.pipelines.wafer_files.labelled import read_labelled_wafers, read_wafer_npz
from sparsewatch.schemas.errors import SchemaError
from sparsewatch.schemas.wafers import WAFER_COLUMNS

MAPS = (np.array([[0, 2], [1, 2], [0, 1]]), np.array([[2, 1, 0]]))


def arrays() -> dict[str, np.ndarray]:
    return {
        "maps_flat": np.concatenate([m.reshape(-1) for m in MAPS]).astype(np.uint8),
        "offsets": np.array([0, 6, 9]),
        "shapes": np.array([m.shape for m in MAPS], dtype=np.uint16),
        "labels": np.array([1, 0], dtype=np.uint8),
        "class_names": np.array(["none", "Donut"]),
    }


def npz(path: Path, **changes: np.ndarray) -> Path:
    np.savez(path / "w.npz", **{**arrays(), **changes})  # type: ignore[arg-type]
    return path / "w.npz"


def test_maps_come_with_their_classes_as_wafer_events(tmp_path: Path) -> None:
    wafers = read_wafer_npz(npz(tmp_path))
    assert wafers.rows.schema == WAFER_COLUMNS
    assert wafers.labels == ["Donut", "none"]
    assert validate_wafers(wafers.rows) == []
    for i, die_map in enumerate(MAPS):
        row = wafers.rows.slice(i, 1).to_pylist()[0]
        assert (row["map_rows"], row["map_columns"]) == die_map.shape
        assert row["map"] == die_map.reshape(-1).tolist()
    assert read_points(wafers.rows).defects.tolist() == [2, 1]


def test_ids_and_lots_follow_the_place_in_the_original_set(tmp_path: Path) -> None:
    wafers = read_wafer_npz(npz(tmp_path, orig_index=np.array([24, 775])))
    assert wafers.rows["wafer_id"].to_pylist() == ["W000024", "W000775"]
    assert wafers.rows["lot"].to_pylist() == ["L00000", "L00031"]


def test_parquet_comes_back_with_its_labels(tmp_path: Path) -> None:
    rows = make_wafers(["grid", "normal"], np.random.default_rng(0), defects=7)
    table = pa.Table.from_batches([rows]).append_column("label", pa.array(["grid", "normal"]))
    pq.write_table(table, tmp_path / "w.parquet")
    wafers = read_labelled_wafers(tmp_path / "w.parquet")
    assert wafers.rows.equals(rows)
    assert wafers.labels == ["grid", "normal"]


def test_parquet_may_leave_out_what_has_a_usual_value(tmp_path: Path) -> None:
    table = pa.table({"x_um": [[1.0], []], "y_um": [[2.0], []], "label": ["a", "b"]})
    pq.write_table(table, tmp_path / "w.parquet")
    wafers = read_labelled_wafers(tmp_path / "w.parquet")
    assert wafers.rows.schema == WAFER_COLUMNS
    assert validate_wafers(wafers.rows) == []
    assert wafers.rows["wafer_id"].to_pylist() == ["W000000", "W000001"]


def several_labels(path: Path, **changes: np.ndarray) -> Path:
    arrays = {
        "maps": np.array([[[0, 1], [2, 3]], [[1, 1], [1, 1]], [[2, 1], [1, 0]]], dtype=np.uint8),
        "labels": np.array([[1, 0, 1], [0, 0, 0], [0, 1, 0]], dtype=np.uint8),
        "label_names": np.array(["Center", "Donut", "Scratch"]),
    }
    np.savez(path / "m.npz", **{**arrays, **changes})  # type: ignore[arg-type]
    return path / "m.npz"


def test_several_labels_are_joined_and_none_is_normal(tmp_path: Path) -> None:
    wafers = read_labelled_wafers(several_labels(tmp_path))
    assert wafers.labels == ["Center+Scratch", "normal", "Donut"]
    assert wafers.rows.schema == WAFER_COLUMNS
    assert validate_wafers(wafers.rows) == []
    # 3 is neither outside nor passed: it fails.
    assert wafers.rows["map"].to_pylist() == [[0, 1, 2, 2], [1, 1, 1, 1], [2, 1, 1, 0]]


def test_the_public_mixed_file_is_read_by_the_names_of_its_authors(tmp_path: Path) -> None:
    np.savez(tmp_path / "m.npz", arr_0=np.ones((2, 52, 52)).astype(np.int32), arr_1=np.eye(8, dtype=np.int32)[[3, 7]])
    assert read_wafer_npz(tmp_path / "m.npz").labels == ["Edge-Ring", "Random"]


def test_the_real_mixed_file_is_read(data_dir: Path) -> None:
    path = data_dir / "wafers" / "mixedwm38_train_13686.npz"
    if not path.is_file():
        pytest.skip(f"needs MixedWM38: no file {path}")
    wafers = read_wafer_npz(path)
    assert wafers.rows.num_rows == len(wafers.labels) == 13686
    assert (wafers.labels.count("normal"), sum("+" in label for label in wafers.labels)) == (360, 10800)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"labels": np.array([[2, 0, 0]] * 3)}, "labels .* of 0 and 1"),
        ({"labels": np.array([[1, 0]] * 3)}, "for K label_names"),
        ({"maps": np.ones((3, 4), dtype=np.uint8)}, "maps .n, rows, columns"),
        ({"maps": np.full((3, 2, 2), 4)}, "expected dies of 0 to 3"),
        ({"maps": np.ones((3, 2, 2))}, "expected whole numbers in array 'maps'"),
        ({"orig_index": np.array([1])}, "expected 3 of orig_index"),
    ],
)
def test_a_damaged_file_of_several_labels_is_refused(
    tmp_path: Path, changes: dict[str, np.ndarray], message: str
) -> None:
    with pytest.raises(SchemaError, match=message):
        read_wafer_npz(several_labels(tmp_path, **changes))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"labels": np.array([1])}, "expected 2 shapes and labels in .*, got 2 and 1"),
        ({"labels": np.array([1, 2])}, "labels of 2 classes"),
        ({"labels": np.array([{"a": 1}, None])}, "is not an npz file of plain arrays"),
        ({"labels": np.array([-1, 0])}, "labels of 2 classes"),
        ({"offsets": np.array([0, 5, 9])}, "expected offsets .* that cut maps_flat"),
        ({"shapes": np.array([[3, 2], [1, 4]])}, "expected offsets .* that cut maps_flat"),
        ({"maps_flat": np.full(9, 7)}, "expected dies of 0 to 3"),
    ],
)
def test_a_damaged_npz_is_refused(tmp_path: Path, changes: dict[str, np.ndarray], message: str) -> None:
    with pytest.raises(SchemaError, match=message):
        read_wafer_npz(npz(tmp_path, **changes))


def test_files_that_hold_no_wafers_are_refused(tmp_path: Path) -> None:
    with pytest.raises(SchemaError, match="no such file"):
        read_labelled_wafers(tmp_path / "none.npz")
    (tmp_path / "w.csv").write_text("a")
    with pytest.raises(SchemaError, match=r"ending in \.npz or \.parquet"):
        read_labelled_wafers(tmp_path / "w.csv")
    for name in ("w.npz", "w.parquet"):
        (tmp_path / name).write_text("nothing of the kind")
        with pytest.raises(SchemaError, match="is not a"):
            read_labelled_wafers(tmp_path / name)
    np.savez(tmp_path / "w.npz", maps_flat=np.zeros(3))
    with pytest.raises(SchemaError, match="lacks the arrays class_names, labels, offsets, shapes"):
        read_labelled_wafers(tmp_path / "w.npz")
    pq.write_table(pa.table({"x_um": [[1.0]]}), tmp_path / "w.parquet")
    with pytest.raises(SchemaError, match="expected a column 'label'"):
        read_labelled_wafers(tmp_path / "w.parquet")
    pq.write_table(pa.table({"x_um": ["a"], "label": ["b"]}), tmp_path / "w.parquet")
    with pytest.raises(SchemaError, match="column 'x_um'"):
        read_labelled_wafers(tmp_path / "w.parquet")


def test_an_npz_whose_members_are_no_arrays_or_said_to_be_encrypted_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "w.npz"
    np.savez(path, maps=np.zeros((2, 3, 3)), labels=np.zeros((2, 1)), label_names=np.array(["a"]))
    sound = path.read_bytes()
    with zipfile.ZipFile(path, "a") as members:
        members.writestr("others.npy", b"no array")
    with pytest.raises(SchemaError, match=r"not an npz file of plain arrays: 'others' is none"):
        read_labelled_wafers(path)
    entry = sound.index(b"PK\x01\x02")
    # The first flag of an entry: encrypted.
    path.write_bytes(sound[: entry + 8] + b"\x01" + sound[entry + 9 :])
    with pytest.raises(SchemaError, match=r"not an npz file of plain arrays: .*encrypted"):
        read_labelled_wafers(path)


def test_a_parquet_whose_names_are_no_utf8_or_whose_labels_are_no_texts_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "w.parquet"
    pq.write_table(pa.table({"label": ["a"], "other_name": [1]}), path, store_schema=False)
    path.write_bytes(path.read_bytes().replace(b"other_name", b"other\xff\xfenam"))
    with pytest.raises(SchemaError, match=r"is not a Parquet file: .*utf-8"):
        read_labelled_wafers(path)
    pq.write_table(pa.table({"label": [["a"], ["b"]]}), path)
    with pytest.raises(SchemaError, match=r"column 'label' of .* does not fit"):
        read_labelled_wafers(path)
