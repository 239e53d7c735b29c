"""What `sparsewatch run` says: what it reads and with what, then a line a window, or a live table on a terminal."""

import logging
import sys
import threading
import time
from collections import Counter, deque
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

import click
from rich.console import Group
from rich.live import Live
from rich.text import Text

from sparsewatch.detectors.artefacts.versions import is_version, resolve_version
from sparsewatch.pipelines.console.printable import printable
from sparsewatch.pipelines.console.spans import span
from sparsewatch.pipelines.console.tables import output, table
from sparsewatch.pipelines.job.kind import Job
from sparsewatch.pipelines.job.ready import Ready
from sparsewatch.pipelines.run.runners import Runner
from sparsewatch.schemas.accounts import PREFACE_US, Account, Progress
from sparsewatch.schemas.alerts import counted
from sparsewatch.schemas.incidents import IncidentRecord
from sparsewatch.schemas.side_records import SideRecord
from sparsewatch.schemas.units import moment_text
from sparsewatch.transforms.kafka.reader_start import Until
from sparsewatch.transforms.listening import WindowClosed

_logger = logging.getLogger(__name__)

_RUNNERS: Mapping[Runner, str] = {
    "inprocess": "in this process",
    "repeat": "in this process, runs repeated",
    "prism": "on Prism",
    "portable": "at a Beam job server, where windows close out of sight: follow them with `sparsewatch windows list`",
}
_COLUMNS = ("window, UTC", "rows", "late", "rejected", "behind", "alerts")
_NUMBERS = _COLUMNS[1:5]
#: Windows of the live table; partitions and reasons that are named.
_SHOWN = 12
_NAMED = 6
#: Windows after which a run says which columns had no value in any; a shorter one says so at its end.
_SURE_AFTER = 12


def start_lines(
    made: Ready, runner: Runner, until: Until, resumed: Progress | None, partitions: Sequence[int]
) -> list[str]:
    """What a run reads, from where, until when, with what, and where it writes.

    Args:
        made: The job.
        runner: Where it runs.
        until: When it stops.
        resumed: How far it is; None at its first run.
        partitions: Of its topic.
    """
    job, topics = made.job, made.topics
    brokers = ", ".join(job.kafka.bootstrap_servers)
    learned = "; ".join(f"{learned.what} {_in_use(learned.path)}" for learned in job.learned())
    windows = f"windows of {job.windows.length}, disorder {job.windows.disorder}"
    return [
        f"{job.name}: reads {topics.source!r} at {brokers}, {counted(len(partitions), 'partition')}, "
        f"{_from(job, resumed)}, {_until(until)}; {_RUNNERS[runner]}",
        f"{windows}; {learned}" if learned else windows,
        f"writes {topics.windows!r}, incidents {topics.incidents!r}, rejects {topics.rejects!r}",
    ]


def _from(job: Job, resumed: Progress | None) -> str:
    points = {} if resumed is None else resumed.partitions
    if not points:
        return f"from the {job.source.start} records"
    word = "resumed" if resumed is not None and resumed.windows else f"from the {job.source.start} records"
    shown = [f"{p}:{points[p].offset}" for p in sorted(points)[:_NAMED]]
    left = len(points) - len(shown)
    return f"{word}, offsets {', '.join(shown)}" + (f" and {left} more" if left else "")


def _until(until: Until) -> str:
    if until == "forever":
        return "until stopped"
    if isinstance(until, int):
        return f"until records written at {moment_text(until * 1000)}"
    return "up to the newest record"


def _in_use(path: str) -> str:
    return path if is_version(Path(path)) else f"{path}, version {resolve_version(path).name}"


def window_cells(window: WindowClosed, now_s: float) -> tuple[str, ...]:
    """A window as cells under the headings of the live table."""
    account, rules = window.account, Counter(window.rules)
    return (
        f"{moment_text(window.start_us)} to {moment_text(window.end_us)[11:]}{'' if window.complete else ' (in part)'}",
        f"{account.counted:,}",
        f"{account.late:,}",
        f"{account.rejected:,}",
        span(now_s - window.end_us / 1e6),
        ", ".join(rule if number == 1 else f"{number} {rule}" for rule, number in rules.items()),
    )


def window_line(window: WindowClosed, now_s: float) -> str:
    """A window as a line of a log."""
    when, rows, late, rejected, behind, alerts = window_cells(window, now_s)
    line = f"{when}  {rows} rows, {late} late, {rejected} rejected, {behind} behind"
    return f"{line}; {alerts}" if alerts else line


def incident_line(incident: IncidentRecord) -> str:
    """What a window did to an incident, as a line of a log."""
    ordered = {"acked": incident.acked, "muted": incident.muted, "closed": incident.closed, "accepted": incident.closed}
    person = ordered.get(incident.change)
    by = "" if person is None else f" by {person.by}"
    suspect = f"{incident.rule} {incident.subject}"
    return f"  {incident.id} {incident.change}{by}: {incident.severity}, {suspect}, {incident.message}"


class RunReport:
    """Shows a run as it goes on.

    Args:
        job_file: As a command would name it.
        quiet: Show nothing but warnings.
    """

    def __init__(self, job_file: str, *, quiet: bool = False) -> None:
        self._job_file = job_file
        self._quiet = quiet
        self._lock = threading.Lock()
        self._sums = Account()
        self._reasons: Counter[str] = Counter()
        self._last: deque[tuple[str, ...]] = deque(maxlen=_SHOWN)
        self._live: Live | None = None
        #: Windows with rows, and the columns that had no value in any of them; None before the first.
        self._windows = 0
        self._unfilled: set[str] | None = None
        self._has_named = False

    def say(self, line: str) -> None:
        """A line of its own."""
        if not self._quiet:
            click.echo(printable(line))

    @contextmanager
    def live(self) -> Iterator[None]:
        """While the context lasts, a terminal shows a table instead of lines."""
        console = output()
        if self._quiet or not console.is_interactive or not console.file.isatty():
            yield
            return
        with Live(console=console, auto_refresh=False) as self._live, _logs_above():
            yield
        self._live = None

    def on_window(self, window: WindowClosed) -> None:
        """See `Listener`."""
        with self._lock:
            self._sums += window.account
            if window.end_us == PREFACE_US:
                # What was set aside outside of windows.
                return
            self._look_at_columns(window)
            if self._live is None:
                self.say(window_line(window, time.time()))
                for incident in window.incidents:
                    self.say(incident_line(incident))
                return
            self._last.append(window_cells(window, time.time()))
            totals = f"{self._sums.read:,} read = {self._sums.counted:,} counted + {self._sums.rejected:,} rejected "
            shown = Group(table(_COLUMNS, self._last, right=_NUMBERS), Text(f"{totals}+ {self._sums.late:,} late"))
            self._live.update(shown, refresh=True)

    def on_aside(self, records: Sequence[SideRecord]) -> None:
        """See `Listener`."""
        with self._lock:
            for record in records:
                if record.kind == "reject":
                    self._reasons[record.code] += record.events

    def _look_at_columns(self, window: WindowClosed) -> None:
        if not window.account.counted:
            return
        self._windows += 1
        found = set(window.without_value)
        self._unfilled = found if self._unfilled is None else self._unfilled & found
        if self._windows == _SURE_AFTER:
            self.warn_of_columns()

    def warn_of_columns(self) -> None:
        """Say once which columns had no value in any window; a name that no event has is most often misspelt."""
        if not self._unfilled or self._has_named:
            return
        self._has_named = True
        named = sorted(self._unfilled)
        is_one, left = len(named) == 1, len(named) - _NAMED
        _logger.warning(
            "%s %s had no value in any of %s: %s spelled as in the events?",
            "column" if is_one else "columns",
            ", ".join(map(repr, named[:_NAMED])) + (f" and {left} more" if left > 0 else ""),
            counted(self._windows, "window"),
            "is it" if is_one else "are they",
        )

    def reasons(self) -> str:
        """Rejects of this run by reason, the commonest first; empty without any."""
        named = [f"{number:,} {reason}" for reason, number in self._reasons.most_common(_NAMED)]
        left = len(self._reasons) - len(named)
        return ", ".join([*named, f"{left} more reasons"] if left else named)

    def warn_of_rejects(self) -> None:
        """A run of which most events could not be used does not end in silence."""
        used, rejected = self._sums.counted + self._sums.late, self._sums.rejected
        if rejected <= used or not self._reasons:
            return
        _logger.warning(
            "%s of %s events became rejects, most often for %s: see `sparsewatch rejects list --job %s`",
            f"{rejected:,}" if used else "all",
            f"{self._sums.read:,}",
            self._reasons.most_common(1)[0][0],
            self._job_file,
        )


@contextmanager
def _logs_above() -> Iterator[None]:
    """While the context lasts, lines of the log stand above the live table, which took over standard error."""
    handlers = [h for h in logging.getLogger().handlers if type(h) is logging.StreamHandler]
    streams = [handler.setStream(sys.stderr) for handler in handlers]
    try:
        yield
    finally:
        for handler, stream in zip(handlers, streams, strict=True):
            if stream is not None:
                handler.setStream(stream)
