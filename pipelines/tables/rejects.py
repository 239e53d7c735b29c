"""Rows that could not be used, counted and sampled."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from sparsewatch.schemas.alerts import counted

#: Most samples for each reason.
SAMPLES = 5
#: Characters of a row that a sample shows.
SHOWN = 80


@dataclass(frozen=True, slots=True)
class Sample:
    """One row that could not be used as it is."""

    path: Path
    #: Its number in the file, from 1. CSV: of the record, counting the header but not blank lines. JSON lines and
    #: Vowpal Wabbit: of the line.
    record: int
    reason: str
    #: What was expected, what came.
    detail: str


@dataclass(slots=True)
class Rejected:
    """Counts and first samples, filled while the input is read."""

    #: Rows that were left out, by reason.
    counts: Counter[str] = field(default_factory=Counter)
    #: Rows that are used without a part that could not be used, by reason.
    ignored: Counter[str] = field(default_factory=Counter)
    #: Infinite values that were read as missing values, by column.
    infinite: Counter[str] = field(default_factory=Counter)
    #: The first of each reason.
    samples: list[Sample] = field(default_factory=list)

    @property
    def rows(self) -> int:
        """Rows that were left out."""
        return self.counts.total()

    def add(self, samples: Sequence[Sample], number: int) -> None:
        """Count `number` rows that are left out for one reason; `samples` are the first of them, at least one."""
        self.counts[samples[0].reason] += number
        self._show(samples)

    def ignore(self, samples: Sequence[Sample], number: int) -> None:
        """As `add`, for rows that are used without a part of them."""
        self.ignored[samples[0].reason] += number
        self._show(samples)

    def lines(self) -> list[str]:
        """The samples, a line each, for the user."""
        return [f"{s.path}, record {s.record}: {s.reason}: {s.detail}" for s in self.samples]

    def summary(self) -> list[str]:
        """The samples, how many rows were left out for each reason, and infinite values."""
        return [
            *self.lines(),
            *(f"{counted(number, 'row')} left out: {reason}" for reason, number in self.counts.items()),
            *self.infinities(),
        ]

    def infinities(self) -> list[str]:
        """How many infinite values were read as missing values, column by column."""
        return [
            f"column {name!r}: {counted(number, 'infinite value')} read as missing"
            for name, number in self.infinite.items()
        ]

    def _show(self, samples: Sequence[Sample]) -> None:
        known = sum(known.reason == samples[0].reason for known in self.samples)
        self.samples.extend(samples[: max(0, SAMPLES - known)])

    def clear(self) -> None:
        """Start again."""
        self.counts.clear()
        self.ignored.clear()
        self.infinite.clear()
        self.samples.clear()


def shown(text: str) -> str:
    """A text as a sample shows it: quoted, cut, on one line.

    >>> shown("a" * 100 + "b") == repr("a" * 80) + "..."
    True
    """
    return repr(text) if len(text) <= SHOWN else repr(text[:SHOWN]) + "..."
