"""How tables are read, whatever reads them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from difflib import get_close_matches
from pathlib import Path

import pyarrow as pa

from sparsewatch.schemas.alerts import counted
from sparsewatch.schemas.errors import ConfigError
from sparsewatch.schemas.jobs import SourceSettings, TimeFormat

#: Text of a CSV that always stands for the missing value.
EMPTY = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Reading:
    """What a user says about the texts of files, the same for all commands."""

    #: Texts that stand for the missing value, besides the empty field of a CSV.
    missing: tuple[str, ...] = ()
    #: Encoding of text without a byte order mark; UTF-8 if None.
    encoding: str | None = None

    def besides(self, missing: Sequence[str]) -> "Reading":
        """The same, with further texts for the missing value, such as a job's."""
        return replace(self, missing=tuple(dict.fromkeys((*missing, *self.missing))))


PLAIN = Reading()


@dataclass(frozen=True, slots=True, kw_only=True)
class TextSettings:
    """Which columns of a text are read, and how."""

    #: How texts are read; its `missing` are all texts that stand for the missing value.
    reading: Reading = Reading(missing=(EMPTY,))
    #: Only these columns, in the order of the file; all if None.
    columns: Sequence[str] | None = None

    def chosen(self, names: Sequence[str], path: Path) -> tuple[str, ...]:
        """Those of a file's columns that are read.

        Args:
            names: Columns of the file.
            path: The file, for the error.

        Raises:
            ConfigError: If the file lacks one of `columns`.
        """
        if self.columns is None:
            return tuple(names)
        for name in self.columns:
            if name not in names:
                close = get_close_matches(name, names, n=5, cutoff=0.0)
                found = f"{counted(len(names), 'column')}, the closest {', '.join(close)}"
                raise ConfigError(f"{path}: expected a column {name!r}, got {found}")
        return tuple(name for name in names if name in set(self.columns))


@dataclass(frozen=True, slots=True, kw_only=True)
class TableSettings:
    """How a table with typed values is read."""

    #: Only these columns, in this order; all if None.
    columns: tuple[str, ...] | None = None
    #: Types to convert to, by column; the type of another column follows from that in the file, or from its texts.
    types: Mapping[str, pa.DataType] = field(default_factory=dict)
    #: Columns of event times, which stay as the files have them: time stamps, dates, numbers, or text.
    times: frozenset[str] = frozenset()
    reading: Reading = PLAIN
    #: Whether undeclared columns of time stamps stay what they are, too.
    own_times: bool = False
    #: Whether numbers and booleans of Parquet are refused in columns declared text, as they are in JSON lines.
    texts_only: bool = False
    #: How times become integers.
    moments: TimeFormat = "epoch_ms"
    #: Most rows read of each file, up to the end of a piece; all if None.
    most_rows: int | None = None
    #: Most rows of a piece, and cells, where rows are wide.
    piece_rows: int = 65_536
    piece_cells: int = 1 << 22

    def for_source(self, source: SourceSettings) -> "TableSettings":
        """The same, with what a job says of its events: their time format, and which texts are missing values."""
        return replace(self, moments=source.time_format, reading=self.reading.besides(source.missing))
