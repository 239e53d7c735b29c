"""A model in its shadow run: jobs score rows with it beside the one they follow, and nothing hangs on what it says.

A stream asks for it once a block, and every few seconds that question also looks at `<root>/<name>/candidate`. One that
cannot be taken is said so, once, and there is no shadow then; the job goes on. See `live_model` for the model that
counts.
"""

import logging
import time
from collections.abc import Callable
from pathlib import Path
from typing import Generic, TypeVar

from apache_beam.metrics import Metrics

from sparsewatch.detectors.artefacts.versions import candidate, is_version
from sparsewatch.pipelines.job.live_model import EVERY_S, Looks, Mark, mark_of
from sparsewatch.schemas.errors import SparsewatchError

_LOG = logging.getLogger(__name__)

M = TypeVar("M")


class LiveCandidate(Generic[M]):
    """The candidate there is now, if it could be taken.

    Safe to share between threads: one of them loads a candidate, the others go on as before meanwhile.

    Args:
        path: `<root>/<name>` to look in; a version's own folder has no candidates.
        load: Loads a version's folder and verifies it; not called before there is a candidate.
        clock: Rising seconds.
        every_s: Least seconds between two looks at `candidate`.
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
        # The first block looks at once: a job may start in the middle of a shadow run.
        self._looks = Looks(clock, every_s, clock())
        self._taken: Path | None = None
        self._refused: Mark | None = None
        self._model: M | None = None
        #: Candidates refused so far.
        self.refusals = 0

    def current(self) -> M | None:
        """The candidate for the next block, None without one; may load it first."""
        if not self._pinned:
            self._looks.perhaps(self._follow)
        return self._model

    def _follow(self) -> None:
        version = self._path
        try:
            named = candidate(self._path)
            if named is None:
                self._take(None, None)
                return
            version = self._path / named
            if version != self._taken and mark_of(version) != self._refused:
                self._take(None, None)
                self._take(version, self._load(version))
                _LOG.info("%s: version %s is scored beside the latest", self._path, version.name)
        except SparsewatchError as error:
            self._refuse(version, error)

    def _take(self, version: Path | None, model: M | None) -> None:
        self._model, self._taken, self._refused = model, version, None

    def _refuse(self, version: Path, error: SparsewatchError) -> None:
        mark, before = mark_of(version), self._refused
        self._take(None, None)
        self._refused = mark
        if mark == before:
            return
        self.refusals += 1
        Metrics.counter("sparsewatch", "model_candidates_refused").inc()
        _LOG.error("the candidate %s is refused and not scored: %s", version, error)
