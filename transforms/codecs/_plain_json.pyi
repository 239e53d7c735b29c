from collections.abc import Sequence
from typing import Any

#: Number of what follows.
INTERFACE: int

class Decoder:
    """Reads plain JSON records into columns in the layout of Arrow; one thread at a time, without Python's lock.

    Args:
        names: UTF-8 of each column's name, none of them twice or with a character that JSON escapes.
        kinds: Of each column, as in Arrow's C data interface: `c`, `i`, `l` (integers of 8, 32 and 64 bits), `f`, `g`
            (floats of 32 and 64), `b` (bool), `u` (text); `+l` and one of these but `u` is a list.

    Raises:
        ValueError: If a name or kind is none of these.
    """

    def __new__(cls, names: tuple[bytes, ...], kinds: tuple[bytes, ...]) -> Decoder: ...
    def decode(self, values: Sequence[bytes], /) -> None:
        """Adds a row for each record.

        Raises:
            RuntimeError: If another thread is at it.
        """

    def decode_spans(self, data: Any, starts: Any, lengths: Any, /) -> None:
        """As `decode`, of records that lie in one buffer.

        Args:
            data: Bytes with the records in any order.
            starts: Where each begins, int64 of shape (n,).
            lengths: Bytes of each, int64 of shape (n,).

        Raises:
            ValueError: If a record leaves the buffer.
            RuntimeError: If another thread is at it.
        """

    def aside(self) -> tuple[Any, Any, Any, Any]:
        """Values of plain records that do not plainly fit their column, since the last call; their cells are null.

        Returns:
            Of each its row and its column, int64, rows ascending, and where its text ends, int64, in the last: their
            texts, one behind the other.
        """

    def others(self) -> bool:
        """Whether a plain record since the end before has a field that is no column."""

    def clear(self, rows: Any, /) -> None:
        """Makes rows null, int64 of shape (n,).

        Raises:
            ValueError: If a row is not there.
        """

    def finish(self) -> tuple[list[tuple[int, int, tuple[Any, ...]]], Any]:
        """The rows since the last call; the next begin anew.

        Returns:
            Of each column its rows, how many of them are null, and the buffers of Arrow's array, None for no
            validity; behind the two of a list the same of its items. And int64 places of the records that are not
            plain, whose rows are null.
        """
