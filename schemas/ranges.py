"""Ranges of numbers as data: stated at the field, checked in one place, refused in one style.

    class Rule(Settings, frozen=True, kw_only=True):
        alarm_rate: AlarmRate = 0.01
        least_ratio: Annotated[float, Range(at_least=1)] = 3.0

    Rule(alarm_rate=1.5)
    SettingError: alarm_rate: expected a number above 0 and below 1, got 1.5

Structs for settings are `sparsewatch.schemas.settings.Settings`; a dataclass calls `check_ranges` when it is made, a
function `check_range` with a type of this module.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from types import UnionType
from typing import Annotated, Any, Union, get_args, get_origin, get_type_hints

from sparsewatch.schemas.errors import SettingError


@dataclass(frozen=True, slots=True, kw_only=True)
class Range:
    """Which numbers are taken. NaN never is."""

    above: float | None = None
    at_least: float | None = None
    below: float | None = None
    at_most: float | None = None

    def __contains__(self, number: float) -> bool:
        """Whether a number is taken."""
        # A bound holds where the comparison is true, so that NaN passes none.
        return (
            (self.above is None or number > self.above)
            and (self.at_least is None or number >= self.at_least)
            and (self.below is None or number < self.below)
            and (self.at_most is None or number <= self.at_most)
        )

    def __str__(self) -> str:
        """The range in words: `from 0 to 1`, `above 0 and at most 0.5`, `of at least 1`."""
        if self.at_least is not None and self.at_most is not None:
            return f"from {_plain(self.at_least)} to {_plain(self.at_most)}"
        bounds = (("above", self.above), ("at least", self.at_least), ("below", self.below), ("at most", self.at_most))
        words = " and ".join(f"{word} {_plain(bound)}" for word, bound in bounds if bound is not None)
        return f"of {words}" if words.startswith("at ") else words


def _plain(bound: float) -> str:
    return str(int(bound)) if float(bound).is_integer() else f"{bound:g}"


#: Share of ordinary rows or wafers that may be flagged.
AlarmRate = Annotated[float, Range(above=0, below=1)]
#: Probability of a false alarm.
Level = Annotated[float, Range(above=0, below=1)]
Share = Annotated[float, Range(at_least=0, at_most=1)]
Positive = Annotated[float, Range(above=0)]
NotNegative = Annotated[float, Range(at_least=0)]
#: A number of things, of which there must be one.
Count = Annotated[int, Range(at_least=1)]
#: A number of things, of which there may be none.
CountOrNone = Annotated[int, Range(at_least=0)]


def check_range(kind: Any, number: float | None, key: str) -> None:
    """Refuse a number outside its range.

    Args:
        kind: A range, a type of this module, or another annotated with a range.
        number: None passes.
        key: What the number is called.

    Raises:
        SettingError: Naming the key, the range and the number.
    """
    for fault in _faults(Annotated[float, kind] if isinstance(kind, Range) else kind, number, key):
        raise SettingError(fault)


def check_ranges(settings: object) -> None:
    """Refuse settings of which a number is outside the range its field states.

    Looks into optional fields, lists, tuples and dictionaries; settings within settings check themselves when made.

    Raises:
        SettingError: Naming the first such field, its range and the number.
    """
    for name, kind in get_type_hints(type(settings), include_extras=True).items():
        check_range(kind, getattr(settings, name), name)


def range_of(kind: Any) -> Range:
    """The range a type states."""
    [stated] = [part for part in get_args(kind) if isinstance(part, Range)]
    return stated


def _faults(kind: Any, value: Any, key: str) -> Iterator[str]:
    origin, parts = get_origin(kind), get_args(kind)
    if value is None:
        return
    if origin is Annotated:
        noun = "a whole number" if parts[0] is int else "a number"
        for stated in parts[1:]:
            if isinstance(stated, Range) and value not in stated:
                yield f"{key}: expected {noun} {stated}, got {value}"
    elif origin in (Union, UnionType):
        for part in parts:
            yield from _faults(part, value, key)
    elif isinstance(origin, type) and issubclass(origin, Mapping):
        for name, item in value.items():
            yield from _faults(parts[1], item, f"{key}.{name}")
    elif origin in (list, tuple):
        for item in value:
            yield from _faults(parts[0], item, key)
