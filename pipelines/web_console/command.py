"""`sparsewatch console`: what is wrong, since when and why, in a browser."""

import ipaddress
from contextlib import ExitStack
from pathlib import Path
from typing import Annotated, Any

import click

from sparsewatch.pipelines.console.addresses import PORT, page_address
from sparsewatch.pipelines.console.durations import duration_us
from sparsewatch.pipelines.console.numbers import ranged
from sparsewatch.pipelines.console.stopping import asked, gracefully, wait_asked
from sparsewatch.pipelines.job.job_file import load_job
from sparsewatch.pipelines.job.kind import Job
from sparsewatch.pipelines.orders.desk import user_name
from sparsewatch.pipelines.web_console.access import Guard, read_users
from sparsewatch.pipelines.web_console.store import Bounds
from sparsewatch.pipelines.web_console.watched import Watched
from sparsewatch.schemas.errors import ConfigError
from sparsewatch.schemas.settings import Range
from sparsewatch.transforms.kafka.follow_topic import first_refusal

_EXAMPLES = """
\b
Examples:
  sparsewatch console clicks.toml wafers.toml
  sparsewatch console clicks.toml --port 8080 --docs https://wiki.example.org/sparsewatch
  sparsewatch console clicks.toml --host 0.0.0.0 --certificate cert.pem --key key.pem --users users.txt
"""
_LOOK_S = 0.5
_FILE = click.Path(path_type=Path, dir_okay=False)


@click.command(epilog=_EXAMPLES)
@click.argument("job_files", metavar="JOB.toml...", nargs=-1, required=True, type=_FILE)
@click.option(
    "--port",
    type=PORT,
    default=8470,
    show_default=True,
    help="Port to listen on; 0 takes a free one.",
)
@click.option(
    "--host",
    default="127.0.0.1",
    show_default=True,
    help="Address to listen on; any but this machine's own needs --certificate, --key and --users.",
)
@click.option("--certificate", type=_FILE, metavar="FILE", help="Certificate for TLS, PEM.")
@click.option("--key", type=_FILE, metavar="FILE", help="Its key, PEM, without a password.")
@click.option("--users", type=_FILE, metavar="FILE", help="Who may log in: lines name:password, readable by you alone.")
@click.option(
    "--state",
    type=click.Path(path_type=Path, file_okay=False),
    metavar="FOLDER",
    help="Where history lies. [default: ~/.local/state/sparsewatch/console]",
)
@click.option(
    "--keep", default="90d", show_default=True, metavar="DURATION", help="History that is kept, in event time."
)
@click.option(
    "--most",
    type=ranged(Annotated[int, Range(at_least=1_000)]),
    default=200_000,
    show_default=True,
    help="Windows, alerts and results that are kept at most, of each kind and job.",
)
@click.option("--docs", default="", metavar="URL", help="Address of this project's files, for links to what to do.")
def console(
    job_files: tuple[Path, ...],
    port: int,
    host: str,
    certificate: Path | None,
    key: Path | None,
    users: Path | None,
    state: Path | None,
    keep: str,
    most: int,
    docs: str,
) -> None:
    """Show jobs in a browser: what is wrong, since when, how sure, and why; accept, mute, or call it a false alarm.

    Reads the topics of results, remembers them in a folder, and serves pages until it is stopped. It can be started
    before jobs and broker; stopped, it goes on where it was. It answers to this machine alone, unless it is told to
    listen elsewhere: then to people who log in, by TLS. What is decided here is written as `sparsewatch incidents`
    and `sparsewatch baseline` write it, and acts from the job's next window on.

    It ends if a broker refuses it at the start: password, certificate, right to read.
    """
    guard = Guard({} if users is None else read_users(users), user_name())
    tls = _tls(certificate, key)
    docs = page_address("--docs", docs)
    _check_open(host, has_tls=tls is not None, has_users=guard.asks)
    bounds = Bounds(duration_us("--keep", keep), most)
    jobs = _named([load_job(path) for path in job_files])
    files = dict(zip(jobs, job_files, strict=True))
    with gracefully("stopped"), ExitStack() as stack:
        app, server = _web()
        folder = state or _default_state()
        watched = {name: Watched(job, folder, bounds, file=files[name]) for name, job in jobs.items()}
        pages = app.application(app.Console(watched, guard, docs.rstrip("/"), is_secure=tls is not None))
        running = stack.enter_context(server.Server(pages, host, port, tls))
        for one in watched.values():
            stack.enter_context(one)
        click.echo(f"showing {', '.join(watched)} on {running.url}")
        while not asked():
            if (refused := first_refusal(watched.values())) is not None:
                raise refused
            wait_asked(_LOOK_S)
        for one in watched.values():
            one.stop()
    click.echo("stopped")


def _web() -> tuple[Any, Any]:
    """The modules that need the extra `console`.

    Raises:
        ConfigError: If it is not installed.
    """
    try:
        from sparsewatch.pipelines.web_console import app, server
    except ModuleNotFoundError as error:
        raise ConfigError(
            f"the console needs the extra `console`, {error.name} is missing: pip install 'sparsewatch[console]'"
        ) from error
    return app, server


def _named(jobs: list[Job]) -> dict[str, Job]:
    named: dict[str, Job] = {}
    for job in jobs:
        if job.name in named:
            raise ConfigError(f"two jobs are called {job.name!r}: show them in consoles of their own")
        named[job.name] = job
    return named


def _tls(certificate: Path | None, key: Path | None) -> tuple[Path, Path] | None:
    if certificate is None and key is None:
        return None
    if certificate is None or key is None:
        raise ConfigError("expected both --certificate and --key, or neither")
    return certificate, key


def _check_open(host: str, *, has_tls: bool, has_users: bool) -> None:
    """Refuse to be open to others without TLS and a login."""
    missing = [
        option for option, is_there in (("--certificate and --key", has_tls), ("--users", has_users)) if not is_there
    ]
    if missing and not _is_own(host):
        raise ConfigError(
            f"--host {host}: others could read and decide here; expected also {' and '.join(missing)}, "
            "or --host 127.0.0.1"
        )


def _is_own(host: str) -> bool:
    """Whether an address leads to this machine alone."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _default_state() -> Path:
    return Path.home() / ".local" / "state" / "sparsewatch" / "console"
