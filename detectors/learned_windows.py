"""The windows that a job learns its baseline of: the last ones in which nothing was wrong.

Example: of windows of five minutes the first twelve are learned, an hour; the thirteenth is checked. From then on each
window is compared with the last `windows` of those in which nothing was found.

A window is left out of the baseline of those *subjects* on which something was found in it, or whose incident still
fired. Were it left out as a whole, drift in one feature would keep all others from being learned; were it learned, a
fault would become normal. What is found on the stream as such (its volume, its click rate) concerns all features. New
values are told and then learned: a campaign begins, and is known from the next renewal on; if they are most of a window
they are no news but a fault, such as another hash.

The baseline is renewed with every `YOUNG`-th window, and once it is whole with every `RENEWAL`-th, so that most windows
are compared without fitting it anew; only the first comes as soon as it can. When it is renewed depends on the windows'
times and on what was found in them alone, so that whoever reads them again renews it at the same ones. A bad beginning
heals: a change that lasted twice as long as all that was learned before it is what is normal, as long as less than a
whole baseline was learned.
"""

from bisect import bisect_left
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from sparsewatch.detectors.incidents.causes import is_news
from sparsewatch.schemas.alerts import Finding
from sparsewatch.schemas.incidents import Member
from sparsewatch.schemas.orders import Order

#: Subject of what is found on the stream as such.
STREAM = "stream"
#: Windows between renewals of the baseline: of one that is not whole yet, and of a whole one.
YOUNG, RENEWAL = 6, 12
#: A change is normal when it lasted so many times as long as what was learned before it, and so many windows.
_OUTLASTS, _LEAST_LASTING = 2, 12
#: Newest windows that are kept whatever was found in them: an order may accept them.
KEPT_NEWEST = 24


def slots(most: int) -> int:
    """Windows that are kept for baselines of so many."""
    return 2 * most + RENEWAL + KEPT_NEWEST


def suspects(wrong: Iterable[Finding | Member]) -> frozenset[str]:
    """Subjects that a window is not learned of, of what was found in it and what incidents still fire on."""
    return frozenset(one.subject for one in wrong if not is_news(one))


@dataclass(frozen=True, slots=True)
class Marked:
    """Start of a window, and the subjects it is not to be learned of; `STREAM` for all."""

    start_us: int
    #: By what was found in it.
    suspect: frozenset[str]
    #: By order.
    barred: frozenset[str] = frozenset()

    def is_barred(self, subject: str) -> bool:
        """Whether it must not be learned of a subject."""
        return STREAM in self.barred or subject in self.barred

    def is_good(self, subject: str) -> bool:
        """Whether it may be learned of a subject."""
        return not (STREAM in self.suspect or subject in self.suspect or self.is_barred(subject))


def ordered(marked: Sequence[Marked], orders: Sequence[Order]) -> list[Marked]:
    """Windows as people want them learned.

    What is *accepted* is learned from where it began, whatever was found in it, and nothing before it; what is
    *excluded* is not learned; after a *reset* nothing before it is.

    Args:
        marked: The windows.
        orders: Those in force, in the order given; others than these are passed over.
    """
    return [_as_ordered(one, orders) for one in marked]


def _as_ordered(one: Marked, orders: Sequence[Order]) -> Marked:
    suspect, barred = one.suspect, one.barred
    for order in orders:
        subjects = frozenset(order.subjects or (STREAM,))
        since_us = order.from_us if order.since_us is None else order.since_us
        if order.verb == "accept" and since_us <= one.start_us < order.from_us:
            suspect = suspect - subjects if order.subjects else frozenset()
        elif _bars(order, one.start_us, since_us):
            barred |= subjects
    return Marked(one.start_us, suspect, barred)


def _bars(order: Order, start_us: int, since_us: int) -> bool:
    if order.verb == "exclude":
        return (order.since_us or 0) <= start_us and (order.until_us is None or start_us < order.until_us)
    return order.verb in ("accept", "reset") and start_us < since_us


class Size(NamedTuple):
    """How many windows a baseline is fitted to."""

    least: int
    most: int


class Renewed(NamedTuple):
    """Starts of the windows with which a baseline was last renewed: one that is not whole yet, and a whole one."""

    young_us: int
    whole_us: int

    @classmethod
    def at(cls, start_us: int, window_us: int) -> "Renewed":
        """Of the baseline of a window: it was renewed with that one or one before."""
        return cls(*(start_us // (every * window_us) * every * window_us for every in (YOUNG, RENEWAL)))


def chosen(
    marked: Sequence[Marked], subjects: Iterable[str], size: Size, renewed: Renewed
) -> dict[str, tuple[int, ...]]:
    """Starts of the windows that the baseline of each subject is fitted to.

    Args:
        marked: Earlier windows, in the order of time.
        subjects: Such as features; `STREAM` need not be among them.
        size: Of a baseline; of a subject with fewer windows all that may be learned are given.
        renewed: When the baseline was: none of later windows is in it, but for those of the first one.
    """
    names = {STREAM: None, **dict.fromkeys(subjects)}
    usual = _last(_learned_of(STREAM, marked, size.most), size, renewed)
    return {
        **dict.fromkeys(names, usual),
        **{name: _last(_learned_of(name, marked, size.most), size, renewed) for name in _marks(marked, names)},
    }


def _marks(marked: Sequence[Marked], names: Collection[str]) -> list[str]:
    """Subjects of which other windows may be learned than of `STREAM`."""
    found = frozenset(name for one in marked for name in one.suspect | one.barred)
    return [name for name in names if name in found and name != STREAM]


def _learned_of(subject: str, marked: Iterable[Marked], most: int) -> list[Marked]:
    """Windows that may be learned of a subject: good ones, or those of a change that outlasted what was before it."""
    good: list[Marked] = []
    lasting: list[Marked] = []
    for one in marked:
        if one.is_good(subject):
            good.append(one)
            lasting = []
        elif not one.is_barred(subject):
            lasting.append(one)
        # What was learned before it is not learned again, when later windows are good.
        if len(good) < most and len(lasting) >= max(_OUTLASTS * len(good), _LEAST_LASTING):
            good, lasting = lasting, []
    return good


def _last(good: Sequence[Marked], size: Size, renewed: Renewed) -> tuple[int, ...]:
    starts = tuple(one.start_us for one in good)
    for least, boundary_us in ((size.most, renewed.whole_us), (size.least, renewed.young_us)):
        before = bisect_left(starts, boundary_us)
        if before >= least:
            return starts[max(before - size.most, 0) : before]
    return starts[: size.least]


def good_windows(
    marked: Sequence[Marked], of: Mapping[str, tuple[int, ...]], starts: Sequence[int]
) -> dict[str, tuple[int, ...]]:
    """Of the windows that are chosen for any subject, those in which nothing is wrong with one.

    What two subjects have in common is learned of windows that are good for both, though other windows may be chosen
    for either.

    Args:
        marked: All windows that are kept.
        of: Starts of the chosen windows, by subject, see `chosen`.
        starts: Of all of them.

    Returns:
        Starts by subject, of those with which something was wrong in any of these windows.
    """
    among = set(starts)
    chosen_ones = [one for one in marked if one.start_us in among]
    found = {
        name: tuple(one.start_us for one in chosen_ones if one.start_us in of[name] or one.is_good(name))
        for name in _marks(chosen_ones, of)
    }
    return {name: good for name, good in found.items() if len(good) < len(chosen_ones)}


def spare(marked: Sequence[Marked], subjects: Iterable[str], most: int) -> int:
    """Start of the window that is let go for a new one: the oldest that no baseline needs.

    Args:
        marked: All windows that are kept, in the order of time, at least one.
        subjects: Such as features.
        most: Windows of a whole baseline.
    """
    needed = {one.start_us for one in marked[-KEPT_NEWEST:]}
    for name in (STREAM, *_marks(marked, frozenset(subjects))):
        # Until it is renewed a baseline holds windows that are no longer among the newest.
        needed.update([one.start_us for one in _learned_of(name, marked, most)][-most - RENEWAL :])
    return next((one.start_us for one in marked if one.start_us not in needed), marked[0].start_us)
