"""Runs repeated: a job runs without end where its runner cannot.

Each run reads until windows have closed, and leaves the others to the next run, which reads again what they need: a few
seconds of records where the window that closed is the oldest. A run may be killed at any moment: what was not committed
is read again.
"""

import gc
import logging
from collections.abc import Callable

from sparsewatch.pipelines.console import stopping
from sparsewatch.schemas.errors import SparsewatchError
from sparsewatch.transforms.kafka.presence import is_any_away

_LOG = logging.getLogger(__name__)
#: Shortest time to the next run after an error.
_RETRY_S = 1.0


def repeat(run: Callable[[], None], pause_s: float) -> None:
    """Run until the command is asked to stop. Errors that may pass, such as a broker that is away, are logged.

    Args:
        run: A run.
        pause_s: Seconds from the end of a run to the next.

    Raises:
        SparsewatchError: If no later run can succeed.
    """
    said = ""
    # What is loaded by now stays: collections then look at nothing but what runs leave behind.
    gc.freeze()
    while not stopping.asked():
        wait_s = pause_s
        try:
            run()
        except Exception as error:
            if not retriable(error):
                raise
            wait_s = max(pause_s, _RETRY_S)
            # A broker that is away was said to be; no error is said twice in a row.
            if str(error) != said and not is_any_away():
                _LOG.warning("%s; runs begin again until they succeed", error)
            said = str(error)
        else:
            said = ""
        # Each run's graph is a cycle, and readers have collections come rarely.
        gc.collect()
        stopping.wait_asked(wait_s)


def retriable(error: BaseException) -> bool:
    """Whether trying again can help, by the first of our errors among `error` and its causes."""
    cause: BaseException | None = error
    while cause is not None:
        if isinstance(cause, SparsewatchError):
            return cause.retriable
        cause = cause.__cause__ or cause.__context__
    return False
