"""The latest version of a model, moved by a form: what `sparsewatch models promote` and `rollback` do."""

import logging

from sparsewatch.pipelines.job.kind import Learned
from sparsewatch.pipelines.web_console.asked import Asked, RefusedError
from sparsewatch.pipelines.web_console.commanded import run_command

_logger = logging.getLogger(__name__)


def move(asked: Asked) -> str:
    """Promote a version, or go back to the latest before; gives the address of the page of models.

    Raises:
        RefusedError: If the form asks for no such thing, or the command refuses it.
    """
    learned = _named(asked)
    verb, version = asked.form.get("verb", ""), asked.form.get("version", "")
    if verb == "promote":
        run_command("models", "promote", "--", learned.path, version)
    elif verb == "rollback":
        run_command("models", "rollback", "--", learned.path)
    else:
        raise RefusedError(f"expected one of promote, rollback, got {verb[:40]!r}")
    _logger.info("%s: %s %s of %s", asked.user, verb, version, learned.path)
    return asked.done("models")


def _named(asked: Asked) -> Learned:
    key = asked.form.get("key", "")
    for learned in asked.job.job.learned():
        if learned.key == key:
            return learned
    raise RefusedError(f"the job names no {key[:40]!r}")
