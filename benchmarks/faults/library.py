"""The faults, each with three strengths, what it can be planted in and what a finding about it is right to name."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
import polars as pl

from benchmarks.faults import cells, labels, rows
from benchmarks.faults.stretch import Stretch, Target

Plant = Callable[[pl.DataFrame, Target, float, np.random.Generator], Stretch]
#: Subject of findings about no column.
STREAM = "stream"


@dataclass(frozen=True, kw_only=True)
class Fault:
    """A kind of fault."""

    name: str
    plant: Plant
    #: What one is stands in the docstring of `plant`; rising.
    strengths: tuple[float, float, float]
    #: Fields of `Target` whose columns are concerned; `stream` for the stream as such.
    names: tuple[str, ...]

    @property
    def needs_label(self) -> bool:
        """Whether it can only be planted in a stream with a label."""
        return self.plant.__module__ == labels.__name__ or self.plant is cells.leak

    @property
    def needs_values(self) -> bool:
        """Whether it concerns values that many rows share, and so no column of real numbers."""
        own = (cells.merged, cells.renamed, cells.nulls_of_source, labels.clicks_of_source, rows.source_dropped)
        return self.plant in (*own, cells.nulls_of_slice, cells.salt_of_source)

    @property
    def needs_third(self) -> bool:
        """Whether two columns tell the source that it concerns."""
        return self.plant is cells.nulls_of_slice

    def subjects(self, at: Target) -> set[str]:
        """What a finding about it is right to name."""
        found: set[str] = set()
        for name in self.names:
            if name == STREAM:
                found.add(STREAM)
            elif name == "group":
                found.update(at.group)
            elif name == "new":
                found.add(cells.NEW_COLUMN)
            else:
                found.add(getattr(at, name))
        return found

    def columns(self, at: Target) -> set[str]:
        """Columns in which a cell may differ afterwards."""
        if self.plant.__module__ == labels.__name__:
            return set() if at.label is None else {at.label}
        return self.subjects(at) - {STREAM}


_SOME, _MOST = (0.05, 0.2, 1.0), (0.2, 0.5, 1.0)
FAULTS: tuple[Fault, ...] = (
    Fault(name="nulls", plant=cells.nulls, strengths=_SOME, names=("column",)),
    Fault(name="nulls_of_client", plant=cells.nulls_of_client, strengths=_SOME, names=("group",)),
    Fault(name="nulls_of_source", plant=cells.nulls_of_source, strengths=(0.05, 0.1, 0.3), names=("column",)),
    Fault(name="nulls_of_slice", plant=cells.nulls_of_slice, strengths=(0.02, 0.05, 0.1), names=("column",)),
    Fault(name="constant", plant=cells.constant, strengths=_MOST, names=("column",)),
    Fault(name="unit_x1000", plant=cells.unit, strengths=_SOME, names=("number",)),
    Fault(name="out_of_range", plant=cells.out_of_range, strengths=(0.01, 0.05, 0.2), names=("number",)),
    Fault(name="new_salt", plant=cells.new_salt, strengths=_SOME, names=("column",)),
    Fault(name="salt_of_source", plant=cells.salt_of_source, strengths=(0.05, 0.1, 0.3), names=("column",)),
    Fault(name="merged", plant=cells.merged, strengths=_MOST, names=("column",)),
    Fault(name="renamed", plant=cells.renamed, strengths=(0.01, 0.5, 1.0), names=("column",)),
    Fault(name="shuffled", plant=cells.shuffled, strengths=_MOST, names=("column",)),
    Fault(name="swapped", plant=cells.swapped, strengths=_SOME, names=("column", "other")),
    Fault(name="other_type", plant=cells.other_type, strengths=_SOME, names=("column",)),
    Fault(name="new_column", plant=cells.new_column, strengths=_SOME, names=("new",)),
    Fault(name="drift", plant=cells.drift, strengths=(0.1, 0.3, 1.0), names=("column",)),
    Fault(name="season", plant=cells.season, strengths=(0.1, 0.3, 0.8), names=("column",)),
    Fault(name="leak", plant=cells.leak, strengths=_SOME, names=("column",)),
    Fault(name="label_lost", plant=labels.label_lost, strengths=_SOME, names=(STREAM,)),
    Fault(name="label_delayed", plant=labels.label_delayed, strengths=(0.1, 1.0, 3.0), names=(STREAM,)),
    Fault(name="rate_down", plant=labels.rate_down, strengths=(0.03, 0.1, 0.4), names=(STREAM,)),
    Fault(name="clicks_lost", plant=labels.rate_down, strengths=(0.6, 0.8, 1.0), names=(STREAM,)),
    Fault(name="clicks_of_source", plant=labels.clicks_of_source, strengths=(0.05, 0.1, 0.3), names=(STREAM, "column")),
    Fault(name="source_dropped", plant=rows.source_dropped, strengths=(0.05, 0.1, 0.3), names=(STREAM, "column")),
    Fault(name="doubled", plant=rows.doubled, strengths=_SOME, names=(STREAM,)),
    Fault(name="lost", plant=rows.lost, strengths=(0.05, 0.2, 0.6), names=(STREAM,)),
    Fault(name="bot_known", plant=rows.bot_known, strengths=(0.02, 0.1, 0.5), names=(STREAM, "column")),
    Fault(name="bot_new", plant=rows.bot_new, strengths=(0.02, 0.1, 0.5), names=(STREAM, "column")),
    Fault(name="clock_skew", plant=rows.clock_skew, strengths=_SOME, names=(STREAM,)),
)


def plantable(at: Target, columns: Mapping[str, str]) -> list[Fault]:
    """The faults that can be planted in a stream.

    Args:
        at: Where.
        columns: Type of each column.
    """

    def fits(fault: Fault) -> bool:
        return (
            (at.label is not None or not fault.needs_label)
            and (at.number is not None or "number" not in fault.names)
            and (at.third is not None or not fault.needs_third)
            and (columns[at.column] != "float" or not fault.needs_values)
        )

    return list(filter(fits, FAULTS))
