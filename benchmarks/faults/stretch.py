"""What a fault gets and gives: a stretch of rows, and where in it the fault is planted."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
import polars as pl
from numpy.typing import NDArray

#: Event time of a row, microseconds since the epoch; ascending in a stretch before a fault.
TIME = "time_us"


@dataclass(frozen=True, kw_only=True)
class Target:
    """Where faults are planted in a stream."""

    #: A column of a few to a few hundred values; a feature with signal, where there is a label.
    column: str
    #: Another column of the same type, for what concerns two.
    other: str
    #: Columns that one faulty client fills, `column` among them.
    group: tuple[str, ...]
    #: A column that together with `other` tells a source from others.
    third: str | None = None
    #: A column of numbers.
    number: str | None = None
    #: Column of clicks, 0 or 1.
    label: str | None = None
    window_us: int = 3_600_000_000


@dataclass(frozen=True)
class Stretch:
    """Rows of some windows, in the order in which they arrive."""

    rows: pl.DataFrame
    #: Values of another type than their column's, null where a cell fits; by column.
    wrong: Mapping[str, pl.Series] = field(default_factory=dict)
    #: When each row arrives, microseconds; at its event time if None.
    arrived: pl.Series | None = None
    #: Value by column of what the rows concerned have in common, and no others; None if they are anywhere.
    slice: Mapping[str, object] | None = None


def chosen(rows: int, share: float, rng: np.random.Generator) -> NDArray[np.bool_]:
    """A mask of so large a share of rows, exact but for rounding up."""
    mask = np.zeros(rows, dtype=np.bool_)
    mask[rng.permutation(rows)[: int(np.ceil(share * rows))]] = True
    return mask


def where(rows: pl.DataFrame, mask: NDArray[np.bool_], column: str, values: pl.Series | pl.Expr) -> pl.DataFrame:
    """The rows with other values of a column where the mask is true; the column's type stays."""
    other = values if isinstance(values, pl.Expr) else pl.lit(values)
    new = pl.when(pl.lit(pl.Series(mask))).then(other.cast(rows.schema[column])).otherwise(pl.col(column))
    return rows.with_columns(new.alias(column))


def values_by_count(rows: pl.DataFrame, column: str) -> list[object]:
    """The values of a column, null left out, the most frequent first; equals in order of value."""
    return _counted(rows, column)[column].to_list()


def source(rows: pl.DataFrame, columns: Sequence[str], share: float) -> dict[str, object]:
    """The source, value by column, whose share of the rows is next to the one asked for."""
    counted = rows.select(columns).drop_nulls().group_by(columns).len("n")
    counted = counted.sort(["n", *columns], descending=[True, *(False for _ in columns)])
    nearest = int(np.argmin(np.abs(counted["n"].to_numpy() / rows.height - share)))
    return counted.select(columns).row(nearest, named=True)


def of_source(rows: pl.DataFrame, values: Mapping[str, object]) -> NDArray[np.bool_]:
    """A mask of the rows of a source."""
    held = pl.all_horizontal(pl.col(name).eq_missing(pl.lit(value)) for name, value in values.items())
    mask: NDArray[np.bool_] = rows.select(held).to_series().to_numpy()
    return mask


def _counted(rows: pl.DataFrame, column: str) -> pl.DataFrame:
    return rows[column].drop_nulls().value_counts(name="n").sort(["n", column], descending=[True, False])


def progress(rows: pl.DataFrame) -> NDArray[np.float64]:
    """How much of the stretch has passed at each row, in [0, 1]."""
    times = rows[TIME].to_numpy().astype(np.float64)
    span = times.max() - times.min() if times.size else 0.0
    done: NDArray[np.float64] = (times - times.min()) / span if span else np.zeros(times.size)
    return done
