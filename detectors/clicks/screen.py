"""Which rules may fire on which features of a window, of all features at once.

A rule fires where chance is excluded and the effect is large. Here a condition of each rule is judged that holds
wherever it fires: mostly the effect alone, which needs no tolerance, and of shares of values a tolerance that is never
wider than the rule's own. So each rule looks only at the few features left for it, and finds what it would have found
of all.
"""

from collections import defaultdict
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtr, ndtri

from sparsewatch.detectors.clicks.flat_abundances import FlatAbundances
from sparsewatch.detectors.clicks.flat_reference import FlatReference, FlatShares
from sparsewatch.detectors.clicks.known_values import Matched
from sparsewatch.detectors.clicks.number_shares import numbers_now
from sparsewatch.detectors.clicks.profile import WindowProfile
from sparsewatch.detectors.clicks.reference import Reference
from sparsewatch.detectors.clicks.thresholds import ClickThresholds
from sparsewatch.detectors.clicks.tolerances import Floats, chance_bounds
from sparsewatch.detectors.clicks.value_shares import STEADY
from sparsewatch.detectors.counts.counts import Counts
from sparsewatch.detectors.counts.feature_counts import FeatureCounts

_Yes = NDArray[np.bool_]
#: Rules that are judged together.
_MISSING = ("feature_vanished", "feature_appeared", "feature_nulls")
_SHARES = ("value_vanished", "feature_values_moved")
_SIGNAL = ("feature_signal_gained", "feature_signal_lost")
#: Figures that are summed in another order differ by less.
_ROUNDING = 1e-9
#: The same of numbers of distinct values, which are sums of differences of large logarithms.
_OF_DISTINCT = 0.01


class _Window(NamedTuple):
    """Figures of a window's features in the order of the reference's, shape (n_features,); not a number if absent."""

    #: Share of rows with a value, and their number.
    share: Floats
    listed: Floats
    cardinality: Floats
    normalised: Floats
    unseen: Floats


def suspects(
    counts: FeatureCounts,
    profile: WindowProfile,
    reference: Reference,
    matched: Matched,
    settings: ClickThresholds,
) -> dict[str, set[str]]:
    """Names of the rules that may fire on a feature, by feature; features of which none may are left out.

    Args:
        counts: The window's counts.
        profile: Its figures.
        reference: The baseline.
        matched: The window's values among those that it knows.
        settings: When a deviation matters.
    """
    flat, window = reference.flat, _figures(counts, profile, reference.flat)
    some: list[tuple[tuple[str, ...], _Yes]] = [
        (_MISSING, _missing(window, flat, settings)),
        (("feature_unseen_values",), window.unseen >= flat.unseen + settings.unseen_rise),
        (("feature_cardinality",), _distinct(window, flat, settings)),
        (_SHARES, _shares(window, flat.shares, matched.rows, settings)),
    ]
    if min(counts.clicks, counts.rows - counts.clicks) >= settings.min_clicks:
        some.append((_SIGNAL, _signal(window, flat, settings)))
    here, found = set(counts.features), defaultdict[str, set[str]](set)
    for rules, yes in some:
        for number in np.flatnonzero(yes):
            found[flat.features[number]].update(rules)
    for name in here & (matched.apart | flat.apart):
        found[name].update(_SHARES)
    for name in here & reference.numbers.keys():
        if _numbers(counts, reference, name, settings):
            found[name].add("feature_numbers_moved")
    return dict(found)


def _figures(counts: FeatureCounts, profile: WindowProfile, flat: FlatReference) -> _Window:
    nothing = (np.nan,) * len(_Window._fields)
    here = set(counts.features)
    rows = [_of_feature(counts, profile, name) if name in here else nothing for name in flat.features]
    return _Window(*np.array(rows, np.float64).reshape(-1, len(nothing)).T)


def _of_feature(counts: FeatureCounts, profile: WindowProfile, name: str) -> tuple[float, ...]:
    own = profile.features[name]
    unseen = np.nan if own.unseen_share is None else own.unseen_share
    return 1 - own.null_share, counts.rows - counts.nulls(name), own.cardinality, own.normalised, unseen


def _missing(window: _Window, flat: FlatReference, settings: ClickThresholds) -> _Yes:
    """Of `feature_nulls`, `feature_vanished` and `feature_appeared`."""
    before = 1 - flat.nulls
    risen = 1 - window.share >= flat.nulls + settings.null_rise - _ROUNDING
    vanished = window.share <= np.minimum(settings.absent_share, before / 2)
    vanished &= window.share < 1 - flat.most_nulls
    appeared = (1 - flat.least_nulls <= settings.absent_share) & (window.share >= settings.appeared_share)
    return risen | vanished | appeared


def _distinct(window: _Window, flat: FlatReference, settings: ClickThresholds) -> _Yes:
    """Of `feature_cardinality`."""
    low, high = distinct_bounds(flat.abundances, window.listed)
    seen, enough = window.cardinality, window.listed >= settings.min_rows
    few = seen <= settings.cardinality_low * high * flat.ratio * (1 + _OF_DISTINCT)
    return enough & (few | (seen >= settings.cardinality_high * low * flat.ratio * (1 - _OF_DISTINCT)))


def distinct_bounds(abundances: FlatAbundances, listed: Floats) -> tuple[Floats, Floats]:
    """Bounds on `Abundances.expected_distinct` of each feature.

    Of s rows of a value among T none is among n drawn with a probability of the product of 1 - n / (T - i) over i < s:
    between its first factor and its last to the power of s.

    Args:
        abundances: Of the features.
        listed: Rows that are drawn of each feature, shape (n_features,).

    Returns:
        Lower and upper bounds, shape (n_features,) each; of more rows than there are 0 and infinity.
    """
    own, sizes, feature = abundances, abundances.sizes, abundances.feature
    within = (listed <= own.rows) & (own.rows > 0)
    drawn, rows = np.where(within, listed, 0.0), np.maximum(own.rows, 1.0)
    with np.errstate(divide="ignore"):
        most = sizes * np.log1p(-drawn / rows)[feature]
        last = sizes * np.log1p(-np.minimum(drawn[feature] / (rows[feature] - sizes + 1), 1.0))
    low, high = (
        own.scale * np.bincount(feature, own.times * -np.expm1(absent), own.rows.size) for absent in (most, last)
    )
    return np.where(within, low, 0.0), np.where(within, high, np.inf)


def _shares(window: _Window, shares: FlatShares, rows: Counts, settings: ClickThresholds) -> _Yes:
    """Of `value_vanished` and `feature_values_moved`."""
    features, own = window.listed.size, shares.feature
    some = np.nan_to_num(window.listed) > 0
    listed = np.where(some, window.listed, 1.0)
    # Values that are not known have the last place.
    now = np.append(rows, 0)[shares.places] / listed[own]
    gone = (shares.means >= settings.value_share) & (shares.least >= STEADY * shares.means)
    gone &= now <= settings.value_left * shares.least
    others = np.maximum(1 - np.bincount(own, now, features), 0.0) - shares.others
    # Of features without shares nothing moves.
    changes = np.nan_to_num(np.append(now - shares.means, others))
    moved = _moved(changes, shares, listed, settings.of_features) >= settings.values_moved - _ROUNDING
    vanished = np.bincount(own[gone], minlength=features) > 0
    return some & (vanished | (moved & (listed >= settings.min_rows)))


def _moved(changes: Floats, shares: FlatShares, listed: Floats, z: float) -> Floats:
    """At least `Movement.moved` of each feature: of its tolerances only the sampling error."""
    feature = np.append(shares.feature, np.arange(listed.size))
    strict = -ndtri(ndtr(-z) / shares.looks)
    bounds = chance_bounds(shares.variances, listed[feature], strict[feature])
    bounds *= np.sqrt(1 + 1 / shares.independent)[feature] * (1 - _ROUNDING)
    beyond = np.where(np.abs(changes) > bounds, changes, 0.0)
    up, down = (np.bincount(feature, np.maximum(way, 0.0), listed.size) for way in (beyond, -beyond))
    return np.maximum(up, down)


def _signal(window: _Window, flat: FlatReference, settings: ClickThresholds) -> _Yes:
    """Of `feature_signal_gained` and `feature_signal_lost`."""
    now, before = window.normalised, flat.normalised
    gained = (now >= settings.signal_gained * before) & (now >= before + settings.signal_rise)
    lost = (before >= settings.min_signal) & (now <= settings.signal_lost * before)
    return (window.listed >= settings.min_rows) & (gained | lost)


def _numbers(counts: FeatureCounts, reference: Reference, name: str, settings: ClickThresholds) -> bool:
    """Of `feature_numbers_moved`."""
    if counts.rows - counts.nulls(name) < settings.min_rows:
        return False
    numbers = numbers_now(reference.numbers[name], counts, name)
    return numbers is not None and float(np.abs(numbers.changes).max()) >= settings.numbers_moved
