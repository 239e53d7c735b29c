"""Figures of all features over the windows of a reference, those of which a feature is unlike itself left out."""

import functools
from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np
import polars as pl

from sparsewatch.detectors.clicks.feature_reference import FeatureReference
from sparsewatch.detectors.clicks.inflation import of_each_share, of_figures, of_new_values, within_reach
from sparsewatch.detectors.clicks.odd_windows import odd_windows_of
from sparsewatch.detectors.clicks.own_windows import Alike, Yes, alike
from sparsewatch.detectors.clicks.strays import null_steadiness
from sparsewatch.detectors.clicks.stretch import FeatureTables, Stretch
from sparsewatch.detectors.clicks.timely import follow_time
from sparsewatch.detectors.clicks.tolerances import (
    Abundances,
    Floats,
    Informations,
    Statistic,
    distinct_sds,
    information_sds,
    statistics,
)
from sparsewatch.detectors.clicks.value_shares import ValueShares, fit_shares
from sparsewatch.detectors.clicks.values_over import ValuesOver
from sparsewatch.detectors.sequential.steadiness import Steadiness

#: Values of all windows that are compared at a time: features are taken together until they have so many.
_CELLS = 1 << 20
#: Where nothing has a value: as many distinct ones as expected.
_AS_EXPECTED = Statistic(mean=1.0, sd=0.0, min=1.0, max=1.0)


class Fitted(NamedTuple):
    """What a reference knows of a feature."""

    figures: FeatureReference
    values: pl.Series
    #: The hashes of the values are below it.
    limit: int
    abundances: Abundances
    #: None of a feature that follows the time.
    shares: ValueShares | None
    #: Places of its windows.
    windows: tuple[int, ...]


def fit_features(stretch: Stretch, own: Yes, windows: int) -> dict[str, Fitted]:
    """What a reference knows of all features that have windows, by feature.

    Args:
        stretch: The windows.
        own: Which of them are each feature's own, shape (n_features, n_windows).
        windows: Of the reference.
    """
    names = stretch.windows[0].counts.features
    fitted: dict[str, Fitted] = {}
    for features in _together(stretch):
        first, last = features.start, features.stop
        tables, part = stretch.tables.between(first, last), own[first:last]
        values = ValuesOver(stretch.windows, features, part)
        odd = odd_windows_of(tables, values, part)
        some_are = odd.any(axis=1, keepdims=True)
        whole, rest = part & ~some_are, part & some_are & ~odd
        found = dict(_fitted(tables, values, whole, windows, stretch.starts_us))
        if rest.any():
            values = ValuesOver(stretch.windows, features, rest)
            found.update(_fitted(tables, values, rest, windows, stretch.starts_us))
        fitted.update((names[first + number], found[number]) for number in sorted(found))
    return fitted


def _together(stretch: Stretch) -> Iterator[range]:
    """Numbers of features whose values are compared together."""
    sizes = np.sum([window.flat.sizes for window in stretch.windows], axis=0)
    parts, first = np.cumsum(sizes) // _CELLS, 0
    for last in (*np.flatnonzero(np.diff(parts)).tolist(), sizes.size - 1):
        yield range(first, last + 1)
        first = last + 1


def _fitted(
    tables: FeatureTables, values: ValuesOver, own: Yes, windows: int, starts_us: Sequence[int] | None
) -> Iterator[tuple[int, Fitted]]:
    timed = follow_time(values, own, starts_us)
    shares = fit_shares(values, own & ~timed[:, None])
    ratios, unseen = _ratios(tables, values, own), _unseen(values, own & ~timed[:, None])
    for some in alike(own):
        nulls = _nulls(some, tables)
        cardinalities, scores = statistics(some.of(tables.cardinalities)), statistics(some.of(tables.scores))
        signals = statistics(some.of(tables.normalised), _of_signals(own, tables)[some.features])
        for at, feature in enumerate(some.features.tolist()):
            figures = FeatureReference(
                null_share=nulls[at].share,
                cardinality=cardinalities[at],
                cardinality_ratio=ratios.get(feature, _AS_EXPECTED),
                score=scores[at],
                normalised=signals[at],
                unseen_share=unseen.get(feature),
                rank=0,
                listed=int(values.all_rows[feature]),
                left_out=windows - len(some.windows),
                null_steadiness=nulls[at].steadiness,
                follows_time=bool(timed[feature]),
            )
            yield (
                feature,
                Fitted(
                    figures,
                    values.values(feature),
                    values.limits[feature],
                    values.abundances[feature],
                    shares.get(feature),
                    tuple(some.windows[:, at].tolist()),
                ),
            )


class _Nulls(NamedTuple):
    share: Statistic
    steadiness: Steadiness | None


def _nulls(some: Alike, tables: FeatureTables) -> list[_Nulls]:
    shares, rows = some.of(tables.null_shares), some.of(tables.rows).astype(np.float64)
    inflations = of_each_share(shares, rows, np.ones(shares.shape[1], np.int64))
    found = _reached(statistics(shares), inflations, shares.max(0), rows)
    of_each = zip(found, shares.T.tolist(), rows.T.tolist(), strict=True)
    return [_Nulls(share, _steadiness(tuple(own), tuple(own_rows))) for share, own, own_rows in of_each]


# Most features of a stream miss no value, or all of them in the same rows.
@functools.lru_cache(maxsize=256)
def _steadiness(shares: tuple[float, ...], rows: tuple[float, ...]) -> Steadiness | None:
    return null_steadiness(shares, rows)


def _reached(figures: Sequence[Statistic], inflations: Floats, most: Floats, rows: Floats) -> list[Statistic]:
    """As `within_reach`, of several shares over windows, whose rows have the shape (n_windows, n)."""
    return [
        within_reach(figure, inflation, highest, len(rows), mean_rows) if inflation > 1 else figure
        for figure, inflation, highest, mean_rows in zip(
            figures, inflations.tolist(), most.tolist(), rows.mean(0).tolist(), strict=True
        )
    ]


def _ratios(tables: FeatureTables, values: ValuesOver, own: Yes) -> dict[int, Statistic]:
    """Distinct values of windows, divided by those expected, of features that have any."""
    found: dict[int, Statistic] = {}
    for some in alike(own & (values.listed > 0)):
        distinct, missing = some.of(values.expected.distinct), some.of(values.expected.missing)
        ratios = some.of(tables.cardinalities) / distinct
        figures = statistics(ratios, of_figures(ratios, distinct_sds(distinct, missing)))
        found.update(zip(some.features.tolist(), figures, strict=True))
    return found


def _unseen(values: ValuesOver, own: Yes) -> dict[int, Statistic]:
    """Share of rows whose value is new, of features with more than two windows with a value.

    In a stream whose values change the windows to come have more new ones than those between others: a window is
    compared with those before it. Of the first half few are known.
    """
    found: dict[int, Statistic] = {}
    for some in alike(own & (values.listed > 0), 3):
        listed = some.of(values.listed).astype(np.float64)
        new, late = some.of(values.new), some.of(values.late)
        later = (new / listed)[len(listed) // 2 :]
        figures = _reached(statistics(later), of_new_values(new, late, listed), (late / listed).max(0), listed)
        found.update(zip(some.features.tolist(), figures, strict=True))
    return found


def _of_signals(own: Yes, tables: FeatureTables) -> Floats:
    """By what tolerances of the share of the label's entropy are widened; of windows that have both labels."""
    found = np.ones(len(own))
    for some in alike(own & (tables.click_rate > 0) & (tables.click_rate < 1)):
        scores, rates = some.of(tables.scores).mean(0), some.of(tables.click_rate)
        windows = Informations(some.of(tables.rows).astype(np.float64), rates, some.of(tables.noises))
        found[some.features] = of_figures(some.of(tables.normalised), information_sds(scores, windows))
    return found
