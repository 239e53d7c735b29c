"""Faults of whole rows: lost, doubled, added or at another time; a row that stays is as it was, in its order."""

from typing import Any

import numpy as np
import polars as pl

from benchmarks.faults.stretch import TIME, Stretch, Target, chosen, of_source, source, values_by_count


def lost(rows: pl.DataFrame, at: Target, share: float, rng: np.random.Generator) -> Stretch:
    """A share of the rows is lost."""
    del at
    return Stretch(rows.filter(~pl.Series(chosen(rows.height, share, rng))))


def doubled(rows: pl.DataFrame, at: Target, share: float, rng: np.random.Generator) -> Stretch:
    """A share of the rows comes twice, one after the other."""
    del at
    times = 1 + chosen(rows.height, share, rng).astype(np.int64)
    return Stretch(rows[np.repeat(np.arange(rows.height), times)])


def source_dropped(rows: pl.DataFrame, at: Target, share: float, rng: np.random.Generator) -> Stretch:
    """All rows of one source are lost: of the value of `Target.column` whose share of the rows is next to `share`."""
    del rng
    found = source(rows, [at.column], share)
    return Stretch(rows.filter(~pl.Series(of_source(rows, found))), slice=found)


def bot_known(rows: pl.DataFrame, at: Target, share: float, rng: np.random.Generator) -> Stretch:
    """A bot adds a share of rows, all alike but for their times, with values that are known, and clicks on nothing."""
    return _with_bot(rows, at, share, rng, values_by_count(rows, at.column)[0])


def bot_new(rows: pl.DataFrame, at: Target, share: float, rng: np.random.Generator) -> Stretch:
    """As `bot_known`, with a value of the column that nobody has seen."""
    kind = rows.schema[at.column]
    new = "bot" if kind == pl.String else (rows[at.column].max() or 0) + 1  # type: ignore[operator]
    return _with_bot(rows, at, share, rng, new)


def clock_skew(rows: pl.DataFrame, at: Target, share: float, rng: np.random.Generator) -> Stretch:
    """The clocks of a share of the rows are two windows slow; they arrive when they did."""
    mask = pl.Series(chosen(rows.height, share, rng))
    slow = pl.when(mask).then(pl.col(TIME) - 2 * at.window_us).otherwise(pl.col(TIME))
    return Stretch(rows.with_columns(slow.alias(TIME)), arrived=rows[TIME])


def _with_bot(rows: pl.DataFrame, at: Target, share: float, rng: np.random.Generator, value: Any) -> Stretch:
    number = int(np.ceil(share * rows.height))
    behind = np.sort(rng.integers(0, rows.height, number))
    bot = rows[np.full(number, int(rng.integers(rows.height)))].with_columns(
        rows[TIME].gather(behind), pl.lit(value).cast(rows.schema[at.column]).alias(at.column)
    )
    if at.label is not None:
        bot = bot.with_columns(pl.lit(0).cast(rows.schema[at.label]).alias(at.label))
    order = np.argsort(np.concatenate([np.arange(rows.height), behind]), kind="stable")
    alike = [name for name in rows.columns if name not in (TIME, at.label)]
    return Stretch(pl.concat([rows, bot])[order], slice=bot.select(alike).row(0, named=True))
