"""How much of a change slices of rows have, by their counts, and how well each delimits it.

*Excess.* A change is a number of rows that show something (a missing value, a click, that they came at all) and is
other than expected. The expected number of a slice is that of the sample from before, times the ratio of the samples.
The part of the excess that a slice has is its explanatory power (Bhagwan et al., Adtributor, NSDI 2014, eq. 2). Of a
rate (`of_rows`) the expected number is that of the slice's own rows at the rate that it had before: more or fewer rows
of the slice are then no change.

*Score.* Of the slices that have it the one that is no wider than need be is sought: the expectation-based scan
statistic, C log(C / B) + B - C for C rows seen and B expected (Neill, Expectation-based scan statistics for monitoring
spatial time series data, International Journal of Forecasting 25, 2009, sec. 3), is largest for the slice that holds
the changed rows and no others. Where rows are lost B and C change places. B is itself estimated, so the statistic is
divided by the variance of C - B over B, which is 1 + the ratio of the samples.

*Surprise.* That says little of small numbers. Given their sum, C and the rows seen before are binomial: the logarithm
of their likelihood ratio bounds the probability of such a split by chance (Chernoff).
"""

import math
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

#: Rows of the overall rate that are added to those of a slice from before, which may have none.
_RATE_ROWS = 10

Mask = NDArray[np.bool_]
Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True, kw_only=True)
class SliceSettings:
    """How far is searched, and what carries a change."""

    #: Part of the excess from which on a slice carries it, where chance cannot make up for the difference, and at all.
    carried: float = 0.8
    least: float = 0.5
    #: Part of the excess below which a slice is not worth stating.
    stated: float = 0.3
    #: Standard deviations within which the rest is unchanged, and beyond which a change without a slice is told. One
    #: that is smaller all over may still be beyond chance in a slice.
    z: float = 3.0
    least_z: float = 1.0
    #: Standard deviations by which chance may make up for the difference to `carried`.
    slack: float = 2.0
    #: Probability that chance alone adds a condition.
    level: float = 0.05
    #: Rows of both samples together that a condition needs to be looked at.
    least_rows: int = 10
    #: Conditions that are paired, and pairs that are extended.
    most_conditions: int = 128
    beam: int = 16


DEFAULTS = SliceSettings()


@dataclass(frozen=True)
class Change:
    """Which rows show a change, and how many of now one of before stands for."""

    #: Rows of the sample of now, shape (n_now,), and of the one from before, shape (n_before,).
    now: Mask
    before: Mask
    #: Rows of now's sample that are expected for a row of the sample from before.
    scale: float
    #: Rows that are expected beyond those of the sample from before, which may have none by chance: spread evenly.
    prior: float = 1.0
    #: Whether it is certain without these samples, as where all rows were counted.
    is_certain: bool = False
    #: Whether it is a change of a rate, whatever the mix of rows. `scale` is then the ratio of the samples.
    of_rows: bool = False


class Counts(NamedTuple):
    """Of some slices: rows that show the change and all rows, in both samples."""

    changed: Floats
    rows: Floats
    changed_before: Floats
    rows_before: Floats

    def at(self, place: int) -> tuple[int, int, int, int]:
        """Those of one of them."""
        changed, rows, changed_before, rows_before = (int(counts[place]) for counts in self)
        return changed, rows, changed_before, rows_before

    def taken(self, places: Any) -> "Counts":
        """Those of some of them."""
        return Counts(*(counts[places] for counts in self))


class Judged(NamedTuple):
    """Of some slices: counts, score, part of the excess, and whether they carry the change."""

    counts: Counts
    score: Floats
    share: Floats
    carries: Mask
    #: As `score`, of having more of the excess than a slice of so many rows, or with so many expected, has by chance.
    lead: Floats
    surprise: Floats

    def taken(self, places: NDArray[np.int64]) -> "Judged":
        """Some of them."""
        return Judged(
            self.counts.taken(places),
            self.score[places],
            self.share[places],
            self.carries[places],
            self.lead[places],
            self.surprise[places],
        )


class Scan:
    """Scores slices by their counts."""

    def __init__(self, change: Change, settings: SliceSettings) -> None:
        self._change, self._settings = change, settings
        #: Those of the slice of all rows, and its excess and score.
        whole = [float(x) for x in (change.now.sum(), change.now.size, change.before.sum(), change.before.size)]
        self.whole = Counts(*(np.array([x]) for x in whole))
        self._spread = 1 + change.scale
        self._expected = float(self.expected(self.whole)[0])
        self.excess = float(self.whole.changed[0]) - self._expected
        self.score = float(self._score(self.whole)[0])

    def is_beyond(self, z: float) -> bool:
        """Whether the change in the samples is no chance, or certain without them."""
        return self._change.is_certain or abs(self.excess) >= z * math.sqrt(self._spread * self._expected)

    def expected(self, counts: Counts) -> Floats:
        """Rows expected to show the change."""
        if self._change.of_rows:
            rate = float(self.whole.changed_before[0] / self.whole.rows_before[0])
            at_rate: Floats = counts.rows * (counts.changed_before + _RATE_ROWS * rate)
            return at_rate / (counts.rows_before + _RATE_ROWS)
        expected: Floats = self._change.scale * counts.changed_before + self._prior(counts)
        return expected

    def _prior(self, counts: Counts) -> Floats:
        now, before = max(self.whole.rows[0], 1), max(self.whole.rows_before[0], 1)
        part: Floats = self._change.prior * (counts.rows / now + counts.rows_before / before) / 2
        return part

    def could_carry(self, counts: Counts) -> Mask:
        """Whether slices inside may have a part of the excess worth stating."""
        most = counts.changed if self.excess > 0 else self.expected(counts)
        is_part = (counts.rows < self.whole.rows[0]) | (counts.rows_before < self.whole.rows_before[0])
        could: Mask = (most >= self._settings.stated * abs(self.excess)) & is_part
        return could

    def judge(self, counts: Counts) -> Judged:
        """Score slices."""
        settings, expected = self._settings, self.expected(counts)
        excess = counts.changed - expected
        share = excess / self.excess
        rest = np.abs(self.excess - excess)
        chance = np.sqrt(self._spread * np.maximum(self._expected - expected, 1.0))
        is_unchanged = rest < settings.z * chance
        is_most = (rest <= (1 - settings.carried) * abs(self.excess) + settings.slack * chance) & (
            share >= settings.least
        )
        return Judged(
            counts,
            self._score(counts),
            share,
            is_unchanged & is_most,
            self._lead(counts, expected, share),
            self._surprise(counts, expected),
        )

    def _lead(self, counts: Counts, expected: Floats, share: Floats) -> Floats:
        part = np.maximum(counts.rows / max(self.whole.rows[0], 1), expected / self._expected)
        chance = self._spread * np.maximum(np.maximum(counts.changed, expected), 1.0)
        ahead = np.maximum((share - part) * abs(self.excess), 0.0)
        lead: Floats = ahead**2 / chance / 2
        return lead

    def _surprise(self, counts: Counts, expected: Floats) -> Floats:
        before = expected / self._change.scale
        both = np.maximum(counts.changed + before, 1e-12)
        chance = self._change.scale / self._spread
        parts = ((counts.changed, chance), (before, 1 - chance))
        surprise: Floats = sum(
            (k * np.log(np.maximum(k, 1e-12) / both / share) for k, share in parts), np.zeros(expected.size)
        )
        return surprise

    def _score(self, counts: Counts) -> Floats:
        many, few = counts.changed, self.expected(counts)
        if self.excess < 0:
            # A loss is a gain with now and before exchanged.
            many, few = few, counts.changed + self._prior(counts)
        few = np.maximum(few, 1e-12)
        raw = np.where(many > few, many * np.log(np.maximum(many, 1e-12) / few) + few - many, 0.0)
        score: Floats = raw / self._spread
        return score
