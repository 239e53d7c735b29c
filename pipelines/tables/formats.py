"""Which files a path names, and the format of each: by its first bytes, and by its ending if these are not enough."""

import glob
import re
from pathlib import Path
from typing import Literal

from sparsewatch.pipelines.tables.encodings import as_utf8
from sparsewatch.pipelines.tables.rejects import shown
from sparsewatch.pipelines.tables.streams import PACKED, named_errors, open_bytes
from sparsewatch.schemas.errors import ConfigError, SchemaError

Format = Literal["parquet", "csv", "jsonl"]

ENDINGS: dict[Format, tuple[str, ...]] = {
    "parquet": (".parquet", ".pq"),
    "csv": (".csv", ".tsv"),
    "jsonl": (".jsonl", ".ndjson"),
}
NAMES: dict[Format, str] = {"parquet": "Parquet", "csv": "CSV", "jsonl": "JSON lines"}
#: Formats of tables, for messages; `--help` and docs use the same words.
READ = "Parquet, CSV (.csv, .tsv) or JSON lines (.jsonl, .ndjson), plain or packed (.gz, .zst)"
_START_BYTES = 64 << 10
_PARQUET = b"PAR1"
#: Bytes that text has not: the header of a CSV may begin with `ORC`.
_BINARY = re.compile(rb"[\0-\x08]")
_OBJECT = re.compile(rb'\s*\{\s*("|\})')
#: Other files that users name by mistake.
_OTHERS = {
    b"PK\x03\x04": "a zip archive, such as xlsx or npz",
    b"ARROW1": "an Arrow IPC file",
    b"\x89HDF": "an HDF5 file",
    b"Obj\x01": "an Avro file",
    b"ORC": "an ORC file",
    b"BZh": "a file packed by bzip2",
    b"\xfd7zXZ": "a file packed by xz",
    b"\x04\x22\x4d\x18": "a file packed by lz4",
    b"SQLite format 3": "an SQLite file",
}


def files_of(path: Path) -> list[Path]:
    """The file, or the tables of a folder or of a pattern such as `day*.csv`, in the order of their names.

    Raises:
        ConfigError: If there is none, or a folder holds files of several formats.
    """
    if path.is_file():
        return [path]
    if path.is_dir():
        return _tables_in(path)
    if found := sorted(Path(name) for name in glob.glob(str(path)) if Path(name).is_file()):  # noqa: PTH207
        return found
    what = "expected a file or a folder, got a pipe or a device" if path.exists() else "no such file or folder"
    raise ConfigError(f"cannot read {path}: {what}")


def _tables_in(folder: Path) -> list[Path]:
    entries = [entry for entry in sorted(folder.iterdir()) if entry.is_file() and entry.name[0] not in "._"]
    tables = {entry: kind for entry in entries if (kind := ending_of(entry))}
    kinds = [kind for kind in NAMES if kind in tables.values()]
    if len(kinds) == 1:
        return list(tables)
    several = " and ".join(f"{next(e.name for e in tables if tables[e] == kind)} ({NAMES[kind]})" for kind in kinds)
    raise ConfigError(f"{folder}: expected files of one format, {READ}, got {several or contents(folder)}")


def contents(path: Path) -> str:
    """The content of a path, for messages."""
    if path.is_file():
        return f"a file {path.name}"
    names = sorted(entry.name for entry in path.iterdir())
    return f"a folder of {', '.join(names[:5])}{' and others' if names[5:] else ''}" if names else "an empty folder"


def ending_of(path: Path) -> Format | None:
    """The format by a file's name."""
    name = unpacked_name(path)
    return next((kind for kind, endings in ENDINGS.items() if name.endswith(endings)), None)


def unpacked_name(path: Path) -> str:
    """A file's name without the ending of what packed it."""
    return path.name.removesuffix(path.suffix) if path.suffix in PACKED else path.name


def format_of(path: Path, encoding: str | None = None) -> Format:
    """The format of a file by its first bytes, by its name if these are not enough.

    Args:
        path: The file.
        encoding: Of text without a byte order mark; UTF-8 if None.

    Raises:
        ConfigError: If there is no such file.
        SchemaError: If it is none of them.
    """
    start = _start(path)
    found = recognised(path, encoding, start)
    if found is not None:
        return found
    if ending_of(path) == "csv" or not start.strip():
        return "csv"
    begin = shown(as_utf8(start[:200], encoding).decode(errors="replace"))
    raise SchemaError(f"{path}: expected {READ}, got a file that begins {begin}")


def recognised(path: Path, encoding: str | None = None, start: bytes | None = None) -> Format | None:
    """The format by a file's first bytes; None if they are not enough.

    Args:
        path: The file.
        encoding: As in `format_of`.
        start: Its first bytes; they are read if None.

    Raises:
        SchemaError: If they are of another format.
    """
    start = _start(path) if start is None else start
    if start.startswith(_PARQUET):
        return "parquet"
    other = next((name for magic, name in _OTHERS.items() if start.startswith(magic)), None)
    if other is not None and _BINARY.search(start):
        raise SchemaError(f"{path}: expected {READ}, got {other}")
    return "jsonl" if _OBJECT.match(as_utf8(start, encoding)) else None


def _start(path: Path) -> bytes:
    with named_errors(path), open_bytes(path) as stream:
        return bytes(stream.read(_START_BYTES))
