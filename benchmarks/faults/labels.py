"""Faults of the label: as many rows as before, in the same order, every column but the label as it was."""

import numpy as np
import polars as pl

from benchmarks.faults.stretch import TIME, Stretch, Target, chosen, of_source, source, where


def label_lost(rows: pl.DataFrame, at: Target, share: float, rng: np.random.Generator) -> Stretch:
    """A share of the rows comes without a label; a job of clicks cannot use them."""
    return Stretch(where(rows, chosen(rows.height, share, rng), _label(at), pl.lit(None)))


def label_delayed(rows: pl.DataFrame, at: Target, windows: float, rng: np.random.Generator) -> Stretch:
    """Labels lag: each row has that of the row so many windows before it, the first ones have none of 1."""
    del rng
    name, times = _label(at), rows[TIME].to_numpy()
    # The newest row that is at least so much older; none where the stretch had not begun.
    before = np.searchsorted(times, times - round(windows * at.window_us), side="right") - 1
    lagging = rows[name].gather(np.maximum(before, 0))
    none = pl.Series(before < 0)
    return Stretch(
        rows.with_columns(pl.when(none).then(pl.lit(0)).otherwise(lagging).cast(rows.schema[name]).alias(name))
    )


def rate_down(rows: pl.DataFrame, at: Target, share: float, rng: np.random.Generator) -> Stretch:
    """A share of the clicks is no click any more."""
    clicks = np.flatnonzero((rows[_label(at)] == 1).to_numpy())
    mask = np.zeros(rows.height, dtype=np.bool_)
    mask[clicks[chosen(clicks.size, share, rng)]] = True
    return Stretch(where(rows, mask, _label(at), pl.lit(0)))


def clicks_of_source(rows: pl.DataFrame, at: Target, share: float, rng: np.random.Generator) -> Stretch:
    """No click of one source comes: of the value of `Target.column` whose share of the rows is next to `share`."""
    del rng
    found = source(rows, [at.column], share)
    return Stretch(where(rows, of_source(rows, found), _label(at), pl.lit(0)), slice=found)


def _label(at: Target) -> str:
    if at.label is None:
        raise ValueError("label: expected a stream with a label, it has none")
    return at.label
