"""Names of columns: each once, and the same in all files of an input."""

from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from sparsewatch.schemas.errors import SchemaError

#: Names that an error lists.
_LISTED = 5


def expect_names(path: Path, names: Sequence[str]) -> None:
    """Check that a file has columns, each name once.

    Raises:
        SchemaError: If not.
    """
    if not names:
        raise SchemaError(f"{path}: expected columns, got none")
    if twice := [name for name, number in Counter(names).items() if number > 1]:
        raise SchemaError(f"{path}: expected each column once, got more than once: {listed(twice)}")


def expect_columns(path: Path, names: Sequence[str], first: Path, expected: Sequence[str]) -> None:
    """Check that a file has the columns of the first file, in any order.

    Raises:
        SchemaError: If not.
    """
    lacks = [name for name in expected if name not in set(names)]
    more = [name for name in names if name not in set(expected)]
    if lacks or more:
        raise SchemaError(
            f"{path}: expected the columns of {first}, got {listed(lacks) if lacks else 'none'} missing and "
            f"{listed(more) if more else 'none'} unexpected"
        )


def listed(names: Sequence[str]) -> str:
    """A few names, and how many more there are."""
    more = f" and {len(names) - _LISTED} more" if len(names) > _LISTED else ""
    return ", ".join(repr(name) for name in names[:_LISTED]) + more
