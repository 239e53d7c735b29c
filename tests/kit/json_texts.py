"""JSON as producers write it, and as nobody should: texts for tests of its readers."""

import json
from typing import Any

from hypothesis import strategies as st

#: Between the tokens of a text.
_white = st.sampled_from(["", "", "", "", " ", "\n", "\r\n", "\t", " \r\t\n"])
_digits = st.text("0123456789", min_size=1, max_size=25)

#: Numbers as texts, good and bad ones, with any digits.
numbers = st.one_of(
    st.integers(-(2**70), 2**70).map(str),
    st.integers(-300, 300).map(str),
    st.floats(allow_nan=False, allow_infinity=False).map(repr),
    st.floats(width=32, allow_nan=False, allow_infinity=False).map(repr),
    st.builds(
        lambda sign, whole, point, fraction, exponent: f"{sign}{whole}{point}{fraction}{exponent}",
        st.sampled_from(["", "", "-", "+"]),
        st.one_of(st.integers(0, 10**20).map(str), _digits),
        st.sampled_from([".", ".", "", ".."]),
        st.one_of(_digits, st.just("")),
        st.sampled_from(["", "", "e5", "E+22", "e-7", "e-30", "e300", "e-320", "E400", "e", "e+", "e99999999999"]),
    ),
    st.sampled_from(["0", "-0", "-0.0", "00", "-", "NaN", "-Infinity", "1e400", "1e-400", "0x1", "1_0", "9" * 500]),
    st.sampled_from(["127", "128", "-128", "-129", "2147483647", "2147483648", "-2147483648"]),
    st.sampled_from(["9223372036854775807", "9223372036854775808", "-9223372036854775808", "-9223372036854775809"]),
)
#: What may stand between two quotes, good and bad.
_inside = st.lists(
    st.one_of(
        st.text(st.characters(codec="utf-8", exclude_characters='"\\', min_codepoint=32), max_size=12),
        st.sampled_from(
            ["\\n", "\\u0041", "\\u00e9", "\\u20AC", "\\ud83d\\ude00", "\\\\", '\\"', "\\/", "\\b\\f\\r\\t"]
        ),
        st.sampled_from(["\\u0000", "\\ud83d", "\\ude00", "\\ud83d\\u0041", "\\x", "\\u12", "\n", "\r", "\t", "\x00"]),
        st.sampled_from(["{", "}", "[", "]", ":", ",", "NaN", "Infinity", "\x7f", "é", "€", "😀"]),
    ),
    max_size=4,
).map("".join)
strings = _inside.map(lambda inside: f'"{inside}"')
_words = st.sampled_from(["null", "true", "false", "nul", "True", "nulll", ""])
scalars = st.one_of(numbers, strings, _words)


def _bracketed(brackets: str, parts: list[tuple[str, str, str]]) -> str:
    return brackets[0] + ",".join(f"{before}{part}{behind}" for before, part, behind in parts) + brackets[1]


def lists(items: st.SearchStrategy[str], most: int = 4) -> st.SearchStrategy[str]:
    """Texts of lists."""
    return st.lists(st.tuples(_white, items, _white), max_size=most).map(lambda parts: _bracketed("[]", parts))


def objects(keys: st.SearchStrategy[str], values: st.SearchStrategy[str], most: int = 4) -> st.SearchStrategy[str]:
    """Texts of objects; a key may come twice."""
    field = st.builds("{}{}:{}{}".format, keys, _white, _white, values)
    return st.lists(st.tuples(_white, field, _white), max_size=most).map(lambda parts: _bracketed("{}", parts))


#: Any values.
values = st.recursive(scalars, lambda inner: st.one_of(lists(inner), objects(strings, inner)), max_leaves=6)


def fields(name: str, fitting: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
    """A field of an object whose value mostly is what its column wants."""
    value = st.one_of(fitting, fitting, fitting, fitting, st.just("null"), values)
    key = st.sampled_from([json.dumps(name)] * 8 + [f"{json.dumps(name)} ", '"\\u0074"', '"other"', name])
    return st.builds("{}:{}{}".format, key, _white, value)


@st.composite
def records(draw: st.DrawFn, fields_of: list[st.SearchStrategy[str]]) -> bytes:
    """A record with some of the fields, in any order, now and then one twice or an unknown one; often damaged."""
    order: list[Any] = draw(st.permutations(fields_of)) if draw(st.booleans()) else fields_of
    kept = order[: draw(st.integers(0, len(order)))] if draw(st.booleans()) else order
    parts = [(draw(_white), draw(field), draw(_white)) for field in kept]
    if draw(st.integers(0, 4)) == 0:
        parts.append((draw(_white), draw(st.builds("{}:{}".format, strings, values)), ""))
    if draw(st.integers(0, 15)) == 0 and parts:
        parts.append(draw(st.sampled_from(parts)))
    record = f"{draw(_white)}{_bracketed('{}', parts)}{draw(_white)}".encode("utf-8", "surrogatepass")
    return damaged(draw, record) if draw(st.integers(0, 5)) == 0 else record


def damaged(draw: st.DrawFn, record: bytes) -> bytes:
    """The record with a few bytes changed, cut off, or put in."""
    at = draw(st.integers(0, len(record) - 1))
    some = draw(
        st.one_of(st.binary(max_size=3), st.sampled_from([b"{", b"}", b'"', b",", b":", b"\\", b"\xff", b"\n"]))
    )
    kind = draw(st.integers(0, 4))
    if kind == 0:
        return record[:at]
    if kind == 1:
        return record[:at] + some + record[at + 1 :]
    if kind == 2:
        return record[:at] + some + record[at:]
    if kind == 3:
        return record + some + record
    return draw(st.sampled_from([b"\xef\xbb\xbf", b"\x00", b"[", b"{"])) + record
