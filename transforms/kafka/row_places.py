"""Where the rows of each partition and of each window lie in a batch: in one pass, however many there are of them."""

import numpy as np

_MOST_NUMBERS = np.iinfo(np.uint16).max


def by_partition(partitions: np.ndarray) -> dict[int, slice]:
    """Where the rows of each partition lie.

    Args:
        partitions: Partition of each row, shape (n,), grouped.

    Raises:
        ValueError: If the rows of a partition do not stand together.
    """
    firsts = np.flatnonzero(np.diff(partitions, prepend=-1))
    ends = np.append(firsts[1:], len(partitions))
    rows = map(slice, firsts.tolist(), ends.tolist())
    places = dict(zip(partitions[firsts].tolist(), rows, strict=True))
    if len(places) < len(firsts):
        raise ValueError("expected rows grouped by partition, found one in two places")
    return places


def by_window(windows: np.ndarray, at: np.ndarray, length_us: int) -> dict[int, np.ndarray]:
    """Positions of rows by window, in order of windows.

    Args:
        windows: Start of the window of each row, int64 of shape (n,), multiples of `length_us`.
        at: The positions to divide, ascending, shape (m,).
        length_us: Length of a window.

    Returns:
        By the start of each window those that lie in it, ascending.
    """
    if not len(at):
        return {}
    mine = windows[at]
    lowest, highest = int(mine.min()), int(mine.max())
    if lowest == highest:
        return {lowest: at}
    is_near = (highest - lowest) // length_us <= _MOST_NUMBERS
    # Numbers of 16 bits are sorted by their digits.
    order = np.argsort(((mine - lowest) // length_us).astype(np.uint16) if is_near else mine, kind="stable")
    at, mine = at[order], mine[order]
    firsts = np.flatnonzero(np.append(True, mine[1:] != mine[:-1]))
    ends = [*firsts[1:].tolist(), len(at)]
    rows = [at[first:end] for first, end in zip(firsts.tolist(), ends, strict=True)]
    return dict(zip(mine[firsts].tolist(), rows, strict=True))
