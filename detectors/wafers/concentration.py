"""Patterns that lots of one tool, or of one step, show and others do not.

Example: 9 of the 12 lots that went over tool T3 have wafers with a scratch, and 2 of the 60 others of its step.

Wafers of a lot are alike, so lots are compared and not wafers: a lot shows a pattern if a tenth of its wafers has it.
Were tools without influence, the lots with the pattern would lie among them by chance; that so many lie on one is a
tail of the hypergeometric distribution (Fisher's exact test). No rate needs to be known, and a pattern that rises
everywhere is concentrated nowhere. The smallest p-value of a window is multiplied by the number of looks (Bonferroni).

Tools are compared with others of their step: they should be alike. Steps are not, since each has patterns of its own,
so that a step explains a pattern that was found otherwise, and is no finding.
"""

from collections.abc import Iterator, Sequence
from typing import Any, Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.stats import hypergeom

from sparsewatch.detectors.wafers.lots import UNKNOWN, LotCounts
from sparsewatch.schemas.alerts import Finding, counted

#: Attributes of a lot that may explain a pattern.
Attribute = Literal["tool", "step"]
#: Least lots of a tool that show the pattern, and least ratio to the share of others that do.
_LEAST_LOTS, _LEAST_LIFT = 3, 2.0
#: Lots named in an alert.
_NAMED_LOTS = 20

Shown = NDArray[np.bool_]


class Concentration(NamedTuple):
    """A pattern on lots of one tool or step."""

    #: `UNKNOWN` for patterns that the model does not know.
    pattern: str
    attribute: Attribute
    value: str
    #: Lots of it, and those that show the pattern; the same of all others.
    lots: int
    showing: int
    other_lots: int
    others_showing: int
    #: Of as many lots or more showing it by chance, times the number of looks; at most 1.
    p_value: float
    looks: int
    #: Lots of it that show the pattern, the first ones by name.
    names: tuple[str, ...]

    @property
    def where(self) -> str:
        """As a condition."""
        return f"{self.attribute} = {self.value}"

    @property
    def text(self) -> str:
        """In words, such as `9 of 12 lots of tool 'T3' show it, 2 of 60 others`."""
        of = f"{self.attribute} {self.value!r}"
        return (
            f"{self.showing} of {counted(self.lots, 'lot')} of {of} show it, {self.others_showing} of "
            f"{self.other_lots} others"
        )

    def evidence(self) -> dict[str, Any]:
        """As JSON types."""
        return {
            "attribute": self.attribute,
            "value": self.value,
            "where": self.where,
            "lots": self.lots,
            "showing": self.showing,
            "other_lots": self.other_lots,
            "others_showing": self.others_showing,
            "looks": self.looks,
            "p_value": self.p_value,
            "names": list(self.names),
        }


def place_told(place: Concentration | None) -> str:
    """Where a pattern is, for the end of a message; empty where that is not known."""
    return "" if place is None else f"; {place.text}"


def place_shown(place: Concentration | None) -> dict[str, Any]:
    """Where a pattern is, for evidence; empty where that is not known."""
    return {} if place is None else {"slice": place.evidence()}


def concentrations(lots: Sequence[LotCounts], attribute: Attribute, normal: str) -> dict[str, Concentration]:
    """Where each pattern is most concentrated, by pattern; patterns that are nowhere are left out.

    Args:
        lots: Of a window.
        attribute: A `tool` is compared with the others of its step, a `step` with all others.
        normal: Name of the pattern of normal wafers, which is not looked at; empty if there is none.
    """
    tried = [one for group in _groups(lots, attribute) for one in _tried(group, attribute, normal)]
    best: dict[str, Concentration] = {}
    for one in tried:
        if one.pattern not in best or one.p_value < best[one.pattern].p_value:
            best[one.pattern] = one
    looks = len(tried)
    return {
        pattern: one._replace(p_value=min(1.0, one.p_value * looks), looks=looks)
        for pattern, one in sorted(best.items())
        if one.showing >= _LEAST_LOTS and one.showing / one.lots >= _LEAST_LIFT * one.others_showing / one.other_lots
    }


def _groups(lots: Sequence[LotCounts], attribute: Attribute) -> list[list[LotCounts]]:
    """Lots that are compared with one another."""
    if attribute == "step":
        return [list(lots)]
    return [[lot for lot in lots if lot.step == step] for step in sorted({lot.step for lot in lots})]


def _tried(lots: Sequence[LotCounts], attribute: Attribute, normal: str) -> Iterator[Concentration]:
    """Each pattern with each value that some lots have and others have not, with the p-value of one look."""
    patterns = sorted({name for lot in lots for name in lot.patterns} - ({normal} if normal else set()))
    shown = np.array([[lot.shows(pattern) for pattern in patterns] for lot in lots], bool).reshape(
        len(lots), len(patterns)
    )
    values = [str(getattr(lot, attribute)) for lot in lots]
    for value in sorted(set(values) - {""}):
        here = np.array([one == value for one in values])
        if here.all():
            continue
        for pattern, shows in zip(patterns, shown.T, strict=True):
            if shows.any() and not shows.all():
                yield _compared(lots, here, shows, (pattern, attribute, value))


def _compared(lots: Sequence[LotCounts], here: Shown, shows: Shown, what: tuple[str, Attribute, str]) -> Concentration:
    n, showing, all_showing = int(here.sum()), int(shows[here].sum()), int(shows.sum())
    return Concentration(
        *what,
        lots=n,
        showing=showing,
        other_lots=len(lots) - n,
        others_showing=all_showing - showing,
        p_value=float(hypergeom.sf(showing - 1, len(lots), all_showing, n)),
        looks=1,
        names=tuple(lots[place].lot for place in np.flatnonzero(here & shows)[:_NAMED_LOTS]),
    )


def concentration_findings(found: dict[str, Concentration], alpha: float) -> Iterator[Finding]:
    """Rule `pattern_concentrated`.

    Args:
        found: By pattern.
        alpha: Level of a window.
    """
    for pattern, one in found.items():
        if one.p_value >= alpha:
            continue
        share, elsewhere = one.showing / one.lots, one.others_showing / one.other_lots
        what = "unknown patterns" if pattern == UNKNOWN else repr(pattern)
        yield Finding(
            rule="pattern_concentrated",
            subject=pattern or "wafers",
            severity="warning",
            value=share,
            threshold=_least(one, alpha) / one.lots,
            baseline=elsewhere,
            message=f"{what} on one {one.attribute}: {one.text}",
            evidence={"of": one.lots, "effect": share - elsewhere, "slice": one.evidence()},
            p_value=one.p_value,
        )


def _least(one: Concentration, alpha: float) -> int:
    """Fewest lots showing the pattern that fire."""
    numbers = np.arange(_LEAST_LOTS, one.showing + 1)
    chances = hypergeom.sf(numbers - 1, one.lots + one.other_lots, one.showing + one.others_showing, one.lots)
    return int(numbers[int(np.argmax(chances * one.looks < alpha))])


def least_lots(lots: int, tools: int, alpha: float) -> int | None:
    """Fewest lots with a pattern that no other tool's lots show, from which on one tool is told; None if never.

    Args:
        lots: Of a window, as many on each tool.
        tools: Their number, at least 2.
        alpha: Level of a window.
    """
    numbers = np.arange(_LEAST_LOTS, lots // tools + 1)
    chances = hypergeom.sf(numbers - 1, lots, numbers, lots // tools) * tools
    return next((int(n) for n, chance in zip(numbers, chances, strict=True) if chance < alpha), None)
