from typing import Any

#: Number of what follows.
INTERFACE: int

def count(
    seed: int,
    width: int,
    first: int,
    count: int,
    values: Any,
    text: Any,
    valid: Any,
    rows: Any,
    clicks: Any,
    /,
) -> tuple[bytes, bytes | None, bytes, bytes, int, int]:
    """Distinct values in the order they first appear, and the sums of their rows and clicks; without Python's lock.

    Args:
        seed: Of the hash, below 2**64: no one can make values that collide.
        width: Bytes of a number, 8, or of a text's offset, 4 or 8.
        first: Row at which the buffers' rows begin to count.
        count: Rows, fewer than 2**31 - 1.
        values: Buffer of numbers, or of the offsets of texts, as in an Arrow array.
        text: Buffer of the texts' bytes; None where values are numbers.
        valid: Buffer of a bit a row, 0 where the value is missing; None where none is.
        rows: Rows that each row counts for, int64 of shape (count,); None if each counts once.
        clicks: Of each row: int64 with `rows`, else uint8, shape (count,).

    Returns:
        The values: numbers of eight bytes and None, or offsets of texts, int64 of shape (n_distinct + 1,), and their
        bytes; rows and clicks of each, int64 of shape (n_distinct,); rows and clicks of the missing value.

    Raises:
        ValueError: If a buffer is too short, or a text lies outside of its bytes.
        MemoryError: Without memory.
    """
