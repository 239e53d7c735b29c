"""How labels go with the values of features: what was learned of it, and what of it is left in a window.

A feature's mutual information with the label says little in a small window: by chance alone it is above 0. What a
baseline knows says more: the click rate of each value. Of a window's rows the logarithm of the likelihood of their
labels at these rates over that at one rate for all is added up, the weights of evidence (Good, Probability and the
Weighing of Evidence, 1950). While labels go with the values as they did it grows by their mutual information with each
row; where they are dealt out anew, as where values or labels stand in other rows, it falls by as much: twice the
distance that a test for any signal at all would have.

Each window of the baseline is weighed by the rates of the others, so that it does not know its own labels.
"""

import math
from collections.abc import Mapping, Sequence
from typing import NamedTuple

import msgspec
import numpy as np
import polars as pl

from sparsewatch.detectors.clicks.known_values import places_in
from sparsewatch.detectors.clicks.tolerances import Floats, Statistic, between_windows, statistic, widen
from sparsewatch.detectors.counts.counts import Part
from sparsewatch.detectors.counts.feature_counts import FeatureCounts
from sparsewatch.detectors.counts.value_hashes import HASH_RANGE
from sparsewatch.detectors.counts.window_values import WindowValues

#: Features whose link is known, those of most signal first; values of each, the most frequent first.
MOST_FEATURES, MOST_VALUES = 16, 64
#: Share of the label's entropy that a feature explains.
LEAST_SIGNAL = 0.005
#: Windows of a baseline that a link needs.
_LEAST_WINDOWS = 4


class LinkOver(msgspec.Struct, frozen=True, array_like=True):
    """What a link is known from, of one feature or of all together."""

    #: Evidence a row, nats, over the windows.
    gain: Statistic
    windows: int
    #: Rows that they have on average.
    rows: float

    def lost(self, gain: float) -> float:
        """Share of the rows in which labels no longer go with the values, about; 0 for none, 1 for all."""
        return (self.gain.mean - gain) / (2 * self.gain.mean)

    def tolerance(self, rows: int, z: float) -> float:
        """How far the evidence of a row, in a window of so many, may lie from what it was by chance; nats."""
        sd = self.gain.sd * max(1.0, self.rows / rows) ** 0.5
        # The variance of the logarithm of a likelihood ratio is about twice its mean, where effects are small.
        bound = between_windows(sd, (2 * self.gain.mean / rows) ** 0.5, self.windows, z)
        # Student's quantile of few degrees of freedom overflows to the other side at the smallest probabilities.
        return self.gain.inflation * widen(bound, self.windows) if bound >= 0 else math.inf


class LabelLink(NamedTuple):
    """How labels go with the values of a feature."""

    #: Shape (n,).
    values: pl.Series
    #: Evidence of a row without a click, and of one with, by value, nats; the last column is of all other values and of
    #: none; shape (2, n + 1).
    evidence: Floats
    over: LinkOver

    def gain(self, counts: FeatureCounts, feature: str) -> float | None:
        """Evidence a row of a window with rows, nats; None if it does not count all values."""
        held = counts.held(feature)
        if held.limit < HASH_RANGE:
            return None
        table = _table(held.part, counts.rows, counts.clicks, self.values)
        return float((table * self.evidence).sum() / counts.rows)


class LabelLinks(NamedTuple):
    """How labels go with the features of most signal."""

    features: Mapping[str, LabelLink]
    #: Of all of them together; None of fewer than two.
    whole: LinkOver | None


NO_LINKS = LabelLinks({}, None)


class _Fitted(NamedTuple):
    link: LabelLink
    #: Of each window, which none of its own labels told.
    gains: Mapping[int, float]


def fit_links(windows: Mapping[str, Mapping[int, WindowValues]], signals: Mapping[str, float]) -> LabelLinks:
    """The links of the features of most signal.

    Args:
        windows: Those of a baseline in which nothing was wrong with the feature, by place, by feature.
        signals: Share of the label's entropy that each explains.
    """
    own = {name: signals[name] for name in windows}
    fitted = {name: one for name in strongest(own) if (one := _fit(windows[name], name)) is not None}
    places = set.intersection(*(set(one.gains) for one in fitted.values())) if len(fitted) > 1 else set()
    if len(places) < _LEAST_WINDOWS:
        return LabelLinks({name: one.link for name, one in fitted.items()}, None)
    totals = [sum(one.gains[place] for one in fitted.values()) for place in sorted(places)]
    rows = next(iter(fitted.values())).link.over.rows
    return LabelLinks({name: one.link for name, one in fitted.items()}, LinkOver(statistic(totals), len(places), rows))


def strongest(signals: Mapping[str, float]) -> list[str]:
    """The features whose links are fitted, of most signal first."""
    order = sorted(
        (name for name, signal in signals.items() if signal >= LEAST_SIGNAL), key=lambda name: -signals[name]
    )
    return order[:MOST_FEATURES]


def _fit(windows: Mapping[int, WindowValues], name: str) -> _Fitted | None:
    if len(windows) < _LEAST_WINDOWS or any(window.hash_limit(name) < HASH_RANGE for window in windows.values()):
        return None
    values = _frequent([window.part(name) for window in windows.values()])
    tables = np.array([_table(one.part(name), one.counts.rows, one.counts.clicks, values) for one in windows.values()])
    rows, whole = tables.sum(axis=(1, 2)), tables.sum(axis=0)
    gains = [float((table * _evidence(whole - table)).sum() / table.sum()) for table in tables]
    over = LinkOver(statistic(gains), len(windows), float(rows.mean()))
    if over.gain.mean <= 0:
        return None
    return _Fitted(LabelLink(values, _evidence(whole), over), dict(zip(windows, gains, strict=True)))


def _frequent(parts: Sequence[Part]) -> pl.Series:
    frames = [pl.DataFrame({"value": pl.Series(part.values), "rows": part.rows}) for part in parts if part.rows.size]
    if not frames:
        return pl.Series("value", [])
    counted = pl.concat(frames).group_by("value").agg(pl.col("rows").sum())
    return counted.sort(["rows", "value"], descending=[True, False])["value"].head(MOST_VALUES)


def _table(part: Part, rows: int, clicks: int, values: pl.Series) -> Floats:
    """Rows without a click, and with one, by value, and of all others; shape (2, n + 1)."""
    table = np.zeros((2, len(values) + 1))
    places = places_in(part, values)
    own = places >= 0
    table[0, :-1][own] = (part.rows - part.clicks)[places[own]]
    table[1, :-1][own] = part.clicks[places[own]]
    table[:, -1] = np.array([rows - clicks, clicks]) - table[:, :-1].sum(axis=1)
    return table


def _evidence(table: Floats) -> Floats:
    """Logarithm of the share of each label among the rows of a value over that among all; one row of all is added."""
    shares = table.sum(axis=1, keepdims=True) / table.sum()
    shares = np.clip(shares, 1e-9, 1.0)
    evidence: Floats = np.log((table + shares) / (table.sum(axis=0) + 1) / shares)
    return evidence
