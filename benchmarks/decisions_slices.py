"""Is the slice that an alert names the one a fault was planted in? By its rows, since many columns tell the same."""

from collections.abc import Mapping, Sequence
from typing import Any

import polars as pl

#: Rows that both slices have, of those that either has, from which on they are the same.
SAME = 0.8


def rows_of(slice_: Mapping[str, object]) -> pl.Expr:
    """Whether a row has these values."""
    return pl.all_horizontal(pl.col(name).eq_missing(pl.lit(value)) for name, value in slice_.items())


def rows_where(conditions: Sequence[Mapping[str, Any]]) -> pl.Expr:
    """Whether a row fulfils the conditions of an alert's slice, see docs/alerts.md."""
    return pl.all_horizontal([_holds(one) for one in conditions] or [pl.lit(value=True)])


def is_same(conditions: Sequence[Mapping[str, Any]], planted: Mapping[str, object], rows: pl.DataFrame) -> bool:
    """Whether the conditions hold in the rows that a fault was planted in.

    Args:
        conditions: Of an alert's slice.
        planted: Value by column of the rows concerned.
        rows: All rows, with and without the fault.
    """
    if not conditions:
        return False
    found, own = rows_where(conditions).fill_null(value=False), rows_of(planted)
    both, either = rows.select(both=(found & own).sum(), either=(found | own).sum()).row(0)
    return bool(both >= SAME * either)


def _holds(condition: Mapping[str, Any]) -> pl.Expr:
    column = pl.col(condition["column"])
    low, high = condition.get("at_least"), condition.get("below")
    if low is None and high is None:
        return column.eq_missing(pl.lit(condition.get("value")))
    return pl.all_horizontal(
        [
            column >= low if low is not None else pl.lit(value=True),
            column < high if high is not None else column == column,
        ]
    )
