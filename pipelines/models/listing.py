"""Versions of a model as a table or as JSON lines. Their manifests may come from elsewhere and are shown harmlessly."""

from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import msgspec
from rich.table import Table

from sparsewatch.detectors.artefacts.artefact import read_manifest
from sparsewatch.detectors.artefacts.versions import MANIFEST, candidate, resolve_version, versions
from sparsewatch.pipelines.console.tables import table
from sparsewatch.schemas.errors import ModelError

_COLUMNS = ("version", "", "kind", "written, UTC", "metrics", "digest")
_METRICS = 3


def about(folder: Path) -> list[dict[str, Any]]:
    """All versions in a model's folder, as JSON types; `error` instead of the rest where a manifest is unreadable.

    Raises:
        ModelError: If there are none.
    """
    names = versions(folder)
    status = {resolve_version(folder).name: "latest"}
    if (shadowing := candidate(folder)) is not None:
        status.setdefault(shadowing, "candidate")
    return [{"version": name, "status": status.get(name), **_manifest(folder / name)} for name in names]


def json_line(version: Mapping[str, Any]) -> str:
    """A version of `about` as JSON in one line."""
    return msgspec.json.encode(version).decode()


def version_table(found: Sequence[Mapping[str, Any]]) -> Table:
    """Versions of `about` as a table."""
    return table(_COLUMNS, (_cells(version) for version in found))


def _manifest(version: Path) -> dict[str, Any]:
    try:
        manifest, digest = read_manifest(version)
    except ModelError as error:
        return {"error": str(error)}
    written = datetime.fromtimestamp(int((version / MANIFEST).stat().st_mtime), UTC)
    metrics = manifest.meta.get("metrics", {})
    return {"kind": manifest.kind, "written": written, "metrics": metrics, "digest": digest}


def _cells(version: Mapping[str, Any]) -> tuple[str, ...]:
    mark = version["status"] or ""
    if "error" in version:
        return version["version"], mark, "?", "?", "(not readable: see models verify)", "?"
    metrics = ", ".join(_numbers(version["metrics"]))
    written = f"{version['written']:%Y-%m-%d %H:%M}"
    return version["version"], mark, version["kind"], written, metrics, version["digest"][:12]


def _numbers(metrics: Any) -> Iterator[str]:
    """The first numbers among a model's metrics, as `name 0.912`."""
    if not isinstance(metrics, Mapping):
        return
    numbers = [(name, value) for name, value in metrics.items() if isinstance(value, int | float)]
    for name, value in numbers[:_METRICS]:
        yield f"{name} {value:.3g}"
