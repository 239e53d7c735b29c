"""The version of a model that a job uses: that which `<root>/<name>/latest` names, looked up while the job runs.

A stream asks for the model once a block and judges the whole block with it. Every few seconds the folder is
looked at, too. A new version is loaded and verified first, and used only then; a version that is refused is logged
once, and the job goes on as before. Each process looks for itself, so that for some seconds workers may hold different
versions; a result names the model it is from. A job that names a version's own folder always uses this
version; so it is with references, whose version is fixed when the graph is built.

A version in its shadow run (`<root>/<name>/candidate`) is looked up in the same way: blocks are scored with it, too,
its scores are recorded and change no result.
"""

import functools
import logging
import threading
import time
from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Generic, TypeVar, cast

from apache_beam.metrics import Metrics

from sparsewatch.detectors.artefacts.versions import candidate, is_version, resolve_version
from sparsewatch.schemas.errors import SparsewatchError

#: Seconds between two looks at a model's folder.
EVERY_S = 3.0

_LOG = logging.getLogger(__name__)

M = TypeVar("M")
#: Version's folder, and name, size and time of each file in it.
Mark = tuple[Path, tuple[tuple[str, int, int], ...]]


@dataclass(frozen=True)
class ModelInUse(Generic[M]):
    """A model that a job uses; sent to workers, where a process loads each version once.

    Args:
        path: `<root>/<name>` to follow, or a version's own folder, which is never replaced.
        load: Loads a version's folder, verifies it and checks that it fits the job; hashable.
    """

    path: str
    load: Callable[[Path], M]

    @classmethod
    def at(cls, path: str, load: Callable[[Path], M]) -> "ModelInUse[M]":
        """The model at a path as a job file states it; absolute, since workers may have another working directory."""
        return cls(str(Path(path).resolve()), load)

    def now(self) -> M:
        """The model for the next block; may load a new version first.

        Raises:
            SparsewatchError: As `load` does, for the first version of a process.
        """
        model: M = followed(self).current()
        return model

    def shadow(self) -> M | None:
        """The candidate that scores the next block in the shadow, None without a candidate; may load it first."""
        model: M | None = shadowed(self).current()
        return model

    def version(self, folder: Path) -> M:
        """A version, loaded once a process."""
        model: M = _loaded(self.load, folder)
        return model

    def check(self) -> M:
        """The version that would be used now, verified: the run that begins uses it, whatever one before it used.

        Raises:
            ConfigError: If it does not fit the job.
            ModelError: If it is missing or damaged.
        """
        model = self.version(resolve_version(self.path))
        followed(self).look_soon()
        shadowed(self).look_soon()
        return model


class _Following(ABC, Generic[M]):
    """A version in use, replaced when another version is named.

    Safe to share between threads: one thread loads a version, the others use the former version meanwhile.

    Args:
        path: `<root>/<name>` to look in; a version's own folder is not followed.
        load: Loads a version's folder and verifies it.
        clock: Rising seconds.
        every_s: Least seconds between two looks.
        due_s: Seconds until the first look.
    """

    def __init__(
        self, path: Path | str, load: Callable[[Path], M], clock: Callable[[], float], every_s: float, due_s: float
    ) -> None:
        self._path = Path(path)
        self._load = load
        self._pinned = is_version(self._path)
        self._clock = clock
        self._every_s = every_s
        self._due = clock() + due_s
        self._lock = threading.Lock()
        self._taken: Path | None = None
        self._model: M | None = None
        self._refused: Mark | None = None
        #: Versions refused so far.
        self.refusals = 0

    #: Ends the line of the log on a version that is used.
    _as = ""

    @abstractmethod
    def _named(self) -> Path | None:
        """The version to use; None for none."""

    @abstractmethod
    def _report_refusal(self, version: Path, error: SparsewatchError) -> None:
        """Log and count it."""

    def _leave(self) -> None:
        """Called before another version is loaded."""

    def look_soon(self) -> None:
        """Look at the folder with the next block, as a run of this process does that begins."""
        self._due = self._clock()

    def _look(self) -> None:
        """Look at the folder if it is due and no other thread is doing so."""
        if self._pinned or self._clock() < self._due or not self._lock.acquire(blocking=False):
            return
        try:
            self._due = self._clock() + self._every_s
            self._follow()
        finally:
            self._lock.release()

    def _follow(self) -> None:
        version: Path | None = self._path
        try:
            version = self._named()
            if version == self._taken:
                self._refused = None
            elif version is None:
                self._take(None, None)
            elif mark_of(version) != self._refused:
                self._leave()
                self._take(version, self._load(version))
                _LOG.info("%s: version %s is used from now on%s", self._path, version.name, self._as)
        except SparsewatchError as error:
            self._refuse(version or self._path, error)

    def _take(self, version: Path | None, model: M | None) -> None:
        self._model, self._taken, self._refused = model, version, None

    def _refuse(self, version: Path, error: SparsewatchError) -> None:
        # A version whose files change is tried again: it may be copied into place file by file.
        mark, before = mark_of(version), self._refused
        self._leave()
        self._refused = mark
        if mark != before:
            self.refusals += 1
            self._report_refusal(version, error)


class FollowedModel(_Following[M]):
    """The newest version of a model that could be used; see `ModelInUse`.

    Args:
        path: `<root>/<name>` to follow; or a version's own folder.
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
        super().__init__(path, load, clock, every_s, due_s=every_s)
        version = resolve_version(self._path)
        self._take(version, load(version))

    def current(self) -> M:
        """The model for the next block; may load a new version first."""
        self._look()
        # Never None: a model in use is only ever replaced by another.
        return cast("M", self._model)

    def _named(self) -> Path:
        return resolve_version(self._path)

    def _report_refusal(self, version: Path, error: SparsewatchError) -> None:
        Metrics.counter("sparsewatch", "model_versions_refused").inc()
        _LOG.error("%s is refused, %s stays: %s", version, self._taken.name if self._taken else None, error)


class ShadowModel(_Following[M]):
    """The present candidate, if it could be used; see `ModelInUse`.

    Args:
        path: `<root>/<name>` to look in; a version's own folder has no candidates.
        load: Loads a version's folder and verifies it; not called before there is a candidate.
        clock: Rising seconds.
        every_s: Least seconds between two looks at `candidate`.
    """

    _as = " beside the latest"

    def __init__(
        self,
        path: Path | str,
        load: Callable[[Path], M],
        *,
        clock: Callable[[], float] = time.monotonic,
        every_s: float = EVERY_S,
    ) -> None:
        # The first block looks at once: a job may start in the middle of a shadow run.
        super().__init__(path, load, clock, every_s, due_s=0.0)

    def current(self) -> M | None:
        """The candidate for the next block, None without one; may load it first."""
        self._look()
        return self._model

    def _named(self) -> Path | None:
        named = candidate(self._path)
        return None if named is None else self._path / named

    def _leave(self) -> None:
        self._take(None, None)

    def _report_refusal(self, version: Path, error: SparsewatchError) -> None:
        Metrics.counter("sparsewatch", "model_candidates_refused").inc()
        _LOG.error("the candidate %s is refused and not scored: %s", version, error)


@functools.lru_cache(maxsize=8)
def followed(model: ModelInUse[M]) -> FollowedModel[M]:
    """The followed model of this process."""
    return FollowedModel(model.path, model.version)


@functools.lru_cache(maxsize=8)
def shadowed(model: ModelInUse[M]) -> ShadowModel[M]:
    """The shadow model of this process."""
    return ShadowModel(model.path, model.version)


@functools.lru_cache(maxsize=4)
def _loaded(load: Callable[[Path], M], version: Path) -> M:
    return load(version)


def mark_of(version: Path) -> Mark:
    """A value that changes when a file of the version does."""
    try:
        found = [(p.name, p.stat()) for p in sorted(version.iterdir())]
    except OSError:
        found = []
    return version, tuple((name, stat.st_size, stat.st_mtime_ns) for name, stat in found)
