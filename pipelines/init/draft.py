"""What a kind of job makes of a sample: its part of a job file, and what must be made for it to run.

A kind names a function as `drafted_by`; it takes `Findings` and gives a `Draft`, or says why there can be none.
"""

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from sparsewatch.pipelines.init.event_time import TimeColumn
from sparsewatch.pipelines.init.pace import EVENTS_A_WINDOW, Pace
from sparsewatch.pipelines.init.sample import Column, Sample
from sparsewatch.pipelines.init.toml_text import Entry, Lines, comment, table, toml
from sparsewatch.schemas.alerts import counted

#: Share of different values from which on each value of a column is nearly a name of its own.
_MANY = 0.5


@dataclass(frozen=True, slots=True, kw_only=True)
class Findings:
    """What was found in a sample, and what the user wishes."""

    #: Name of the job.
    name: str
    sample: Sample
    time: TimeColumn
    #: Further columns of times.
    other_times: Sequence[TimeColumn]
    pace: Pace
    label: str | None = None
    #: Folder of a model.
    model: str | None = None

    def events(self) -> list[Column]:
        """Columns that tell of an event and that a job can have: neither its time nor another time."""
        times = {self.time.name, *(time.name for time in self.other_times)}
        return [column for column in self.sample.columns.values() if column.name not in times and not column.unfit]

    def left_out(self) -> dict[str, str]:
        """Why other columns are none of a job, by name."""
        unfit = {column.name: column.unfit for column in self.sample.columns.values() if column.unfit}
        return unfit | {time.name: "another time: each of its values is new" for time in self.other_times}


@dataclass(frozen=True, slots=True, kw_only=True)
class Draft:
    """A kind's part of a job file."""

    #: How well the kind suits the sample; the highest is taken where the user names none.
    suits: int
    #: Its keys at the top of the file.
    keys: Sequence[Entry]
    #: Its tables, after those of every job.
    tables: Sequence[Lines]
    #: Events that a window is to hold.
    window_events: int = EVENTS_A_WINDOW
    #: Columns that every job of the kind reads, though none could be declared: lists, for one.
    reads: Collection[str] = ()
    #: For the user: what was chosen.
    told: Sequence[tuple[str, str]] = ()
    #: What must be there first, and how it comes there; empty if nothing is lacking.
    lacks: str = ""
    #: Makes what is not there yet; called once the file is to be written.
    make: Callable[[], None] | None = None
    #: Folders that it makes, which must not be there.
    makes: Sequence[Path] = field(default_factory=list)


def column_tables(
    findings: Findings, columns: Sequence[Column], aside: Mapping[str, str], notes: Mapping[str, str]
) -> Lines:
    """The table of columns, and those that are left out, with the reasons.

    Args:
        findings: The sample.
        columns: Columns of the job.
        aside: Why columns are left out that the job could have, by name.
        notes: What to say of columns besides their values.
    """
    entries = [
        Entry(column.name, column.kind or "", "; ".join(filter(None, (notes.get(column.name), _told(column)))))
        for column in columns
    ]
    reasons = {**aside, **findings.left_out()}
    left_out = [comment(f"{_declared(findings.sample.columns[name])}: {why}") for name, why in reasons.items()]
    return [*table("columns", entries), *([comment("Left out:"), *left_out] if left_out else [])]


def _declared(column: Column) -> str:
    return toml(column.name) if column.kind is None else f"{toml(column.name)} = {toml(column.kind)}"


def _told(column: Column) -> str:
    """A column's values, in words."""
    told = [_values(column)]
    if missing := len(column.values) - column.present - column.mistyped:
        told.append(f"{missing / len(column.values):.2%} missing")
    if column.mistyped:
        told.append(f"{counted(column.mistyped, 'value')} of another type, such as {column.example}, will be missing")
    return ", ".join(told)


def _values(column: Column) -> str:
    if column.distinct == 1:
        return f"always {str(column.values.drop_null()[0].as_py())[:40]!r}"
    many = column.kind in ("int", "float") and column.distinct > _MANY * column.present
    return f"{counted(column.distinct, 'value')}{', a number' if many else ''}"
