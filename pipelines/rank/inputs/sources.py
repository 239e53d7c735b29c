"""Which layout lies at a path, and how it is opened."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa

from sparsewatch.pipelines.rank.inputs.counted_columns import plan_json, plan_parquet
from sparsewatch.pipelines.rank.inputs.rank_input import RankInput
from sparsewatch.pipelines.rank.inputs.settings import InputSettings, Source
from sparsewatch.pipelines.rank.inputs.vw_files import plan_vw
from sparsewatch.pipelines.tables.columns import expect_names
from sparsewatch.pipelines.tables.csv_files import plan_csv, read_start
from sparsewatch.pipelines.tables.formats import ENDINGS, NAMES, contents, recognised
from sparsewatch.pipelines.tables.settings import TableSettings
from sparsewatch.pipelines.tables.streams import PACKED, named_errors
from sparsewatch.pipelines.tables.table import open_table
from sparsewatch.schemas.errors import ConfigError, SchemaError

_PARQUET, _CSV, _JSON = ENDINGS["parquet"], ENDINGS["csv"], ENDINGS["jsonl"]
_VW = (".vw",)
_DESCRIPTION = "dataset_desc.json"
_NAMESPACES = "vw_namespace_map.csv"
_RAW_HEADER = Path("raw_data/0_header/header.csv")
_RAW_ROWS = "raw_data/1_train"


def open_input(path: Path, settings: InputSettings) -> RankInput:
    """Inspect a file or a folder.

    Args:
        path: A file, or a folder of files, which are read in the order of their names.
        settings: How it is read.

    Raises:
        ConfigError: If there is no such path, nothing at it fits the source, or a chosen column is missing.
        SchemaError: If a file is damaged, empty, without rows or of other columns than the first.
    """
    if not path.exists():
        raise ConfigError(f"no such file or folder: {path}")
    if not (path.is_file() or path.is_dir()):
        raise ConfigError(f"{path}: expected a file or a folder, got a pipe or a device; files may be read twice")
    source = _detected(path, settings.reading.encoding) if settings.source == "auto" else settings.source
    if settings.types and source in ENDINGS:
        return _open_typed(path, settings)
    return _OPENERS[source](path, settings.of_layout(source))


def _detected(path: Path, encoding: str | None) -> Source:
    """The layout at a path."""
    folder = path if path.is_dir() else path.parent
    if path.is_dir() and (path / _RAW_HEADER).exists():
        return "ob-raw-dump"
    if _files(path, _VW) and (folder / _NAMESPACES).exists():
        return "ob-vw"
    if path.is_dir() and _named(path, "data.csv"):
        return "ob-csv" if (path / _DESCRIPTION).exists() else "csv-raw"
    if path.is_file() and (known := recognised(path, encoding)):
        return known
    found: list[Source] = [source for source, endings in ENDINGS.items() if _files(path, endings)]
    if len(found) != 1:
        tables = ", ".join(f"{NAMES[kind]} ({', '.join(endings)})" for kind, endings in ENDINGS.items())
        raise ConfigError(
            f"{path}: expected {tables}, Vowpal Wabbit (.vw beside {_NAMESPACES}) or a folder of the public outrank, "
            f"got {' and '.join(found) if found else contents(path)}"
        )
    return found[0]


def _files(path: Path, endings: tuple[str, ...]) -> list[Path]:
    """The file, or files of the folder, with these endings; no hidden files or markers such as Spark's `_SUCCESS`."""
    entries = [path] if path.is_file() else sorted(path.iterdir())
    wanted = tuple(end + pack for end in endings for pack in ("", *PACKED))
    return [entry for entry in entries if entry.is_file() and entry.name.endswith(wanted) and entry.name[0] not in "._"]


def _named(folder: Path, name: str) -> list[Path]:
    """The file of this name, plain or packed."""
    return [folder / (name + pack) for pack in ("", *PACKED) if (folder / (name + pack)).is_file()]


def _one(path: Path, name: str) -> Path:
    """The file itself, or that of this name in the folder."""
    found = [path] if path.is_file() else _named(path, name)
    if len(found) != 1:
        names = ", ".join([name, *(name + pack for pack in PACKED)])
        raise ConfigError(f"{path}: expected one of {names}, got {len(found)} of them")
    return found[0]


def _open_typed(path: Path, settings: InputSettings) -> RankInput:
    """Any table, with the types of a job, as training and the stream see it."""
    columns = None if settings.columns is None else tuple(settings.columns)
    table = open_table(
        [path],
        TableSettings(columns=columns, types=settings.types, reading=settings.reading, piece_rows=settings.block_rows),
    )
    floats = {field.name for field in table.schema if pa.types.is_floating(field.type)}
    return RankInput(table.parts, table.schema.names, frozenset(floats), settings)


def _open_parquet(path: Path, settings: InputSettings) -> RankInput:
    files = [path] if path.is_file() else _files(path, _PARQUET)
    if not files:
        raise ConfigError(f"{path}: expected files ending in {' or '.join(_PARQUET)}, got {contents(path)}")
    plan = plan_parquet(files, settings)
    return RankInput(plan.parts, plan.parts[0].schema.names, plan.numeric, settings)


def _open_csv(path: Path, settings: InputSettings) -> RankInput:
    files = [path] if path.is_file() else _files(path, _CSV)
    if not files:
        raise ConfigError(f"{path}: expected files ending in {' or '.join(_CSV)}, got {contents(path)}")
    parts = plan_csv(files, settings)
    return RankInput(parts, parts[0].chosen, frozenset(), settings)


def _open_json(path: Path, settings: InputSettings) -> RankInput:
    files = [path] if path.is_file() else _files(path, _JSON)
    if not files:
        raise ConfigError(f"{path}: expected files ending in {' or '.join(_JSON)}, got {contents(path)}")
    parts = plan_json(files, settings)
    floats = {field.name for field in parts[0].schema if pa.types.is_floating(field.type)}
    return RankInput(parts, parts[0].schema.names, frozenset(floats), settings)


def _open_csv_raw(path: Path, settings: InputSettings) -> RankInput:
    return _open_csv(_one(path, "data.csv"), settings)


def _open_ob_csv(path: Path, settings: InputSettings) -> RankInput:
    file = _one(path, "data.csv")
    types = _described(file.parent / _DESCRIPTION)
    parts = plan_csv([file], settings, list(types))
    floats = {name for name, kind in types.items() if "float" in kind.lower()}
    return RankInput(parts, parts[0].chosen, frozenset(floats & set(parts[0].chosen)), settings)


def _described(path: Path) -> dict[str, str]:
    """Types of columns by name, as `data_features` of a description lists them."""
    with named_errors(path):
        text = path.read_bytes()
    try:
        features: Any = json.loads(text)["data_features"]
        types = [(str(feature["name"]), str(feature.get("type", ""))) for feature in features]
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError) as error:
        raise SchemaError(f'{path}: expected {{"data_features": [{{"name": …, "type": …}}]}}: {error!r}') from error
    expect_names(path, [name for name, _ in types])
    return dict(types)


def _open_ob_vw(path: Path, settings: InputSettings) -> RankInput:
    files = [path] if path.is_file() else _files(path, _VW)
    folder = path.parent if path.is_file() else path
    if not files:
        raise ConfigError(f"{path}: expected data.vw, data.vw.gz or data.vw.zst, got {contents(path)}")
    parts, numeric = plan_vw(files, folder / _NAMESPACES, settings)
    return RankInput(parts, parts[0].chosen, numeric, settings)


def _open_raw_dump(path: Path, settings: InputSettings) -> RankInput:
    names = read_start(path / _RAW_HEADER, "\t", settings.reading.encoding).fields
    files = sorted(entry for entry in (path / _RAW_ROWS).rglob("*") if entry.is_file() and entry.name[0] not in "._")
    if not files:
        raise ConfigError(f"{path}: expected files of rows under {_RAW_ROWS}, got none")
    parts = plan_csv(files, settings, names, "\t")
    return RankInput(parts, parts[0].chosen, frozenset(), settings)


_OPENERS: dict[Source, Callable[[Path, InputSettings], RankInput]] = {
    "parquet": _open_parquet,
    "csv": _open_csv,
    "jsonl": _open_json,
    "csv-raw": _open_csv_raw,
    "ob-csv": _open_ob_csv,
    "ob-vw": _open_ob_vw,
    "ob-raw-dump": _open_raw_dump,
}
