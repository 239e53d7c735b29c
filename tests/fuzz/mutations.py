"""Bytes damaged at random: bits, stretches, numbers, lines; and pieces of two inputs put together.

A *local* change leaves all but a short stretch as it was, so a reader may be held to what the rest says.
"""

import random
import re
from collections.abc import Callable, Sequence
from typing import NamedTuple

#: Longest stretch that a local change removes.
_SHORT = 40
#: What readers trip over.
ODD = (
    *(b"1e308", b"-9999999999999", b"18446744073709551616", b"1e400", b"-0", b"nan", b"007", b"1_000", b"0x1f"),
    *(b"{", b"}", b"[", b"]", b";", b",", b":", b'"', b"'", b"\\", b"|", b"=", b"#", b"_", b"null", b"true"),
    *(b"\0", b"\n", b"\r", b"\r\n", b"\t", b" ", b"\x1a", b"\xff", b"\xef\xbb\xbf", b"\xed\xa0\x80"),
    *(b"\\ud800", "\u2028".encode(), "é".encode(), "\u0661".encode(), b"x" * 5000, b"[" * 2000, b'{"a":' * 600),
)  # fmt: skip
#: Numbers at the edges of what types hold.
EXTREMES = (
    *(b"0", b"-1", b"1", b"127", b"128", b"255", b"65536", b"2147483647", b"2147483648", b"-2147483649"),
    *(b"9223372036854775807", b"9223372036854775808", b"-9223372036854775808", b"18446744073709551615"),
    *(b"9" * 400, b"1e308", b"1e309", b"-1e309", b"1e-320", b"0.0000001", b"NaN", b"1152921504606846976", b"", b"1.5"),
)
_NUMBER = re.compile(rb"-?\d+(?:\.\d+)?(?:[eE][-+]?\d+)?")
_BINARY_EXTREMES = (
    *(0, 1, 0x7F, 0x80, 0xFF, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFF),
    *(1 << 60, (1 << 63) - 1, 1 << 63, (1 << 64) - 1),
)


class Mutated(NamedTuple):
    """A damaged input."""

    data: bytes
    #: Whether a single local change was made.
    local: bool


Change = Callable[[bytes, random.Random], bytes]


def mutate(seeds: Sequence[bytes], at: int, rng: random.Random, *, text: bool) -> Mutated:
    """Seed `at` with one to three changes.

    Args:
        seeds: Sound inputs; pieces of another may come in.
        at: Position of the seed.
        rng: Chance.
        text: Whether lines, words and numbers are changed, too.
    """
    data, rounds = seeds[at], rng.choice((1, 1, 1, 2, 3))
    local = rounds == 1
    for _ in range(rounds):
        if rng.random() < 0.15:
            data, local = splice(data, rng.choice(seeds), rng), False
            continue
        changes = _LOCAL if rng.random() < 0.75 else _FAR
        change = rng.choice(changes[text])
        data, local = change(data, rng), local and changes is _LOCAL
    return Mutated(data, local)


def splice(data: bytes, other: bytes, rng: random.Random) -> bytes:
    """The begin of an input and the end of another."""
    return data[: _place(data, rng)] + other[_place(other, rng) :]


def _place(data: bytes, rng: random.Random) -> int:
    return rng.randrange(len(data) + 1)


def _flip_bits(data: bytes, rng: random.Random) -> bytes:
    changed = bytearray(data)
    for _ in range(rng.randint(1, 4) if data else 0):
        changed[rng.randrange(len(changed))] ^= 1 << rng.randrange(8)
    return bytes(changed)


def _other_bytes(data: bytes, rng: random.Random) -> bytes:
    changed = bytearray(data)
    for _ in range(rng.randint(1, 4) if data else 0):
        changed[rng.randrange(len(changed))] = rng.randrange(256)
    return bytes(changed)


def _put_odd(data: bytes, rng: random.Random) -> bytes:
    at = _place(data, rng)
    return data[:at] + rng.choice(ODD) + data[at:]


def _put_bytes(data: bytes, rng: random.Random) -> bytes:
    at = _place(data, rng)
    return data[:at] + rng.randbytes(rng.randint(1, 8)) + data[at:]


def _lose_short(data: bytes, rng: random.Random) -> bytes:
    at = _place(data, rng)
    return data[:at] + data[at + rng.randint(1, _SHORT) :]


def _binary_number(data: bytes, rng: random.Random) -> bytes:
    width, at = rng.choice((1, 2, 4, 8)), _place(data, rng)
    number = rng.choice(_BINARY_EXTREMES) % (1 << 8 * width)
    return data[:at] + number.to_bytes(width, rng.choice(("little", "big"))) + data[at + width :]


def _cut(data: bytes, rng: random.Random) -> bytes:
    return data[: _place(data, rng)]


def _text_number(data: bytes, rng: random.Random) -> bytes:
    found = list(_NUMBER.finditer(data))
    if not found:
        return _put_odd(data, rng)
    number = rng.choice(found)
    return data[: number.start()] + rng.choice(EXTREMES) + data[number.end() :]


def _case(data: bytes, rng: random.Random) -> bytes:
    at = _place(data, rng)
    end = at + rng.randint(1, 12)
    return data[:at] + data[at:end].swapcase() + data[end:]


def _joined(separator: bytes, change: Callable[[list[bytes], random.Random], None]) -> Change:
    def changed(data: bytes, rng: random.Random) -> bytes:
        parts = data.split(separator)
        change(parts, rng)
        return separator.join(parts)

    return changed


def _lose_part(parts: list[bytes], rng: random.Random) -> None:
    del parts[rng.randrange(len(parts))]


def _double_part(parts: list[bytes], rng: random.Random) -> None:
    at = rng.randrange(len(parts))
    parts.insert(rng.choice((at, rng.randrange(len(parts) + 1))), parts[at])


def _swap_parts(parts: list[bytes], rng: random.Random) -> None:
    i, j = rng.randrange(len(parts)), rng.randrange(len(parts))
    parts[i], parts[j] = parts[j], parts[i]


def _stretch(data: bytes, rng: random.Random) -> tuple[int, int]:
    first, last = sorted((_place(data, rng), _place(data, rng)))
    return first, last


def _lose_stretch(data: bytes, rng: random.Random) -> bytes:
    first, last = _stretch(data, rng)
    return data[:first] + data[last:]


def _double_stretch(data: bytes, rng: random.Random) -> bytes:
    first, last = _stretch(data, rng)
    at = rng.choice((last, _place(data, rng)))
    return data[:at] + data[first:last] + data[at:]


def _empty_stretch(data: bytes, rng: random.Random) -> bytes:
    first, last = _stretch(data, rng)
    return data[:first] + bytes((rng.choice((0, 255, 32)),)) * (last - first) + data[last:]


_LOCAL_BYTES: tuple[Change, ...] = (
    _flip_bits,
    _other_bytes,
    _put_odd,
    _put_bytes,
    _lose_short,
    _binary_number,
    _cut,
)
_LOCAL_TEXT: tuple[Change, ...] = (
    _text_number,
    _text_number,
    _case,
    _joined(b" ", _lose_part),
    _joined(b"\n", _lose_part),
    _joined(b"\n", _double_part),
    _joined(b"\n", _swap_parts),
)
_FAR_BYTES: tuple[Change, ...] = (_lose_stretch, _double_stretch, _empty_stretch)
_FAR_TEXT: tuple[Change, ...] = (
    _joined(b" ", _double_part),
    _joined(b" ", _swap_parts),
    _joined(b";", _swap_parts),
    _joined(b",", _lose_part),
    _joined(b",", _swap_parts),
    _joined(b"\n", _double_part),
)
#: By whether the input is text.
_LOCAL = {False: _LOCAL_BYTES, True: (*_LOCAL_BYTES, *_LOCAL_TEXT)}
_FAR = {False: _FAR_BYTES, True: (*_FAR_BYTES, *_FAR_TEXT)}
