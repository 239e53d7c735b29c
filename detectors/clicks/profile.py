"""Profile of a window of clicks: figures of the stream and of each feature, for checks and metrics."""

from collections.abc import Iterable, Mapping, Sequence
from types import MappingProxyType
from typing import NamedTuple

import msgspec
import numpy as np
import polars as pl

from sparsewatch.detectors.clicks.calibration import Calibration, calibration_of
from sparsewatch.detectors.clicks.tolerances import Floats
from sparsewatch.detectors.counts.counts import Counts
from sparsewatch.detectors.counts.feature_counts import FeatureCounts
from sparsewatch.detectors.counts.value_hashes import HASH_RANGE
from sparsewatch.detectors.counts.window_values import WindowValues
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


class WindowProfile(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Figures of one window."""

    rows: int
    clicks: int
    #: Clicks a row; 0 without rows.
    click_rate: float
    features: dict[str, FeatureProfile]
    #: Of the prediction, where one is named.
    calibration: Calibration | None = None


def without_value(profile: WindowProfile) -> tuple[str, ...]:
    """Features that no row has a value of, of whichever type."""
    return tuple(name for name, one in profile.features.items() if one.null_share == 1.0 and one.mistyped_share == 0.0)


class WindowFigures(NamedTuple):
    """Figures of one window that a baseline is fitted to; those of its features have the shape (n_features,)."""

    rows: int
    click_rate: float
    null_shares: Floats
    cardinalities: Counts
    scores: Floats
    #: Standard deviations of the scores by chance.
    noises: Floats
    normalised: Floats
    calibration: Calibration | None = None

    @classmethod
    def of(
        cls, window: WindowValues, ranking: Iterable[RankedFeature], calibration: Calibration | None = None
    ) -> "WindowFigures":
        """Of a window with rows.

        Args:
            window: The window.
            ranking: Of its features by `rank_features`.
            calibration: Of the prediction, where one is named.
        """
        ranked = {one.feature: (one.cardinality, one.score, one.noise, one.normalised) for one in ranking}
        counts = window.counts
        cardinalities, scores, noises, normalised = zip(*(ranked[name] for name in counts.features), strict=True)
        return cls(
            counts.rows,
            counts.clicks / counts.rows,
            window.nulls / counts.rows,
            np.array(cardinalities, np.int64),
            np.array(scores, np.float64),
            np.array(noises, np.float64),
            np.array(normalised, np.float64),
            calibration,
        )


def profile_window(
    counts: FeatureCounts,
    ranking: Sequence[RankedFeature],
    unseen_shares: Mapping[str, float | None] = MappingProxyType({}),
    mistyped: MistypedCells = NONE_MISTYPED,
    prediction: str | None = None,
) -> WindowProfile:
    """Figures of a window.

    Args:
        counts: The window's counts.
        ranking: Their ranking by `rank_features`.
        unseen_shares: See `sparsewatch.detectors.clicks.known_values.KnownValues.unseen_shares`.
        mistyped: Cells of the window that hold a value of another type.
        prediction: Feature that predicts the label, if one does.
    """
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
                unseen_share=unseen_shares.get(ranked.feature),
            )
            for ranked in ranking
        },
        calibration=calibration_of(counts, prediction),
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
