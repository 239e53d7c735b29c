"""Models whose files hold by their digests, but whose parts lead nowhere: an error of the model, with its folder."""

import hashlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest
import safetensors.numpy

from sparsewatch.detectors.artefacts.artefact import WEIGHTS
from sparsewatch.detectors.artefacts.versions import MANIFEST
from sparsewatch.schemas.errors import ModelError
from sparsewatch.schemas.stored import batch_from_bytes
from tests.kit import stored_models

Tensors = dict[str, np.ndarray]


def damaged(name: str, change: Callable[[Tensors, dict[str, Any]], None], folder: Path) -> Path:
    """A stored model with other tensors or settings, and digests that fit them."""
    golden = stored_models.MODELS / name / "0001"
    tensors = safetensors.numpy.load((golden / WEIGHTS).read_bytes())
    manifest = msgspec.json.decode((golden / MANIFEST).read_bytes())
    change(tensors, manifest["meta"])
    weights = safetensors.numpy.save(tensors)
    manifest["files"][WEIGHTS] = hashlib.sha256(weights).hexdigest()
    version = folder / name / "0001"
    version.mkdir(parents=True)
    (version / WEIGHTS).write_bytes(weights)
    (version / MANIFEST).write_bytes(msgspec.json.encode(manifest))
    return version.parent


def no_stream(tensors: Tensors, _: dict[str, Any]) -> None:
    tensors["values/site"] = np.full_like(tensors["values/site"], 255)


def far_offsets(tensors: Tensors, _: dict[str, Any]) -> None:
    """Texts that lead far out of their bytes: Arrow would follow them and end the process."""
    values = batch_from_bytes(tensors["values/site"].tobytes()).column("value")
    offsets = values.buffers()[1].to_pybytes()[: 4 * (len(values) + 1)]
    changed = np.frombuffer(offsets, "<i4").copy()
    changed[1] = 1 << 30
    stream = tensors["values/site"].tobytes()
    assert stream.count(offsets) == 1
    tensors["values/site"] = np.frombuffer(stream.replace(offsets, changed.tobytes()), np.uint8)


def not_finite(tensors: Tensors, _: dict[str, Any]) -> None:
    for name in [name for name in tensors if name.startswith("smoke.input")]:
        if tensors[name].dtype.kind == "f":
            tensors[name] = np.full_like(tensors[name], np.nan)


def far_smoke(tensors: Tensors, _: dict[str, Any]) -> None:
    """One list that lies far behind its points, while the last does not."""
    tensors["smoke.input.offsets"][4] += 1 << 29


def far_index(tensors: Tensors, _: dict[str, Any]) -> None:
    for name in [name for name in tensors if name.startswith("scorer.") and tensors[name].dtype.kind == "i"]:
        tensors[name] = np.full_like(tensors[name], np.iinfo(tensors[name].dtype).max)


def huge_grid(_: Tensors, meta: dict[str, Any]) -> None:
    meta["net"]["latent"] = 1 << 62


@pytest.mark.filterwarnings("ignore::RuntimeWarning")
@pytest.mark.parametrize(
    ("name", "change"),
    [
        ("reference", no_stream),
        ("reference", far_offsets),
        ("wafer", not_finite),
        ("wafer", huge_grid),
        ("wafer", far_smoke),
        ("rows-isolation_forest", far_index),
        ("rows-ecod", not_finite),
    ],
    ids=lambda value: value if isinstance(value, str) else value.__name__,
)
def test_parts_that_lead_nowhere_are_an_error_of_the_model(
    name: str, change: Callable[[Tensors, dict[str, Any]], None], tmp_path: Path
) -> None:
    folder = damaged(name, change, tmp_path)
    with pytest.raises(ModelError):
        stored_models.load(folder)


@pytest.mark.parametrize("name", ["reference", "wafer", "rows-ecod"])
def test_parts_that_were_not_touched_load(name: str, tmp_path: Path) -> None:
    assert stored_models.load(damaged(name, lambda *_: None, tmp_path)) is not None
