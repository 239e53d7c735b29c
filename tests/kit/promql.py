"""Which series an expression of PromQL names: every selector with its matchers, and the labels it groups by.

Read by tokens, as by Prometheus itself: text in quotes, numbers and durations, names, brackets. A name is a series if
it is no keyword, no label of a grouping and not followed by a bracket.
"""

import re
from collections.abc import Iterator
from typing import NamedTuple

_TOKEN = re.compile(
    r"""(?P<space>\s+|\#[^\n]*)
    |(?P<text>"(?:[^"\\]|\\.)*"|'(?:[^'\\]|\\.)*'|`[^`]*`)
    |(?P<range>\[[^\]]*\])
    |(?P<number>0x[0-9a-fA-F]+|\d+(?:ms|[smhdwy])(?:\d+(?:ms|[smhdwy]))*|(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?)
    |(?P<name>[a-zA-Z_:][a-zA-Z0-9_:]*)
    |(?P<sign>=~|!~|!=|==|<=|>=|[-+*/%^<>=(){},@])""",
    re.VERBOSE,
)
_GROUPINGS = {"by", "without", "on", "ignoring", "group_left", "group_right"}
_WORDS = {"and", "or", "unless", "bool", "offset", "atan2", "inf", "nan"}


class Matcher(NamedTuple):
    """A condition on a label."""

    label: str
    sign: str
    value: str

    def holds(self, labels: dict[str, str]) -> bool:
        """Whether a series with these labels meets it."""
        own = labels.get(self.label, "")
        same = own == self.value if self.sign in ("=", "!=") else re.fullmatch(self.value, own) is not None
        return same == self.sign.startswith("=")


class Selector(NamedTuple):
    """A series that is named."""

    name: str
    matchers: tuple[Matcher, ...]

    def selects(self, name: str, labels: dict[str, str]) -> bool:
        """Whether it selects this series."""
        return name == self.name and all(matcher.holds(labels) for matcher in self.matchers)


class Named(NamedTuple):
    """What an expression names."""

    selectors: tuple[Selector, ...]
    #: Labels by which it groups or matches.
    labels: frozenset[str]


def named_in(expression: str) -> Named:
    """What an expression names.

    Raises:
        ValueError: If a part of it is not understood.
    """
    tokens = [*_tokens(expression), ("end", "")]
    selectors: list[Selector] = []
    labels: set[str] = set()
    at = 0
    while tokens[at][0] != "end":
        (kind, text), following = tokens[at], tokens[at + 1][1]
        at += 1
        if kind == "sign" and text == "{":
            raise ValueError(f"expected a name before its matchers in {expression!r}")
        if kind != "name" or text.lower() in _WORDS:
            continue
        if text.lower() in _GROUPINGS:
            if following == "(":
                end = tokens.index(("sign", ")"), at)
                labels |= {word for kind, word in tokens[at:end] if kind == "name"}
                at = end + 1
        elif following == "{":
            end = tokens.index(("sign", "}"), at)
            selectors.append(Selector(text, tuple(_matchers(tokens[at + 1 : end]))))
            at = end + 1
        elif following != "(" and following.lower() not in ("by", "without"):
            selectors.append(Selector(text, ()))
    return Named(tuple(selectors), frozenset(labels))


def _tokens(expression: str) -> Iterator[tuple[str, str]]:
    at = 0
    while at < len(expression):
        found = _TOKEN.match(expression, at)
        if found is None:
            raise ValueError(f"expected PromQL, got {expression[at : at + 20]!r} in {expression!r}")
        at = found.end()
        kind = found.lastgroup or ""
        if kind not in ("space", "range"):
            yield kind, found[0]


def _matchers(tokens: list[tuple[str, str]]) -> Iterator[Matcher]:
    words = [text for _, text in tokens if text != ","]
    if len(words) % 3:
        raise ValueError(f"expected label, sign and value of each matcher, got {words}")
    for label, sign, value in zip(words[::3], words[1::3], words[2::3], strict=True):
        yield Matcher(label, sign, value[1:-1])
