"""Settings of a retraining, and the lock of the model's folder: one retraining at a time."""

import fcntl
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from sparsewatch.detectors.artefacts.versions import is_version, resolve_version
from sparsewatch.detectors.rows.windows.shadow import ShadowRule
from sparsewatch.pipelines.rows.settings import RowsJob
from sparsewatch.pipelines.tables.settings import PLAIN, Reading
from sparsewatch.schemas.errors import ConfigError, ModelError

#: `ordinary`: windows in which nothing was found; `drifted`: also those whose only finding is that p-values
#: have drifted; `all`: every window.
Learn = Literal["ordinary", "drifted", "all"]
#: How a retraining ended: there was no drift; the candidate was refused; it was promoted, and rolled back or not.
Outcome = Literal["not needed", "refused", "promoted", "rolled back"]

_LOCK = ".retrain.lock"


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """Settings of one retraining."""

    job: RowsJob
    #: Files to learn from; the job's own windows without any.
    files: tuple[Path, ...] = ()
    #: How texts of files are read.
    reading: Reading = PLAIN
    learn: Learn = "ordinary"
    #: Newest windows to look at; None for all that are saved.
    last: int | None = None
    #: None for the present model's.
    method: str | None = None
    #: Most rows to learn from.
    sample_rows: int = 200_000
    seed: int = 0
    #: Windows of the shadow run.
    windows: int = 3
    #: Windows to watch after a promotion.
    watch: int = 3
    #: Seconds to wait for the windows of each.
    timeout_s: float = 3600.0
    #: Shadow run on held-out rows, without a running job.
    offline: bool = False
    if_drifted: bool = False
    rule: ShadowRule = field(default_factory=ShadowRule)


def model_folder(job: RowsJob) -> Path:
    """The folder of all versions of a job's model.

    Raises:
        ConfigError: If the job names a single version, which it always uses.
        ModelError: If there is no model.
    """
    folder = Path(job.rows.model).resolve()
    if is_version(folder):
        raise ConfigError(f"rows.model: {folder} is a single version, which jobs never replace: name {folder.parent}")
    resolve_version(folder)
    return folder


@contextmanager
def alone(folder: Path) -> Iterator[None]:
    """Lock out other retrainings of a model: they would take each other's candidates. The lock ends with the process.

    Raises:
        ConfigError: If another retraining is in progress.
        ModelError: If the folder cannot be written.
    """
    try:
        lock = (folder / _LOCK).open("w")
    except OSError as error:
        raise ModelError(f"cannot write {folder / _LOCK}: {error.strerror}") from error
    with lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            raise ConfigError(
                f"another retraining of {folder} is in progress, or it cannot be locked: {error}"
            ) from error
        yield
