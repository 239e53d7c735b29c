"""How a command ends when it is asked to: by Ctrl-C, or by SIGTERM, as service managers and containers send it.

A first signal asks. It raises `KeyboardInterrupt`, or, in a command that runs `gracefully`, nothing: that command looks
at `asked`, and is ended if it has not ended some seconds later. A second signal ends any command at once. A thread
watches for both, since the main thread may wait inside a library that lets no signal through.
"""

import os
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress

#: Seconds that a command has to end gracefully: containers wait ten before they kill.
_GRACE_S = 8.0
#: Exit code of what a second signal ends, as shells report a Ctrl-C.
_ENDED = 130
_SIGNALS = (signal.SIGINT, signal.SIGTERM)

_asked = threading.Event()
#: Last words of the commands that run gracefully, and what is ended with a command.
_words: list[str] = []
_children: list[Callable[[], object]] = []


def install() -> None:
    """Take over SIGINT and SIGTERM; called once, by the main thread."""
    reader, writer = os.pipe()
    os.set_blocking(writer, False)
    for number in _SIGNALS:
        # Also where it was ignored, as SIGINT is in what a script starts in the background: there it comes on purpose.
        signal.signal(number, _handle)
    signal.set_wakeup_fd(writer, warn_on_full_buffer=False)
    threading.Thread(target=_watch, args=(reader,), name="signals", daemon=True).start()


@contextmanager
def gracefully(last_words: str) -> Iterator[None]:
    """While the context lasts, a first signal is not raised but shown by `asked`.

    Args:
        last_words: The line that is written if the command has to be ended.
    """
    _words.append(last_words)
    try:
        yield
    finally:
        _words.pop()


@contextmanager
def ended_with_it(end: Callable[[], object]) -> Iterator[None]:
    """While the context lasts, `end` is called where the command has to be ended."""
    _children.append(end)
    try:
        yield
    finally:
        _children.remove(end)


def asked() -> bool:
    """Whether the command was asked to end."""
    return _asked.is_set()


def wait_asked(timeout_s: float) -> bool:
    """Wait for so many seconds, or until the command is asked to end; whether it was."""
    return _asked.wait(timeout_s)


def join_until(
    threads: Sequence[threading.Thread], until_s: float, clock: Callable[[], float] = time.monotonic
) -> None:
    """Wait for threads to end, for all of them until one moment."""
    for thread in threads:
        thread.join(timeout=max(0.0, until_s - clock()))


def _handle(_number: int, _frame: object) -> None:
    if not _words:
        raise KeyboardInterrupt


def _watch(signals: int) -> None:
    while number := os.read(signals, 1):
        if number[0] not in _SIGNALS:
            continue
        if _asked.is_set():
            _end(_ENDED)
        _asked.set()
        if _words:
            late = threading.Timer(_GRACE_S, _end, (0, _words[-1]))
            late.daemon = True
            late.start()


def _end(code: int, last_words: str = "") -> None:
    for end in _children:
        with suppress(Exception):
            end()
    if last_words:
        # Past Python's own buffers: another thread may hold their locks.
        os.write(sys.__stdout__.fileno() if sys.__stdout__ else 1, f"{last_words}\n".encode())
    os._exit(code)
