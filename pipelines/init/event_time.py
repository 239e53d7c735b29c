"""Which column of a sample holds the event times, and how they are written.

A column is a candidate if nearly all of its values are times of this century in a format that a stream reads. Numbers
of such a size may be anything, so there must be evidence besides: times that lie near the records' own Kafka
timestamps, a name, or an order that follows that of the records. The candidate with the best evidence is taken; where a
topic has none, the records' own timestamps serve.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, get_args

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from sparsewatch.pipelines.init.sample import Column, Sample, words_of
from sparsewatch.pipelines.tables.columns import listed
from sparsewatch.pipelines.tables.times import readings
from sparsewatch.schemas.errors import ConfigError
from sparsewatch.schemas.jobs import RECORD_TIME, TimeFormat
from sparsewatch.schemas.settings import nearest
from sparsewatch.schemas.units import DAY_US, moment_text
from sparsewatch.transforms.codecs.events import event_times_us

_FORMATS = get_args(TimeFormat)
#: Share of a column's events that must have a time.
_LEAST_SHARE = 0.9
#: Share at either end of a column's numbers that may lie anywhere: a few are always wrong.
_TRIMMED = 0.01
#: Texts that tell whether it is worth reading all.
_FEW = 100
#: Distance from the records' own timestamps within which times are of the same events.
_NEAR_US = DAY_US
#: Median distance to the newest time before, as a share of the whole span, of times in the order of their records.
_ORDERED = 0.1
_NAMES = frozenset({"time", "timestamp", "ts", "datetime", "eventtime", "clicktime"})
_WEAK_NAMES = frozenset({"at", "date", "day", "hour", "when", "epoch", "created", "occurred", "t", "ms", "millis"})
#: Of times at which something else happened than the event.
_OTHER_TIMES = frozenset(
    {"ingest", "ingested", "ingestion", "received", "processed", "processing", "updated", "modified", "expires"}
    | {"expiry", "expiration", "birth", "signup", "registered", "inserted", "loaded"}
)


@dataclass(frozen=True, slots=True)
class TimeColumn:
    """A column of times, or the records' own timestamps."""

    #: `RECORD_TIME` for the latter.
    name: str
    format: TimeFormat
    #: Microseconds since the epoch, -1 where an event has none, shape (n,).
    times_us: NDArray[np.int64]
    #: Median of the records' own timestamps less the times, microseconds; None where records have no timestamps.
    behind_us: int | None
    #: By name: 2 a time, 1 perhaps one or the time of something else, 0 neither.
    named: int
    ordered: bool
    #: Why the records' own timestamps serve; empty for a column.
    why: str = ""

    @property
    def near(self) -> bool:
        """Whether the times are those of the records, as far as these have any."""
        return self.behind_us is not None and abs(self.behind_us) <= _NEAR_US

    @property
    def usable(self) -> NDArray[np.bool_]:
        """Which events have a time, shape (n,)."""
        return self.times_us >= 0

    @property
    def is_plausible(self) -> bool:
        """Whether anything but the size of its numbers says that it is a time."""
        return self.near or self.named > 0 or self.ordered

    @property
    def evidence(self) -> tuple[bool, int, bool, float]:
        """How good a candidate it is; of two that are equal the event comes before what was done with it."""
        first = self.times_us[self.usable]
        return self.near, self.named, self.ordered, -float(np.median(first))


def find_times(sample: Sample, asked: str | None = None) -> list[TimeColumn]:
    """The columns of times, the best candidate first.

    Args:
        sample: The events.
        asked: The column that a user names; it rules.

    Raises:
        ConfigError: If there is none, or the one asked for holds no times that a stream reads.
    """
    if asked == RECORD_TIME:
        return [_record_time(sample, "asked for"), *_plausible(sample)]
    if asked is not None and asked not in sample.columns:
        known = list(sample.columns)
        raise ConfigError(f"--time-column: expected one of {', '.join(known)}, got {asked!r}{nearest(asked, known)}")
    if asked is None:
        return _plausible(sample) or [_record_time(sample, f"no column holds event times{_doubts(sample)}")]
    chosen = _time_of(sample.columns[asked], sample)
    if chosen is None:
        raise ConfigError(f"--time-column {asked!r}: {_why_none(sample.columns[asked], sample)}")
    return [chosen, *(time for time in _plausible(sample) if time.name != asked)]


def _plausible(sample: Sample) -> list[TimeColumn]:
    """Columns that are times by more than the size of their numbers, the best first."""
    found = [time for column in sample.columns.values() if (time := _time_of(column, sample)) is not None]
    return sorted((time for time in found if time.is_plausible), key=lambda time: time.evidence, reverse=True)


def _record_time(sample: Sample, why: str) -> TimeColumn:
    """The records' own timestamps, where they have any.

    Raises:
        ConfigError: If they have none.
    """
    if not (sample.timestamps_ms >= 0).any():
        raise ConfigError(_no_time(sample))
    times = np.where(sample.timestamps_ms >= 0, sample.timestamps_ms * 1_000, -1)
    return TimeColumn(RECORD_TIME, "epoch_ms", times, behind_us=0, named=2, ordered=True, why=why)


def _time_of(column: Column, sample: Sample) -> TimeColumn | None:
    """The column as times; None if it holds none that a stream reads."""
    read = _read(column)
    if read is None or (read[1] >= 0).mean() < _LEAST_SHARE:
        return None
    form, times = read
    usable = times >= 0
    stamped = usable & (sample.timestamps_ms >= 0)
    behind = sample.timestamps_ms[stamped] * 1_000 - times[stamped]
    return TimeColumn(
        name=column.name,
        format=form,
        times_us=times,
        behind_us=int(np.median(behind)) if behind.size else None,
        named=_named(column.name),
        ordered=_is_ordered(times[usable], sample.partitions[usable]),
    )


def _read(column: Column) -> tuple[TimeFormat, NDArray[np.int64]] | None:
    if column.kind == "str":
        return _read_texts(column.values)
    numbers = column.whole
    if numbers is None:
        return None
    form = next((form for form in readings(_middle(numbers)) if form in _FORMATS), None)
    return None if form is None else (form, _times(numbers, form))  # type: ignore[return-value, arg-type]


def _read_texts(texts: pa.Array) -> tuple[TimeFormat, NDArray[np.int64]] | None:
    few = texts.drop_null()[:_FEW]
    if not len(few) or (_times(few, "iso8601") >= 0).mean() < _LEAST_SHARE:
        return None
    return "iso8601", _times(texts, "iso8601")


def _times(values: pa.Array, form: TimeFormat) -> NDArray[np.int64]:
    times, usable = event_times_us(values, form)
    return np.where(usable, times, -1)


def _middle(numbers: pa.Array) -> NDArray[np.int64]:
    """The numbers in order, less a few at either end."""
    ordered = np.sort(numbers.drop_null().to_numpy())
    cut = int(len(ordered) * _TRIMMED)
    return ordered[cut : len(ordered) - cut]


def _named(name: str) -> int:
    words = {*words_of(name), "".join(words_of(name))}
    if not words & (_NAMES | _WEAK_NAMES):
        return 0
    return 2 if words & _NAMES and not words & _OTHER_TIMES else 1


def _is_ordered(times_us: NDArray[np.int64], partitions: NDArray[np.int32]) -> bool:
    """Whether times follow the order of the records."""
    span = int(np.ptp(times_us))
    late = [np.maximum.accumulate(own) - own for p in np.unique(partitions) if len(own := times_us[partitions == p])]
    return span > 0 and float(np.median(np.concatenate(late))) <= _ORDERED * span


def _no_time(sample: Sample) -> str:
    ways = (
        "--time-column C names one; a producer must write it as whole seconds, milli- or microseconds since 1970, or "
        "as ISO 8601"
    )
    if not sample.is_topic:
        ways += "; `sparsewatch publish --start TIME --interval STEP` gives times to events that have none"
    doubts = _doubts(sample) or f", the columns are {listed(list(sample.columns))}"
    return f"{sample.name}: no column holds event times{doubts}. {ways}"


def _doubts(sample: Sample) -> str:
    """Why columns that may be meant as times are none, in brackets; empty if there are none."""
    doubts = [f"{c.name!r}: {_why_none(c, sample)}" for c in sample.columns.values() if _may_be_time(c)]
    return f" ({'; '.join(doubts)})" if doubts else ""


def _may_be_time(column: Column) -> bool:
    return _named(column.name) > 0 or any(form not in _FORMATS for form in _other_readings(column))


def _other_readings(column: Column) -> dict[str, int]:
    return {} if column.whole is None else readings(_middle(column.whole))


def _why_none(column: Column, sample: Sample) -> str:
    """Why a column is none of event times."""
    if column.unfit:
        return column.unfit
    if not column.present:
        return "it is null in all events"
    shown = column.values.drop_null()[0].as_py()
    ways = list(_ways(column, sample))
    return f"expected times, got values such as {str(shown)[:40]!r}{'; ' if ways else ''}{', '.join(ways)}"


def _ways(column: Column, sample: Sample) -> Iterator[str]:
    for form, time_us in _other_readings(column).items():
        option = f"with --time-column {column.name} --input-time-format {form}"
        yield f"{moment_text(time_us)[:10]} {f'as {form}, which a stream does not read' if sample.is_topic else option}"
    if column.kind == "float" and column.whole is None:
        yield "a stream reads whole numbers"
    if column.kind == "str" and _are_digits(column.values):
        yield "a stream reads numbers, or texts of ISO 8601"


def _are_digits(texts: Any) -> bool:
    return all(text.isdigit() for text in texts.drop_null()[:_FEW].to_pylist())
