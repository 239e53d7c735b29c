"""Settings that a person writes: checked whole when made, and refused in one style, `table.key: expected …, got …`.

Ranges of numbers are data, stated at the field:

    class Rule(Settings, frozen=True, kw_only=True):
        alarm_rate: AlarmRate = 0.01
        least_ratio: Annotated[float, Range(at_least=1)] = 3.0

    Rule(alarm_rate=1.5)
    SettingError: alarm_rate: expected a number above 0 and below 1, got 1.5

Durations are texts such as `"5m"`, sizes such as `"4MB"`. A dataclass calls `check_ranges` when made, a function
`check_range` with a type of this module.
"""

import difflib
import math
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from types import NoneType, UnionType
from typing import Annotated, Any, Literal, TypeVar, Union, get_args, get_origin, get_type_hints

import msgspec

from sparsewatch.schemas.errors import ConfigError, SettingError

T = TypeVar("T")
US_PER_SECOND = 1_000_000
#: Longest duration: with it sums of times stay far inside 64 bits.
_LONGEST_US = 36_500 * 86_400_000_000
_DURATION_US = {
    "ms": 1_000,
    "s": 1_000_000,
    "m": 60_000_000,
    "h": 3_600_000_000,
    "d": 86_400_000_000,
}
_SIZE = {"B": 1, "kB": 1_000, "MB": 1_000_000, "KiB": 1_024, "MiB": 1_048_576}
#: How msgspec ends its messages: with the place, from the root on.
_PLACE = re.compile(r"(?P<what>.*?)(?: - at `\$\.?(?P<key>.*)`)?", re.DOTALL)
#: Stands for any entry of a dictionary.
_ENTRY = "[*]"
_UNKNOWN = re.compile(r"Object contains unknown field `(.*)`")
_MISSING = re.compile(r"Object missing required field `(.*)`")
#: Least likeness of two names of which one may stand for the other.
_NEAR = 0.7
_OWN = re.compile(r"(?P<key>[\w.]+): (?P<what>expected .*)", re.DOTALL)


@dataclass(frozen=True, slots=True, kw_only=True)
class Range:
    """Which numbers are accepted. NaN never is."""

    above: float | None = None
    at_least: float | None = None
    below: float | None = None
    at_most: float | None = None

    def __contains__(self, number: float) -> bool:
        """Whether a number is accepted."""
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


#: Share of ordinary rows or wafers that may be flagged.
AlarmRate = Annotated[float, Range(above=0, below=1)]
#: Probability of a false alarm.
Level = Annotated[float, Range(above=0, below=1)]
Share = Annotated[float, Range(at_least=0, at_most=1)]
Positive = Annotated[float, Range(above=0)]
NotNegative = Annotated[float, Range(at_least=0)]
#: A number of things, at least 1.
Count = Annotated[int, Range(at_least=1)]
#: A number of things, at least 0.
CountOrNone = Annotated[int, Range(at_least=0)]


class Settings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A table of settings. Numbers are in the ranges their fields state."""

    def __post_init__(self) -> None:
        check_ranges(self)


def read_settings(given: Mapping[str, Any], kind: type[T], key: str = "") -> T:
    """Settings from what a file or a command line gives, the rest by default.

    Args:
        given: Values by name.
        kind: The struct they make.
        key: Key of the table in the file; empty for the whole file.

    Raises:
        ConfigError: Naming the full key of what is unknown, missing, of the wrong type or out of range.
    """
    try:
        return msgspec.convert(given, kind)
    except (msgspec.ValidationError, SettingError) as error:
        raise ConfigError(_in_words(str(error), key, kind, given)) from error


def nearest(name: object, known: Iterable[str]) -> str:
    """The end of a message about a name that is not known: `; did you mean 'length'?`, empty if none is near.

    >>> nearest("lenght", ["length", "disorder"])
    "; did you mean 'length'?"
    """
    found = difflib.get_close_matches(str(name).lower(), known, n=1, cutoff=_NEAR)
    return f"; did you mean {found[0]!r}?" if found else ""


def parse_duration_us(text: str) -> int:
    """Microseconds of a duration such as `"5m"`.

    >>> parse_duration_us("1.5s")
    1500000

    Raises:
        ConfigError: If the text is no duration, or a duration of more than 100 years.
    """
    duration_us = _number_with_unit(text, _DURATION_US, "a duration such as '500ms', '10s', '5m', '2h' or '1d'")
    if duration_us > _LONGEST_US:
        raise ConfigError(f"expected a duration of at most 100 years, got {text[:40]!r}")
    return round(duration_us)


def duration_text(duration_us: int) -> str:
    """A duration in the largest unit in which it is whole; the inverse of `parse_duration_us`.

    >>> duration_text(90_000_000)
    '90s'

    Args:
        duration_us: Microseconds, a multiple of 1,000.
    """
    unit = next((name for name, size in reversed(_DURATION_US.items()) if duration_us % size == 0), "ms")
    return f"{duration_us // _DURATION_US[unit]}{unit}"


def parse_size(text: str) -> int:
    """Bytes of a size such as `"4MB"`.

    >>> parse_size("1MiB")
    1048576

    Raises:
        ConfigError: If the text is no size.
    """
    size = _number_with_unit(text, _SIZE, "a size such as '64KiB' or '4MB'")
    if size == math.inf:
        raise ConfigError(f"expected a size such as '64KiB' or '4MB', got {text[:40]!r}")
    return round(size)


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


def _plain(bound: float) -> str:
    return str(int(bound)) if float(bound).is_integer() else f"{bound:g}"


def _number_with_unit(text: str, units: dict[str, int], expected: str) -> float:
    found = re.fullmatch(r"(\d+(?:\.\d+)?)\s*([A-Za-z]+)", text.strip())
    if found is None or found[2] not in units:
        raise ConfigError(f"expected {expected}, got {text!r}")
    return float(found[1]) * units[found[2]]


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


def _in_words(message: str, table: str, kind: Any, given: Any) -> str:
    """The message with the full key first."""
    found = _PLACE.fullmatch(message)
    what, key = (message, "") if found is None else (found["what"], (found["key"] or "").replace("[...]", _ENTRY))
    if own := _OWN.fullmatch(what):
        key, what = _joined(key, own["key"]), own["what"]
    elif key and (choice := _choice(key.split("."), kind, given)):
        key, what = choice
    if unknown := _UNKNOWN.fullmatch(what):
        what = _unknown_key(unknown[1], key, kind)
    what = _MISSING.sub(r"expected the key '\1', it is missing", what)
    place = _joined(table, key)
    return f"{place}: {what[0].lower()}{what[1:]}" if place else what


def _unknown_key(name: str, table: str, kind: Any) -> str:
    for part in filter(None, table.split(".")):
        kind = _field(kind, part)
    config = kind.__struct_config__
    known = [*([config.tag_field] if config.tag_field else []), *kind.__struct_fields__]
    return f"unknown key {name!r}, expected one of {', '.join(known)}{nearest(name, known)}"


def _choice(path: list[str], kind: Any, given: Any) -> tuple[str, str] | None:
    """The full key of a word that is none of the choices of its `Literal`, and the message; None for other keys."""
    *tables, last = path
    name = last.removesuffix(_ENTRY)
    for table in (*tables, name):
        if not isinstance(given, Mapping) or table not in given:
            return None
        kind, given = _field(kind, table), given[table]
    full = ".".join([*tables, name])
    if name != last:
        kind = get_args(kind)[1]
    if get_origin(kind) is not Literal:
        return None
    if name != last:
        # msgspec does not say which entry of a dictionary is wrong: the first wrong entry is named.
        full, given = next((f"{full}.{key}", entry) for key, entry in given.items() if entry not in get_args(kind))
    words = get_args(kind)
    return full, f"expected one of {', '.join(map(repr, words))}, got {given!r}{nearest(given, words)}"


def _field(kind: Any, name: str) -> Any:
    """Type of a field, without None."""
    stated = get_type_hints(kind)[name]
    parts = [part for part in get_args(stated) if part is not NoneType]
    return parts[0] if get_origin(stated) in (Union, UnionType) and len(parts) == 1 else stated


def _joined(*keys: str) -> str:
    return ".".join(key for key in keys if key)
