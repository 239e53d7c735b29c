"""What a job remembers of its own stream, to judge silences and volume; committed with its progress."""

import msgspec

from sparsewatch.schemas.other_fields import KnownFields
from sparsewatch.schemas.set_aside import Ack


class Silence(msgspec.Struct, frozen=True, array_like=True):
    """Windows in a row without an event, which ended."""

    start_us: int
    windows: int
    #: Whether it raised an alert.
    odd: bool = False


class HourVolume(msgspec.Struct, frozen=True, array_like=True):
    """Volume of the windows that start in one hour of the day, UTC."""

    hour: int
    #: Last day with such a window, since the epoch, and its rows and windows.
    day: int
    rows: int = 0
    windows: int = 0
    #: Days before it, as far as they count, and their mean rows a window.
    days: int = 0
    mean: float = 0.0


class StreamHistory(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A job's earlier windows in few numbers; about 4 kB, and up to 25 kB of names of fields."""

    #: Windows with rows so far, and silences that began after one.
    full: int = 0
    silences: int = 0
    #: Silences that ended, oldest first; of many the longest.
    earlier: tuple[Silence, ...] = ()
    #: Start of the present silence, if any.
    silent_since_us: int | None = None
    #: Windows of the present silence when it last raised an alert; 0 if it has raised none.
    alerted_after: int = 0
    #: Rows of the last complete windows with rows, oldest first.
    rows: tuple[int, ...] = ()
    #: Windows in a row with a volume that is odd by `rows`.
    odd_volumes: int = 0
    #: Volume by hour of the day, ascending.
    hours: tuple[HourVolume, ...] = ()
    #: What `hours` led to expect of the last of `rows`; 0 for nothing.
    expected: tuple[float, ...] = ()
    #: Quarters of a day since the epoch, their rows and those expected by `hours`; of the last days, ascending.
    quarters: tuple[tuple[int, int, float], ...] = ()
    #: Absolute errors of predictions by `hours` and by the mean of `rows`, summed, older ones less.
    hour_error: float = 0.0
    mean_error: float = 0.0
    #: Set aside where no window is judged (before the first of the job, in one of clocks ahead); judged with the next.
    preface_events: int = 0
    preface: Ack = Ack()
    #: Fields of its events that no column has.
    fields: KnownFields = KnownFields()
