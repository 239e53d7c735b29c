"""Features ranked by their cardinality-aware score: mutual information with the label less its chance level."""

from typing import NamedTuple

import msgspec
import numpy as np

from detectors.feature_counts import FeatureCounts
from detectors.outrank.expected_mi import permutation_moments
from detectors.outrank.mutual_information import entropy, mutual_information


class ScoredFeature(msgspec.Struct, frozen=True, kw_only=True):
    """A feature, or a combination of some, in a ranking by any heuristic."""

    feature: str
    #: 1 is best; equal scores rank by name.
    rank: int
    #: In the unit of the heuristic; more is better.
    score: float
    #: Distinct values, the missing one left out.
    cardinality: int
    #: Share of rows with a value, in [0, 1]; 0 without rows.
    coverage: float


class RankedFeature(ScoredFeature, frozen=True, kw_only=True):
    """What one feature says about the label, in nats.

    `score` is `mutual_information` less `expected`: 0 on average for a feature that says nothing, whatever its
    cardinality.
    """

    #: Plug-in mutual information with the label; the missing value is a value.
    mutual_information: float
    #: Mean of `mutual_information` over all permutations of the label.
    expected: float
    #: Standard deviation of `score` over all permutations of the label.
    noise: float
    #: `score` as a share of the label's entropy; 0 if that is 0.
    normalised: float


class _Score(NamedTuple):
    mutual_information: float = 0.0
    expected: float = 0.0
    noise: float = 0.0


def rank_features(counts: FeatureCounts) -> list[RankedFeature]:
    """Features by descending score.

    With one label only all scores are 0. About 1 ms a feature at 100,000 rows.
    """
    label_entropy = entropy(np.array([counts.rows - counts.clicks, counts.clicks]))
    scores = {name: _score(counts, name) for name in counts.features}
    order = sorted(scores, key=lambda name: (scores[name].expected - scores[name][0], name))
    return [_ranked(counts, name, rank, scores[name], label_entropy) for rank, name in enumerate(order, start=1)]


def _score(counts: FeatureCounts, feature: str) -> _Score:
    if not 0 < counts.clicks < counts.rows:
        return _Score()
    rows, clicks = counts.marginals(feature)
    chance = permutation_moments(rows, counts.clicks)
    return _Score(mutual_information(np.stack([rows - clicks, clicks], axis=1)), chance.mean, chance.sd)


def _ranked(counts: FeatureCounts, feature: str, rank: int, score: _Score, label_entropy: float) -> RankedFeature:
    net = score.mutual_information - score.expected
    return RankedFeature(
        feature=feature,
        rank=rank,
        score=net,
        mutual_information=score.mutual_information,
        expected=score.expected,
        noise=score.noise,
        normalised=net / label_entropy if label_entropy else 0.0,
        cardinality=counts.cardinality(feature),
        coverage=1 - counts.nulls(feature) / counts.rows if counts.rows else 0.0,
    )
