"""`sparsewatch notify`: incidents of jobs, at an Alertmanager and at webhooks."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import click
from prometheus_client import CollectorRegistry

from sparsewatch.pipelines.console.addresses import PORT, page_address
from sparsewatch.pipelines.console.durations import duration_us
from sparsewatch.pipelines.console.stopping import asked, gracefully
from sparsewatch.pipelines.exporter.pages import Pages
from sparsewatch.pipelines.job.job_file import load_job
from sparsewatch.pipelines.job.kinds import name_of_kind
from sparsewatch.pipelines.job.ready import Ready, ready
from sparsewatch.pipelines.notify.alert import Leads
from sparsewatch.pipelines.notify.alertmanager import Alertmanager
from sparsewatch.pipelines.notify.follow import Incidents, Informed, Notifier, Replica
from sparsewatch.pipelines.notify.outbox import Outbox
from sparsewatch.pipelines.notify.places import named_webhooks, secret_of
from sparsewatch.pipelines.notify.tally import TallyCollector
from sparsewatch.pipelines.notify.webhooks import MARK_BYTES, Delivery, Marks, Webhook
from sparsewatch.pipelines.records.reading import MAX_BYTES
from sparsewatch.schemas.alerts import counted
from sparsewatch.schemas.errors import ConfigError
from sparsewatch.schemas.metrics import RECEIVERS
from sparsewatch.schemas.settings import US_PER_SECOND
from sparsewatch.transforms.kafka.follow_topic import TopicFollower

_EXAMPLES = """
\b
Examples:
  sparsewatch notify clicks.toml --alertmanager http://localhost:9093 --console http://localhost:8470
  sparsewatch notify clicks.toml wafers.toml --alertmanager http://am-0:9093 --alertmanager http://am-1:9093
  sparsewatch notify clicks.toml --webhook tickets=https://tickets.example.org/hook --webhook-token tickets=env:TICKETS
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
    help="Of a replica; repeat it for each, as each must be told.",
)
@click.option(
    "--webhook",
    "webhooks",
    metavar="NAME=URL",
    multiple=True,
    help="Tell this address, too; env:VARIABLE or file:PATH instead of a URL that is secret. May be repeated.",
)
@click.option(
    "--webhook-token",
    "webhook_tokens",
    metavar="NAME=env:VARIABLE|file:PATH",
    multiple=True,
    help="Where the bearer's token of a webhook is.",
)
@click.option(
    "--resend",
    default="1m",
    show_default=True,
    metavar="TIME",
    help="Between two sends of what fires; an alert ends by itself three times as long after the last.",
)
@click.option("--docs", default="", metavar="URL", help="Address of this project's files, for links to what to do.")
@click.option("--console", default="", metavar="URL", help="Address of a console, for links to incidents' pages.")
@click.option("--token-env", metavar="NAME", help="Environment variable that holds the Alertmanager's bearer token.")
@click.option("--token-file", type=click.Path(path_type=Path), metavar="FILE", help="File that holds it.")
@click.option("--ca-file", type=click.Path(exists=True, dir_okay=False), metavar="FILE", help="Certificates to trust.")
@click.option(
    "--port",
    type=PORT,
    help="Serve /metrics, /-/healthy and /-/ready here; 0 takes a free one. [default: serve nothing]",
)
@click.option("--host", default="127.0.0.1", show_default=True, help="Address to serve them on; 0.0.0.0 for all.")
def notify(
    job_files: tuple[Path, ...],
    urls: tuple[str, ...],
    webhooks: tuple[str, ...],
    webhook_tokens: tuple[str, ...],
    resend: str,
    docs: str,
    console: str,
    token_env: str | None,
    token_file: Path | None,
    ca_file: str | None,
    port: int | None,
    host: str,
) -> None:
    """Tell an Alertmanager or webhooks of the incidents of jobs until stopped.

    An Alertmanager is sent incidents that fire again and again, as it wants it; resolved and muted ones are ended. A
    webhook is told of each update once, with a JSON body. It can be started before jobs, broker and receivers, and
    stopped and restarted at any time: nothing is lost. It ends if a broker refuses it at the start: password,
    certificate, right to read. docs/alertmanager.md has the body, and routes for mail, chat and paging.
    """
    if not urls and not webhooks:
        raise ConfigError("expected --alertmanager or --webhook, got neither")
    if len(urls) + len(webhooks) > RECEIVERS:
        raise ConfigError(f"expected at most {RECEIVERS} receivers, got {len(urls) + len(webhooks)}")
    resend_s, token = _seconds(resend), secret_of(("--token-env", token_env), ("--token-file", token_file))
    hooks = named_webhooks(webhooks, webhook_tokens, ca_file)
    console = page_address("--console", console)
    jobs = [ready(load_job(path)) for path in job_files]
    files = {made.identity.job: str(path) for made, path in zip(jobs, job_files, strict=True)}
    leads = Leads(docs, console, files)
    replicas = [Replica(Alertmanager(_address(url), token, ca_file), Outbox(resend_s, leads)) for url in urls]
    deliveries = [[Delivery(hook, made, name_of_kind(made.job), leads) for hook in hooks] for made in jobs]
    followers = [one for made, own in zip(jobs, deliveries, strict=True) for one in followers_of(made, replicas, own)]
    told: list[Informed] = [*replicas, *(delivery for own in deliveries for delivery in own)]
    with gracefully("stopped"), Notifier(followers, told) as running, _served(running, told, host, port):
        click.echo(f"telling {_receivers(urls, hooks)} of {', '.join(made.topics.incidents for made in jobs)}")
        running.wait(asked)
    click.echo("stopped")


@contextmanager
def _served(running: Notifier, told: Sequence[Informed], host: str, port: int | None) -> Iterator[None]:
    if port is None:
        yield
        return
    registry = CollectorRegistry(auto_describe=False)
    registry.register(TallyCollector(told))
    pages = Pages(host, port, registry, lambda: running.has_read)
    click.echo(f"serving metrics on port {pages.port}")
    try:
        yield
    finally:
        pages.close()


def followers_of(made: Ready, replicas: Sequence[Replica], deliveries: Sequence[Delivery]) -> list[TopicFollower]:
    """Followers of the topics of a job: its incidents, and where there are webhooks what they took."""
    incidents = Incidents(made.topics.incidents, [*replicas, *deliveries])
    followers = [TopicFollower(made.job.kafka, made.topics.incidents, MAX_BYTES, incidents)]
    if deliveries:
        marks = Marks(made.topics.notified, deliveries)
        followers.append(TopicFollower(made.job.kafka, made.topics.notified, MARK_BYTES, marks))
    return followers


def _receivers(urls: Sequence[str], hooks: Sequence[Webhook]) -> str:
    told = [counted(len(urls), "Alertmanager")] if urls else []
    return " and ".join([*told, *([f"webhook {', '.join(hook.name for hook in hooks)}"] if hooks else [])])


def _seconds(resend: str) -> float:
    seconds = duration_us("--resend", resend) / US_PER_SECOND
    if not _LEAST_RESEND_S <= seconds <= _MOST_RESEND_S:
        raise ConfigError(f"--resend: expected from {_LEAST_RESEND_S}s to 1h, got {resend!r}")
    return seconds


def _address(url: str) -> str:
    if not url.startswith(("http://", "https://")):
        raise ConfigError(f"--alertmanager: expected http://HOST:PORT or https://…, got {url!r}")
    return url
