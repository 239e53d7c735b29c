"""Which columns of a window have moved, each tested by itself.

The score of a whole row hides a fault in one of many columns: among 590 sensors, a single sensor that is off by ten
deviations adds little to a distance. A window of rows shows it: the held-out rows are cut at their deciles, feature by
feature, and the window's rows are counted up to each cut and below it. As in `checks`, Fisher's exact test compares the
two counts, and the smallest p-value is multiplied by the number of tests, here of all features and cuts (Bonferroni).
"""

from collections.abc import Sequence
from dataclasses import dataclass

import msgspec
import numpy as np
from numpy.typing import NDArray
from scipy import stats

from sparsewatch.detectors.rows.methods.scorer import Rows
from sparsewatch.detectors.rows.windows.blocks import BlockSpread, Known

#: Deciles.
CUTS = 9
_SHARES = np.arange(1, CUTS + 1) / (CUTS + 1)


@dataclass(frozen=True, slots=True, eq=False)
class ColumnSpread:
    """How rows spread over each feature: 36 bytes a feature and 72 for each side of the cuts."""

    #: float32 of shape (d, CUTS), rising.
    cuts: NDArray[np.float32]
    #: Rows below each cut, then rows up to it; int64 of shape (2, d, CUTS).
    counts: NDArray[np.int64]
    rows: int


#: What may move of a column.
VALUES, MISSING = "values", "missing values"


class ColumnDrift(msgspec.Struct, frozen=True, kw_only=True):
    """How far a column lies from the held-out rows."""

    column: str
    #: Kolmogorov's distance at the cuts: the largest difference of the shares, in [0, 1].
    distance: float
    #: Upper bound on the probability of so large a difference at any cut of any column, if nothing has changed.
    chance: float
    #: Upper bound on its probability by the spread between stretches of the training data; 0 where that is not known.
    stretch_chance: float
    #: What moved: the column's values, or how often they are missing.
    what: str

    @property
    def p_value(self) -> float:
        """Upper bound on the probability that chance and the spread between stretches explain it."""
        return max(self.chance, self.stretch_chance)


def spread_of(X: Rows) -> ColumnSpread:
    """The spread of encoded rows, shape (n, d), n >= 1."""
    cuts = np.quantile(X, _SHARES, axis=0, method="higher").T.astype(np.float32)
    return ColumnSpread(np.ascontiguousarray(cuts), _counts(X, cuts), len(X))


def no_spread(n_features: int) -> ColumnSpread:
    """The spread of no rows: that of a model before its calibration."""
    return ColumnSpread(
        np.zeros((n_features, CUTS), dtype=np.float32), np.zeros((2, n_features, CUTS), dtype=np.int64), 0
    )


def drift_of_features(baseline: ColumnSpread, X: Rows, least: float) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Distance and chance of each feature, shape (d,) each; the chance is 1 where the distance is below `least`.

    Args:
        baseline: Spread of held-out rows.
        X: Encoded rows of the window, shape (n, d), n >= 1.
        least: Smallest distance that is tested.
    """
    counts, n, m = _counts(X, baseline.cuts), len(X), baseline.rows
    distance = np.abs(counts / n - baseline.counts / m).max(axis=(0, 2))
    chance = np.ones(len(distance))
    moved = np.flatnonzero(distance >= least)
    if len(moved):
        before, drawn = baseline.counts[:, moved], baseline.counts[:, moved] + counts[:, moved]
        sides = stats.hypergeom.cdf(before, n + m, m, drawn), stats.hypergeom.sf(before - 1, n + m, m, drawn)
        tests = 2 * baseline.counts.size
        chance[moved] = np.minimum(1, tests * np.minimum(*sides).min(axis=(0, 2)))
    return distance, chance


def stretch_chance(baseline: ColumnSpread, X: Rows, blocks: BlockSpread, rows: int) -> NDArray[np.float64]:
    """Chance of each feature by the spread between stretches of the training data, all features together; shape (d,).

    Args:
        baseline: Spread of held-out rows.
        X: Encoded rows of the window, shape (n, d), n >= 1.
        blocks: Spread of the same shares between blocks.
        rows: Of the window; X is a sample of them.
    """
    known = Known(baseline.counts / baseline.rows, baseline.rows, len(X))
    chance = blocks.of_span(rows).chance(_counts(X, baseline.cuts) / len(X), known)
    found: NDArray[np.float64] = np.minimum(1.0, chance.size * chance.min(axis=(0, 2)))
    return found


def moved_columns(
    baseline: ColumnSpread,
    X: Rows,
    names: Sequence[str],
    first_features: NDArray[np.int64],
    *,
    least: float,
    level: float,
    stretch_chances: NDArray[np.float64] | None = None,
    stretch_level: float = 1.0,
) -> list[ColumnDrift]:
    """Columns that moved by at least `least` with chances of at most the levels, furthest first.

    Args:
        baseline: Spread of held-out rows.
        X: Encoded rows of the window, shape (n, d), n >= 1.
        names: Of the columns.
        first_features: Index of each column's first feature; a second feature indicates missing values.
        least: Least distance.
        level: Chance of a false alarm a window, all columns together.
        stretch_chances: As from `stretch_chance`; None where that is not known.
        stretch_level: As `level`, for these.
    """
    distance, chance = drift_of_features(baseline, X, least)
    by_stretch = np.zeros(len(distance)) if stretch_chances is None else stretch_chances
    moved = np.flatnonzero((chance <= level) & (by_stretch <= stretch_level))
    owner = np.searchsorted(first_features, np.arange(len(distance)), side="right") - 1
    found: dict[int, ColumnDrift] = {}
    for feature in moved[np.argsort(-distance[moved], kind="stable")].tolist():
        column = int(owner[feature])
        what = VALUES if feature == first_features[column] else MISSING
        figures = {
            name: float(values[feature])
            for name, values in (("distance", distance), ("chance", chance), ("stretch_chance", by_stretch))
        }
        found.setdefault(column, ColumnDrift(column=names[column], what=what, **figures))
    return list(found.values())


def _counts(X: Rows, cuts: NDArray[np.float32]) -> NDArray[np.int64]:
    """Rows below each cut and up to it, shape (2, d, CUTS)."""
    sides = [[(cut > X).sum(axis=0) for cut in cuts.T], [(cut >= X).sum(axis=0) for cut in cuts.T]]
    return np.array(sides, dtype=np.int64).transpose(0, 2, 1)
