"""Columns named by patterns, such as `s*`: which columns of the files they mean."""

from collections.abc import Iterable, Sequence
from fnmatch import fnmatchcase
from pathlib import Path

from sparsewatch.pipelines.tables.columns import listed
from sparsewatch.pipelines.tables.formats import files_of
from sparsewatch.pipelines.tables.planning import look_at
from sparsewatch.pipelines.tables.settings import Reading, TableSettings
from sparsewatch.schemas.errors import ConfigError

#: Rows of JSON lines in which column names are looked for.
_LOOKED_AT = 10_000
_WILD = frozenset("*?[")


def are_patterns(names: Iterable[str]) -> bool:
    """Whether any of the names may be a pattern."""
    return any(_WILD & set(name) for name in names)


def named_columns(paths: Sequence[Path], patterns: Sequence[str], reading: Reading, option: str) -> tuple[str, ...]:
    """The columns that names and patterns mean, each once, in the order of the files.

    Args:
        paths: Files, folders or patterns of files. Of JSON lines the first 10,000 rows are looked at.
        patterns: Names, or patterns with `*`, `?` and `[...]`; a name that a file has means itself.
        reading: How the files are read.
        option: What the user wrote them for, for messages.

    Raises:
        ConfigError: If one means no column, or a file is missing.
        SchemaError: If a file is damaged or of no known format.
    """
    files = [file for path in paths for file in files_of(path)]
    found = look_at(files, TableSettings(reading=reading, most_rows=_LOOKED_AT))
    return matching(list(dict.fromkeys(name for file in found for name in file.names)), patterns, option)


def matching(names: Sequence[str], patterns: Sequence[str], option: str) -> tuple[str, ...]:
    """The names that patterns mean, in their own order; see `named_columns`.

    >>> matching(["t", "s1", "s2"], ["s*"], "--columns")
    ('s1', 's2')
    """
    chosen: set[str] = set()
    for pattern in patterns:
        meant = {pattern} & set(names) or {name for name in names if fnmatchcase(name, pattern)}
        if not meant:
            raise ConfigError(f"{option}: {pattern!r} is no column, the files have {listed(names)}")
        chosen |= meant
    return tuple(name for name in names if name in chosen)
