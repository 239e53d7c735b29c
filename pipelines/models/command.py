"""`sparsewatch models`: the versions of a model, whether they verify, and which is in use."""

import importlib
import sys
from pathlib import Path

import click

from sparsewatch.detectors.artefacts.artefact import faults_of_files, read_manifest
from sparsewatch.detectors.artefacts.versions import (
    MANIFEST,
    Move,
    history,
    is_version,
    promote,
    rollback,
    versions,
)
from sparsewatch.pipelines.console.printable import printable
from sparsewatch.pipelines.console.tables import output
from sparsewatch.pipelines.models.listing import about, json_line, version_table
from sparsewatch.schemas.errors import ModelError, SparsewatchError

_EXAMPLES = """
\b
Examples:
  sparsewatch models list models/wafer
  sparsewatch models verify models/wafer/0003    # or all versions: models/wafer
  sparsewatch models promote models/wafer 0003   # running jobs switch to it within seconds
  sparsewatch models rollback models/wafer       # the latest before; again: the one before that
"""

#: Kinds of models, as their manifests name them, and what loads them.
_MODELS = {
    "wafer": "sparsewatch.detectors.wafers.model:WaferModel",
    "rows": "sparsewatch.detectors.rows.model:RowModel",
    "reference": "sparsewatch.detectors.clicks.reference:Reference",
}
_MOVES = 10

_MODEL = click.argument("folder", metavar="FOLDER", type=click.Path(path_type=Path, exists=True, file_okay=False))


@click.group(epilog=_EXAMPLES)
def models() -> None:
    """Versions of a model: list, verify, promote, roll back.

    FOLDER is the folder of one model, such as models/wafer; each version is a folder in it, and its file `latest` names
    the version that jobs use. Running jobs follow `latest`. A file `candidate` names a version in its shadow run, see
    `sparsewatch retrain`.
    """


@models.command("list", short_help="Versions, the latest, and how it moved.")
@_MODEL
@click.option("--json", "as_json", is_flag=True, help="One line a version, with all its metrics.")
def list_versions(folder: Path, as_json: bool) -> None:
    """List the versions in FOLDER, which is the latest, which a candidate, and what was latest before.

    JSON is one line a version, with all its metrics; the changes of latest go to standard error.
    """
    found = about(folder)
    if as_json:
        for version in found:
            click.echo(json_line(version))
    else:
        output().print(version_table(found))
    moves = history(folder)[-_MOVES:]
    if moves:
        heading = f"The last {len(moves)} changes of latest:" if len(moves) > 1 else "The change of latest:"
        click.echo(heading, err=as_json)
    for move in moves:
        click.echo(f"  {printable(_move_text(move))}", err=as_json)


@models.command(short_help="Digests, loading, smoke scores.")
@click.argument("folder", metavar="FOLDER[/VERSION]", type=click.Path(path_type=Path, exists=True, file_okay=False))
def verify(folder: Path) -> None:
    """Verify a version, or all of FOLDER: digests of files, whether it loads, its smoke scores.

    The smoke scores are the model's scores of example inputs when it was written. Ends with exit code 1 and names what
    differs, if anything does.
    """
    chosen = [folder] if is_version(folder) else [folder / name for name in versions(folder)]
    if not chosen:
        raise ModelError(f"no model in {folder}: expected {MANIFEST} or folders with a {MANIFEST}")
    sound = [_say_whether_sound(version) for version in chosen]
    if not all(sound):
        sys.exit(1)


@models.command("promote", short_help="Make a version the latest.")
@_MODEL
@click.argument("version")
def promote_version(folder: Path, version: str) -> None:
    """Make VERSION the latest of FOLDER, if it verifies; a shadow run in progress ends."""
    move = promote(folder, version, refuse_faults)
    click.echo(f"{version} is the latest already" if move is None else _move_text(move))


@models.command("rollback", short_help="Back to the latest before.")
@_MODEL
def roll_back(folder: Path) -> None:
    """Make the version before the latest the latest again, if it verifies; repeat to go back further."""
    click.echo(_move_text(rollback(folder, refuse_faults)))


def faults_of(version: Path) -> list[str]:
    """What is wrong with a version: files, then whether it loads here and scores as it did; empty if it verifies."""
    try:
        manifest, _ = read_manifest(version)
    except ModelError as error:
        return [str(error)]
    # Results name the manifest's version.
    renamed = manifest.version != version.resolve().name
    faults = [f"its folder is {version.resolve().name}, its manifest says version {manifest.version}"] * renamed
    faults += faults_of_files(version, manifest)
    if faults:
        return faults
    try:
        _load(manifest.kind, version)
    except SparsewatchError as error:
        return [str(error)]
    return []


def _load(kind: str, version: Path) -> None:
    """Load a version as a job does, which checks its smoke scores, if any; torch is imported only for this."""
    if kind not in _MODELS:
        *kinds, last = _MODELS
        raise ModelError(f"expected a model of kind {', '.join(kinds)} or {last} in {version}, got {kind!r}")
    module, _, model = _MODELS[kind].partition(":")
    getattr(importlib.import_module(module), model).load(version)


def refuse_faults(version: Path) -> None:
    """Raises ModelError with what is wrong with a version, if anything is."""
    if faults := faults_of(version):
        raise ModelError(f"{version} does not verify: {'; '.join(faults)}")


def _say_whether_sound(version: Path) -> bool:
    faults = faults_of(version)
    click.echo(f"{version}: {'differs' if faults else 'sound'}")
    for fault in faults:
        click.echo(f"  {printable(fault)}")
    return not faults


def _move_text(move: Move) -> str:
    return f"{move.at:%Y-%m-%d %H:%M:%S} {move.why}: {move.before or 'none'} -> {move.after}"
