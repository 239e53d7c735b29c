"""Features that another one determines: a site says its domain, an advertisement its campaign.

Where such a link breaks, values stand in other rows than theirs, which no count of a single feature shows: columns were
joined by another key, or shifted by a row. What is known of a link is the value of the one feature for each value of
the other, as most of the sampled rows of a baseline have it (an approximate functional dependency by the measure g3:
Kivinen and Mannila, Theoretical Computer Science 149, 1995). A row *breaks* the link if it has another value.

Each row of the baseline is judged by all others, so that it does not say its own value; values of which there are
fewer than `LEAST_OTHERS` others, or of which these do not mostly have the same value, say nothing.
"""

from collections import Counter
from collections.abc import Collection, Iterator, Mapping, Sequence
from types import MappingProxyType
from typing import NamedTuple, Self

import msgspec
import numpy as np
import polars as pl
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from sparsewatch.detectors.clicks.known_values import as_arrow
from sparsewatch.detectors.clicks.outlying import usual_share
from sparsewatch.detectors.clicks.tolerances import Statistic, share_tolerance
from sparsewatch.detectors.counts.value_hashes import ARROW_TYPES, kind_of

#: Features among which links are sought, those of most signal first; links of a feature, and of all.
MOST_FEATURES, MOST_LINKS_EACH, MOST_LINKS = 32, 2, 24
#: Other rows of a value that must be known.
LEAST_OTHERS = 3
#: Share of the rows that break a link, at most, and how many more would if values were dealt out anew, at least.
MOST_BROKEN, LEAST_TELLING = 0.1, 0.2
#: Share of the rows with both values that must be judged.
LEAST_JUDGED = 0.5
#: Rows of a window below which it says nothing, and windows and rows that a link needs.
_LEAST_ROWS, _LEAST_WINDOWS, _LEAST_IN_ALL = 16, 4, 256

_Codes = NDArray[np.int64]


class Broken(msgspec.Struct, frozen=True, array_like=True):
    """How many rows break a link over the windows of a baseline."""

    #: Share of the rows that are judged.
    share: Statistic
    windows: int
    #: Rows of a window that are judged, on average.
    rows: float
    #: Share that would break it if values were dealt out anew.
    by_chance: float

    def tolerance(self, rows: float, z: float) -> float:
        """How far the share of so many rows may lie from the baseline's by chance."""
        return share_tolerance(self.share, self.windows, rows, self.rows, z)


class Judged(NamedTuple):
    """Rows of a sample beside a link; shape (n_rows,) each."""

    #: Place of the value of the first feature among those that say one of the second; -1 of rows that are not judged.
    key: _Codes
    #: Rows that break the link.
    broken: NDArray[np.bool_]

    @property
    def rows(self) -> int:
        """Rows that are judged."""
        return int(np.count_nonzero(self.key >= 0))

    @property
    def breaking(self) -> int:
        """Rows that break the link."""
        return int(np.count_nonzero(self.broken))

    @property
    def spread(self) -> int:
        """Of these all but those of one value, the one of which most do: it may just mean something else now."""
        return self.breaking - int(np.bincount(self.key[self.broken]).max(initial=0))


class Link(NamedTuple):
    """A feature that another one determines."""

    by: str
    feature: str
    #: Values of `by` that say one of `feature`, and these; shape (n_values,) each.
    keys: pl.Series
    values: pl.Series
    over: Broken

    def judge(self, rows: pa.RecordBatch) -> Judged:
        """The rows of a sample in which both features have a value and the first is known."""
        keys, values = as_arrow(self.keys), as_arrow(self.values)
        places = pc.index_in(rows.column(self.by).cast(keys.type), value_set=keys)
        equal = pc.equal(rows.column(self.feature).cast(values.type), values.take(places))
        judged = equal.is_valid().to_numpy(zero_copy_only=False)
        key = np.where(judged, places.fill_null(-1).to_numpy(zero_copy_only=False), -1)
        return Judged(key, judged & ~equal.fill_null(False).to_numpy(zero_copy_only=False))


class _Column(NamedTuple):
    """A column by number: those of its values, -1 for none."""

    codes: _Codes
    values: pa.Array

    @classmethod
    def of(cls, column: pa.Array, kind: str) -> Self:
        encoded = column.cast(ARROW_TYPES[kind]).dictionary_encode()
        codes = encoded.indices.fill_null(-1).to_numpy(zero_copy_only=False).astype(np.int64)
        return cls(codes, encoded.dictionary)


def sought(signals: Mapping[str, float]) -> list[str]:
    """Features among which links are sought: those of most signal.

    Args:
        signals: Share of the label's entropy that each explains.
    """
    return sorted(signals, key=lambda name: (-signals[name], name))[:MOST_FEATURES]


def fit_determined(
    rows: pa.RecordBatch,
    starts_us: NDArray[np.int64],
    features: Sequence[str],
    of: Mapping[str, Collection[int]] = MappingProxyType({}),
) -> tuple[Link, ...]:
    """The links between features, those of which fewest rows break first.

    Args:
        rows: Sampled of the windows of a baseline.
        starts_us: Start of the window of each row, shape (n_rows,).
        features: Among which they are sought; real numbers, which seldom repeat, are passed over.
        of: Starts of the windows in which nothing was wrong with a feature, by feature; all of one that is not named.
    """
    kinds = {name: kind_of(name, rows.schema.field(name).type) for name in features}
    columns = {name: _Column.of(rows.column(name), kind) for name, kind in kinds.items() if kind in ("int", "str")}
    for name in columns.keys() & of.keys():
        columns[name].codes[~np.isin(starts_us, list(of[name]))] = -1
    found = [
        link
        for by, feature in _alike(columns)
        if (link := _fit(by, feature, columns[by], columns[feature], starts_us)) is not None
    ]
    found.sort(key=lambda link: (link.over.share.mean - link.over.by_chance, link.by, link.feature))
    return tuple(_few_each(found))[:MOST_LINKS]


def _few_each(links: Sequence[Link]) -> Iterator[Link]:
    times: Counter[str] = Counter()
    for link in links:
        times[link.feature] += 1
        if times[link.feature] <= MOST_LINKS_EACH:
            yield link


def _alike(columns: Mapping[str, _Column]) -> Iterator[tuple[str, str]]:
    """Pairs of features of which rows with the same value of the first mostly have the same of the second."""
    if len(columns) < 2:
        return
    names, codes = list(columns), np.array([column.codes for column in columns.values()])
    # Values that most rows share are said by any other.
    tells = np.array([_diversity(column.codes) >= LEAST_TELLING for column in columns.values()])
    for at, by in enumerate(names):
        order = np.argsort(codes[at], kind="stable")
        order = order[np.count_nonzero(codes[at] < 0) :]
        first, second = codes[:, order[:-1]], codes[:, order[1:]]
        both = (first[at] == second[at]) & (first >= 0) & (second >= 0)
        pairs, equal = both.sum(axis=1), (both & (first == second)).sum(axis=1)
        # Of two rows either may break the link.
        likely = tells & (equal >= (1 - 2 * MOST_BROKEN) * pairs) & (pairs >= _LEAST_IN_ALL // 2)
        yield from ((by, names[number]) for number in np.flatnonzero(likely) if number != at)


def _diversity(codes: _Codes) -> float:
    """Probability that two rows have different values (Simpson, Nature 163, 1949)."""
    counts = np.bincount(codes[codes >= 0])
    return float(1 - counts @ counts / max(counts.sum(), 1) ** 2)


class _Pairs(NamedTuple):
    """Values of both features in the rows that have both, and what all other rows of a value say of each."""

    known: NDArray[np.bool_]
    broken: NDArray[np.bool_]
    #: Codes of values of the first that say one of the second, and these.
    keys: _Codes
    values: _Codes

    @classmethod
    def of(cls, by: _Codes, own: _Codes) -> Self:
        width = int(own.max()) + 1
        pairs, of_pair, times = np.unique(by * width + own, return_inverse=True, return_counts=True)
        keys, values = np.divmod(pairs, width)
        total = np.bincount(keys, times).astype(np.int64)
        order = np.lexsort([values, -times, keys])
        is_first = np.append(True, keys[order][1:] != keys[order][:-1])
        first = order[is_first]
        most, second = (np.zeros(total.size, np.int64) for _ in range(2))
        most[keys[first]] = times[first]
        next_to = np.flatnonzero(is_first[:-1] & ~is_first[1:]) + 1
        second[keys[order[next_to]]] = times[order[next_to]]
        is_most = np.isin(np.arange(pairs.size), first)
        others = total[keys] - 1
        enough = others >= LEAST_OTHERS
        holds = enough & (2 * (times - 1) > others)
        breaks = enough & (2 * np.where(is_most, second[keys], most[keys]) > others)
        said = first[(total[keys[first]] > LEAST_OTHERS) & (2 * times[first] > total[keys[first]])]
        return cls((holds | breaks)[of_pair], breaks[of_pair], keys[said], values[said])


def _fit(by: str, feature: str, of: _Column, own: _Column, starts_us: NDArray[np.int64]) -> Link | None:
    both = np.flatnonzero((of.codes >= 0) & (own.codes >= 0))
    pairs = _Pairs.of(of.codes[both], own.codes[both])
    over = _over(pairs, starts_us[both], _by_chance(pairs, of.codes[both], own.codes[both]))
    if over is None:
        return None
    keys, values = (
        pl.Series("value", column.values.take(pa.array(codes)))
        for column, codes in ((of, pairs.keys), (own, pairs.values))
    )
    return Link(by, feature, keys, values, over)


def _by_chance(pairs: _Pairs, by: _Codes, own: _Codes) -> float:
    """Share of the rows that would break a link if the values of the second feature were dealt out anew."""
    says = np.full(int(by.max()) + 1, -1)
    says[pairs.keys] = pairs.values
    said = says[by]
    width = int(own.max()) + 1
    expected, shares = np.bincount(said[said >= 0], minlength=width), np.bincount(own, minlength=width) / own.size
    return float(1 - expected @ shares / max(expected.sum(), 1))


def _over(pairs: _Pairs, starts_us: NDArray[np.int64], by_chance: float) -> Broken | None:
    """None of a link that is none, or of which too little is known."""
    starts, number = np.unique(starts_us, return_inverse=True)
    rows, broken = (np.bincount(number[which], minlength=starts.size) for which in (pairs.known, pairs.broken))
    if rows.sum() < max(_LEAST_IN_ALL, LEAST_JUDGED * number.size):
        return None
    some = rows >= _LEAST_ROWS
    if some.sum() < _LEAST_WINDOWS:
        return None
    share = usual_share(broken[some].astype(np.float64), rows[some].astype(np.float64), starts[some].tolist()).share
    if share.mean > MOST_BROKEN or by_chance - share.mean < LEAST_TELLING:
        return None
    return Broken(share, int(some.sum()), float(rows[some].mean()), by_chance)
