"""What a person makes of an emerging pattern, by a form: what `sparsewatch patterns name` and `dismiss` do."""

import logging

from sparsewatch.pipelines.web_console.asked import Asked, RefusedError
from sparsewatch.pipelines.web_console.commanded import run_command

_logger = logging.getLogger(__name__)


def name_pattern(asked: Asked) -> str:
    """Name a pattern, so that the model knows it from then on, or dismiss it; gives the address of its page.

    Raises:
        NotThereError: If this console was not given the job as a file.
        RefusedError: If the form asks for no such thing, or the command refuses it.
    """
    file, id_ = asked.file, asked.names["pattern"]
    verb, name = asked.form.get("verb", ""), asked.form.get("name", "").strip()
    if verb == "name":
        if not name:
            raise RefusedError("expected a name for the pattern, got none")
        run_command("patterns", "name", "--", str(file), id_, name)
    elif verb == "dismiss":
        run_command("patterns", "dismiss", "--", str(file), id_)
    else:
        raise RefusedError(f"expected one of name, dismiss, got {verb[:40]!r}")
    _logger.info("%s: %s %s %s", asked.user, verb, id_, name)
    return asked.done("wafers")
