"""Prism as a child of this process, for the time of one job.

It runs in a session of its own: signals of the terminal or of a service manager reach a whole process group, and Prism
must not end before this process has stopped reading, or each worker would report a lost connection. Prism keeps
nothing, so it is killed at the end.
"""

import json
import logging
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

from sparsewatch.pipelines.console import stopping
from sparsewatch.testing.child_process import free_port

_logger = logging.getLogger("PrismRunner")
#: If this process was killed, its job fails, and Prism ends after this time without a job.
_IDLE = "20s"


@contextmanager
def prism(binary: Path) -> Iterator[str]:
    """Run Prism while the context lasts; gives the address at which it takes jobs."""
    port = free_port()
    options = ["--job_port", str(port), "--log_kind", "json", "--serve_http=false", f"--idle_shutdown_timeout={_IDLE}"]
    child = subprocess.Popen(
        [str(binary), *options],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        start_new_session=True,
    )
    threading.Thread(target=_log, args=(child.stdout,), name="prism-log", daemon=True).start()
    try:
        with stopping.ended_with_it(child.kill):
            yield f"localhost:{port}"
    finally:
        child.kill()
        child.wait()


def _log(lines: IO[bytes]) -> None:
    for line in lines:
        level, message = _parsed(line.decode(errors="backslashreplace").rstrip())
        _logger.log(level, "%s", message)


def _parsed(line: str) -> tuple[int, str]:
    """Level and message of a line of Prism's log; what is no such line is for debugging."""
    try:
        record = json.loads(line)
        level = logging.getLevelNamesMapping().get(record.pop("level").split("+")[0], logging.DEBUG)
        message, details = record.pop("msg"), {k: v for k, v in record.items() if k not in ("time", "source")}
    except (ValueError, KeyError, AttributeError):
        return logging.DEBUG, line
    return level, f"{message} {details}" if details else message
