"""The values whose shares changed most, as alerts show them."""

import math
from collections.abc import Sequence
from typing import Any

import msgspec
import numpy as np
import polars as pl
import pyarrow as pa

from sparsewatch.detectors.clicks.known_values import is_known
from sparsewatch.detectors.clicks.value_shares import Movement
from sparsewatch.detectors.counts.counts import Counts, Part
from sparsewatch.detectors.counts.value_hashes import HASH_RANGE, hash_values
from sparsewatch.detectors.counts.value_order import ascending

#: Values an alert shows, and characters of each; those of a value in a message.
EXAMPLES = 5
EXAMPLE_CHARACTERS = 120
_MESSAGE_CHARACTERS = 40
#: A value has taken another's rows where its share rose by this part of theirs, and so many times as far as it would
#: have if they were lost.
_TAKEN, _BEYOND_LOSS = 0.8, 2.0


class Moved(msgspec.Struct, frozen=True, kw_only=True):
    """A value, and its shares of the rows with a value."""

    value: Any
    #: Mean of the reference; 0 of a value that it does not know.
    before: float
    now: float

    def wording(self) -> str:
        """For a message."""
        return f"`{str(self.value)[:_MESSAGE_CHARACTERS]}` went from {self.before:.1%} to {self.now:.1%}"


def most_moved(movement: Movement, held: Part, known: pl.Series, hash_limit: int = HASH_RANGE) -> list[Moved]:
    """The values whose shares changed most, the furthest first: the reference's more frequent ones, and new ones.

    Args:
        movement: Of the feature in the window.
        held: Its values there.
        known: Values that the reference knows: of those beside the more frequent ones it knows no share.
        hash_limit: Of all values whose hashes are below.
    """
    frequent = [moved_at(movement, place) for place in _furthest(movement)]
    is_new = ~is_known(held.values, movement.shares.values) & ~is_known(held.values, known)
    if hash_limit < HASH_RANGE:
        is_new &= hash_values(held.values, repeats=False) < np.uint64(hash_limit)
    news = np.flatnonzero(is_new)
    found = most_frequent(held.values.take(pa.array(news)), held.rows[news])
    new = [Moved(value=value, before=0.0, now=rows / movement.listed) for value, rows in found]
    return sorted([*frequent, *new], key=lambda one: -abs(one.now - one.before))[:EXAMPLES]


def most_frequent(values: Any, rows: Counts) -> list[tuple[Any, int]]:
    """The values with most rows, with these, ties by ascending value.

    Args:
        values: An Arrow array without nulls, shape (n,).
        rows: Of each value.
    """
    most = min(EXAMPLES, rows.size)
    # Only these are put in order: a column of identifiers has many.
    some = np.flatnonzero(rows >= np.partition(rows, -most)[-most]) if most else np.zeros(0, np.int64)
    some = some[ascending(values.take(pa.array(some)))]
    first = some[np.argsort(-rows[some], kind="stable")[:most]]
    return list(zip(values.take(pa.array(first)).to_pylist(), rows[first].tolist(), strict=True))


def moved_at(movement: Movement, place: int) -> Moved:
    """The value at a place."""
    shares = movement.shares
    return Moved(value=shares.values[place], before=float(shares.means[place]), now=float(movement.now[place]))


def taker(movement: Movement, lost: Sequence[int]) -> Moved | None:
    """The one value that has the rows of values that vanished; None if no value has, or if they may as well be lost."""
    share = float(-movement.changes[lost].sum())
    rises = movement.changes[:-1]
    if not rises.size or share <= 0:
        return None
    place = int(np.argmax(rises))
    by_loss = float(movement.shares.means[place]) * share / max(1 - share, share)
    return moved_at(movement, place) if rises[place] >= max(_TAKEN * share, _BEYOND_LOSS * by_loss) else None


def shown(value: Any) -> Any:
    """A value as JSON can state it."""
    if isinstance(value, float) and not math.isfinite(value):
        return str(value)
    return value[:EXAMPLE_CHARACTERS] if isinstance(value, str) else value


def _furthest(movement: Movement) -> list[int]:
    places: list[int] = np.argsort(-np.abs(movement.changes[:-1]), kind="stable")[:EXAMPLES].tolist()
    return places
