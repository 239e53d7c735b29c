"""Model artefacts: a folder for each version, with tensors and a manifest that describes them.

    <root>/<name>/<version>/weights.safetensors
    <root>/<name>/<version>/manifest.json       kind, name, version, meta, SHA-256 of each file

Which version is current, and which was before, is recorded by `sparsewatch.detectors.artefacts.versions`. Nothing is
unpickled. A version is written aside and renamed into place: a reader sees all of it or none.

*Smoke scores* are example inputs in an artefact, with the scores the model gave them when it was written. A digest
shows that the bytes are those that were written. Only scores show that they still mean the same here, with this
processor, these libraries and this code.

    smoke.input.<name>    an input of the model
    smoke.score.<name>    the scores it gave, float64
"""

import hashlib
import json
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import safetensors.numpy
from numpy.typing import NDArray
from safetensors import SafetensorError

from sparsewatch.detectors.artefacts.atomic import new_folder
from sparsewatch.detectors.artefacts.versions import MANIFEST, check_version, move_latest, next_version, resolve_version
from sparsewatch.schemas.errors import NOT_JSON, ModelError
from sparsewatch.schemas.stored import UNREADABLE

WEIGHTS = "weights.safetensors"
#: Version of the folder's layout.
FORMAT = 1


class Manifest(msgspec.Struct, frozen=True, kw_only=True):
    """Description of a version, stored with it."""

    format: int
    #: What the tensors are for, such as `wafer` or `rows`.
    kind: str
    name: str
    version: str
    #: SHA-256 of each file of the folder, but the manifest.
    files: dict[str, str]
    #: Settings, classes, thresholds, metrics, training data. JSON types only.
    meta: dict[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Artefact:
    """A version of a model, read back and verified."""

    #: What the tensors are for, such as `wafer` or `rows`.
    kind: str
    name: str
    version: str
    #: SHA-256 of the manifest, which itself names the digest of every other file.
    digest: str
    tensors: dict[str, np.ndarray]
    #: Everything else: settings, classes, thresholds, metrics, training data. JSON types only.
    meta: dict[str, Any]

    @property
    def id(self) -> str:
        """Name and version, as results state it."""
        return f"{self.name}/{self.version}"


def save_artefact(
    folder: Path | str,
    *,
    kind: str,
    tensors: Mapping[str, np.ndarray],
    meta: Mapping[str, Any],
    version: str | None = None,
    promote: bool = True,
) -> Path:
    """Write a new version below `folder` and make it the latest.

    Args:
        folder: `<root>/<name>`; made if missing. Its last part is the model's name.
        kind: what the tensors are for; `load_artefact` must be given the same word.
        tensors: arrays by name, of any shape and numeric type.
        meta: JSON types only, finite numbers.
        version: letters, digits, `.`, `_`, `-`; default the next number, as `0001`.
        promote: make it the latest; else it waits for `versions.promote`.

    Returns:
        The version's folder.

    Raises:
        ModelError: the version exists or is no valid name, or `meta` is not JSON.
    """
    folder = Path(folder).absolute()
    version = next_version(folder) if version is None else version
    check_version(version)
    target = folder / version
    if target.exists():
        raise ModelError(f"version {version!r} exists in {folder}; a version is never overwritten")
    weights = safetensors.numpy.save({k: np.ascontiguousarray(v) for k, v in tensors.items()})
    manifest = _manifest(kind, folder.name, version, meta, {WEIGHTS: weights})
    _write_folder(target, {WEIGHTS: weights, MANIFEST: manifest})
    if promote:
        move_latest(folder, version, "saved")
    return target


def load_artefact(path: Path | str, kind: str) -> Artefact:
    """Read a version and verify it.

    Args:
        path: a version's folder, or `<root>/<name>`, where the file `latest` decides, else the
            highest version.
        kind: the kind expected.

    Raises:
        ModelError: nothing there, another kind or layout, or a file that is missing or whose
            digest differs; the message names the file.
    """
    folder = resolve_version(path)
    manifest, digest = read_manifest(folder)
    if manifest.kind != kind:
        raise ModelError(f"expected a model of kind {kind!r} in {folder}, got {manifest.kind!r}")
    files = {name: _verified(folder / name, expected) for name, expected in manifest.files.items()}
    if WEIGHTS not in files:
        raise ModelError(f"expected {WEIGHTS} among the files of {folder / MANIFEST}")
    try:
        tensors = safetensors.numpy.load(files[WEIGHTS])
    except SafetensorError as error:
        raise ModelError(f"{folder / WEIGHTS} is not a safetensors file: {error}") from error
    return Artefact(
        kind=kind,
        name=manifest.name,
        version=manifest.version,
        digest=digest,
        tensors=tensors,
        meta=manifest.meta,
    )


@contextmanager
def reading_parts(what: str) -> Iterator[None]:
    """Any error within means that parts of a model do not fit together: it becomes a `ModelError`.

    Args:
        what: Begin of its message, such as `the row model in m/0001 is incomplete`.

    Raises:
        ModelError: Instead of the error raised within; a `ModelError` passes as it is.
    """
    try:
        yield
    except ModelError:
        raise
    except UNREADABLE as error:
        raise ModelError(f"{what}: {error!r}") from error


def read_manifest(folder: Path) -> tuple[Manifest, str]:
    """The manifest of a version's folder and its SHA-256. Does not verify the version's other files.

    Raises:
        ModelError: it is missing, of another format, or lacks something.
    """
    path = folder / MANIFEST
    raw = _read(path)
    try:
        manifest = msgspec.json.decode(raw)
        if not isinstance(manifest, dict) or manifest.get("format") != FORMAT:
            raise ModelError(f"expected a manifest of format {FORMAT} in {path}")
        if missing := set(Manifest.__struct_fields__) - manifest.keys():
            raise ModelError(f"{path} lacks {', '.join(sorted(missing))}")
        return msgspec.convert(manifest, Manifest), hashlib.sha256(raw).hexdigest()
    except msgspec.ValidationError as error:
        raise ModelError(f"{path} is no manifest: {error}") from error
    except NOT_JSON as error:
        raise ModelError(f"{path} is not JSON: {error}") from error


def faults_of_files(folder: Path, manifest: Manifest) -> list[str]:
    """What is wrong with each file of a version that is missing or whose digest differs; empty if all hold."""
    found = []
    for name, digest in sorted(manifest.files.items()):
        try:
            _verified(folder / name, digest)
        except ModelError as error:
            found.append(str(error))
    return found


def _manifest(kind: str, name: str, version: str, meta: Mapping[str, Any], files: Mapping[str, bytes]) -> bytes:
    manifest = {
        "format": FORMAT,
        "kind": kind,
        "name": name,
        "version": version,
        "files": {file: hashlib.sha256(content).hexdigest() for file, content in files.items()},
        "meta": dict(meta),
    }
    try:
        return json.dumps(manifest, indent=2, sort_keys=True, allow_nan=False).encode()
    except (TypeError, ValueError) as error:
        raise ModelError(f"meta of {name}/{version} must be finite JSON: {error}") from error


def _verified(path: Path, digest: str) -> bytes:
    content = _read(path)
    found = hashlib.sha256(content).hexdigest()
    if found != digest:
        raise ModelError(f"{path} is damaged: SHA-256 {found}, its manifest says {digest}")
    return content


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise ModelError(f"cannot read {path}: {error.strerror}") from error


def _write_folder(target: Path, files: Mapping[str, bytes]) -> None:
    try:
        with new_folder(target) as folder:
            for name, content in files.items():
                (folder / name).write_bytes(content)
    except OSError as error:
        raise ModelError(f"cannot write {target}: {error.strerror}") from error


#: Largest difference from a score s that counts as rounding: `TOLERANCE * (1 + |s|)`. Other processors and
#: libraries add float32 in another order.
TOLERANCE = 1e-4

_INPUT = "smoke.input."
_SCORE = "smoke.score."

Arrays = Mapping[str, NDArray[Any]]
#: Inputs of an artefact to scores, under the same names whenever it is called.
Score = Callable[[dict[str, NDArray[Any]]], Arrays]


def smoke_tensors(inputs: Arrays, score: Score) -> dict[str, NDArray[Any]]:
    """Tensors for an artefact: the inputs, and the scores that `score` gives them now."""
    given = {name: np.asarray(values) for name, values in inputs.items()}
    scores = {name: np.asarray(values, dtype=np.float64) for name, values in score(given).items()}
    return _prefixed(_INPUT, given) | _prefixed(_SCORE, scores)


def check_smoke(artefact: Artefact, score: Score) -> None:
    """Score an artefact's inputs again and compare. An artefact without smoke scores passes.

    Args:
        artefact: as it was read.
        score: the model made of it.

    Raises:
        ModelError: scores differ; the message names each with the largest difference.
    """
    expected = _with_prefix(_SCORE, artefact.tensors)
    if not expected:
        return
    scores = score(_with_prefix(_INPUT, artefact.tensors))
    differences = (_difference(name, stored, scores.get(name)) for name, stored in sorted(expected.items()))
    if faults := [difference for difference in differences if difference]:
        raise ModelError(f"smoke scores of {artefact.id} differ from those it was written with: {'; '.join(faults)}")


def _difference(name: str, expected: NDArray[Any], got: NDArray[Any] | None) -> str:
    """What is wrong with one score; empty if nothing is."""
    if got is None or got.shape != expected.shape:
        return f"{name} has shape {None if got is None else got.shape}, expected {expected.shape}"
    off = np.abs(got - expected)
    # Not above, so that a NaN counts as off.
    wrong = ~(off <= TOLERANCE * (1 + np.abs(expected)))
    if not wrong.any():
        return ""
    worst = int(np.argmax(np.where(np.isnan(off), np.inf, off)))
    return f"{name} of input {worst} is {got.flat[worst]:.7g}, expected {expected.flat[worst]:.7g}"


def _prefixed(prefix: str, arrays: Arrays) -> dict[str, NDArray[Any]]:
    return {prefix + name: values for name, values in arrays.items()}


def _with_prefix(prefix: str, tensors: Arrays) -> dict[str, NDArray[Any]]:
    return {name.removeprefix(prefix): tensor for name, tensor in tensors.items() if name.startswith(prefix)}
