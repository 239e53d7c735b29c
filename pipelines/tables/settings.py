"""How tables are read, whatever reads them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from difflib import get_close_matches
from pathlib import Path

import pyarrow as pa

from sparsewatch.schemas.errors import ConfigError

#: Texts of a CSV that stand for the missing value, whatever else does.
EMPTY = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class TextSettings:
    """What is read of files of text, and of all files what is taken for missing."""

    #: Texts that stand for the missing value.
    missing_symbols: tuple[str, ...] = (EMPTY,)
    #: Only these columns, in the order of the file; all if None.
    columns: Sequence[str] | None = None

    def chosen(self, names: Sequence[str], path: Path) -> tuple[str, ...]:
        """Those of a file's columns that are read.

        Args:
            names: Columns of the file.
            path: The file, for the error.

        Raises:
            ConfigError: If `columns` holds one that the file lacks.
        """
        if self.columns is None:
            return tuple(names)
        for name in self.columns:
            if name not in names:
                close = get_close_matches(name, names, n=5, cutoff=0.0)
                raise ConfigError(
                    f"{path}: expected a column {name!r}, got {len(names)} columns, the closest {', '.join(close)}"
                )
        return tuple(name for name in names if name in set(self.columns))


@dataclass(frozen=True, slots=True, kw_only=True)
class TableSettings:
    """How a table is read whose values have types."""

    #: Only these columns, in this order; all if None.
    columns: tuple[str, ...] | None = None
    #: Types to convert to, by column; of others Parquet has its own, and those of text are found.
    types: Mapping[str, pa.DataType] = field(default_factory=dict)
    #: Columns of text files whose types are not looked for: they stay text.
    as_text: frozenset[str] = frozenset()
    #: Texts that stand for the missing value, besides the empty field of a CSV.
    missing: tuple[str, ...] = ()
    #: Whether columns of times that are declared integers keep the type of the file.
    own_times: bool = False
    #: Whether all values are looked at before the first row is given, to see that they are of their types.
    look_over: bool = False
    #: Rows of each file that are looked at; all if None. No more are read than these, or than the file gives at once.
    most_rows: int | None = None
    #: Most rows of a piece, and cells, where rows are wide.
    piece_rows: int = 65_536
    piece_cells: int = 1 << 22
