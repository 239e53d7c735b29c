"""What a reader of JSON is put through, here and in the environment of others: nothing but the standard library."""

import time
from collections.abc import Callable, Mapping, Sequence
from typing import TypedDict

#: Records, and the kind of each column: `int`, `float` or `str`.
Reader = Callable[[Sequence[bytes], Mapping[str, str]], object]

_KINDS = {"s": "str", "i": "int", "f": "float"}
_RECORD = b'{"s":"a","i":1,"f":0.5}'
#: Records that a strict reader refuses.
_ODD = {
    "a number for a text": _RECORD.replace(b'"a"', b"7"),
    "a text for an integer": _RECORD.replace(b"1", b'"7"'),
    "a fraction for an integer": _RECORD.replace(b"1", b"7.5"),
    "a truth value for an integer": _RECORD.replace(b"1", b"true"),
    "NaN": _RECORD.replace(b"0.5", b"NaN"),
    "broken UTF-8": _RECORD.replace(b"a", b"\xff"),
    "a line break in a text": _RECORD.replace(b"a", b"a\nb"),
    "a tab in a text": _RECORD.replace(b"a", b"a\tb"),
}


class Trial(TypedDict):
    """A figure and a verdict."""

    #: Processor time a record, of all threads.
    us: float
    #: What it takes without a word, of what is not right.
    takes: list[str]


def trial(read: Reader, records: Sequence[bytes], kinds: Mapping[str, str]) -> Trial:
    """One round.

    Raises:
        Exception: Whatever the reader raises at a right record.
    """
    # Once for what is done but once, such as to look up a schema.
    read(records, kinds)
    return Trial(us=us_each(lambda: read(records, kinds), len(records)), takes=_taken(read))


def us_each(work: Callable[[], object], rows: int) -> float:
    """Processor time of all threads, microseconds a row."""
    begun = time.process_time()
    work()
    return (time.process_time() - begun) / rows * 1e6


def _taken(read: Reader) -> list[str]:
    read([_RECORD], _KINDS)
    return [name for name, record in _ODD.items() if _takes(read, record)]


def _takes(read: Reader, record: bytes) -> bool:
    try:
        read([record], _KINDS)
    except Exception:  # noqa: BLE001  each library has errors of its own
        return False
    return True
