"""Model artefacts: one folder a version, holding tensors and a manifest that says what they are.

    <root>/<name>/<version>/weights.safetensors
    <root>/<name>/<version>/manifest.json       kind, name, version, meta, SHA-256 of each file
    <root>/<name>/latest                        the version to take, one line

Nothing is unpickled. A version is written aside and renamed into place: a reader sees all of it or
none.
"""

import hashlib
import json
import os
import re
import shutil
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import safetensors.numpy
from safetensors import SafetensorError

from schemas.errors import ModelError

MANIFEST = "manifest.json"
WEIGHTS = "weights.safetensors"
LATEST = "latest"
#: Version of the folder's layout.
FORMAT = 1

_VERSION = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")


@dataclass(frozen=True, slots=True, kw_only=True)
class Artefact:
    """One version of one model, read back and verified."""

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
) -> Path:
    """Write a new version below `folder` and make it the latest.

    Args:
        folder: `<root>/<name>`; made if missing. Its last part is the model's name.
        kind: what the tensors are for; `load_artefact` asks for the same word.
        tensors: arrays by name, of any shape and numeric type.
        meta: JSON types only, finite numbers.
        version: letters, digits, `.`, `_`, `-`; default the next number, as `0001`.

    Returns:
        The version's folder.

    Raises:
        ModelError: the version exists or is no valid name, or `meta` is not JSON.
    """
    folder = Path(folder).absolute()
    version = _next_version(folder) if version is None else version
    target = folder / version
    if not _VERSION.fullmatch(version) or version == LATEST:
        raise ModelError(f"expected a version of letters, digits, '.', '_' or '-', got {version!r}")
    if target.exists():
        raise ModelError(f"version {version!r} exists in {folder}; a version is never overwritten")
    weights = safetensors.numpy.save({k: np.ascontiguousarray(v) for k, v in tensors.items()})
    manifest = _manifest(kind, folder.name, version, meta, {WEIGHTS: weights})
    _write_folder(target, {WEIGHTS: weights, MANIFEST: manifest})
    _replace(folder / LATEST, f"{version}\n".encode())
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
    raw = _read(folder / MANIFEST)
    manifest = _parse_manifest(folder / MANIFEST, raw)
    if manifest["kind"] != kind:
        raise ModelError(f"expected a model of kind {kind!r} in {folder}, got {manifest['kind']!r}")
    files = {name: _verified(folder / name, digest) for name, digest in manifest["files"].items()}
    if WEIGHTS not in files:
        raise ModelError(f"expected {WEIGHTS} among the files of {folder / MANIFEST}")
    try:
        tensors = safetensors.numpy.load(files[WEIGHTS])
    except SafetensorError as error:
        raise ModelError(f"{folder / WEIGHTS} is not a safetensors file: {error}") from error
    return Artefact(
        kind=kind,
        name=manifest["name"],
        version=manifest["version"],
        digest=hashlib.sha256(raw).hexdigest(),
        tensors=tensors,
        meta=manifest["meta"],
    )


def resolve_version(path: Path | str) -> Path:
    """The version's folder `path` stands for: itself, what `latest` names, or the highest version.

    Raises:
        ModelError: no version there.
    """
    folder = Path(path)
    if (folder / MANIFEST).is_file():
        return folder
    latest = folder / LATEST
    if latest.is_file():
        return folder / latest.read_text(encoding="utf-8").strip()
    versions = _versions(folder)
    if not versions:
        raise ModelError(f"no model in {folder}: expected {MANIFEST} or folders that hold one")
    return folder / versions[-1]


def _versions(folder: Path) -> list[str]:
    """Versions below `folder`, lowest first; digits compare as numbers."""
    if not folder.is_dir():
        return []
    names = [p.name for p in folder.iterdir() if (p / MANIFEST).is_file()]
    return sorted(names, key=_version_key)


def _version_key(version: str) -> list[tuple[int, int, str]]:
    parts = re.findall(r"\d+|\D+", version)
    return [(1, int(part), "") if part.isdigit() else (0, 0, part) for part in parts]


def _next_version(folder: Path) -> str:
    numbers = [int(version) for version in _versions(folder) if version.isdigit()]
    return f"{max(numbers, default=0) + 1:04d}"


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


def _parse_manifest(path: Path, raw: bytes) -> dict[str, Any]:
    try:
        manifest = json.loads(raw)
    except ValueError as error:
        raise ModelError(f"{path} is not JSON: {error}") from error
    if not isinstance(manifest, dict) or manifest.get("format") != FORMAT:
        raise ModelError(f"expected a manifest of format {FORMAT} in {path}")
    missing = {"kind", "name", "version", "files", "meta"} - manifest.keys()
    if missing:
        raise ModelError(f"{path} lacks {', '.join(sorted(missing))}")
    return manifest


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
    """Write `files` into a folder beside `target`, then rename it to `target`."""
    target.parent.mkdir(parents=True, exist_ok=True)
    aside = Path(tempfile.mkdtemp(prefix=".new-", dir=target.parent))
    try:
        for name, content in files.items():
            (aside / name).write_bytes(content)
        aside.chmod(0o755)
        aside.rename(target)
    except OSError as error:
        shutil.rmtree(aside, ignore_errors=True)
        raise ModelError(f"cannot write {target}: {error.strerror}") from error


def _replace(path: Path, content: bytes) -> None:
    """Replace a small file in one step."""
    handle, aside = tempfile.mkstemp(prefix=".new-", dir=path.parent)
    with os.fdopen(handle, "wb") as stream:
        stream.write(content)
    Path(aside).chmod(0o644)
    Path(aside).replace(path)
