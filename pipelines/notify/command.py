"""`sparsewatch notify`: incidents of jobs, at an Alertmanager."""

import os
from pathlib import Path

import click

from sparsewatch.pipelines.console.durations import duration_us
from sparsewatch.pipelines.console.stopping import asked, gracefully
from sparsewatch.pipelines.job.job_file import load_job
from sparsewatch.pipelines.job.ready import ready
from sparsewatch.pipelines.notify.alertmanager import Alertmanager
from sparsewatch.pipelines.notify.follow import Notifier, Replica
from sparsewatch.pipelines.notify.outbox import Outbox
from sparsewatch.schemas.alerts import counted
from sparsewatch.schemas.errors import ConfigError
from sparsewatch.schemas.secrets import Secret
from sparsewatch.schemas.settings import US_PER_SECOND

_EXAMPLES = """
\b
Examples:
  sparsewatch notify clicks.toml --alertmanager http://localhost:9093
  sparsewatch notify clicks.toml wafers.toml --alertmanager http://am-0:9093 --alertmanager http://am-1:9093
"""
#: Shortest and longest time between two sends.
_LEAST_RESEND_S, _MOST_RESEND_S = 1, 3_600


@click.command(epilog=_EXAMPLES)
@click.argument(
    "job_files", metavar="JOB.toml...", nargs=-1, required=True, type=click.Path(path_type=Path, dir_okay=False)
)
@click.option(
    "--alertmanager",
    "urls",
    metavar="URL",
    multiple=True,
    required=True,
    help="Of a replica; repeat it for each, as each must be told.",
)
@click.option(
    "--resend",
    default="1m",
    show_default=True,
    metavar="TIME",
    help="Between two sends of what fires; an alert ends by itself three times as long after the last.",
)
@click.option("--docs", default="", metavar="URL", help="Address of this project's files, for links to what to do.")
@click.option("--token-env", metavar="NAME", help="Environment variable that holds a bearer's token.")
@click.option("--token-file", type=click.Path(path_type=Path), metavar="FILE", help="File that holds it.")
@click.option("--ca-file", type=click.Path(exists=True, dir_okay=False), metavar="FILE", help="Certificates to trust.")
def notify(
    job_files: tuple[Path, ...],
    urls: tuple[str, ...],
    resend: str,
    docs: str,
    token_env: str | None,
    token_file: Path | None,
    ca_file: str | None,
) -> None:
    """Tell an Alertmanager of the incidents of jobs until stopped.

    Incidents that fire are sent again and again, as Alertmanager wants it; resolved and muted ones are ended. It can
    be started before jobs, broker and Alertmanager, and stopped and restarted at any time: nothing is stored, nothing
    is told twice. Two of it do no harm. It ends if a broker refuses it at the start: password, certificate, right to
    read. docs/alertmanager.md has routes for mail, chat and paging.
    """
    resend_s, token = _seconds(resend), _token(token_env, token_file)
    managers = [Alertmanager(_address(url), token, ca_file) for url in urls]
    jobs = [ready(load_job(path)) for path in job_files]
    topics = [(made.job.kafka, made.topics.incidents) for made in jobs]
    replicas = [Replica(manager, Outbox(resend_s, docs)) for manager in managers]
    with gracefully("stopped"), Notifier(topics, replicas) as running:
        told = ", ".join(topic for _, topic in topics)
        click.echo(f"telling {counted(len(urls), 'Alertmanager')} of {told}")
        running.wait(asked)
    click.echo("stopped")


def _seconds(resend: str) -> float:
    seconds = duration_us("--resend", resend) / US_PER_SECOND
    if not _LEAST_RESEND_S <= seconds <= _MOST_RESEND_S:
        raise ConfigError(f"--resend: expected from {_LEAST_RESEND_S}s to 1h, got {resend!r}")
    return seconds


def _address(url: str) -> str:
    if not url.startswith(("http://", "https://")):
        raise ConfigError(f"--alertmanager: expected http://HOST:PORT or https://…, got {url!r}")
    return url


def _token(variable: str | None, file: Path | None) -> Secret | None:
    if variable is not None and file is not None:
        raise ConfigError("expected one of --token-env and --token-file, got both")
    if variable is not None:
        if not (token := os.environ.get(variable)):
            raise ConfigError("--token-env: the environment has no variable of that name, or it is empty")
        return Secret(token)
    if file is None:
        return None
    try:
        return Secret(file.read_text(encoding="utf-8").strip())
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"--token-file: {file} cannot be read: {error}") from None
