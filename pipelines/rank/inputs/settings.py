"""How an input is read."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Literal, get_args

import pyarrow as pa

from sparsewatch.pipelines.tables.settings import EMPTY, PLAIN, Reading, TextSettings
from sparsewatch.schemas.errors import ConfigError
from sparsewatch.schemas.settings import Count, check_ranges

#: Layouts of files; `auto` detects the layout.
Source = Literal["auto", "parquet", "csv", "jsonl", "csv-raw", "ob-csv", "ob-vw", "ob-raw-dump"]
#: Rows of a block.
BLOCK_ROWS = 65_536
#: Texts that stand for the missing value in the layouts of the public `outrank`, as there.
OUTRANK_MISSING = (EMPTY, "{}")
_TABLES = ("parquet", "jsonl")


@dataclass(frozen=True, slots=True, kw_only=True)
class InputSettings(TextSettings):
    """How an input is read.

    Raises:
        ConfigError: If a setting is wrong.
    """

    source: Source = "auto"
    #: Most rows of a block.
    block_rows: Count = BLOCK_ROWS
    #: Of all usable rows only every s-th is taken, where s is this number: rows s, 2 s and so on.
    subsampling: Count = 1
    #: How texts are read. Its `missing` are further texts, besides those of the layout, for the missing value.
    reading: Reading = PLAIN
    #: Types of columns, as a job declares them; the values of tables are converted to them, else a CSV holds texts.
    types: Mapping[str, pa.DataType] = field(default_factory=dict)
    #: Most rows, counted after subsampling.
    max_rows: Count | None = None

    def of_layout(self, source: Source) -> "InputSettings":
        """The same, for a layout: the empty field of a CSV is missing, in the public tool's layouts `{}` as well."""
        own = () if source in _TABLES else (EMPTY,) if source == "csv" else OUTRANK_MISSING
        return replace(self, source=source, reading=self.reading.besides(own))

    def __post_init__(self) -> None:
        if self.source not in get_args(Source):
            raise ConfigError(f"source: expected one of {', '.join(get_args(Source))}, got {self.source!r}")
        check_ranges(self)
