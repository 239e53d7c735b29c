"""How far a command is: one bar on a terminal, with counts, rate and time left; no escape code anywhere else."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Protocol

from rich.console import Console
from rich.filesize import decimal
from rich.progress import BarColumn, Progress, ProgressColumn, Task, TaskID
from rich.table import Column
from rich.text import Text

from sparsewatch.pipelines.console.printable import printable

#: Unit of totals that are sizes of files.
BYTES = "bytes"
#: Seconds over which the rate is taken: an epoch may last minutes.
_RATE_S = 600.0


class Bar(Protocol):
    """A progress bar, moved with the work."""

    def add(self, number: int) -> None:
        """Advance by this number."""

    def move(self, done: int, total: int | None = None, note: str = "") -> None:
        """Set the number done in all.

        Args:
            done: Since the beginning.
            total: The total, if it is known only now.
            note: Shown beside it, such as the loss.
        """


@contextmanager
def progress_bar(
    what: str, total: int | None = None, unit: str = "", *, console: Console | None = None, lines_s: float | None = None
) -> Iterator[Bar]:
    """Show how far the work is while the context lasts; a bar goes away with it.

    Args:
        what: Name of the work; may hold a file's name.
        total: The total, if known.
        unit: What is counted; `BYTES` is shown as sizes.
        console: Where to show it; standard error if None.
        lines_s: If that is no terminal, write a plain line at this interval in seconds; nothing if None.
    """
    console = console or Console(stderr=True)
    # `is_interactive` alone holds for a pipe, too, where FORCE_COLOR is set.
    if console.is_interactive and console.file.isatty():
        with _bars(console) as bars:
            yield _OnTerminal(bars, bars.add_task(printable(what), total=total, unit=unit, note=""))
    else:
        yield _Silent() if lines_s is None else _Lines(what, total, unit, console, lines_s)


def _bars(console: Console) -> Progress:
    # Where it is narrow, names, notes and the bar give way; numbers stay whole.
    whole = Column(no_wrap=True)
    numbers = (_Count(whole), _Rate(whole.copy()), _Time(whole.copy()))
    columns = (_What(), BarColumn(bar_width=30), *numbers, _Note())
    # Results that do not go to the terminal must not be drawn above the bar.
    above = console.is_terminal and Console().file.isatty()
    return Progress(*columns, console=console, transient=True, redirect_stdout=above, speed_estimate_period=_RATE_S)


class _What(ProgressColumn):
    """Name of the work."""

    def render(self, task: Task) -> Text:
        return Text(task.description, no_wrap=True, overflow="ellipsis")


class _Note(ProgressColumn):
    """The note."""

    def render(self, task: Task) -> Text:
        return Text(task.fields["note"], no_wrap=True, overflow="ellipsis")


class _Count(ProgressColumn):
    """Number done and total."""

    def render(self, task: Task) -> Text:
        shown = decimal if task.fields["unit"] == BYTES else "{:,}".format
        of = "" if task.total is None else f"/{shown(int(task.total))}"
        unit = "" if task.fields["unit"] == BYTES else f" {task.fields['unit']}"
        return Text(f"{shown(int(task.completed))}{of}{unit}".rstrip(), style="progress.download")


class _Rate(ProgressColumn):
    """Rate per second, or per minute if it is slow."""

    def render(self, task: Task) -> Text:
        speed = task.finished_speed or task.speed
        return Text("" if not speed else _rate(speed, task.fields["unit"]), style="progress.data.speed")


def _rate(speed: float, unit: str) -> str:
    if unit == BYTES:
        return f"{decimal(int(speed))}/s"
    if speed < 1:
        return f"{60 * speed:.1f}/min"
    return f"{speed:,.0f}/s" if speed >= 10 else f"{speed:.1f}/s"


class _Time(ProgressColumn):
    """Time left if the total is known, else time elapsed."""

    def render(self, task: Task) -> Text:
        left, gone = task.time_remaining, task.elapsed or 0.0
        text = _clock(gone) if left is None or task.finished else f"{_clock(left)} left"
        return Text(text, style="progress.remaining")


def _clock(seconds: float) -> str:
    minutes, rest = divmod(int(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"


class _OnTerminal:
    def __init__(self, bars: Progress, task: TaskID) -> None:
        self._bars = bars
        self._task = task

    def add(self, number: int) -> None:
        self._bars.advance(self._task, number)

    def move(self, done: int, total: int | None = None, note: str = "") -> None:
        self._bars.update(self._task, completed=done, total=total, note=note)


class _Silent:
    def add(self, number: int) -> None:
        pass

    def move(self, done: int, total: int | None = None, note: str = "") -> None:
        pass


class _Lines:
    def __init__(self, what: str, total: int | None, unit: str, console: Console, every_s: float) -> None:
        self._what = printable(what)
        self._of = "" if total is None else f" of {total}"
        self._unit = unit
        self._console = console
        self._every_s = every_s
        self._started = self._shown = time.monotonic()
        self._done = 0

    def add(self, number: int) -> None:
        self.move(self._done + number)

    def move(self, done: int, total: int | None = None, note: str = "") -> None:
        self._done = done
        self._of = self._of if total is None else f" of {total}"
        now = time.monotonic()
        if now - self._shown >= self._every_s:
            self._shown = now
            line = f"{self._what}: {done}{self._of} {self._unit}, {done / (now - self._started):,.0f}/s {note}"
            self._console.print(Text(line.rstrip()), soft_wrap=True)
