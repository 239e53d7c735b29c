"""Numbers and names as a reader can use them, on the screen, on pages and in pictures."""

from collections.abc import Sequence

from sparsewatch.pipelines.console.printable import printable
from sparsewatch.schemas.alerts import number

#: Names in a list before the rest is only counted.
LISTED = 5
_SIZES = ("bytes", "kB", "MB", "GB", "TB")


def score(x: float) -> str:
    """Six decimals, as many as 10 million rows determine."""
    return f"{round(x, 6) + 0.0:.6f}"


def share(x: float) -> str:
    """Per cent with one decimal; a share that is neither 0 nor 1 is not rounded to 0 or 100 %."""
    if x in (0, 1):
        return f"{100 * x:.0f} %"
    if 0 < x < 0.0005:
        return "<0.1 %"
    if 0.9995 <= x < 1:
        return ">99.9 %"
    return f"{round(100 * x, 1) + 0.0:.1f} %"


def probability(p: float) -> str:
    """Three decimals, below that the power of ten."""
    if p < 1e-99:
        return "<1e-99"
    return f"{p:.3f}" if p >= 0.001 else f"{p:.0e}"


def quantity(x: float) -> str:
    """Five digits of any number."""
    if abs(x) < 1e15 and x == round(x):
        return number(int(x))
    return f"{x:,.0f}" if 1e5 <= abs(x) < 1e15 else f"{x:.5g}"


def size(n: float) -> str:
    """Bytes in the largest unit that leaves a whole one, of 1,000 each."""
    for unit in _SIZES:
        if n < 1_000 or unit == _SIZES[-1]:
            break
        n /= 1_000
    return f"{n:.0f} {unit}" if unit == "bytes" or n >= 100 else f"{n:.1f} {unit}"


def listed(names: Sequence[str], most: int = LISTED) -> str:
    """Names, the rest counted; safe to show."""
    shown = ", ".join(printable(name) for name in names[:most])
    return f"{shown} and {number(len(names) - most)} more" if len(names) > most else shown


def shortened(text: str, most: int) -> str:
    """Text of `most` characters at most, safe to show.

    >>> shortened("a_long_name", 6)
    'a_lon…'
    """
    text = printable(text)
    return text if len(text) <= most else f"{text[: most - 1]}…"
