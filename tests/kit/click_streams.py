"""Seeded click streams for tests: features of known cardinality, signal and nulls."""

from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np
import pyarrow as pa

from sparsewatch.detectors.clicks.checks import check_window
from sparsewatch.detectors.clicks.profile import profile_window
from sparsewatch.detectors.clicks.reference import Reference
from sparsewatch.detectors.clicks.thresholds import ClickThresholds
from sparsewatch.detectors.counts.feature_counts import FeatureCounts
from sparsewatch.detectors.outrank.ranking import rank_features
from sparsewatch.schemas.alerts import Finding
from sparsewatch.schemas.mistyped import NONE_MISTYPED, MistypedCells

#: One column: values and where they are missing.
Column = tuple[np.ndarray, np.ndarray]
Columns = dict[str, Column]
#: Name, cardinality, Zipf exponent, effect on the log-odds, share of nulls.
FEATURES: tuple[tuple[str, int, float, float, float], ...] = (
    ("constant", 1, 0.0, 0.0, 0.0),
    ("flag", 2, 0.0, 0.0, 0.0),
    ("rare_flag", 2, 6.0, 0.0, 0.0),
    ("strong", 8, 0.0, 1.2, 0.0),
    ("country", 50, 1.0, 0.3, 0.02),
    ("campaign", 500, 0.8, 0.2, 0.0),
    ("site", 5_000, 1.1, 0.2, 0.3),
    ("user", 100_000, 0.6, 0.0, 0.0),
    ("device", 20_000, 0.0, 0.0, 0.0),
    ("sparse", 30, 0.5, 0.0, 0.9),
    ("empty", 5, 0.0, 0.0, 1.0),
)
NAMES = tuple(name for name, *_ in FEATURES)


@dataclass
class Clicks:
    """A stream of windows; the same seed gives the same windows."""

    seed: int
    rate: float = 0.2
    rng: np.random.Generator = field(init=False)

    def __post_init__(self) -> None:
        self.rng = np.random.default_rng(self.seed)
        self._shares = {
            name: np.cumsum(ranks := np.arange(1, n + 1.0) ** -zipf) / ranks.sum() for name, n, zipf, _, _ in FEATURES
        }
        self._effects = {name: effect * self.rng.standard_normal(n) for name, n, _, effect, _ in FEATURES}

    def rows(self, n: int, rate: float | None = None) -> tuple[Columns, np.ndarray]:
        """Columns and labels of n rows."""
        rate = rate or self.rate
        odds = np.full(n, np.log(rate / (1 - rate)))
        columns = {}
        for name, cardinality, _, _, nulls in FEATURES:
            values = np.minimum(np.searchsorted(self._shares[name], self.rng.random(n)), cardinality - 1)
            odds += self._effects[name][values]
            columns[name] = (values, self.rng.random(n) < nulls)
        return columns, (self.rng.random(n) < 1 / (1 + np.exp(-odds))).astype(np.int64)

    def window(
        self, n: int, fault: Callable[[Columns], None] | None = None, rate: float | None = None
    ) -> FeatureCounts:
        """Counts of a window of n rows after a fault."""
        columns, labels = self.rows(n, rate)
        if fault is not None:
            fault(columns)
        counts = FeatureCounts(NAMES, "click")
        arrays = {name: pa.array(values, mask=mask) for name, (values, mask) in columns.items()}
        counts.update(pa.record_batch({**arrays, "click": labels}))
        return counts

    def windows(self, number: int, n: int) -> list[FeatureCounts]:
        """Clean windows of a Poisson volume."""
        return [self.window(int(self.rng.poisson(n))) for _ in range(number)]


def findings(
    counts: FeatureCounts,
    reference: Reference,
    settings: ClickThresholds | None = None,
    *,
    complete: bool = True,
    mistyped: MistypedCells = NONE_MISTYPED,
    start_us: int | None = None,
) -> list[Finding]:
    """The findings of the checks on a window."""
    ranking = rank_features(counts)
    unseen = reference.known.unseen_shares(counts, reference.known.match(counts))
    profile = profile_window(counts, ranking, unseen, mistyped)
    return check_window(counts, profile, reference, settings or ClickThresholds(), complete=complete, start_us=start_us)
