"""Text that came from outside, made safe to show."""


def printable(text: str) -> str:
    """Text that cannot move the cursor, change colours or reverse what is written."""
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)
