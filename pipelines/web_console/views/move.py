"""The latest version of a model, moved by a form: what `sparsewatch models promote` and `rollback` do."""

import logging
import subprocess
import sys
from urllib.parse import quote

from sparsewatch.pipelines.job.kind import Learned
from sparsewatch.pipelines.web_console.asked import Asked, RefusedError

_logger = logging.getLogger(__name__)
#: Seconds within which a version is verified.
_PATIENCE_S = 300.0
#: Characters of what a command says that are shown.
_SAID = 600


def move(asked: Asked) -> str:
    """Promote a version, or go back to the latest before; gives the address of the page of models.

    A process of its own does it: to verify a model is to load it, with hundreds of megabytes of libraries.

    Raises:
        RefusedError: If the form asks for no such thing, or the command refuses it.
    """
    learned = _named(asked)
    verb, version = asked.form.get("verb", ""), asked.form.get("version", "")
    if verb == "promote":
        _run("promote", "--", learned.path, version)
    elif verb == "rollback":
        _run("rollback", "--", learned.path)
    else:
        raise RefusedError(f"expected one of promote, rollback, got {verb[:40]!r}")
    _logger.info("%s: %s %s of %s", asked.user, verb, version, learned.path)
    return f"/jobs/{quote(asked.job.name, safe='')}/models?done=yes"


def _named(asked: Asked) -> Learned:
    key = asked.form.get("key", "")
    for learned in asked.job.job.learned():
        if learned.key == key:
            return learned
    raise RefusedError(f"the job names no {key[:40]!r}")


def _run(*arguments: str) -> None:
    command = [sys.executable, "-m", "sparsewatch", "models", *arguments]
    try:
        done = subprocess.run(
            command, capture_output=True, text=True, errors="replace", timeout=_PATIENCE_S, check=False
        )
    except subprocess.TimeoutExpired as error:
        raise RefusedError(f"the version was not verified within {_PATIENCE_S:.0f} s") from error
    if done.returncode:
        raise RefusedError(done.stderr.strip()[-_SAID:] or f"the command ended with exit code {done.returncode}")
