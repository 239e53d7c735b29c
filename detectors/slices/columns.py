"""Columns of two samples of rows as codes, and the conditions on them that a slice may be made of.

A condition is `column = value`, `column is missing` or, of numbers with many values, `low <= column < high`. All are
intervals of codes: those of a value hold one code, those of a range as many as it has quantile bins.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import msgspec
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from sparsewatch.detectors.counts.value_hashes import ARROW_TYPES, kind_of

#: Distinct numbers from which on ranges of them are conditions, too.
RANGES_FROM = 64
#: Quantile bins of the sample from before; ranges are of 1, 2, 4 and 8 of them, aligned.
BINS = 16
#: Characters of a value that are shown: of a longer one its beginning and its end, in which long ones often differ.
_VALUE_CHARACTERS, _BEGINNING = 40, 24

Codes = NDArray[np.int64]


class Condition(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What the rows of a slice have in common in one column: a value, or a range of numbers."""

    column: str
    #: None: it is missing, unless there is a range.
    value: str | int | float | None = None
    #: The least number of a range, and the first beyond it; None where it is open.
    at_least: float | None = None
    below: float | None = None

    @property
    def is_range(self) -> bool:
        """Whether it is a range of numbers."""
        return self.at_least is not None or self.below is not None

    @property
    def text(self) -> str:
        """For a person.

        >>> Condition(column="site", value=14).text, Condition(column="price", at_least=2.0, below=3.5).text
        ('site = 14', 'price from 2 to below 3.5')
        """
        if not self.is_range:
            return f"{self.column} is missing" if self.value is None else f"{self.column} = {_shown(str(self.value))}"
        low = "" if self.at_least is None else f" from {self.at_least:g}"
        high = "" if self.below is None else f"{' to' if low else ''} below {self.below:g}"
        return f"{self.column}{low}{high}"


def _shown(value: str) -> str:
    """A value, of a long one its ends.

    >>> _shown("https://shop.example/item/0001/colour/blue?id=77")
    'https://shop.example/ite…lour/blue?id=77'
    """
    ending = _VALUE_CHARACTERS - _BEGINNING - 1
    return value if len(value) <= _VALUE_CHARACTERS else f"{value[:_BEGINNING]}…{value[-ending:]}"


@dataclass(frozen=True)
class Coded:
    """A column of both samples, and its conditions."""

    name: str
    #: Code of each row, shape (n_rows,); 0 is the missing value.
    now: Codes
    before: Codes
    #: Codes of each condition: from the first up to, not including, the second; shape (n_conditions,) each.
    first: Codes
    end: Codes
    #: Value of each code from 1 on, or the borders between bins, ascending.
    values: Any
    is_ranges: bool = False

    def sums(self, counts: Codes) -> Codes:
        """Counts of each condition from those of each code, shape (n_codes,)."""
        below = np.concatenate([[0], np.cumsum(counts)])
        sums: Codes = below[self.end] - below[self.first]
        return sums

    @property
    def n_codes(self) -> int:
        """Codes in use lie below it."""
        return int(self.end.max(initial=1))

    def condition(self, number: int) -> Condition:
        """The condition of a number."""
        first, end = int(self.first[number]), int(self.end[number])
        if first == 0:
            return Condition(column=self.name)
        if not self.is_ranges:
            return Condition(column=self.name, value=self.values[first - 1].as_py())
        borders = self.values
        return Condition(
            column=self.name,
            at_least=float(borders[first - 2]) if first > 1 else None,
            below=float(borders[end - 2]) if end - 2 < borders.size else None,
        )

    def holds(self, number: int, codes: Codes) -> NDArray[np.bool_]:
        """In which rows of these codes a condition holds."""
        held: NDArray[np.bool_] = (codes >= self.first[number]) & (codes < self.end[number])
        return held


def code_columns(now: pa.RecordBatch, before: pa.RecordBatch, names: Sequence[str]) -> list[Coded]:
    """The columns of both samples, those that either lacks or that are of another kind left out.

    Args:
        now: Rows of now: integers, floats, booleans, text or nulls.
        before: Rows of before.
        names: Columns, in the order in which equal explanations are preferred.
    """
    coded: list[Coded] = []
    held = {*now.schema.names} & {*before.schema.names}
    for name in names:
        if name in held:
            coded += _code(name, now.column(name), before.column(name))
    return coded


def _code(name: str, now: Any, before: Any) -> Iterable[Coded]:
    kinds = {kind for column in (now, before) if (kind := kind_of(name, column.type)) is not None}
    if len(kinds) > 1:
        return
    kind = kinds.pop() if kinds else "int"
    both = pa.concat_arrays([column.cast(ARROW_TYPES[kind]) for column in (now, before)])
    if kind == "float":
        # Adding zero makes -0.0 equal to 0.0.
        both = pc.if_else(pc.is_nan(both), None, pc.add(both, 0.0))
    many = _ranges(name, both, len(now)) if kind != "str" else None
    if many is not None:
        yield many
    # Real numbers of many values seldom repeat.
    if many is None or kind == "int":
        encoded = both.dictionary_encode()
        codes = encoded.indices.fill_null(-1).to_numpy(zero_copy_only=False).astype(np.int64) + 1
        places = np.arange(len(encoded.dictionary) + 1)
        yield Coded(name, codes[: len(now)], codes[len(now) :], places, places + 1, encoded.dictionary)


def _ranges(name: str, both: Any, n_now: int) -> Coded | None:
    missing = both.is_null().to_numpy(zero_copy_only=False)
    numbers = both.fill_null(0).to_numpy(zero_copy_only=False)
    held = np.sort(numbers[n_now:][~missing[n_now:]])
    if held.size < RANGES_FROM or np.count_nonzero(np.diff(held)) < RANGES_FROM:
        return None
    borders = np.unique(held[np.arange(1, BINS) * held.size // BINS])
    codes = np.where(missing, 0, np.searchsorted(borders, numbers, side="right") + 1)
    first, end = _aligned(borders.size + 1)
    return Coded(name, codes[:n_now], codes[n_now:], first, end, borders, is_ranges=True)


def _aligned(bins: int) -> tuple[Codes, Codes]:
    """The missing value, then runs of 1, 2, 4 and 8 bins that begin at multiples of their length; none holds all."""
    runs = [(0, 1)]
    length = 1
    while length < bins:
        runs += [(at + 1, min(at + length, bins) + 1) for at in range(0, bins, length)]
        length *= 2
    whole = np.unique(np.array(runs, np.int64), axis=0)
    return whole[:, 0], whole[:, 1]
