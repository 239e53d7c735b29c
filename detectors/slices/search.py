"""The slice of rows that carries a change: a search of all conjunctions of one to three conditions.

The rows of a slice that show the change are among those of each of its conditions, so conditions that have too few of
them are in no slice worth stating (the bound of SliceLine: Sagadeeva and Boehm, SIGMOD 2021, sec. 3). Pairs of the best
`most_conditions` that are left are all tried, triples only beyond the best `beam` pairs. Fewer conditions are preferred
(as in Slice Finder: Chung et al., ICDE 2019): a slice must surprise (`sparsewatch.detectors.slices.scan`) by more than
the best of all slices that were looked at does by chance, log(looks / level), Bonferroni, and one more condition must
raise its score by as much.

Work is bounded by settings and never by time: the same samples give the same slice. At 500 columns and 4,096 rows in
each sample it takes 0.1 s of a core to code the columns and 0.05 s for each change.
"""

import math
from collections.abc import Collection, Sequence
from typing import Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from sparsewatch.detectors.slices.bits import Bits, count_common, pack, unpack
from sparsewatch.detectors.slices.columns import Coded, Condition
from sparsewatch.detectors.slices.scan import DEFAULTS, Change, Counts, Floats, Judged, Mask, Scan, SliceSettings


class Found(NamedTuple):
    """Where a change is."""

    #: `slice`: these rows carry it; `partly`: they have a part of it; `everywhere`: no slice is worse than others.
    kind: Literal["slice", "partly", "everywhere"]
    conditions: tuple[Condition, ...]
    #: Part of the excess; above 1 where the rest changed the other way.
    share: float
    #: Rows of the samples in the slice that show the change, and all.
    changed: int
    rows: int
    changed_before: int
    rows_before: int
    #: Slices that were looked at.
    looks: int
    #: The slice's rows in the sample of now, shape (n_now,).
    inside: Mask
    #: Whether more rows than expected show the change.
    is_more: bool


class _Best(NamedTuple):
    score: float
    conditions: tuple[Condition, ...]
    share: float
    counts: tuple[int, int, int, int]
    inside: Mask


class _Atoms(NamedTuple):
    """Conditions that are paired, the best first, and their rows."""

    conditions: list[Condition]
    #: Column of each, as a number.
    columns: NDArray[np.int64]
    now: Bits
    before: Bits

    def order(self, place: int) -> tuple[int, str]:
        """In which equals are told."""
        return int(self.columns[place]), self.conditions[place].text


def find_slice(
    columns: Sequence[Coded],
    change: Change,
    *,
    without: Collection[str] = (),
    never_missing: Collection[str] = (),
    settings: SliceSettings = DEFAULTS,
) -> Found | None:
    """The smallest slice that carries a change.

    Args:
        columns: Of both samples, see `code_columns`.
        change: Which rows show it.
        without: Columns that a slice must not name, as the one that changed.
        never_missing: Columns of which a slice must not say that they are missing, since that is news, too.
        settings: See `SliceSettings`.

    Returns:
        None if a sample has no row or the samples show too little of a change.
    """
    scan = Scan(change, settings)
    if (
        not change.now.size
        or not change.before.size
        or not change.scale
        or not scan.excess
        or not scan.is_beyond(settings.least_z)
    ):
        return None
    search = _Search(scan, change, settings)
    atoms = search.singles([one for one in columns if one.name not in without], frozenset(never_missing))
    if len(atoms.conditions) > 1:
        search.pairs_and_triples(atoms)
    found = search.found()
    return found if found.kind == "slice" or scan.is_beyond(settings.z) else None


class _Search:
    """The best slices of those that were looked at."""

    def __init__(self, scan: Scan, change: Change, settings: SliceSettings) -> None:
        self._scan, self._change, self._settings = scan, change, settings
        self._changed = pack(change.now[np.newaxis]), pack(change.before[np.newaxis])
        self._looks = 1
        everywhere = _Best(scan.score, (), 1.0, scan.whole.at(0), np.ones(change.now.size, np.bool_))
        #: The best that carries the change, and the one with most beyond its part.
        self._carrying, self._leading = everywhere, everywhere._replace(score=0.0)

    def found(self) -> Found:
        """Where the change is."""
        is_carried = bool(self._carrying.conditions)
        best = self._carrying if is_carried else self._leading
        return Found(
            "slice" if is_carried else "partly" if best.conditions else "everywhere",
            best.conditions,
            best.share,
            *best.counts,
            self._looks,
            best.inside,
            self._scan.excess > 0,
        )

    def singles(self, columns: Sequence[Coded], never_missing: frozenset[str]) -> _Atoms:
        """Look at each condition; returns the best of those worth pairing."""
        kept: list[tuple[int, int]] = []
        parts: list[Counts] = []
        for at, column in enumerate(columns):
            counts = self._counts_of(column)
            looked = self._divides(counts)
            if column.name in never_missing:
                looked &= column.first > 0
            self._looks += int(looked.sum())
            places = np.flatnonzero(looked & self._scan.could_carry(counts))
            if places.size:
                kept += [(at, int(place)) for place in places]
                parts.append(counts.taken(places))
        if not kept:
            return _Atoms([], np.zeros(0, np.int64), *(np.zeros((0, 0), np.uint64),) * 2)
        judged = self._scan.judge(Counts(*map(np.concatenate, zip(*parts, strict=True))))
        order = np.argsort(-judged.score, kind="stable")[: self._settings.most_conditions]
        chosen = [kept[place] for place in order]
        judged = judged.taken(order)
        atoms = _Atoms(
            [columns[at].condition(number) for at, number in chosen],
            np.array([_first_of_name(columns, at) for at, _ in chosen]),
            pack(np.array([columns[at].holds(number, columns[at].now) for at, number in chosen])),
            pack(np.array([columns[at].holds(number, columns[at].before) for at, number in chosen])),
        )
        self._look(judged, atoms, [(place,) for place in range(len(chosen))])
        return atoms

    def _divides(self, counts: Counts) -> Mask:
        """Whether conditions have enough rows, and tell the rows of a window apart, not the window from those before.

        An hour of the day holds for all rows of now: it would go with any slice, whatever changed.
        """
        is_now = counts.rows == self._change.now.size
        is_before = (counts.rows == 0) & (counts.rows_before == self._change.before.size)
        enough = counts.rows + counts.rows_before >= self._settings.least_rows
        divides: Mask = enough & ~is_now & ~is_before
        return divides

    def pairs_and_triples(self, atoms: _Atoms) -> None:
        """Look at all pairs of conditions, then at the best pairs with each condition."""
        one, other = np.triu_indices(len(atoms.conditions), k=1)
        apart = atoms.columns[one] != atoms.columns[other]
        pairs = list(zip(one[apart].tolist(), other[apart].tolist(), strict=True))
        if not pairs:
            return
        counts = self._with_each(atoms, atoms.now, atoms.before)
        judged = self._look_at(counts.taken((one[apart], other[apart])), atoms, pairs)
        order = np.argsort(-judged.score, kind="stable")[: self._settings.beam]
        beam = [pairs[place] for place in order]
        first, second = np.array(beam).T
        both, both_before = (bits[first] & bits[second] for bits in (atoms.now, atoms.before))
        counts = self._with_each(atoms, both, both_before)
        triples = {
            tuple(sorted((*pair, third))): (at, third)
            for at, pair in enumerate(beam)
            for third in range(len(atoms.conditions))
            if atoms.columns[third] not in atoms.columns[list(pair)]
        }
        if triples:
            rows, thirds = np.array(list(triples.values())).T
            self._look_at(counts.taken((rows, thirds)), atoms, list(triples))

    def _counts_of(self, column: Coded) -> Counts:
        change = self._change
        sides = (column.now[change.now], column.now, column.before[change.before], column.before)
        counted = (column.sums(np.bincount(codes, minlength=column.n_codes)) for codes in sides)
        return Counts(*(counts.astype(np.float64) for counts in counted))

    def _with_each(self, atoms: _Atoms, now: Bits, before: Bits) -> Counts:
        """Counts of each of some slices together with each condition."""
        changed, changed_before = self._changed
        return Counts(
            count_common(now & changed, atoms.now),
            count_common(now, atoms.now),
            count_common(before & changed_before, atoms.before),
            count_common(before, atoms.before),
        )

    def _look_at(self, counts: Counts, atoms: _Atoms, slices: Sequence[tuple[int, ...]]) -> Judged:
        self._looks += len(slices)
        judged = self._scan.judge(counts)
        self._look(judged, atoms, slices)
        return judged

    def _look(self, judged: Judged, atoms: _Atoms, slices: Sequence[tuple[int, ...]]) -> None:
        gain = max(0.0, math.log(self._looks / self._settings.level))
        carrying = np.where(judged.carries & (judged.surprise > gain), judged.score, -np.inf)
        leading = np.where(judged.share >= self._settings.stated, judged.lead, -np.inf)
        self._carrying = _better(self._carrying, carrying, judged, atoms, slices, gain)
        self._leading = _better(self._leading, leading, judged, atoms, slices, gain)


def _better(
    best: _Best, score: Floats, judged: Judged, atoms: _Atoms, slices: Sequence[tuple[int, ...]], gain: float
) -> _Best:
    """The best of some slices if its score is greater by so much."""
    n_rows = best.inside.size
    top = float(score.max(initial=-np.inf))
    if top <= best.score + gain:
        return best
    # Equal explanations: the smallest, then in the order of the columns.
    equals = np.flatnonzero(score >= top - 1e-9 * top).tolist()
    sizes = judged.counts.rows + judged.counts.rows_before
    place = min(equals, key=lambda one: (sizes[one], [atoms.order(at) for at in slices[one]]))
    chosen = sorted(slices[place], key=atoms.order)
    return _Best(
        top,
        tuple(atoms.conditions[at] for at in chosen),
        float(judged.share[place]),
        judged.counts.at(place),
        unpack(np.bitwise_and.reduce(atoms.now[chosen]), n_rows),
    )


def _first_of_name(columns: Sequence[Coded], at: int) -> int:
    """A number for the column of a name: it may be coded both by value and in ranges."""
    return at - 1 if at and columns[at - 1].name == columns[at].name else at
