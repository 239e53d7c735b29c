"""Commands that a console runs for a form, each in a process of its own: they load models, with all that takes."""

import subprocess
import sys

from sparsewatch.pipelines.web_console.asked import RefusedError

#: Seconds within which a command ends.
_PATIENCE_S = 300.0
#: Characters of what a command says that are shown.
_SAID = 600


def run_command(*arguments: str) -> None:
    """Run `sparsewatch`, and wait until it has done what it should.

    Args:
        arguments: Of the command; what came from a form stands behind `--`, so that it is no option.

    Raises:
        RefusedError: If it refuses, with its own words, or takes too long.
    """
    command = [sys.executable, "-m", "sparsewatch", *arguments]
    try:
        done = subprocess.run(
            command, capture_output=True, text=True, errors="replace", timeout=_PATIENCE_S, check=False
        )
    except (subprocess.TimeoutExpired, ValueError) as error:
        raise RefusedError(f"sparsewatch {arguments[0]} was not done: {error}"[:_SAID]) from error
    if done.returncode:
        raise RefusedError(done.stderr.strip()[-_SAID:] or f"the command ended with exit code {done.returncode}")
