"""What a file says of the number of a wafer's defects, against what it lists.

A wafer whose list was lost, or cut, would pass for a clean one; so the counts of a summary, or at a list's head, are
compared with the list: of the whole wafer, and test by test where a file counts several tests.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from sparsewatch.schemas.alerts import counted

#: Most rows of a wafer's summary.
MOST_SUMMARY = 10_000

Floats = NDArray[np.float64]


@dataclass(slots=True)
class Declared:
    """Counts that a file declares for one wafer."""

    #: The statement or list that declares them.
    source: str = "SummaryList"
    #: Defects by test; the tests are numbered in order where the file does not number them.
    by_test: dict[int, int] = field(default_factory=dict)
    #: Whether the file numbers the tests.
    numbered: bool = True
    #: Whether the list must have as many; else it may be a part of what was counted, such as a sample for review, and
    #: only an empty list is a lost one.
    binding: bool = True

    @property
    def total(self) -> int:
        """Defects of all tests."""
        return sum(self.by_test.values())

    def read(self, columns: Sequence[str], rows: Sequence[Sequence[str]]) -> str | None:
        """Take rows of a summary; returns what is wrong with them.

        Args:
            columns: Names in upper case; NDEFECT among them.
            rows: Values of each row, one a column.
        """
        place = columns.index("NDEFECT")
        test = columns.index("TESTNO") if "TESTNO" in columns else None
        self.numbered &= test is not None
        for number, row in enumerate(rows, len(self.by_test) + 1):
            of_test = str(number) if test is None else row[test]
            if not (row[place].isdecimal() and of_test.isdecimal()) or len(row[place]) > 9 or len(of_test) > 9:
                return f"expected TESTNO and NDEFECT a whole number each, got {of_test[:20]!r} and {row[place][:20]!r}"
            if self.by_test.setdefault(int(of_test), int(row[place])) != int(row[place]):
                known = self.by_test[int(of_test)]
                return f"expected one number of defects for test {of_test}, got {known} and {row[place][:20]}"
        return None


@dataclass(frozen=True, slots=True)
class Places:
    """Where the defects of a list lie, and what names them; shape (defects,) each."""

    #: Squares that count as one place.
    column: Floats
    row: Floats
    #: DEFECTID and TEST, where the file has them.
    ids: Floats | None
    tests: Floats | None

    def distinct(self) -> NDArray[np.int64]:
        """Indices of the first defect of each place, ascending."""
        return _firsts(self.column, self.row)

    def possible_counts(self) -> tuple[int, int]:
        """Numbers that a summary may state: of distinct places, and of records that do not repeat one word by word.

        A station may list a defect again with each of its images, but counts it once.
        """
        return len(self.distinct()), len(self._unrepeated())

    def of_test(self, test: int) -> "Places":
        """The defects of one test."""
        assert self.tests is not None
        chosen = self.tests == test
        ids = None if self.ids is None else self.ids[chosen]
        return Places(self.column[chosen], self.row[chosen], ids, self.tests[chosen])

    def _unrepeated(self) -> NDArray[np.int64]:
        if self.ids is None or not len(self.ids) or (self.ids == self.ids[0]).all():
            return np.arange(len(self.column))
        named = [self.ids] if self.tests is None else [self.ids, self.tests]
        return _firsts(self.column, self.row, *named)


def difference(declared: Declared, places: Places) -> str | None:
    """How a list differs from what the file declares, None if it does not."""
    if len(declared.by_test) < 2 or not declared.numbered or places.tests is None:
        return _difference(declared.total, places, declared.source, "")
    if others := sorted(set(places.tests.astype(np.int64).tolist()) - declared.by_test.keys()):
        return f"expected defects of the tests that {declared.source} counts, the list has some of test {others[0]}"
    found = (
        _difference(number, places.of_test(test), declared.source, f" of test {test}")
        for test, number in declared.by_test.items()
    )
    return next((text for text in found if text is not None), None)


def _difference(number: int, places: Places, source: str, of_test: str) -> str | None:
    listed, (distinct, unrepeated) = len(places.column), places.possible_counts()
    if number in (distinct, unrepeated):
        return None
    apart = f", {distinct} of them at places of their own" if distinct != listed else ""
    return f"expected the {counted(number, 'defect')}{of_test} that {source} declares, the list has {listed}{apart}"


def _firsts(*columns: Floats) -> NDArray[np.int64]:
    """First place of each distinct row, ascending."""
    # Stable, so the first of equal rows stays first.
    order = np.lexsort(columns)
    new = np.ones(len(order), dtype=np.bool_)
    new[1:] = np.any([np.diff(column[order]) != 0 for column in columns], axis=0)
    return np.sort(order[new])
