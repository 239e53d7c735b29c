"""A look, each second while a job runs, whether a newer instance has taken it over."""

import logging
import threading
from types import TracebackType
from typing import Self

from sparsewatch.schemas.errors import FencedError, SparsewatchError
from sparsewatch.schemas.jobs import JobIdentity
from sparsewatch.transforms.kafka.instances import Watch

_logger = logging.getLogger(__name__)
_EVERY_S = 1.0


class Lookout:
    """A thread that looks; a context manager.

    The step that commits looks for itself before it writes: this one ends a run in which no window closes.

    Attributes:
        fenced: The error with which the run ends, once there is a newer instance.
    """

    def __init__(self, job: JobIdentity) -> None:
        self.fenced: FencedError | None = None
        self._watch = Watch(job)
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._look_on, name="lookout", daemon=True)

    def look(self) -> None:
        """Look at once.

        Raises:
            FencedError: If there is a newer instance.
        """
        self._over.set()
        self._thread.join()
        self._look()
        if self.fenced is not None:
            raise self.fenced

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        # A thread that waits for a broker which is away ends by itself when that wait is over.
        self._over.set()

    def _look_on(self) -> None:
        while not self._over.wait(_EVERY_S) and self.fenced is None:
            self._look()
        self._watch.close()

    def _look(self) -> None:
        try:
            self._watch.check()
        except FencedError as error:
            self.fenced = error
        except SparsewatchError as error:
            _logger.debug("whether a newer instance runs the job is not known: %s", error)
