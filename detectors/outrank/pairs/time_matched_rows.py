"""Rows paired with others of their second, of the second before and of the second after."""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

Rows = NDArray[np.int64]

SECOND_US = 1_000_000
#: A sample of rows takes whole stretches of this length, so that whole seconds stand side by side.
STRETCH_US = 10 * SECOND_US


class Partners(NamedTuple):
    """Rows that have a partner of each kind, in order of time, and these partners; shape (n_pairs,) each."""

    rows: Rows
    #: Another row of the same second.
    same: Rows
    before: Rows
    after: Rows


def partners_of(event_time_us: NDArray[np.int64]) -> Partners:
    """Partners of the rows whose second holds another row and whose neighbouring seconds hold some.

    The partner in the same second is the next row there, and the first row for the last; in a neighbouring second it
    is the row at the same place, modulo the rows there. Rows of a second stay in the order they came.

    Args:
        event_time_us: Microseconds since the epoch, in any order, shape (n_rows,).
    """
    order = np.argsort(event_time_us // SECOND_US, kind="stable")
    seconds, starts, sizes = np.unique(event_time_us[order] // SECOND_US, return_index=True, return_counts=True)
    gaps = np.diff(seconds, prepend=seconds[:1] - 2, append=seconds[-1:] + 2)
    usable = (sizes > 1) & (gaps[:-1] == 1) & (gaps[1:] == 1)
    second = np.repeat(np.arange(seconds.size), sizes)
    place = np.arange(order.size) - np.repeat(starts, sizes)
    paired = usable[second]
    second, place = second[paired], place[paired]

    def row_of(second: Rows, place: Rows) -> Rows:
        return order[starts[second] + place % sizes[second]]

    return Partners(order[paired], row_of(second, place + 1), row_of(second - 1, place), row_of(second + 1, place))
