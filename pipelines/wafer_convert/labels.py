"""A table of labels: which wafer shows which pattern."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path, PurePath
from typing import Self

import pyarrow as pa

from sparsewatch.pipelines.tables.settings import TableSettings
from sparsewatch.pipelines.tables.table import open_table
from sparsewatch.schemas.errors import ConfigError

LABEL = "label"
#: Columns that say which wafer a label is of; any of them, and all that are there must fit.
KEYS = ("file", "lot", "wafer", "slot", "step")
_OTHER_NAMES = {"wafer_id": "wafer", "class": LABEL, "pattern": LABEL, "lot_id": "lot"}

#: Values of the key columns of a table, in their order.
Key = tuple[str, ...]


@dataclass
class Labels:
    """Labels by what says which wafer they are of."""

    source: str
    #: Key columns of the table.
    keys: tuple[str, ...]
    by_key: dict[Key, str]
    #: Keys whose wafer was found.
    used: set[Key] = field(default_factory=set)

    @classmethod
    def read(cls, path: Path) -> Self:
        """Read a CSV, JSON lines or Parquet.

        Raises:
            ConfigError: If a column is missing, or a wafer has two labels.
            SchemaError: If the file cannot be read.
        """
        texts = {LABEL, *KEYS, *_OTHER_NAMES}
        table = open_table([path], TableSettings(types=dict.fromkeys(texts, pa.string())))
        # Names are read in any case, and the texts of each as they are: `007` is no number.
        named = {name for name in table.schema.names if name.lower() in texts}
        if named - texts:
            table = open_table([path], TableSettings(types=dict.fromkeys(named, pa.string())))
        columns = {_OTHER_NAMES.get(name.lower(), name.lower()): name for name in table.schema.names}
        keys = tuple(key for key in KEYS if key in columns)
        if LABEL not in columns or not keys:
            expected = f"a column {LABEL!r} and one or more of {', '.join(KEYS)}"
            raise ConfigError(f"{path}: expected {expected}, got {', '.join(table.schema.names)}")
        labels = cls(path.name, keys, {})
        chosen = [columns[name] for name in (LABEL, *keys)]
        for piece in table.pieces():
            labels._take(piece.select(chosen), path)
        if not labels.by_key:
            raise ConfigError(f"{path}: expected labels, got a table without any")
        return labels

    def _take(self, rows: pa.RecordBatch, path: Path) -> None:
        for label, *values in zip(*(column.to_pylist() for column in rows.columns), strict=True):
            if not (label or "").strip():
                continue
            key = tuple(_plain(name, value or "") for name, value in zip(self.keys, values, strict=True))
            if self.by_key.setdefault(key, label.strip()) != label.strip():
                wafer = ", ".join(f"{name} {value}" for name, value in zip(self.keys, key, strict=True))
                both = f"{self.by_key[key]!r} and {label.strip()!r}"
                raise ConfigError(f"{path}: expected one label for {wafer}, got {both}; a column more tells them apart")

    def of(self, wafers: Sequence[Mapping[str, str]], file: Path) -> list[str | None]:
        """The label of each wafer of a file, None where the table has none.

        Args:
            wafers: `lot`, `wafer`, `slot` and `step` of each.
            file: Their file; the table may name it by as many of its folders as tell it apart.
        """
        names = [name for name in _names(file) if name in self._files] if "file" in self.keys else [""]
        return [next((found for name in names if (found := self._found(wafer, name))), None) for wafer in wafers]

    @cached_property
    def _files(self) -> frozenset[str]:
        """Files that labels name: the first of the key columns."""
        return frozenset(key[0] for key in self.by_key)

    def _found(self, wafer: Mapping[str, str], file: str) -> str | None:
        whole = {**wafer, "file": file}
        key = tuple(_plain(name, whole[name]) for name in self.keys)
        if key in self.by_key:
            self.used.add(key)
        return self.by_key.get(key)

    def unused(self) -> list[str]:
        """What the labels without a wafer are of, in words."""
        return [
            ", ".join(f"{name} {value or '(empty)'}" for name, value in zip(self.keys, key, strict=True))
            for key in self.by_key
            if key not in self.used
        ]


def _plain(key: str, text: str) -> str:
    """A value as it is compared: a slot without leading zeros, a file with `/` between its folders."""
    text = text.strip()
    if key == "slot":
        return text.removesuffix(".0").lstrip("0") or text
    return text.replace("\\", "/").removeprefix("./") if key == "file" else text


def _names(file: Path) -> Iterator[str]:
    """Names that a table may call a file by, the longest first."""
    parts = PurePath(file).parts
    return ("/".join(parts[at:]).replace("//", "/") for at in range(len(parts)))
