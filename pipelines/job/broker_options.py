"""The broker of a command: that of a job file, or an address on the command line."""

import re
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import click
import msgspec

from sparsewatch.pipelines.job.job_file import load_job
from sparsewatch.schemas.errors import ConfigError
from sparsewatch.schemas.jobs import KafkaSettings

#: A command's user waits for it, so a broker that does not answer is reported sooner than in a job.
_TIMEOUT = "10s"

JOB_OPTION: Any = click.option(
    "--job", type=click.Path(path_type=Path, dir_okay=False), metavar="JOB.toml", help="Take the broker from a job."
)
BOOTSTRAP_OPTION: Any = click.option(
    "--bootstrap", multiple=True, metavar="HOST:PORT", help="Broker, if no job file is given; may be repeated."
)


def broker_of(job_file: Path | None, bootstrap: tuple[str, ...], client: str | None = None) -> KafkaSettings:
    """Settings of the broker that the options name; `client`, if given, overrides the job's.

    Raises:
        ConfigError: If neither a job nor an address is given, or both, or an invalid address.
    """
    if (job_file is None) == (not bootstrap):
        raise ConfigError("expected either a job file or --bootstrap HOST:PORT")
    check_addresses(bootstrap)
    kafka = KafkaSettings(bootstrap_servers=list(bootstrap)) if job_file is None else load_job(job_file).kafka
    return asking(kafka if client is None else msgspec.structs.replace(kafka, client=client))


def check_addresses(bootstrap: Iterable[str]) -> None:
    """Check the addresses of `--bootstrap`.

    Raises:
        ConfigError: If one is invalid.
    """
    for server in bootstrap:
        if not re.fullmatch(r"\S+:\d{1,5}", server):
            raise ConfigError(f"--bootstrap: expected HOST:PORT, got {server!r}")


def asking(kafka: KafkaSettings) -> KafkaSettings:
    """The settings of a broker for a command, which waits less long than a job."""
    return msgspec.structs.replace(kafka, timeout=_TIMEOUT)
