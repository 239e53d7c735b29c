"""One child process: started with its output in a file, stopped by its own id and no other's."""

import contextlib
import os
import signal
import socket
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Self

_TERM_S = 10.0  # seconds between asking a process to end and ending it


def free_port() -> int:
    """Return a TCP port of the loopback interface that nothing listens on now."""
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def port_answers(port: int) -> bool:
    """Return whether something on the loopback interface accepts a connection at `port`."""
    try:
        with socket.create_connection(("127.0.0.1", port), timeout=1.0):
            return True
    except OSError:
        return False


class ChildProcess:
    """A program run beside this one, in a session and process group of its own.

    A Ctrl-C at the terminal thus reaches this process alone, which then stops its children in the
    right order; and what a child started in turn is ended with it.

    Args:
        command: Program and arguments.
        log: File that takes what the program prints, appended to.
        env: Variables added to this process's own.
        cwd: Folder it runs in; this process's own when absent.
    """

    def __init__(
        self,
        command: Sequence[str],
        *,
        log: Path,
        env: Mapping[str, str] | None = None,
        cwd: Path | None = None,
    ) -> None:
        self.command = tuple(command)
        self.log = log
        self._env = {**os.environ, **(env or {})}
        self._cwd = cwd
        self._process: subprocess.Popen[bytes] | None = None
        self._group: int | None = None  # while it may hold a process

    def start(self) -> Self:
        """Start the program.

        Raises:
            OSError: It cannot be started: no such program, or no right to run it.
            RuntimeError: It runs already.
        """
        if self.running:
            msg = f"expected a stopped process, {self.command[0]} runs as {self.pid}"
            raise RuntimeError(msg)
        with self.log.open("ab") as output:
            self._process = subprocess.Popen(
                self.command,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                env=self._env,
                cwd=self._cwd,
                start_new_session=True,
            )
        self._group = self._process.pid
        return self

    @property
    def running(self) -> bool:
        """Whether the program was started and has not ended."""
        return self._process is not None and self._process.poll() is None

    @property
    def pid(self) -> int | None:
        """Process id while it runs, else None."""
        return self._process.pid if self._process is not None and self.running else None

    @property
    def exit_code(self) -> int | None:
        """Exit code once it has ended (negative: the signal that ended it), else None."""
        return None if self._process is None else self._process.poll()

    def stop(self) -> None:
        """End it and what it started: SIGTERM, then SIGKILL when it has ended or after ten seconds."""
        if self._process is not None and self._group is not None:
            self._process.terminate()
            with contextlib.suppress(subprocess.TimeoutExpired):
                self._process.wait(_TERM_S)
            self.kill()

    def kill(self) -> None:
        """End it and what it started at once (SIGKILL), as a crash would."""
        if self._process is not None and self._group is not None:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self._group, signal.SIGKILL)
            self._group = None
            self._process.wait()

    def log_tail(self, n_bytes: int = 2000) -> str:
        """Return the last `n_bytes` of what it printed, for an error message."""
        if not self.log.exists():
            return ""
        return self.log.read_bytes()[-n_bytes:].decode(errors="replace")

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.stop()
