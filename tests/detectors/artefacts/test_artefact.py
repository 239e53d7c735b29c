import json
from pathlib import Path

import numpy as np
import pytest

from sparsewatch.detectors.artefacts.artefact import WEIGHTS, load_artefact, save_artefact
from sparsewatch.detectors.artefacts.versions import HISTORY, MANIFEST, history, resolve_version
from sparsewatch.schemas.errors import ModelError

TENSORS = {"weight": np.arange(6, dtype=np.float32).reshape(2, 3), "count": np.array(7)}


def save(root: Path, **changes: object) -> Path:
    return save_artefact(root / "m", kind="rows", tensors=TENSORS, meta={"a": [1, "x"]}, **changes)  # type: ignore[arg-type]


def test_an_artefact_comes_back_as_it_was_saved(tmp_path: Path) -> None:
    path = save(tmp_path)
    artefact = load_artefact(path, "rows")
    assert artefact.id == "m/0001"
    assert artefact.meta == {"a": [1, "x"]}
    assert artefact.tensors.keys() == TENSORS.keys()
    for name, tensor in TENSORS.items():
        np.testing.assert_array_equal(artefact.tensors[name], tensor)
        assert artefact.tensors[name].dtype == tensor.dtype


def test_the_newest_version_is_the_latest(tmp_path: Path) -> None:
    save(tmp_path)
    save(tmp_path)
    assert load_artefact(tmp_path / "m", "rows").version == "0002"


def test_the_file_latest_decides_over_the_highest_version(tmp_path: Path) -> None:
    save(tmp_path)
    save(tmp_path)
    (tmp_path / "m" / "latest").write_text("0001\n")
    assert load_artefact(tmp_path / "m", "rows").version == "0001"


def test_without_latest_versions_compare_as_numbers(tmp_path: Path) -> None:
    for version in ("v9", "v10", "v2"):
        save(tmp_path, version=version)
    (tmp_path / "m" / "latest").unlink()
    assert resolve_version(tmp_path / "m").name == "v10"


def test_a_non_contiguous_tensor_keeps_its_values(tmp_path: Path) -> None:
    turned = np.arange(6.0).reshape(2, 3).T
    path = save_artefact(tmp_path / "m", kind="rows", tensors={"t": turned}, meta={})
    np.testing.assert_array_equal(load_artefact(path, "rows").tensors["t"], turned)


def test_another_kind_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match=r"expected a model of kind 'wafer'.*got 'rows'"):
        load_artefact(save(tmp_path), "wafer")


def test_one_changed_byte_is_refused_and_the_file_named(tmp_path: Path) -> None:
    weights = save(tmp_path) / WEIGHTS
    content = bytearray(weights.read_bytes())
    content[-1] ^= 1
    weights.write_bytes(content)
    with pytest.raises(ModelError, match=r"weights\.safetensors is damaged: SHA-256"):
        load_artefact(tmp_path / "m", "rows")


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    (save(tmp_path) / WEIGHTS).unlink()
    with pytest.raises(ModelError, match=r"cannot read .*weights\.safetensors"):
        load_artefact(tmp_path / "m", "rows")


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("{", "is not JSON"),
        ("[]", "manifest of format 1"),
        (json.dumps({"format": 1, "kind": "rows"}), "lacks files, meta, name, version"),
        (
            json.dumps({"format": 1, "kind": "rows", "name": "m", "version": "1", "files": {}, "meta": {}}),
            r"expected weights\.safetensors among the files",
        ),
    ],
)
def test_a_broken_manifest_is_refused(tmp_path: Path, content: str, message: str) -> None:
    (save(tmp_path) / MANIFEST).write_text(content)
    with pytest.raises(ModelError, match=message):
        load_artefact(tmp_path / "m", "rows")


def test_an_empty_place_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="no model in"):
        load_artefact(tmp_path / "nothing", "rows")


def test_a_version_is_never_overwritten(tmp_path: Path) -> None:
    save(tmp_path, version="a")
    with pytest.raises(ModelError, match="'a' exists"):
        save(tmp_path, version="a")


@pytest.mark.parametrize("version", ["", "../x", "a/b", "latest", ".hidden"])
def test_a_version_stays_below_its_folder(tmp_path: Path, version: str) -> None:
    with pytest.raises(ModelError, match="expected a version"):
        save(tmp_path, version=version)


@pytest.mark.parametrize("value", [float("nan"), {1, 2}, b"x"])
def test_meta_that_is_no_json_is_refused_and_leaves_nothing(tmp_path: Path, value: object) -> None:
    with pytest.raises(ModelError, match="must be finite JSON"):
        save_artefact(tmp_path / "m", kind="rows", tensors={}, meta={"v": value})
    assert list(tmp_path.iterdir()) == []


def test_a_place_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("", encoding="utf-8")
    with pytest.raises(ModelError, match=r"cannot write .*file/model/0001"):
        save_artefact(tmp_path / "file" / "model", kind="rows", tensors={}, meta={})


@pytest.mark.parametrize("text", [b'{"format": "\xff"}', b"[" * 5000], ids=["no UTF-8", "endless nesting"])
def test_a_manifest_and_a_history_that_are_no_text_are_named(tmp_path: Path, text: bytes) -> None:
    folder = save(tmp_path)
    (folder / MANIFEST).write_bytes(text)
    with pytest.raises(ModelError, match=r"manifest\.json is not JSON"):
        load_artefact(folder, "rows")
    (folder.parent / HISTORY).write_bytes(text)
    with pytest.raises(ModelError, match="is no history of versions"):
        history(folder.parent)
