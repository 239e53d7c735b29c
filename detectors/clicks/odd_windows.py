"""Which windows of a stretch are left out of a reference: as a whole, and of single features.

A window is left out as a whole where its volume or click rate is outlying, and of a feature where the feature's share
of missing values, its values, their number or its signal are (see `sparsewatch.detectors.clicks.outlying`).
"""

import functools
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from sparsewatch.detectors.clicks.outlying import OUTLYING_VOLUME_Z, OUTLYING_Z, PART, outlying
from sparsewatch.detectors.clicks.profile import FeatureProfile
from sparsewatch.detectors.clicks.rhythm import usual_levels
from sparsewatch.detectors.clicks.stretch import Stretch, StretchValues
from sparsewatch.detectors.clicks.tolerances import (
    Information,
    Statistic,
    distinct_surprise,
    distinct_tolerance,
    information_tolerance,
    share_tolerance,
)
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


def odd_windows_of(name: str, stretch: Stretch, values: StretchValues) -> frozenset[int]:
    """Places of the windows that are left out of a feature.

    Args:
        name: The feature.
        stretch: Windows of about the same volume.
        values: The feature's values in them.
    """
    starts_us = None if stretch.starts_us is None else tuple(stretch.starts_us)
    nulls = tuple(profile.features[name].null_share for profile in stretch.profiles)
    missing = _odd_nulls(nulls, tuple(profile.rows for profile in stretch.profiles), starts_us)
    some = np.flatnonzero(values.listed)
    if some.size < PART:
        return frozenset(missing)
    whole = some.size == len(stretch.windows)
    part = _Part(name, stretch if whole else stretch.at(some.tolist()), values.listed[some].tolist(), some, values)
    rare = _odd_shares((values.rare[some] / values.listed[some]).tolist(), part.listed, part.stretch.starts_us)
    return frozenset([*missing, *some[[*{*rare, *part.odd_numbers(), *part.odd_signals()}]].tolist()])


# Most features of a stream miss no value, or all of them in the same rows.
@functools.lru_cache(maxsize=256)
def _odd_nulls(shares: tuple[float, ...], rows: tuple[int, ...], starts_us: tuple[int, ...] | None) -> tuple[int, ...]:
    return _odd_shares(shares, rows, starts_us)


def _odd_shares(shares: Sequence[float], rows: Sequence[int], starts_us: Sequence[int] | None) -> tuple[int, ...]:
    mean_rows = float(np.mean(rows))

    def tolerance(robust: Statistic, place: int) -> float:
        return share_tolerance(robust, len(rows), rows[place], mean_rows, OUTLYING_Z)

    return outlying(shares, tolerance, weights=rows, starts_us=starts_us)


@dataclass(frozen=True, slots=True)
class _Part:
    """The windows in which a feature has a value."""

    name: str
    stretch: Stretch
    #: Rows with a value.
    listed: Sequence[int]
    #: Their places among all windows.
    places: Counts
    values: StretchValues

    @property
    def figures(self) -> list[FeatureProfile]:
        """Of the feature in each window."""
        return [profile.features[self.name] for profile in self.stretch.profiles]

    def odd_numbers(self) -> tuple[int, ...]:
        """Places of the windows with an odd number of distinct values."""
        abundances, figures = self.values.abundances, self.figures

        def tolerance(robust: Statistic, place: int) -> float:
            rows, seen = self.listed[place], figures[place].cardinality
            expected, missing = abundances.expected_distinct(rows) * robust.mean, abundances.expected_missing(rows)
            if distinct_surprise(seen, expected, missing, abundances.values) < OUTLYING_Z**2 / 2:
                return math.inf
            spread = robust.sd / robust.mean
            return robust.mean * distinct_tolerance(expected, missing, spread, len(figures), OUTLYING_Z)

        ratios = np.array([figure.cardinality for figure in figures]) / self.values.expected.distinct[self.places]
        return outlying(ratios.tolist(), tolerance, weights=self.listed, starts_us=self.stretch.starts_us)

    def odd_signals(self) -> tuple[int, ...]:
        """Places of the windows with an odd share of the label's entropy."""
        profiles, figures = self.stretch.profiles, self.figures
        rows = [profile.rows for profile in profiles]
        mean_rows = float(np.mean(rows))
        score = float(np.median([figure.score for figure in figures]))

        def tolerance(robust: Statistic, place: int) -> float:
            of = Information(rows[place], profiles[place].click_rate, figures[place].noise)
            if not 0 < of.click_rate < 1:
                return math.inf
            upwards = figures[place].normalised > robust.mean
            return information_tolerance(robust, score, len(rows), mean_rows, of, OUTLYING_Z, upwards=upwards)

        shares = [figure.normalised for figure in figures]
        return outlying(shares, tolerance, weights=rows, starts_us=self.stretch.starts_us)
