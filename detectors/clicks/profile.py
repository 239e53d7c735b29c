"""Profile of a window of clicks: figures of the stream and of each feature, for checks and metrics."""

from collections.abc import Mapping, Sequence
from typing import Any

import msgspec
import numpy as np
import polars as pl
import pyarrow.compute as pc
from numpy.typing import NDArray

from sparsewatch.detectors.counts.feature_counts import FeatureCounts
from sparsewatch.detectors.counts.value_hashes import HASH_RANGE, counters_of, hash_values
from sparsewatch.detectors.outrank.ranking import RankedFeature
from sparsewatch.schemas.mistyped import NONE_MISTYPED, MistypedCells


class FeatureProfile(msgspec.Struct, frozen=True, kw_only=True):
    """Figures of one feature in one window."""

    #: Share of rows without a value, in [0, 1]; 0 without rows.
    null_share: float
    #: Share of rows whose value is of another type than the job declares; `null_share` includes them.
    mistyped_share: float = 0.0
    #: Distinct values, nulls left out.
    cardinality: int
    #: Mutual information with the label less its chance level, nats.
    score: float
    #: Standard deviation of `score` by chance, nats.
    noise: float
    #: `score` as a share of the label's entropy.
    normalised: float
    #: Place in the ranking, 1 is best.
    rank: int
    #: Share of the rows with a value whose value the reference does not know; None without a reference or a value.
    unseen_share: float | None


class WindowProfile(msgspec.Struct, frozen=True, kw_only=True):
    """Figures of one window."""

    rows: int
    clicks: int
    #: Clicks a row; 0 without rows.
    click_rate: float
    features: dict[str, FeatureProfile]


def profile_window(
    counts: FeatureCounts,
    ranking: Sequence[RankedFeature],
    known_values: Mapping[str, pl.Series] | None,
    hash_limits: Mapping[str, int] | None = None,
    mistyped: MistypedCells = NONE_MISTYPED,
) -> WindowProfile:
    """Figures of a window.

    Args:
        counts: The window's counts.
        ranking: Their ranking by `rank_features`.
        known_values: Values of the reference, by feature; features that are not in it get no unseen share.
        hash_limits: Limit of the hash, by feature, if the reference holds only the values with a hash below it.
        mistyped: Cells of the window that hold a value of another type.
    """
    known, limits = known_values or {}, hash_limits or {}
    return WindowProfile(
        rows=counts.rows,
        clicks=counts.clicks,
        click_rate=counts.clicks / counts.rows if counts.rows else 0.0,
        features={
            ranked.feature: FeatureProfile(
                null_share=counts.nulls(ranked.feature) / counts.rows if counts.rows else 0.0,
                mistyped_share=mistyped.of(ranked.feature) / counts.rows if counts.rows else 0.0,
                cardinality=ranked.cardinality,
                score=ranked.score,
                noise=ranked.noise,
                normalised=ranked.normalised,
                rank=ranked.rank,
                unseen_share=_unseen_share(
                    counts, ranked.feature, known.get(ranked.feature), limits.get(ranked.feature, HASH_RANGE)
                ),
            )
            for ranked in ranking
        },
    )


def unseen_values(counts: FeatureCounts, feature: str, known: pl.Series, hash_limit: int = HASH_RANGE) -> pl.DataFrame:
    """Counts of the values that `known` lacks: columns value, rows, clicks, weight, by ascending value.

    Values of another type than `known` are all unseen. If `counts` or `known` hold a sample of the values by hash, they
    are compared on the hashes that both cover; `weight` is the number of values that each value represents.
    """
    return _without(counts.sampled_values(feature, hash_limit).table, known).sort("value")


def _without(table: pl.DataFrame, known: pl.Series) -> pl.DataFrame:
    if table["value"].dtype != known.dtype:
        return table
    return table.join(known.to_frame("value"), on="value", how="anti")


def is_known(values: Any, known: pl.Series) -> NDArray[np.bool_]:
    """Which of a window's values, an Arrow array, are known; none if they are of another type."""
    others = known.to_arrow(compat_level=pl.CompatLevel.oldest())
    if values.type != others.type:
        return np.zeros(len(values), np.bool_)
    found: NDArray[np.bool_] = pc.is_in(values, value_set=others).to_numpy(zero_copy_only=False)
    return found


def _unseen_share(counts: FeatureCounts, feature: str, known: pl.Series | None, hash_limit: int) -> float | None:
    """Share of the rows with a value; counters of unnamed frequent values are unseen if no known value has them."""
    listed = counts.rows - counts.nulls(feature)
    if known is None or not listed:
        return None
    sampled = counts.sampled_values(feature, hash_limit)
    unseen = ~is_known(sampled.part.values, known)
    rows = float(pl.Series(sampled.weights[unseen]).dot(pl.Series(sampled.part.rows[unseen])) or 0.0)
    if hash_limit == HASH_RANGE and sampled.unnamed.size:
        taken = counters_of(hash_values(known.to_arrow(), repeats=False), sampled.n_counters)
        rows += float(sampled.unnamed[~np.isin(sampled.counters, taken)].sum())
    return min(rows / listed, 1.0)
