"""A bounded run, repeated: a job runs without end and without Prism.

Each run reads the new records, closes the windows that have ended and leaves the others to the next run. It may be
killed at any moment: what was not committed is read again.
"""

import logging
import time
from collections.abc import Callable
from typing import NoReturn

from sparsewatch.schemas.errors import SparsewatchError

_LOG = logging.getLogger(__name__)


def repeat(run: Callable[[], str], pause_s: float, on_summary: Callable[[str], None]) -> NoReturn:
    """Run until stopped.

    Once a run has succeeded, errors that may pass, such as a broker that is away, are logged and the
    runs continue. The first run raises them: an address may be wrong.

    Args:
        run: One run; returns how the job stands.
        pause_s: Seconds from the end of a run to the next.
        on_summary: Called with how the job stands when that has changed.

    Raises:
        SparsewatchError: If no later run can succeed, or the first run fails.
    """
    before = run()
    on_summary(before)
    while True:
        time.sleep(pause_s)
        try:
            summary = run()
        except Exception as error:
            if not retriable(error):
                raise
            _LOG.warning("%s; the next run begins in %g s", error, pause_s)
            continue
        if summary != before:
            on_summary(before := summary)


def retriable(error: BaseException) -> bool:
    """Whether trying again can help, by the first of our errors among `error` and its causes."""
    cause: BaseException | None = error
    while cause is not None:
        if isinstance(cause, SparsewatchError):
            return cause.retriable
        cause = cause.__cause__ or cause.__context__
    return False
