"""Lines about a result, the same on the screen and on a page."""

from collections.abc import Iterable
from typing import NamedTuple


class Fact(NamedTuple):
    """One line about a result."""

    #: One or two words.
    about: str
    text: str
    #: Whether a person should look at it.
    warning: bool = False


def named_once(facts: Iterable[Fact]) -> list[Fact]:
    """Facts whose `about` is empty where it is that of the fact before.

    >>> named_once([Fact("leak", "a"), Fact("leak", "b")])[1].about
    ''
    """
    shown, before = [], ""
    for fact in facts:
        shown.append(fact._replace(about="" if fact.about == before else fact.about))
        before = fact.about
    return shown
