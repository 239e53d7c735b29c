"""What share of wafers shows each pattern, compared with the job's own windows before, overall, by tool and by step.

Example: in the last 24 windows 3 % of the wafers of a window had a scratch, now more and now fewer, up to 9 %; in this
one 25 % have. Nobody stated a rate: what is usual is learned of the windows themselves.

Wafers of a lot are alike, and lots come product by product, so that shares of wafers vary far more between windows than
by chance. How far is learned, too: a share is found only beyond what the windows before allow, by their spread with
Student's quantile and by the sampling error (`sparsewatch.detectors.clicks.tolerances`), widened by what the later of
these windows show against the earlier ones (`sparsewatch.detectors.clicks.inflation`). Windows unlike the others are
left out, unless they come again (`sparsewatch.detectors.clicks.outlying`). The level of a window is shared by all looks
at it (Bonferroni).
"""

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import cached_property
from typing import Any, Literal, NamedTuple

import msgspec
import numpy as np

from sparsewatch.detectors.budget.chance import p_value, z_of
from sparsewatch.detectors.clicks.inflation import of_shares
from sparsewatch.detectors.clicks.outlying import usual_share
from sparsewatch.detectors.clicks.tolerances import share_tolerance
from sparsewatch.detectors.wafers.concentration import Concentration, place_shown, place_told
from sparsewatch.detectors.wafers.lots import UNKNOWN, LotCounts
from sparsewatch.detectors.wafers.thresholds import WaferCheck
from sparsewatch.detectors.wafers.window_counts import HIGH, NOVEL, SUBJECT, WaferCounts
from sparsewatch.schemas.alerts import Finding, counted

#: Tools, and steps, of a window whose wafers are kept: those of the most wafers.
MOST_GROUPS = 50
#: Wafers of a tool or step in a window from which on their shares say something.
_LEAST_WAFERS = 8

Of = Literal["", "tool", "step"]


class Shown(msgspec.Struct, frozen=True, array_like=True):
    """Wafers of a window, or of one tool or step in it, and the patterns they show."""

    #: `tool` or `step`, and which; empty for all wafers.
    of: Of
    value: str
    wafers: int
    #: Wafers by pattern, `UNKNOWN` for novel ones.
    patterns: dict[str, int]

    @property
    def group(self) -> tuple[str, str]:
        """Which wafers these are."""
        return self.of, self.value


class SharesBefore:
    """The share of wafers with a pattern in the windows before.

    Args:
        number: Wafers with it in each window, in the order of time, at least two windows.
        wafers: All of each, > 0.
        starts_us: Start of each.
    """

    def __init__(self, number: Sequence[int], wafers: Sequence[int], starts_us: Sequence[int]) -> None:
        part, self._wafers = np.asarray(number, np.float64), np.asarray(wafers, np.float64)
        self._shares = part / self._wafers
        self._usual = usual_share(part, self._wafers, starts_us)

    @property
    def rate(self) -> float:
        """The share of all wafers of usual windows."""
        return self._usual.share.mean

    @property
    def windows(self) -> int:
        """Windows of them."""
        return self._usual.windows

    @cached_property
    def inflation(self) -> float:
        """See `sparsewatch.detectors.clicks.inflation`."""
        return of_shares(self._shares[:, None], self._wafers)

    def evidence(self) -> dict[str, Any]:
        """For an alert."""
        widened = {"inflation": self.inflation} if self.inflation > 1 else {}
        return {"kind": "learned", "windows": self.windows, **widened}

    def limit(self, wafers: int, z: float) -> float:
        """Largest share that is usual of so many wafers, at so many standard deviations."""
        share = msgspec.structs.replace(self._usual.share, inflation=self.inflation)
        return self.rate + share_tolerance(share, self.windows, wafers, self._usual.rows, z)


#: What a window shows, by `Shown.group`.
Groups = Mapping[tuple[str, str], Shown]


class Unusual(NamedTuple):
    """A pattern that more wafers show than is usual."""

    pattern: str
    #: See `Shown`.
    of: Of
    value: str
    #: Wafers that show it, and all.
    number: int
    wafers: int
    #: Share from which on it is found.
    threshold: float
    #: At most, times the looks: of so large a share by chance.
    p_value: float
    before: "SharesBefore"


def shown_of(counts: WaferCounts) -> tuple[Shown, ...]:
    """What the wafers of a window show: all of them first, then by tool and step; bounded."""
    known = sum(counts.patterns.values())
    novel = counts.verdicts.get("novel", 0)
    patterns = {**dict(sorted(counts.patterns.items())), **({UNKNOWN: novel} if novel else {})}
    return (Shown("", "", known + novel, patterns), *_groups(counts.lots, "tool"), *_groups(counts.lots, "step"))


def _groups(lots: Sequence[LotCounts], of: Literal["tool", "step"]) -> Iterator[Shown]:
    patterns: dict[str, Counter[str]] = {}
    for lot in lots:
        if value := getattr(lot, of):
            patterns.setdefault(value, Counter()).update(lot.patterns)
    # Of a single tool all wafers are told already.
    if len(patterns) > 1:
        most = sorted(patterns, key=lambda value: (-patterns[value].total(), value))[:MOST_GROUPS]
        for value in sorted(most):
            yield Shown(of, value, patterns[value].total(), dict(sorted(patterns[value].items())))


def unusual(
    shown: Sequence[Shown],
    before: Callable[[str], Mapping[int, Groups]],
    least: int,
    check: WaferCheck,
    normal: str,
) -> dict[str, Unusual]:
    """Patterns that more wafers show than in the windows before; of a tool or step only those that all wafers do not.

    Args:
        shown: By the window, see `shown_of`.
        before: What the windows show that are learned of a pattern, by their starts.
        least: Windows below which a share is not judged.
        check: Level of the window, least number and least ratio.
        normal: Name of the pattern of normal wafers, never found; empty if there is none.
    """
    looks = [(one, pattern) for one in shown for pattern in one.patterns if pattern != normal]
    z = z_of(check.of_test / max(len(looks), 1))
    found: dict[str, Unusual] = {}
    for one, pattern in looks:
        if one.patterns[pattern] < check.min_wafers or (one.of and one.wafers < _LEAST_WAFERS):
            continue
        same = same_before(one, before(pattern))
        told = _beyond(one, pattern, same, check, z) if len(same) >= least else None
        other = found.get(pattern)
        if told is not None and (other is None or (other.of and told.p_value < other.p_value)):
            found[pattern] = told
    return found


def same_before(one: Shown, before: Mapping[int, Groups]) -> dict[int, Shown]:
    """What the same wafers, of all tools or of one tool or step, show in earlier windows in which there are any."""
    groups = ((start, shown.get(one.group)) for start, shown in before.items())
    return {start: old for start, old in groups if old is not None and old.wafers}


def _beyond(one: Shown, pattern: str, same: Mapping[int, Shown], check: WaferCheck, z: float) -> Unusual | None:
    numbers = [old.patterns.get(pattern, 0) for old in same.values()]
    past = SharesBefore(numbers, [old.wafers for old in same.values()], list(same))
    number = one.patterns[pattern]
    share = number / one.wafers
    least = max(check.min_lift * past.rate, check.min_wafers / one.wafers)

    def fires(strict: float) -> bool:
        return share > past.limit(one.wafers, strict)

    if share < least or not fires(z):
        return None
    return Unusual(
        pattern=pattern,
        of=one.of,
        value=one.value,
        number=number,
        wafers=one.wafers,
        threshold=max(least, past.limit(one.wafers, z)),
        p_value=p_value(fires, z),
        before=past,
    )


def unusual_finding(found: Unusual, place: Concentration | None) -> Finding:
    """That more wafers show a pattern than is usual.

    Args:
        found: The pattern.
        place: Where it is, if that is known.
    """
    is_novel, before = found.pattern == UNKNOWN, found.before
    named = "an unknown pattern" if is_novel else repr(found.pattern)
    of = f" of {found.of} {found.value!r}" if found.of else ""
    where = f"{found.of} = {found.value}"
    shown = {"slice": {"attribute": found.of, "value": found.value, "where": where}} if found.of else place_shown(place)
    usual = f"{before.rate:.2%} usual over {counted(before.windows, 'window')}"
    return Finding(
        rule=NOVEL if is_novel else HIGH,
        subject=SUBJECT if is_novel else found.pattern,
        severity="critical" if is_novel else "warning",
        value=found.number / found.wafers,
        threshold=found.threshold,
        baseline=before.rate,
        message=(
            f"{found.number} of {counted(found.wafers, 'wafer')}{of} show {named} ({usual})"
            f"{'' if found.of else place_told(place)}"
        ),
        evidence={
            "wafers": found.number,
            "of": found.wafers,
            "effect": found.number / found.wafers - before.rate,
            "baseline": before.evidence(),
            **shown,
        },
        p_value=found.p_value,
    )
