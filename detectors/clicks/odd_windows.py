"""Which windows of a stretch are left out of a reference: as a whole, and of single features.

A window is left out as a whole where its volume or click rate is outlying, and of a feature where the feature's share
of missing values, its values, their number or its signal are (see `sparsewatch.detectors.clicks.outlying`).
"""

from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray

from sparsewatch.detectors.clicks.outlying import (
    OUTLYING_VOLUME_Z,
    OUTLYING_Z,
    PART,
    Places,
    Robust,
    outlying,
    outlying_of_each,
)
from sparsewatch.detectors.clicks.own_windows import Alike, Yes, alike
from sparsewatch.detectors.clicks.rhythm import usual_levels
from sparsewatch.detectors.clicks.stretch import FeatureTables, Stretch
from sparsewatch.detectors.clicks.tolerances import (
    Floats,
    Informations,
    Statistic,
    distinct_surprises,
    distinct_tolerances,
    information_tolerances,
    share_tolerance,
    share_tolerances,
)
from sparsewatch.detectors.clicks.values_over import ValuesOver
from sparsewatch.detectors.clicks.volume import volume_tolerance
from sparsewatch.detectors.counts.counts import Counts


def odd_windows(stretch: Stretch, window_us: int | None) -> frozenset[int]:
    """Places of the windows that are left out as a whole.

    Args:
        stretch: All windows.
        window_us: Their length; None if it is not known.
    """
    profiles, windows = stretch.profiles, len(stretch.profiles)
    rows = [profile.rows for profile in profiles]
    rates = [profile.click_rate for profile in profiles]
    mean_rows = float(np.mean(rows))

    def volume(usual: Statistic, _: int) -> float:
        return volume_tolerance(usual, windows, OUTLYING_VOLUME_Z)

    def rate(usual: Statistic, place: int) -> float:
        return share_tolerance(usual, windows, rows[place], mean_rows, OUTLYING_Z)

    by_volume, by_rate = _levels(rows, stretch, window_us, share=False), _levels(rates, stretch, window_us, share=True)
    volumes = _odd_by_hour(rows, by_volume, volume, by_volume.tolist(), stretch.starts_us)
    return frozenset([*volumes, *_odd_by_hour(rates, by_rate, rate, rows, stretch.starts_us)])


def _levels(values: Sequence[float], stretch: Stretch, window_us: int | None, *, share: bool) -> NDArray[np.float64]:
    figures = stretch.figures(values, share=share)
    return np.ones(len(values)) if figures is None or window_us is None else usual_levels(figures, window_us)


def _odd_by_hour(
    values: Sequence[float],
    levels: NDArray[np.float64],
    tolerance: Callable[[Statistic, int], float],
    weights: Sequence[float],
    starts_us: Sequence[int] | None,
) -> tuple[int, ...]:
    """As `outlying`, of values that are judged by what is usual at their hour."""

    def relative(robust: Statistic, place: int) -> float:
        level = float(levels[place])
        return tolerance(robust.times(level), place) / level

    return outlying((np.asarray(values) / levels).tolist(), relative, weights=weights, starts_us=starts_us)


def odd_windows_of(tables: FeatureTables, values: ValuesOver, own: Yes) -> Yes:
    """Which windows are left out of each feature, shape (n_features, n_windows).

    Args:
        tables: The features' figures, in windows of about the same volume.
        values: Their values in these.
        own: Which windows are each feature's own.
    """
    odd = np.zeros(own.shape, np.bool_)
    for some in alike(own, PART):
        some.marked(
            _odd_shares(some.of(tables.null_shares), some.of(tables.rows), some.of_known(tables.starts_us)), odd
        )
    for some in alike(own & (values.listed > 0), PART):
        listed, starts_us = some.of(values.listed), some.of_known(tables.starts_us)
        some.marked(_odd_shares(some.of(values.rare) / listed, listed, starts_us), odd)
        some.marked(_odd_numbers(some, tables, values), odd)
        some.marked(_odd_signals(some, tables), odd)
    return odd


def _odd_shares(shares: Floats, rows: Counts, starts_us: Counts | None) -> Yes:
    """Of shares of rows, shape (n_windows, n)."""
    listed, mean_rows = rows.astype(np.float64), rows.mean(0)

    def tolerance(robust: Robust, places: Places, of: Places) -> Floats:
        return share_tolerances(
            robust.mean[of], robust.sd[of], len(rows), listed[places, of], mean_rows[of], OUTLYING_Z
        )

    return outlying_of_each(shares, tolerance, rows, starts_us)


def _odd_numbers(some: Alike, tables: FeatureTables, values: ValuesOver) -> Yes:
    """Which windows have an odd number of distinct values."""
    seen, listed = some.of(tables.cardinalities), some.of(values.listed)
    distinct, lacking = some.of(values.expected.distinct), some.of(values.expected.missing)
    known = values.flat_abundances.values[some.features]

    def tolerance(robust: Robust, places: Places, of: Places) -> Floats:
        mean, missing = robust.mean[of], lacking[places, of]
        expected = distinct[places, of] * mean
        surprise = distinct_surprises(seen[places, of].astype(np.float64), expected, missing, known[of])
        beyond = mean * distinct_tolerances(expected, missing, robust.sd[of] / mean, len(seen), OUTLYING_Z)
        return np.where(surprise < OUTLYING_Z**2 / 2, np.inf, beyond)

    return outlying_of_each(seen / distinct, tolerance, listed, some.of_known(tables.starts_us))


def _odd_signals(some: Alike, tables: FeatureTables) -> Yes:
    """Which windows have an odd share of the label's entropy."""
    rows, shares = some.of(tables.rows).astype(np.float64), some.of(tables.normalised)
    rates, noises = some.of(tables.click_rate), some.of(tables.noises)
    mean_rows, scores = rows.mean(0), np.median(some.of(tables.scores), axis=0)

    def tolerance(robust: Robust, places: Places, of: Places) -> Floats:
        rate = rates[places, of]
        both = (rate > 0) & (rate < 1)
        window = Informations(rows[places, of], np.where(both, rate, 0.5), noises[places, of])
        upwards = shares[places, of] > robust.mean[of]
        found = information_tolerances(
            robust.sd[of], scores[of], len(rows), mean_rows[of], window, OUTLYING_Z, upwards=upwards
        )
        return np.where(both, found, np.inf)

    return outlying_of_each(shares, tolerance, rows, some.of_known(tables.starts_us))
