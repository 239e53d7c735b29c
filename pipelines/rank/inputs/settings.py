"""How an input is read."""

from collections.abc import Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path
from typing import Literal, get_args

from sparsewatch.schemas.errors import ConfigError
from sparsewatch.schemas.ranges import Count, check_ranges

#: Layouts of files; `auto` takes what is there.
Source = Literal["auto", "parquet", "csv", "csv-raw", "ob-csv", "ob-vw", "ob-raw-dump"]
#: Rows of a block.
BLOCK_ROWS = 65_536
#: Texts that stand for the missing value, as in the public `outrank`.
MISSING_SYMBOLS = ("", "{}")


@dataclass(frozen=True, slots=True, kw_only=True)
class InputSettings:
    """How an input is read.

    Raises:
        ConfigError: If a setting is wrong.
    """

    source: Source = "auto"
    #: Most rows of a block.
    block_rows: Count = BLOCK_ROWS
    #: Of all usable rows only each of this number is kept: rows s, 2 s and so on.
    subsampling: Count = 1
    #: Texts that stand for the missing value.
    missing_symbols: tuple[str, ...] = MISSING_SYMBOLS
    #: Only these columns, in the order of the file; all if None.
    columns: Sequence[str] | None = None
    #: End after as many rows, counted after subsampling.
    max_rows: Count | None = None

    def __post_init__(self) -> None:
        if self.source not in get_args(Source):
            raise ConfigError(f"source: expected one of {', '.join(get_args(Source))}, got {self.source!r}")
        check_ranges(self)

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
