"""Work in a thread beside the main thread, which stays free for signals."""

import threading
from collections.abc import Callable


class Background:
    """Runs `work` in a thread at once; its error is raised by `result`."""

    def __init__(self, work: Callable[[], object], name: str) -> None:
        self._work = work
        self._error: BaseException | None = None
        # A daemon: what hangs in it must not hold the end of the process.
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)
        self._thread.start()

    def _run(self) -> None:
        try:
            self._work()
        except BaseException as error:  # noqa: BLE001  raised where it is awaited
            self._error = error

    def ended(self, timeout_s: float) -> bool:
        """Wait for at most some seconds; whether it has ended."""
        self._thread.join(timeout_s)
        return not self._thread.is_alive()

    def result(self) -> None:
        """Wait for its end.

        Raises:
            BaseException: What the work raised.
        """
        self._thread.join()
        if self._error is not None:
            raise self._error
