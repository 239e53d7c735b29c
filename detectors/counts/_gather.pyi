from typing import Any

#: Number of what follows.
INTERFACE: int

def gather(
    columns: Any, letters: bytes, chosen: Any, rows: Any, to: Any, /
) -> tuple[bytes, bytes | None, bytes, bytes, bytes | None]:
    """Some rows of some columns, column after column; without Python's lock.

    Args:
        columns: Capsule of a record batch, as Arrow's C data interface has it.
        letters: Of each column that is taken: `n` for numbers of eight bytes, `i` for integers of four, `s` for text,
            `l` for large text.
        chosen: Which columns these are, int32, as many.
        rows: Rows that are taken, int64 of shape (n,); ascending they are read fastest.
        to: Place of each among them, int64 of shape (n,), each of 0 to n - 1 once.

    Returns:
        Numbers, shape (n_numbers * n,), and a bit for each, 0 where it is missing, or None where none is; where texts
        end, int64 of shape (n_texts * n + 1,), their bytes, and bits likewise.

    Raises:
        ValueError: If a column or a row is none of the batch's, or a letter is another.
        MemoryError: Without memory.
    """
