"""A model that is exchanged while a job runs: it follows `<root>/<name>/latest`.

A stream asks for the model once a block and judges the whole block with it. Every few seconds that question also
looks at `latest`. A new version is loaded and verified first, and taken only then; one that is refused is said so,
once, and the old one stays. Each process looks for itself, so that for some seconds workers may hold different ones;
a result names the model it is from.
"""

import logging
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Generic, TypeVar

from apache_beam.metrics import Metrics

from sparsewatch.detectors.artefacts.versions import is_version, resolve_version
from sparsewatch.schemas.errors import SparsewatchError

#: Seconds between two looks at `latest`.
EVERY_S = 3.0

_LOG = logging.getLogger(__name__)

M = TypeVar("M")
#: Version's folder, and name, size and time of each file in it.
Mark = tuple[Path, tuple[tuple[str, int, int], ...]]


class Looks:
    """Now and then one thread looks at a folder, while the others go on.

    Args:
        clock: Rising seconds.
        every_s: Least seconds between two looks.
        due: When the first one is.
    """

    def __init__(self, clock: Callable[[], float], every_s: float, due: float) -> None:
        self._clock = clock
        self._every_s = every_s
        self._due = due
        self._lock = threading.Lock()

    def perhaps(self, look: Callable[[], None]) -> None:
        """Call `look` if it is due and no other thread is at it."""
        if self._clock() >= self._due and self._lock.acquire(blocking=False):
            try:
                self._due = self._clock() + self._every_s
                look()
            finally:
                self._lock.release()


class LiveModel(Generic[M]):
    """The newest version of a model that could be taken.

    Safe to share between threads: one of them loads a new version, the others go on with the old one meanwhile.

    Args:
        path: `<root>/<name>` to follow; or a version's own folder, which stays what it is.
        load: Loads a version's folder and verifies it; called once here.
        clock: Rising seconds.
        every_s: Least seconds between two looks at `latest`.

    Raises:
        SparsewatchError: As `load` does, for the first version.
    """

    def __init__(
        self,
        path: Path | str,
        load: Callable[[Path], M],
        *,
        clock: Callable[[], float] = time.monotonic,
        every_s: float = EVERY_S,
    ) -> None:
        self._path = Path(path)
        self._load = load
        self._pinned = is_version(self._path)
        self._looks = Looks(clock, every_s, clock() + every_s)
        self._taken = resolve_version(self._path)
        self._refused: Mark | None = None
        self._model = load(self._taken)
        #: Versions refused so far.
        self.refusals = 0

    def current(self) -> M:
        """The model for the next block; may load a new version first."""
        if not self._pinned:
            self._looks.perhaps(self._follow)
        return self._model

    def _follow(self) -> None:
        version = self._path
        try:
            version = resolve_version(self._path)
            if version == self._taken:
                self._refused = None
            elif mark_of(version) != self._refused:
                self._model, self._taken, self._refused = self._load(version), version, None
                _LOG.info("%s: version %s is taken", self._path, version.name)
        except SparsewatchError as error:
            self._refuse(version, error)

    def _refuse(self, version: Path, error: SparsewatchError) -> None:
        # Files that change are given another chance: a version may be copied into place file by file.
        mark = mark_of(version)
        if mark == self._refused:
            return
        self._refused = mark
        self.refusals += 1
        Metrics.counter("sparsewatch", "model_versions_refused").inc()
        _LOG.error("%s is refused, %s stays: %s", version, self._taken.name, error)


def mark_of(version: Path) -> Mark:
    """What changes when a file of a version does."""
    try:
        found = [(p.name, p.stat()) for p in sorted(version.iterdir())]
    except OSError:
        found = []
    return version, tuple((name, stat.st_size, stat.st_mtime_ns) for name, stat in found)
