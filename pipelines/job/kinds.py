"""The kinds of jobs: the only list, and the only place where a job's kind is asked.

A kind is named as `module:struct` and imported when a job of it is read, see `sparsewatch.pipelines.job.kind`.
"""

from collections.abc import Mapping
from typing import Any, TypeVar

from sparsewatch.pipelines.job.kind import Job
from sparsewatch.pipelines.job.ready import named_object
from sparsewatch.schemas.errors import ConfigError
from sparsewatch.schemas.jobs import check_settings
from sparsewatch.schemas.settings import nearest, read_settings

#: `kind` in a job file, and its struct.
KINDS: Mapping[str, str] = {
    "ctr": "sparsewatch.pipelines.ctr.settings:CtrJob",
    "rows": "sparsewatch.pipelines.rows.settings:RowsJob",
    "wafer": "sparsewatch.pipelines.wafer.settings:WaferJob",
}

J = TypeVar("J", bound=Job)


def kind_named(name: str) -> type[Job]:
    """The struct of a kind, imported now.

    Raises:
        LookupError: If the table names no struct, or one whose tag is another name.
    """
    kind: type[Job] = named_object(KINDS[name], f"KINDS, {name!r}")
    if (tag := _name(kind)) != name:
        raise LookupError(f"KINDS, {name!r}: expected a struct with tag={name!r}, {KINDS[name]} has tag={tag!r}")
    return kind


def parse_job(settings: dict[str, Any], where: str) -> Job:
    """A validated job from the content of its TOML file.

    Args:
        settings: Parsed TOML.
        where: Name of the file, for messages.

    Raises:
        ConfigError: Naming the key that is unknown, missing, of the wrong type or out of range.
    """
    try:
        job = read_settings(settings, _kind_of(settings))
        check_settings(job)
        job.check()
    except (ConfigError, ValueError) as error:
        raise ConfigError(f"{where}: {error}") from error
    return job


def _kind_of(settings: dict[str, Any]) -> type[Job]:
    name = settings.get("kind")
    if "kind" not in settings:
        raise ConfigError(f"kind: expected one of {', '.join(KINDS)}, the key is missing")
    if not isinstance(name, str) or name not in KINDS:
        raise ConfigError(f"kind: expected one of {', '.join(KINDS)}, got {name!r}{nearest(name, KINDS)}")
    return kind_named(name)


def expect_kind(job: Job, kind: type[J], where: str, why: str) -> J:
    """The job, which must be of a kind: for commands of one kind.

    Args:
        job: A job.
        kind: Struct of the kind.
        where: Name of its file, for the message.
        why: What only this kind has.

    Raises:
        ConfigError: If it is of another kind.
    """
    if not isinstance(job, kind):
        got = _name(type(job))
        raise ConfigError(f"{where}: expected a job of kind {_name(kind)!r}, {why}; got a job of kind {got!r}")
    return job


def name_of_kind(job: Job) -> str:
    """Name of a job's kind, as its file states it."""
    return _name(type(job))


def kinds_that_score_rows() -> list[str]:
    """Names of the kinds whose rows a row model may score."""
    return [name for name in KINDS if kind_named(name).scores_rows]


def _name(kind: type[Job]) -> str:
    return str(kind.__struct_config__.tag)
