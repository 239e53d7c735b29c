"""A reference's figures of all its features in arrays, made once, so that a window is judged in few operations."""

from collections.abc import Mapping, Sequence
from typing import NamedTuple, Self

import numpy as np

from sparsewatch.detectors.clicks.feature_reference import FeatureReference
from sparsewatch.detectors.clicks.flat_abundances import FlatAbundances
from sparsewatch.detectors.clicks.known_values import KnownValues
from sparsewatch.detectors.clicks.tolerances import Abundances, Floats
from sparsewatch.detectors.clicks.value_shares import ValueShares
from sparsewatch.detectors.counts.counts import Counts


class FlatShares(NamedTuple):
    """Shares of the frequent values of features, feature after feature; see `ValueShares`."""

    #: Place of each value among all known values, and number of its feature; shape (n_values,).
    places: Counts
    feature: Counts
    means: Floats
    least: Floats
    #: Mean share of all other values of each feature, shape (n_features,); not a number where nothing is known.
    others: Floats
    #: Windows that do not depend on one another, shape (n_features,).
    independent: Floats
    #: Variance of a row having each value, then of having one of a feature's others; shape (n_values + n_features,).
    variances: Floats
    #: Values that are looked at, of each feature; shape (n_features,).
    looks: Floats

    @classmethod
    def of(cls, features: Sequence[str], known: KnownValues, shares: Mapping[str, ValueShares]) -> Self:
        """Of those features of which shares are known."""
        own = [(number, shares[name]) for number, name in enumerate(features) if name in shares]
        own = [(number, found) for number, found in own if found.over.windows]
        at = np.array([number for number, _ in own], np.int64)
        looks, others, independent, rows = np.ones((4, len(features)))
        others[:] = np.nan
        looks[at] = [found.means.size for _, found in own]
        others[at] = [found.means[-1] for _, found in own]
        independent[at] = [found.over.independent for _, found in own]
        rows[at] = [found.over.rows for _, found in own]
        feature = np.repeat(at, looks[at].astype(np.int64) - 1)
        means = np.concatenate([np.zeros(0), *(found.means[:-1] for _, found in own)])
        total = independent * rows
        whole, behind = np.append(means, others), np.append(total[feature], total)
        smoothed = (whole * behind + 1) / (behind + 2)
        return cls(
            places=known.places({features[number]: found.values for number, found in own}),
            feature=feature,
            means=means,
            least=np.concatenate([np.zeros(0), *(found.least[:-1] for _, found in own)]),
            others=others,
            independent=independent,
            variances=smoothed * (1 - smoothed),
            looks=looks,
        )


class FlatReference(NamedTuple):
    """Figures of features, shape (n_features,) each."""

    features: tuple[str, ...]
    #: Share of rows without a value: mean, least and most of the windows.
    nulls: Floats
    least_nulls: Floats
    most_nulls: Floats
    #: Mean share of unseen values; not a number where it is not known.
    unseen: Floats
    #: Mean cardinality, divided by that expected.
    ratio: Floats
    #: Mean share of the label's entropy that is explained.
    normalised: Floats
    shares: FlatShares
    abundances: FlatAbundances
    #: Features with a frequent value that is not among the known ones.
    apart: frozenset[str]

    @classmethod
    def of(
        cls,
        features: Mapping[str, FeatureReference],
        known: KnownValues,
        shares: Mapping[str, ValueShares],
        abundances: Mapping[str, Abundances],
    ) -> Self:
        """Of a reference."""
        names, of = tuple(features), list(features.values())
        own = FlatShares.of(names, known, shares)
        return cls(
            features=names,
            nulls=np.array([one.null_share.mean for one in of]),
            least_nulls=np.array([one.null_share.min for one in of]),
            most_nulls=np.array([one.null_share.max for one in of]),
            unseen=np.array([np.nan if one.unseen_share is None else one.unseen_share.mean for one in of]),
            ratio=np.array([one.cardinality_ratio.mean for one in of]),
            normalised=np.array([one.normalised.mean for one in of]),
            shares=own,
            abundances=FlatAbundances.of([abundances[name] for name in names]),
            apart=frozenset(names[number] for number in set(own.feature[own.places < 0].tolist())),
        )
