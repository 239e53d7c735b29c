"""Features that carry more information about the label than they could when the row came: suspicion of leakage.

| kind | suspicious because |
|---|---|
| `too_good` | it explains nearly all of the label's entropy, or half of it and many times what any other does |
| `same_second` | it informs about labels of *other* rows of its second, more than about those a second away |
| `future` | it informs about labels of the next second, more than about those of the second before |

The last two pair each row with another and ask for the mutual information of the feature with the *partner's* label,
given the row's own: a feature that informs only about its own row has none, even where labels come in runs. What moves
slowly (time of day, a drifting click rate) informs as much about the second before as about the one after, and cancels.

Not distinguished: what changes within two seconds for good reasons, such as a burst of one campaign or of one person's
clicks. `evidence["same_value"]` is the share of partners with the same value. A suspicion is for a person to look at.
"""

from collections.abc import Mapping
from typing import Literal, NamedTuple

import msgspec
import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtr

from sparsewatch.detectors.outrank.columns.codes import Codes
from sparsewatch.detectors.outrank.information.mutual_information import (
    entropy,
    mutual_information,
    permutation_moments,
)
from sparsewatch.detectors.outrank.leak_settings import LeakSettings
from sparsewatch.detectors.outrank.many_tests import holm
from sparsewatch.detectors.outrank.pairs.time_matched_rows import Partners, partners_of
from sparsewatch.detectors.outrank.ranking import chance_of_score
from sparsewatch.schemas.errors import SchemaError

Kind = Literal["too_good", "same_second", "future"]
Labels = NDArray[np.bool_]

#: Stretches of time whose sums are taken as independent of one another.
STRETCHES = 100


class Suspicion(msgspec.Struct, frozen=True, kw_only=True):
    """One feature, and why it may hold what was not known when the row came."""

    feature: str
    kind: Kind
    #: Share of the label's entropy explained, and the share it had to exceed.
    value: float
    threshold: float
    #: `value`, or its excess over what it is compared with, in standard deviations.
    z: float
    evidence: dict[str, float]


class LeakReport(msgspec.Struct, frozen=True, kw_only=True):
    """What was tested, and the suspicions."""

    rows: int
    #: Rows that share their second with another and have neighbouring seconds with rows.
    paired_rows: int
    #: Why the kinds `same_second` and `future` were not tested; None if they were.
    untold: str | None
    #: By feature in the order given, then by kind.
    suspicions: list[Suspicion]


class _Information(NamedTuple):
    """Information of a feature on a label, given another label."""

    #: Mutual information less its chance level, and its standard deviation under permutation, nats.
    score: float
    noise: float
    #: Probability of as high a score by chance.
    p_value: float
    #: Information of each row, shape (n_rows,); its mean is the mutual information.
    by_row: NDArray[np.float64]


def suspect_leaks(
    features: Mapping[str, Codes],
    label: NDArray[np.integer],
    event_time_us: NDArray[np.int64],
    settings: LeakSettings | None = None,
) -> LeakReport:
    """Features of a window, or of a sample of its whole seconds, that look like leaks.

    About 10 ms a feature at 100,000 rows. A sample of single rows breaks seconds up: there are few pairs then.

    Args:
        features: Codes of equally many rows.
        label: 0 or 1 of each row, shape (n_rows,).
        event_time_us: When each row happened, microseconds since the epoch, in any order, shape (n_rows,).
        settings: Defaults if None.

    Raises:
        SchemaError: If lengths differ or the label holds anything but 0 and 1.
    """
    settings = settings or LeakSettings()
    _check(features, label, event_time_us)
    labels = np.asarray(label, np.bool_)
    entropy_of_label = entropy(np.bincount(labels, minlength=2))
    partners = partners_of(event_time_us)
    untold = _untold(partners, labels, settings)
    found = _too_good(features, labels, entropy_of_label, settings)
    if untold is None:
        found += _about_other_rows(features, labels, partners, entropy_of_label, settings)
    place = {name: i for i, name in enumerate(features)}
    return LeakReport(
        rows=labels.size,
        paired_rows=partners.rows.size,
        untold=untold,
        suspicions=sorted(found, key=lambda suspicion: (place[suspicion.feature], suspicion.kind)),
    )


def _check(features: Mapping[str, Codes], label: NDArray[np.integer], event_time_us: NDArray[np.int64]) -> None:
    lengths = {len(label), len(event_time_us), *(feature.codes.size for feature in features.values())}
    if len(lengths) != 1:
        raise SchemaError(f"expected features, label and event times of one length, got {sorted(lengths)}")
    if not np.all((label == 0) | (label == 1)):
        raise SchemaError(f"label: expected 0 or 1 in each row, got {np.unique(label)[:5].tolist()}")


def _untold(partners: Partners, labels: Labels, settings: LeakSettings) -> str | None:
    rows = partners.rows.size
    if rows < settings.min_rows:
        return f"{rows} rows have partners in their second and in both beside it, {settings.min_rows} are needed"
    rare = min(int(labels[partners.rows].sum()), int((~labels[partners.rows]).sum()))
    if rare < settings.min_label_rows:
        return f"{rare} rows with partners have the rarer label, {settings.min_label_rows} are needed"
    return None


def _too_good(
    features: Mapping[str, Codes], labels: Labels, entropy_of_label: float, settings: LeakSettings
) -> list[Suspicion]:
    if not entropy_of_label:
        return []
    nothing = np.zeros(labels.size, np.bool_)
    own = {name: _information(feature, labels, nothing) for name, feature in features.items()}
    shares = {name: information.score / entropy_of_label for name, information in own.items()}
    found = []
    for name, share in shares.items():
        others = max((other for key, other in shares.items() if key != name), default=0.0)
        threshold = min(settings.explained, max(settings.lone_share, settings.lone_ratio * others))
        if share >= threshold and own[name].p_value * len(features) <= settings.alpha:
            z = float(own[name].score / own[name].noise)
            found.append(_suspicion(name, "too_good", share, threshold, z, {"next_best": others}))
    return found


def _about_other_rows(
    features: Mapping[str, Codes],
    labels: Labels,
    partners: Partners,
    entropy_of_label: float,
    settings: LeakSettings,
) -> list[Suspicion]:
    """Suspicions of both kinds, Holm-corrected over all features and kinds."""
    tested, p_values = [], []
    for name, feature in features.items():
        codes = feature.codes[partners.rows]
        own = Codes(codes, feature.n_values)
        same, before, after = (_information(own, labels[rows], labels[partners.rows]) for rows in partners[1:])
        repeated = float(np.mean(codes == feature.codes[partners.same]))
        comparisons: tuple[tuple[Kind, _Information, tuple[_Information, ...]], ...] = (
            ("same_second", same, (before, after)),
            ("future", after, (before,)),
        )
        for kind, partner, others in comparisons:
            other = max(others, key=lambda information: information.score)
            z = _excess(partner, other, settings.ratio)
            share, base = partner.score / entropy_of_label, max(other.score, 0.0) / entropy_of_label
            threshold = max(settings.least_share, settings.ratio * base)
            evidence = {"compared_with": base, "same_value": repeated, "rows": float(codes.size)}
            tested.append(_suspicion(name, kind, share, threshold, z, evidence))
            p_values.append(max(partner.p_value, float(ndtr(-z))))
    significant = holm(p_values, settings.alpha)
    return [found for found, yes in zip(tested, significant, strict=True) if yes and found.value >= found.threshold]


def _excess(partner: _Information, other: _Information, ratio: float) -> float:
    """Standard deviations by which a partner's score exceeds `ratio` times the other's, if that is above 0.

    The standard deviation is the larger of two: under permuted labels, and over stretches of time, which holds where
    the feature does depend on time.
    """
    weight = ratio if other.score > 0 else 0.0
    excess = partner.score - weight * other.score
    difference = partner.by_row - weight * other.by_row
    sums = np.add.reduceat(difference - difference.mean(), _stretches(difference.size))
    spread = np.sqrt(np.sum(sums**2)) / difference.size
    chance = np.hypot(partner.noise, weight * other.noise)
    largest = max(float(spread), float(chance))
    return float(excess / largest) if largest else 0.0


def _stretches(n_rows: int) -> NDArray[np.int64]:
    """Where each of equal stretches of rows, which are in order of time, begins."""
    return np.unique(np.linspace(0, n_rows, min(STRETCHES, n_rows), endpoint=False).astype(np.int64))


def _information(feature: Codes, label: Labels, own: Labels) -> _Information:
    """Information of a feature on a label, given the label `own`."""
    mutual = mean = variance = 0.0
    by_row = np.zeros(label.size)
    for rows in (np.flatnonzero(own), np.flatnonzero(~own)):
        if not rows.size:
            continue
        codes, clicked, part = feature.codes[rows], label[rows], rows.size / label.size
        counts = np.bincount(codes, minlength=feature.n_values)
        clicks = np.bincount(codes[clicked], minlength=feature.n_values)
        table = np.stack([counts - clicks, clicks], axis=1)
        chance = permutation_moments(counts, int(clicks.sum()))
        mutual += part * mutual_information(table)
        mean += part * chance.mean
        variance += (part * chance.sd) ** 2
        by_row[rows] = _row_information(table)[codes, clicked.astype(np.int8)]
    return _Information(mutual - mean, np.sqrt(variance), chance_of_score(mutual, mean, variance), by_row)


def _row_information(table: NDArray[np.int64]) -> NDArray[np.float64]:
    """Ln of how much more often each cell's label comes with its value than at all; 0 in empty cells."""
    independent = table.sum(axis=1, keepdims=True) * (table.sum(axis=0) / table.sum())
    held = table > 0
    logarithms: NDArray[np.float64] = np.log(np.divide(table, independent, out=np.ones(table.shape), where=held))
    return logarithms


def _suspicion(
    feature: str, kind: Kind, value: float, threshold: float, z: float, evidence: dict[str, float]
) -> Suspicion:
    return Suspicion(feature=feature, kind=kind, value=value, threshold=threshold, z=z, evidence=evidence)
