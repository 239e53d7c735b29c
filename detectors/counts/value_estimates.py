"""All values of a column from its stored counts: marginals for scores, comparable samples, heavy values.

Exact up to the cap; above it estimated by `sparsewatch.detectors.counts.capped_counts`.
"""

from typing import Any, NamedTuple, Self

import numpy as np
import polars as pl
from numpy.typing import NDArray

from sparsewatch.detectors.counts.capped_counts import (
    STANDS_OUT,
    Background,
    Floats,
    HashedCounters,
    estimate,
    estimate_of_all,
)
from sparsewatch.detectors.counts.counts import Bucket, Counts, Part
from sparsewatch.detectors.counts.number_bins import grouped
from sparsewatch.detectors.counts.value_counts import ValueCounts
from sparsewatch.detectors.counts.value_hashes import HASH_RANGE, hash_values, number_of_counters


class Marginals(NamedTuple):
    """Rows and clicks of the values of a feature, each with the number of values it stands for.

    First come `light` values that represent others, then `mixed` ones whose counts were cleared of a background, then
    exact ones, which stand for themselves.
    """

    #: Shape (n,) each; the sum of weight times rows is the number of rows.
    rows: Counts
    clicks: Counts
    weights: Floats
    light: int = 0
    mixed: int = 0
    #: Of the mixed values, and the number of counters they were found in.
    background: Background | None = None
    counters: int = 0

    @classmethod
    def exact(cls, rows: Counts, clicks: Counts) -> Self:
        """Every value with its own counts."""
        return cls(rows, clicks, np.ones(rows.size))

    @property
    def is_exact(self) -> bool:
        """Whether every value stands for itself, with its own counts."""
        return self.background is None

    def and_value(self, value: Bucket) -> "Marginals":
        """With an exact value more; unchanged if it has no rows."""
        if not value.rows:
            return self
        return self._replace(
            rows=np.append(self.rows, value.rows),
            clicks=np.append(self.clicks, value.clicks),
            weights=np.append(self.weights, 1.0),
        )


class SampledValues(NamedTuple):
    """Values that a limit of the hash selects, and estimates for the others."""

    part: Part
    #: How many values each stands for, shape (n,).
    weights: Floats
    #: Rows of heavy values that are not in the table, as their names are not known, and their hash counters.
    unnamed: Counts
    counters: NDArray[np.int64]
    #: Number of counters.
    n_counters: int

    @property
    def table(self) -> pl.DataFrame:
        """Columns value, rows, clicks and weight."""
        return _frame(self.part).with_columns(weight=pl.Series(self.weights))


def marginals(column: ValueCounts) -> Marginals:
    """All values, the missing one among them, in no order; bins of numbers in groups, up to the cap."""
    part, hashes, limit = column.sample()
    if column.hashed is None:
        rows, clicks = part[1:] if column.bits is None else grouped(column.sorted())
        return Marginals.exact(rows, clicks).and_value(column.nulls)
    found = estimate(column.hashed, hashes, part.rows, part.clicks, limit)
    order = np.argsort(found.heavy, kind="stable")
    light = order[: np.count_nonzero(~found.heavy)]
    heavy = order[light.size :]
    return Marginals(
        rows=np.concatenate([part.rows[light], found.rows, part.rows[heavy]]),
        clicks=np.concatenate([part.clicks[light], found.clicks, part.clicks[heavy]]),
        weights=np.concatenate([found.weights[light], np.ones(found.rows.size + heavy.size)]),
        light=light.size,
        mixed=found.rows.size,
        background=found.background,
        counters=column.hashed.rows.size,
    ).and_value(column.nulls)


def sampled_values(column: ValueCounts, limit: int = HASH_RANGE) -> SampledValues:
    """Values whose hash is below `limit` and the column's own limit, without the missing value.

    The same limit picks the same values of any counts, which makes samples comparable.
    """
    part, hashes, own = column.sample()
    limit = min(limit, own)
    if limit == HASH_RANGE:
        none = np.zeros(0, np.int64)
        return SampledValues(part, np.ones(part.rows.size), none, none, 1)
    if column.hashed is None:
        hashes, n_counters = column.hashes(), number_of_counters(column.max_values)
        found = estimate_of_all(hashes, part.rows, part.clicks, limit, n_counters)
        below = np.flatnonzero(hashes < np.uint64(limit))
        return SampledValues(part.take(below), found.weights, found.rows, found.counters, n_counters)
    below = np.flatnonzero(hashes < np.uint64(limit))
    part = part.take(below)
    found = estimate(column.hashed, hashes[below], part.rows, part.clicks, limit)
    return SampledValues(part, found.weights, found.rows, found.counters, column.hashed.rows.size)


def heavy_values(column: ValueCounts, candidates: Any) -> pl.DataFrame:
    """Counts of values that may have many rows: columns value, rows, clicks, excess; most rows first, ties by value.

    The names of values that are not stored are unknown here; a sample of rows has them. A value that is not stored has
    the counts of its counter, less the stored values in it: never too few.

    Args:
        column: Counts of the column.
        candidates: Distinct values of the column's kind, an Arrow array or a polars series.

    Returns:
        Candidates that are stored, with `excess` 0, and those that stand out of the light values in a counter, with
        what these give a counter on average and `STANDS_OUT` standard deviations of it. Another heavy value in the
        same counter exceeds that: the chance is that of heavy values over counters.
    """
    stored = _frame(column.merged())
    values = pl.Series("value", candidates).drop_nulls().cast(stored["value"].dtype).to_frame()
    exact = stored.join(values, on="value", how="semi").with_columns(excess=pl.lit(0.0))
    others = values.join(stored, on="value", how="anti")
    if column.hashed is not None and others.height:
        exact = pl.concat([exact, _standing_out(column, column.hashed, others)])
    return exact.sort(["rows", "value"], descending=[True, False])


def _standing_out(column: ValueCounts, hashed: HashedCounters, values: pl.DataFrame) -> pl.DataFrame:
    part, hashes, limit = column.sample()
    found = estimate(hashed, hashes, part.rows, part.clicks, limit)
    stored = column.merged()
    rest = hashed.less(hash_values(stored.values, repeats=False), stored.rows, stored.clicks)
    counters = hashed.counters(hash_values(values["value"].to_arrow(), repeats=False))
    background = found.background
    return values.with_columns(
        rows=rest.rows[counters],
        clicks=rest.clicks[counters],
        excess=pl.lit(background.rows + STANDS_OUT * background.rows_variance**0.5),
    ).filter(pl.Series(np.isin(counters, found.counters)))


def _frame(part: Part) -> pl.DataFrame:
    return pl.DataFrame({"value": pl.Series(part.values), "rows": part.rows, "clicks": part.clicks})
