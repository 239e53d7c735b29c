"""What a person makes of an emerging pattern, by a form: what `sparsewatch patterns name`, `merge` and `dismiss` do."""

import logging

from sparsewatch.pipelines.web_console.asked import Asked, RefusedError
from sparsewatch.pipelines.web_console.commanded import run_command

_logger = logging.getLogger(__name__)


def name_pattern(asked: Asked) -> str:
    """Name a pattern, so that the model knows it from then on, merge it into another, or dismiss it.

    Returns:
        The address of the page to go on to.

    Raises:
        NotThereError: If this console was not given the job as a file.
        RefusedError: If the form asks for no such thing, or the command refuses it.
    """
    file, id_ = asked.file, asked.names["pattern"]
    verb, name = asked.form.get("verb", ""), asked.form.get("name", "").strip()
    into = asked.form.get("into", "")
    if verb == "name":
        if not name:
            raise RefusedError("expected a name for the pattern, got none")
        run_command("patterns", "name", "--", str(file), id_, name)
    elif verb == "merge":
        if not into:
            raise RefusedError("expected another pattern that it is the same as, got none")
        run_command("patterns", "merge", "--", str(file), into, id_)
    elif verb == "dismiss":
        run_command("patterns", "dismiss", "--", str(file), id_)
    else:
        raise RefusedError(f"expected one of name, merge, dismiss, got {verb[:40]!r}")
    _logger.info("%s: %s %s %s", asked.user, verb, id_, {"name": name, "merge": into}.get(verb, ""))
    return asked.done("wafers")
