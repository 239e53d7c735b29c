"""Faults of cells: as many rows as before, in the same order, and other values in the columns concerned."""

import numpy as np
import polars as pl
from numpy.typing import NDArray

from benchmarks.faults.stretch import TIME, Stretch, Target, chosen, of_source, progress, source, values_by_count, where

#: Of a column that appears.
NEW_COLUMN = "new_column"
_HOURS_US = 24 * 3_600_000_000


def nulls(rows: pl.DataFrame, at: Target, share: float, rng: np.random.Generator) -> Stretch:
    """A share of the rows lacks a value."""
    return _filled(rows, at.column, chosen(rows.height, share, rng), pl.lit(None))


def nulls_of_client(rows: pl.DataFrame, at: Target, share: float, rng: np.random.Generator) -> Stretch:
    """All columns that one client fills lack a value in the same rows."""
    mask = chosen(rows.height, share, rng)
    for column in at.group:
        rows = where(rows, mask, column, pl.lit(None))
    return Stretch(rows)


def nulls_of_source(rows: pl.DataFrame, at: Target, share: float, rng: np.random.Generator) -> Stretch:
    """All rows of a source lack a value: of the value of `Target.other` whose share of the rows is next to `share`."""
    del rng
    return _without_value(rows, at.column, source(rows, [at.other], share))


def nulls_of_slice(rows: pl.DataFrame, at: Target, share: float, rng: np.random.Generator) -> Stretch:
    """As `nulls_of_source`, of the values of `Target.other` and `Target.third` together."""
    del rng
    return _without_value(rows, at.column, source(rows, [at.other, at.third or ""], share))


def constant(rows: pl.DataFrame, at: Target, share: float, rng: np.random.Generator) -> Stretch:
    """A share of the rows has the most frequent value."""
    return _filled(rows, at.column, chosen(rows.height, share, rng), pl.lit(values_by_count(rows, at.column)[0]))


def unit(rows: pl.DataFrame, at: Target, share: float, rng: np.random.Generator) -> Stretch:
    """Numbers of a share of the rows are in another unit: a thousand times as large."""
    name = _number(at)
    return _filled(rows, name, chosen(rows.height, share, rng), pl.col(name) * 1_000)


def out_of_range(rows: pl.DataFrame, at: Target, share: float, rng: np.random.Generator) -> Stretch:
    """Numbers of a share of the rows lie beyond all that came before, by up to the whole range."""
    name = _number(at)
    low, high = (float(value) for value in (rows[name].min(), rows[name].max()))  # type: ignore[arg-type]
    beyond = pl.Series(high + (high - low + 1) * (1 + rng.random(rows.height)))
    return _filled(rows, name, chosen(rows.height, share, rng), beyond)


def new_salt(rows: pl.DataFrame, at: Target, share: float, rng: np.random.Generator) -> Stretch:
    """Values of a share of the rows are hashed anew: as many as before, none of them known."""
    values = values_by_count(rows, at.column)
    return _mapped(rows, at.column, chosen(rows.height, share, rng), values, _unknown(rows, at.column, len(values)))


def salt_of_source(rows: pl.DataFrame, at: Target, share: float, rng: np.random.Generator) -> Stretch:
    """As `new_salt`, of a source: of the value of `Target.other` whose share of the rows is next to `share`."""
    del rng
    values, found = values_by_count(rows, at.column), source(rows, [at.other], share)
    salted = _mapped(rows, at.column, of_source(rows, found), values, _unknown(rows, at.column, len(values)))
    return Stretch(salted.rows, slice=found)


def merged(rows: pl.DataFrame, at: Target, share: float, rng: np.random.Generator) -> Stretch:
    """A share of the rows of the second most frequent value has the most frequent one."""
    first, second, *_ = values_by_count(rows, at.column)
    mask = chosen(rows.height, share, rng) & (rows[at.column] == second).fill_null(value=False).to_numpy()
    return _filled(rows, at.column, mask, pl.lit(first))


def renamed(rows: pl.DataFrame, at: Target, share: float, rng: np.random.Generator) -> Stretch:
    """Known values change their names in a circle: so large a share of them, the most frequent first, two at least."""
    values = values_by_count(rows, at.column)
    values = values[: max(2, round(share * len(values)))]
    del rng
    return _mapped(rows, at.column, np.ones(rows.height, np.bool_), values, [*values[1:], values[0]])


def shuffled(rows: pl.DataFrame, at: Target, share: float, rng: np.random.Generator) -> Stretch:
    """Values of a share of the rows are dealt out anew among them."""
    mask = chosen(rows.height, share, rng)
    places = np.arange(rows.height)
    places[mask] = rng.permutation(places[mask])
    return Stretch(rows.with_columns(rows[at.column].gather(places)))


def swapped(rows: pl.DataFrame, at: Target, share: float, rng: np.random.Generator) -> Stretch:
    """Two columns are swapped in a share of the rows."""
    mask = chosen(rows.height, share, rng)
    one, other = rows[at.column], rows[at.other]
    return Stretch(where(where(rows, mask, at.column, other), mask, at.other, one))


def other_type(rows: pl.DataFrame, at: Target, share: float, rng: np.random.Generator) -> Stretch:
    """A share of the rows holds a value of another type: a number in a column of text, text in any other."""
    mask = chosen(rows.height, share, rng)
    is_text = rows.schema[at.column] == pl.String
    shown = [int(i) if is_text else f"n/a {i}" for i in rng.integers(0, 9, rows.height)]
    values = pl.Series(at.column, [value if hit else None for value, hit in zip(shown, mask, strict=True)])
    return Stretch(rows, {at.column: values})


def new_column(rows: pl.DataFrame, at: Target, share: float, rng: np.random.Generator) -> Stretch:
    """A column that the job does not know, with a value in a share of the rows."""
    del at
    values = pl.Series(rng.integers(0, 5, rows.height))
    mask = pl.Series(chosen(rows.height, share, rng))
    return Stretch(rows.with_columns(pl.when(mask).then(values).otherwise(None).alias(NEW_COLUMN)))


def drift(rows: pl.DataFrame, at: Target, share: float, rng: np.random.Generator) -> Stretch:
    """From none to so large a share of the rows, as the stretch passes, has the second most frequent value."""
    return _towards_second(rows, at, share * progress(rows), rng)


def season(rows: pl.DataFrame, at: Target, share: float, rng: np.random.Generator) -> Stretch:
    """As `drift`, up and down with the hour of day: a mix with a rhythm that it did not have."""
    angle = rows[TIME].to_numpy() / _HOURS_US * 2 * np.pi
    return _towards_second(rows, at, share * (0.5 + 0.5 * np.sin(angle)), rng)


def leak(rows: pl.DataFrame, at: Target, share: float, rng: np.random.Generator) -> Stretch:
    """A share of the rows has one known value where the label is 1, another where it is 0."""
    first, second, *_ = values_by_count(rows, at.column)
    mask = chosen(rows.height, share, rng)
    known = pl.when(pl.col(at.label or "") == 1).then(pl.lit(second)).otherwise(pl.lit(first))
    return _filled(rows, at.column, mask, known)


def _number(at: Target) -> str:
    if at.number is None:
        raise ValueError("number: expected a stream with a column of numbers, it has none")
    return at.number


def _towards_second(rows: pl.DataFrame, at: Target, chance: NDArray[np.float64], rng: np.random.Generator) -> Stretch:
    second = values_by_count(rows, at.column)[1]
    return _filled(rows, at.column, rng.random(rows.height) < chance, pl.lit(second))


def _filled(rows: pl.DataFrame, column: str, mask: NDArray[np.bool_], values: pl.Series | pl.Expr) -> Stretch:
    return Stretch(where(rows, mask, column, values))


def _without_value(rows: pl.DataFrame, column: str, found: dict[str, object]) -> Stretch:
    return Stretch(where(rows, of_source(rows, found), column, pl.lit(None)), slice=found)


def _mapped(rows: pl.DataFrame, column: str, mask: NDArray[np.bool_], old: list[object], new: list[object]) -> Stretch:
    return _filled(rows, column, mask, pl.col(column).replace(old, new))


def _unknown(rows: pl.DataFrame, column: str, count: int) -> list[object]:
    """Values that the column does not hold, of its type."""
    if rows.schema[column] == pl.String:
        return [f"salted-{i}" for i in range(count)]
    above = float(rows[column].max() or 0)  # type: ignore[arg-type]
    return [above + 1 + i if rows.schema[column].is_float() else int(above) + 1 + i for i in range(count)]
