"""Rows that repeat others in all columns: events that were sent twice, or a bot that sends the same again and again.

Rows of a few columns are equal by chance, so the pairs of equal rows in a window's sample are compared with those in
the sample of a reference, window by window. The share of pairs that are equal does not depend on how many rows are
sampled: it is Simpson's index of the rows (Nature 163, 1949), plus what is sent twice.
"""

import heapq
import math
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple, Protocol

import msgspec
import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from sparsewatch.detectors.budget.chance import p_value
from sparsewatch.detectors.clicks.moved_values import shown
from sparsewatch.detectors.clicks.outlying import usual_share
from sparsewatch.detectors.clicks.tolerances import Statistic, share_tolerance
from sparsewatch.detectors.counts.value_hashes import STEP, Hashes, hash_values, mix
from sparsewatch.schemas.alerts import Finding, counted

#: Rows of a window below which it says nothing of pairs, and windows that a reference needs.
_LEAST_ROWS, _LEAST_WINDOWS = 16, 4
#: Least rise of the share of rows that repeat another, as a part of that expected: it moves with the mix of values.
_RISE = 0.25
#: Columns that are compared before rows that differ from all others are left out; of those that tell most.
_AT_ONCE, _TELLING_AT_ONCE = 4, 2
#: Columns of most values that are compared before the others.
_TELLING_COLUMNS = 8
#: Columns of the most repeated row that an alert shows.
_SHOWN_COLUMNS = 20


class Repeats(msgspec.Struct, frozen=True, kw_only=True):
    """Equal rows over the windows of a reference."""

    #: Pairs of equal rows, divided by all pairs of a window.
    rate: Statistic
    windows: int
    #: Pairs of a window on average.
    pairs: float

    def tolerance(self, pairs: float, z: float) -> float:
        """How far the rate of so many pairs may lie from the reference's by chance.

        A window has more sampled rows than one of the reference, so its own pairs tell more than the mean does.
        """
        widened = (1 + pairs / (self.windows * self.pairs)) / (1 + 1 / self.windows)
        return share_tolerance(self.rate, self.windows, pairs, self.pairs, z) * math.sqrt(max(widened, 1.0))


class RepeatedRows(msgspec.Struct, frozen=True, array_like=True, kw_only=True):
    """Rows of a sample that are equal to others of it."""

    sampled: int
    #: Pairs of equal rows.
    pairs: int
    #: Rows that come twice, each once; and of the others how many repeat one before them.
    twice: int
    more: int
    #: How often the row that comes most often comes, and its values, as an alert shows them.
    most: int
    values: dict[str, Any]

    def copies(self, rows: int) -> float:
        """Rows of the sample that repeat another one of the window, as far as the sample tells.

        Two rows of a kind are rarely both sampled: each such pair stands for as many rows as a sampled row does.

        Args:
            rows: Rows of the window.
        """
        return float(self.twice) * rows / max(self.sampled, 1) + float(self.more)


class RepeatThresholds(Protocol):
    """When rows that repeat others matter."""

    @property
    def min_rows(self) -> int:
        """Rows of a window below which nothing is told."""

    @property
    def rows_duplicated(self) -> float:
        """Least rise of their share."""

    @property
    def of_features(self) -> float:
        """Standard deviations above which chance is excluded."""


class WindowPairs(NamedTuple):
    """Of a window's sample: its start, rows and pairs of equal rows."""

    start_us: int
    rows: int
    equal: int


def telling_columns(cardinalities: Mapping[str, int]) -> list[str]:
    """The columns of most values: in them most rows differ from all others.

    Args:
        cardinalities: Distinct values, by column.
    """
    return heapq.nlargest(_TELLING_COLUMNS, cardinalities, key=cardinalities.__getitem__)


def repeated_rows(sample: pa.RecordBatch, columns: Sequence[str]) -> RepeatedRows:
    """Count the rows that are equal to others.

    Args:
        sample: Uniform, of a window.
        columns: All that counts of a row.
    """
    return repeats_of(alike_rows(sample, columns), sample, columns)


def repeats_of(alike: "Alike", sample: pa.RecordBatch, columns: Sequence[str]) -> RepeatedRows:
    """As `repeated_rows`, of the rows that were found to be alike."""
    _, first, sizes = np.unique(alike.hashes, return_index=True, return_counts=True)
    most = int(sizes.max(initial=1))
    values = {} if most == 1 else _values(sample, columns, int(alike.places[first[np.argmax(sizes)]]))
    return RepeatedRows(
        sampled=sample.num_rows,
        pairs=int((sizes * (sizes - 1) // 2).sum()),
        twice=int((sizes == 2).sum()),
        more=int((sizes[sizes > 2] - 1).sum()),
        most=most,
        values=values,
    )


def repeated_places(sample: pa.RecordBatch, columns: Sequence[str]) -> NDArray[np.int64]:
    """Places of the rows that are equal to another one, ascending."""
    return alike_rows(sample, columns).places


def fit_repeats(sample: pa.RecordBatch, columns: Sequence[str], starts_us: NDArray[np.int64]) -> Repeats | None:
    """Equal rows of a reference; None where it has too few rows to tell.

    Args:
        sample: Rows of its windows.
        columns: All that counts of a row.
        starts_us: Start of the window of each row, shape (n,).
    """
    windows, counts = np.unique(starts_us, return_counts=True)
    of = [(int(start), sample.filter(pa.array(starts_us == start))) for start in windows[counts >= _LEAST_ROWS]]
    return fit_pairs([WindowPairs(start, rows.num_rows, repeated_rows(rows, columns).pairs) for start, rows in of])


def fit_pairs(windows: Sequence[WindowPairs]) -> Repeats | None:
    """As `fit_repeats`, of windows whose pairs are counted, in the order of time."""
    some = [one for one in windows if one.rows >= _LEAST_ROWS]
    if len(some) < _LEAST_WINDOWS:
        return None
    equal, pairs = np.array([float(one.equal) for one in some]), np.array([_pairs(one.rows) for one in some])
    usual = usual_share(equal, pairs, [one.start_us for one in some])
    return Repeats(rate=usual.share, windows=usual.windows, pairs=usual.rows)


def check_repeats(found: RepeatedRows, rows: int, before: Repeats, settings: RepeatThresholds) -> Finding | None:
    """Rule `rows_duplicated`: many more rows than in the reference repeat another one of their window.

    Args:
        found: Of a sample of the window.
        rows: Rows of the window.
        before: Of the reference.
        settings: When a deviation matters.
    """
    sampled = found.sampled
    if rows < settings.min_rows or sampled < _LEAST_ROWS:
        return None
    pairs = _pairs(sampled)
    expected = min(before.rate.mean * pairs * rows / sampled**2, 1.0)
    share = min(found.copies(rows) / sampled, 1.0)
    threshold = expected + max(settings.rows_duplicated, _RISE * expected)

    def fires(z: float) -> bool:
        return found.pairs / pairs >= before.rate.mean + before.tolerance(pairs, z)

    if share < threshold or not fires(settings.of_features):
        return None
    message = f"{share:.1%} of rows repeat another in all columns, {expected:.1%} expected"
    times = round(found.most * rows / sampled)
    return Finding(
        rule="rows_duplicated",
        subject="stream",
        severity="warning",
        value=share,
        threshold=threshold,
        baseline=expected,
        message=f"{message}; one comes {counted(times, 'time')}",
        evidence={
            "rows": rows,
            "effect": share - expected,
            "sampled": sampled,
            "most_repeated": {"rows": times, "values": found.values},
        },
        p_value=p_value(fires, settings.of_features),
    )


class Alike(NamedTuple):
    """Rows that may be equal to others: their places, ascending, and hashes of what was compared."""

    places: NDArray[np.int64]
    hashes: Hashes

    def pairs_among(self, rows: int) -> int:
        """Pairs of equal rows among the first ones."""
        _, sizes = np.unique(self.hashes[self.places < rows], return_counts=True)
        return int((sizes * (sizes - 1) // 2).sum())


def alike_rows(rows: pa.RecordBatch, columns: Sequence[str], telling: Sequence[str] = ()) -> Alike:
    """The rows that are equal to others in all columns: most rows of many columns differ from all in a few of them.

    Args:
        rows: The rows.
        columns: All that counts of a row.
        telling: Those of them that are compared first; the rows are the same whatever they are.
    """
    places = _narrowed(np.arange(rows.num_rows), rows, telling, _TELLING_AT_ONCE).places
    return _narrowed(places, rows, columns, _AT_ONCE)


def _narrowed(places: NDArray[np.int64], rows: pa.RecordBatch, columns: Sequence[str], at_once: int) -> Alike:
    """Of some rows those that are equal in all of some columns, compared a few columns at once."""
    alike = Alike(places, np.full(places.size, len(columns), np.uint64))
    for first in range(0, len(columns) if places.size else 0, at_once):
        for name in columns[first : first + at_once]:
            column = rows.column(name)
            column = column if alike.places.size == rows.num_rows else column.take(pa.array(alike.places))
            # As `combine_hashes`, column by column.
            alike = alike._replace(hashes=mix(alike.hashes * STEP + hash_values(column, name)))
        kept = _repeating(alike.hashes)
        alike = Alike(alike.places[kept], alike.hashes[kept])
        if not kept.size:
            break
    return alike


def _repeating(hashes: Hashes) -> NDArray[np.int64]:
    """Places of those that come more than once, ascending."""
    order = np.argsort(hashes)
    equal = np.flatnonzero(hashes[order[1:]] == hashes[order[:-1]])
    repeats = np.zeros(hashes.size, np.bool_)
    repeats[order[equal]] = repeats[order[equal + 1]] = True
    return np.flatnonzero(repeats)


def _pairs(rows: int) -> float:
    return rows * (rows - 1) / 2


def _values(rows: pa.RecordBatch, columns: Sequence[str], place: int) -> dict[str, Any]:
    return {name: shown(rows.column(name)[place].as_py()) for name in columns[:_SHOWN_COLUMNS]}
