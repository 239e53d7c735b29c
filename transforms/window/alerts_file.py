"""A file of alerts, as JSON lines, besides their topic: a full disk costs lines of the file, not the job."""

import errno
import logging
import os
from collections.abc import Sequence
from pathlib import Path

import msgspec

from sparsewatch.schemas.alerts import Alert, MetricSample
from sparsewatch.schemas.metrics import ALERTS_FILE_MISSED

_logger = logging.getLogger(__name__)


class AlertsFile:
    """Adds alerts to a file; where that fails they are counted, and it is logged once until it succeeds.

    Args:
        path: The file; None if there is to be none.
    """

    def __init__(self, path: str | None) -> None:
        self._path = None if path is None else Path(path)
        self._fails = False
        #: Alerts that are not in the file.
        self.missed = 0

    def add(self, alerts: Sequence[Alert]) -> None:
        """Add alerts, all of them or none."""
        if self._path is None or not alerts:
            return
        try:
            _append(self._path, b"".join(msgspec.json.encode(alert) + b"\n" for alert in alerts))
        except OSError as error:
            self.missed += len(alerts)
            if not self._fails:
                _logger.warning(
                    "output.alerts_file %s cannot be written: %s; alerts are in their topic only", self._path, error
                )
            self._fails = True
        else:
            if self._fails:
                _logger.warning("output.alerts_file %s is written again, without %d alerts", self._path, self.missed)
            self._fails = False

    def metrics(self) -> list[MetricSample]:
        """What is missing in the file, if there is one."""
        if self._path is None:
            return []
        return [ALERTS_FILE_MISSED.sample(self.missed)]


def _append(path: Path, lines: bytes) -> None:
    with path.open("ab", buffering=0) as file:
        size = file.tell()
        if file.write(lines) < len(lines):
            # No half line is left for the next one to be added to.
            file.truncate(size)
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
