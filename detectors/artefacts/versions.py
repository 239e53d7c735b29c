"""Versions of a model: which there are, which is current, and which was before.

    <root>/<name>/<version>/       one version, see `artefact`
    <root>/<name>/latest           the version to use, one line
    <root>/<name>/candidate        the version that jobs score beside the latest, one line; mostly absent
    <root>/<name>/history.jsonl    a line for each time `latest` moved

Each file is replaced in one step: a reader sees the old file or the new. The history is written last; if `latest`
differs from its last line, that counts as a further line: a process killed between the two loses nothing.
"""

import re
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Literal

import msgspec

from sparsewatch.detectors.artefacts.atomic import write_file
from sparsewatch.schemas.errors import NOT_JSON, ModelError

MANIFEST = "manifest.json"
LATEST = "latest"
CANDIDATE = "candidate"
HISTORY = "history.jsonl"
#: All users may read which version to use.
_MODE = 0o644

_VERSION = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")

#: Raises `ModelError` for a version's folder that must not be used.
Verify = Callable[[Path], object]
Why = Literal["saved", "promoted", "rolled back"]


class Move(msgspec.Struct, frozen=True, kw_only=True, rename={"before": "from", "after": "to"}):
    """One line of a history: `latest` went from `before` to `after`."""

    #: Time of the file `latest`, by its file system.
    at: datetime
    #: None where there was no `latest`.
    before: str | None
    after: str
    why: Why


def resolve_version(path: Path | str) -> Path:
    """The version's folder `path` stands for: itself, what `latest` names, or the highest version.

    Raises:
        ModelError: no version there, or `latest` names none.
    """
    folder = Path(path)
    if is_version(folder):
        return folder
    named = latest(folder)
    if named is not None:
        return folder / named
    found = versions(folder)
    if not found:
        raise ModelError(f"no model in {folder}: expected {MANIFEST} or folders with a {MANIFEST}")
    return folder / found[-1]


def is_version(path: Path) -> bool:
    """Whether `path` is the folder of a version, and not the folder above."""
    return (path / MANIFEST).is_file()


def versions(folder: Path) -> list[str]:
    """Versions below `folder`, lowest first; digits compare as numbers. Those still being written are left out."""
    if not folder.is_dir():
        return []
    names = [p.name for p in folder.iterdir() if _VERSION.fullmatch(p.name) and is_version(p)]
    return sorted(names, key=_version_key)


def next_version(folder: Path) -> str:
    """The next number, as `0001`."""
    numbers = [int(version) for version in versions(folder) if version.isdigit()]
    return f"{max(numbers, default=0) + 1:04d}"


def check_version(version: str) -> None:
    """A version's name is a folder's and stays below its model.

    Raises:
        ModelError: it is none.
    """
    if not _VERSION.fullmatch(version) or version in (LATEST, CANDIDATE, HISTORY):
        raise ModelError(f"expected a version of letters, digits, '.', '_' or '-', got {version!r}")


def latest(folder: Path) -> str | None:
    """What the file `latest` names; None without the file.

    Raises:
        ModelError: it names no version.
    """
    return _named(folder / LATEST)


def candidate(folder: Path) -> str | None:
    """What the file `candidate` names; None without the file.

    Raises:
        ModelError: it names no version.
    """
    return _named(folder / CANDIDATE)


def mark_candidate(folder: Path, version: str, verify: Verify) -> None:
    """Have jobs score a version beside the latest, without following it.

    Raises:
        ModelError: no such version, or `verify` refuses it, or the file cannot be written; `candidate` stays.
    """
    _check_there(folder, version)
    verify(folder / version)
    try:
        write_file(folder / CANDIDATE, f"{version}\n".encode(), mode=_MODE)
    except OSError as error:
        raise ModelError(f"cannot write {folder / CANDIDATE}: {error.strerror}") from error


def clear_candidate(folder: Path) -> None:
    """End the shadow run of a candidate, if there is one; its version stays.

    Raises:
        ModelError: the file cannot be removed.
    """
    try:
        (folder / CANDIDATE).unlink(missing_ok=True)
    except OSError as error:
        raise ModelError(f"cannot remove {folder / CANDIDATE}: {error.strerror}") from error


def history(folder: Path) -> list[Move]:
    """The moves of `latest`, oldest first.

    Raises:
        ModelError: a line is no `Move`.
    """
    path = folder / HISTORY
    try:
        return msgspec.json.Decoder(Move).decode_lines(_content(path) or b"")
    except NOT_JSON as error:
        raise ModelError(f"{path} is no history of versions: {error}") from error


def move_latest(folder: Path, version: str, why: Why) -> Move:
    """Make `version` the latest, whatever it is, and record it.

    Raises:
        ModelError: a file cannot be read or written.
    """
    before, moves = latest(folder), history(folder)
    try:
        written = write_file(folder / LATEST, f"{version}\n".encode(), mode=_MODE)
        move = Move(at=datetime.fromtimestamp(written.st_mtime, UTC), before=before, after=version, why=why)
        write_file(folder / HISTORY, msgspec.json.Encoder().encode_lines([*moves, move]), mode=_MODE)
    except OSError as error:
        raise ModelError(f"cannot write {folder / LATEST}: {error.strerror}") from error
    return move


def promote(folder: Path, version: str, verify: Verify) -> Move | None:
    """Make a version the latest if it passes `verify`. A shadow run ends: it compared with the former latest.

    Args:
        folder: `<root>/<name>`.
        version: one of its versions.
        verify: Callback, called with the version's folder.

    Returns:
        What changed; None if the version is the latest already.

    Raises:
        ModelError: no such version, or `verify` refuses it; `latest` stays.
    """
    _check_there(folder, version)
    verify(folder / version)
    move = None if latest(folder) == version else move_latest(folder, version, "promoted")
    clear_candidate(folder)
    return move


def rollback(folder: Path, verify: Verify) -> Move:
    """Make the former latest the latest again; repeated calls go back further. A shadow run ends.

    Raises:
        ModelError: nothing was latest before, or it is gone, or `verify` refuses it; `latest` stays.
    """
    version = before_latest(folder)
    if version is None:
        raise ModelError(f"cannot roll back {folder}: {HISTORY} names no version that was latest before")
    _check_there(folder, version)
    verify(folder / version)
    move = move_latest(folder, version, "rolled back")
    clear_candidate(folder)
    return move


def before_latest(folder: Path) -> str | None:
    """The version a rollback goes to; None if there is none.

    A rollback takes the newest version off the history, any other move puts a version on. A `latest` that was written
    by hand counts as put on.
    """
    taken: list[str] = []
    for move in history(folder):
        _put(taken, move.before)
        if move.why == "rolled back":
            taken = taken[:-1]
        _put(taken, move.after)
    _put(taken, latest(folder))
    return taken[-2] if len(taken) > 1 else None


def _put(taken: list[str], version: str | None) -> None:
    if version is not None and taken[-1:] != [version]:
        taken.append(version)


def _check_there(folder: Path, version: str) -> None:
    check_version(version)
    if not is_version(folder / version):
        raise ModelError(f"no version {version!r} in {folder}: it has {', '.join(versions(folder)) or 'none'}")


def _version_key(version: str) -> list[tuple[int, int, str]]:
    parts = re.findall(r"\d+|\D+", version)
    return [(1, int(part), "") if part.isdigit() else (0, 0, part) for part in parts]


def _named(path: Path) -> str | None:
    """The version that a file names; None without the file."""
    content = _content(path)
    if content is None:
        return None
    version = content.decode(errors="backslashreplace").strip()
    try:
        check_version(version)
    except ModelError as error:
        raise ModelError(f"{path}: {error}") from error
    return version


def _content(path: Path) -> bytes | None:
    """Content of a file; None if it is not there."""
    try:
        return path.read_bytes()
    except (FileNotFoundError, NotADirectoryError):
        return None
    except OSError as error:
        raise ModelError(f"cannot read {path}: {error.strerror}") from error
