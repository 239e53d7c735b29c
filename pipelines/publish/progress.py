"""How far a file is published: a bar on a terminal, plain lines elsewhere."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, ProgressColumn, Task, TextColumn, TimeRemainingColumn
from rich.text import Text

#: Seconds between two plain lines.
_LINE_S = 5.0


@contextmanager
def publishing(name: str, total: int | None, console: Console) -> Iterator[Callable[[int], None]]:
    """Show progress while the context lasts.

    Args:
        name: What is published.
        total: Events in all, if known.
        console: Where to show it.

    Yields:
        To be told how many more events were sent.
    """
    if not console.is_terminal:
        yield _Lines(name, total, console).add
        return
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), _Speed(), TimeRemainingColumn())
    with Progress(*columns, console=console) as progress:
        task = progress.add_task(name, total=total)
        yield lambda events: progress.update(task, advance=events)


class _Speed(ProgressColumn):
    """Events a second."""

    def render(self, task: Task) -> Text:
        return Text("" if task.speed is None else f"{task.speed:,.0f}/s")


class _Lines:
    def __init__(self, name: str, total: int | None, console: Console) -> None:
        self._name = name
        self._of = "" if total is None else f" of {total}"
        self._console = console
        self._started = self._shown = time.monotonic()
        self._events = 0

    def add(self, events: int) -> None:
        self._events += events
        now = time.monotonic()
        if now - self._shown >= _LINE_S:
            self._shown = now
            speed = self._events / (now - self._started)
            self._console.print(f"{self._name}: {self._events}{self._of} events, {speed:,.0f}/s", soft_wrap=True)
