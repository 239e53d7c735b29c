from typing import Any

#: Number of what follows.
INTERFACE: int

def gather(columns: Any, kinds: bytes, rows: Any, to: Any, /) -> tuple[bytes, bytes | None, bytes, bytes, bytes | None]:
    """Some rows of columns, column after column; without Python's lock.

    Args:
        columns: Capsule of a record batch, as Arrow's C data interface has it.
        kinds: A letter a column: `n` for numbers of eight bytes, `s` for text, `l` for large text.
        rows: Rows that are taken, int64 of shape (n,); ascending they are read fastest.
        to: Place of each among them, int64 of shape (n,), each of 0 to n - 1 once.

    Returns:
        Numbers, shape (n_numbers * n,), and a bit for each, 0 where it is missing, or None where none is; where texts
        end, int64 of shape (n_texts * n + 1,), their bytes, and bits likewise.

    Raises:
        ValueError: If there are other columns than kinds, a kind is another, or a row is none of the batch's.
        MemoryError: Without memory.
    """
