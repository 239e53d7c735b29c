"""Spans of time on the terminal."""


def span(seconds: float) -> str:
    """Seconds as people say them: in the unit of which there are at least two.

    >>> span(7_300.0)
    '2 h'
    """
    for unit, size in (("d", 86_400), ("h", 3_600), ("min", 60)):
        if seconds >= 2 * size:
            return f"{seconds / size:.0f} {unit}"
    return f"{max(0.0, seconds):.0f} s"
