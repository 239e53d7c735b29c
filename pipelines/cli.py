"""The command line: `sparsewatch COMMAND`. Errors made on purpose end with one message and exit code 2."""

import logging
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

from sparsewatch.pipelines.console.durations import duration_us
from sparsewatch.pipelines.console.lazy_commands import lazy_group
from sparsewatch.pipelines.console.stopping import asked, gracefully, install
from sparsewatch.schemas.alerts import counted
from sparsewatch.schemas.errors import SparsewatchError
from sparsewatch.schemas.secrets import redacted
from sparsewatch.version import __version__

if TYPE_CHECKING:
    from sparsewatch.pipelines.job.ready import Findable

_EPILOG = """
A first look: `sparsewatch demo`. A job of your own: `sparsewatch init --bootstrap HOST:PORT --topic T` writes JOB.toml,
`sparsewatch check JOB.toml`, `sparsewatch run JOB.toml`.
"""


_COMMANDS = {
    "init": (
        "sparsewatch.pipelines.init.command:init",
        "Write a job file from a look at a topic.",
    ),
    "publish": (
        "sparsewatch.pipelines.publish.command:publish",
        "Write files of events or wafers to a topic, paced if asked.",
    ),
    "backtest": (
        "sparsewatch.pipelines.backtest.command:backtest",
        "Tell what a job would have told of files of the past.",
    ),
    "rank": (
        "sparsewatch.pipelines.rank.command:rank",
        "Rank the features of a file or folder by their information about a label.",
    ),
    "score": ("sparsewatch.pipelines.score.command:score", "Score the rows or wafers of files with a model."),
    "mend": ("sparsewatch.pipelines.mend.command:mend", "Repair topics that would lose a job's state."),
    "status": ("sparsewatch.pipelines.status.command:status", "One screen: what is wrong, how far the job is."),
    "report": ("sparsewatch.pipelines.day_report.command:report", "Write a day of a job as a page."),
    "windows": ("sparsewatch.pipelines.records.command:windows", "Windows that a job has closed."),
    "alerts": ("sparsewatch.pipelines.records.command:alerts", "Alerts that a job has raised."),
    "incidents": (
        "sparsewatch.pipelines.incidents.command:incidents",
        "What is wrong, since when, and until when.",
    ),
    "baseline": (
        "sparsewatch.pipelines.orders.baseline_command:baseline",
        "What a job compares with: show it, accept what is new, exclude a stretch.",
    ),
    "results": ("sparsewatch.pipelines.records.command:results", "Results of single rows or wafers."),
    "rejects": ("sparsewatch.pipelines.rejects.command:rejects", "List rejected records, replay repaired ones."),
    "late": ("sparsewatch.pipelines.rejects.late_command:late", "List late records, replay them to another topic."),
    "patterns": (
        "sparsewatch.pipelines.patterns.command:patterns",
        "Emerging wafer patterns: list, name, merge, dismiss.",
    ),
    "models": ("sparsewatch.pipelines.models.command:models", "Versions of a model: list, verify, promote, roll back."),
    "retrain": (
        "sparsewatch.pipelines.retrain.command:retrain",
        "Retrain a row model; it is promoted if it passes a shadow run.",
    ),
    "exporter": ("sparsewatch.pipelines.exporter.command:exporter", "Serve a job's metrics to Prometheus."),
    "notify": ("sparsewatch.pipelines.notify.command:notify", "Tell an Alertmanager or webhooks of incidents."),
    "console": (
        "sparsewatch.pipelines.web_console.command:console",
        "Jobs in a browser: what is wrong, and why.",
    ),
    "completion": (
        "sparsewatch.pipelines.completion.command:completion",
        "Print the script by which a shell completes commands, options and files.",
    ),
    "demo": ("sparsewatch.pipelines.demo.command:demo", "See it all: a broker, two streams, planted faults, alerts."),
}
_TRAIN = {
    "wafer": ("sparsewatch.pipelines.train.wafer:train_wafer", "Wafer patterns: sparse network and novelty detector."),
    "rows": ("sparsewatch.pipelines.train.rows:train_rows", "Rows: a model that scores them, with its calibration."),
    "reference": (
        "sparsewatch.pipelines.train.reference:train_reference",
        "Reference of a click job, of files or its topic.",
    ),
}
_WAFERS = {
    "import": (
        "sparsewatch.pipelines.wafer_import.command:import_wafers",
        "Read KLARF, die map and event files into a topic.",
    ),
    "convert": (
        "sparsewatch.pipelines.wafer_convert.command:convert_wafers",
        "Write KLARF and die maps with their labels as Parquet to train on.",
    ),
    "explain": (
        "sparsewatch.pipelines.wafer_explain.command:explain",
        "Explain the verdicts on wafers in words and pictures.",
    ),
}


#: Commands that go on until they are stopped, or of which what was done stands.
_STOPPED_IN_ORDER = (
    "run",
    "exporter",
    "notify",
    "console",
    "windows",
    "alerts",
    "incidents",
    "results",
    "retrain",
    "publish",
    "demo",
)


class _Commands(lazy_group(_COMMANDS)):  # type: ignore[misc]
    def invoke(self, ctx: click.Context) -> object:
        try:
            return super().invoke(ctx)
        except KeyboardInterrupt:
            # Not left to click, which adds a blank line.
            click.echo("sparsewatch: stopped", err=True)
            sys.exit(0 if ctx.invoked_subcommand in _STOPPED_IN_ORDER else 130)


@click.group(cls=_Commands, epilog=_EPILOG, context_settings={"help_option_names": ["-h", "--help"]})
@click.option("--verbose", "-v", count=True, help="Log more; twice for debugging.")
@click.version_option(__version__, prog_name="sparsewatch")
def cli(verbose: int) -> None:
    """Watch Kafka streams of sparse data and say, in time, that something is wrong or new."""
    _set_up_logging(verbose)


_JOB = click.argument("job_file", metavar="JOB.toml", type=click.Path(path_type=Path, dir_okay=False))
_SET = click.option(
    "--set", "overrides", multiple=True, metavar="KEY=VALUE", help="Override a setting, e.g. windows.length=10m."
)


@cli.command()
@_JOB
@_SET
def check(job_file: Path, overrides: tuple[str, ...]) -> None:
    """Validate JOB.toml: settings, models, broker, topics. Reads no record."""
    from sparsewatch.pipelines.job.job_file import load_job

    job = load_job(job_file, overrides)
    from sparsewatch.pipelines.job.broker_checks import check_broker
    from sparsewatch.pipelines.job.output_checks import check_alerts_file
    from sparsewatch.pipelines.job.ready import prepare, ready

    made = ready(job)
    prepared = prepare(made)
    for remark in prepared.remarks:
        click.echo(remark)
    check_alerts_file(job.output.alerts_file)
    partitions = check_broker(made, str(job_file), on_remark=click.echo)
    click.echo(
        f"{job_file}: job {job.name!r} is sound; {job.source.topic!r} has {counted(len(partitions), 'partition')}."
    )
    click.echo(f"Results go to {made.topics.windows!r}, alerts to {made.topics.alerts!r}.")
    _say_findable(job.alerts.false_incidents_per_day, prepared.findable)


def _say_findable(per_day: float, findable: "Sequence[Findable]") -> None:
    budget = f"at {per_day:g} false incident{'' if per_day == 1 else 's'} a day (alerts.false_incidents_per_day)"
    if not findable:
        click.echo(f"What it can find {budget} depends on what it learns; with a reference or model it is told here.")
        return
    from sparsewatch.pipelines.console.tables import output, table

    output().print(table(("change", "found from", "in"), findable, title=f"Smallest changes found, {budget}"))


@cli.command()
@_JOB
@_SET
@click.option(
    "--until",
    default="forever",
    show_default=True,
    metavar="latest|forever|TIME",
    help="When to stop: at the newest record at the start, never, or at records written at a time (ISO-8601).",
)
@click.option(
    "--runner", type=click.Choice(["auto", "inprocess", "prism", "portable"]), default="auto", show_default=True
)
@click.option(
    "--keep-open",
    is_flag=True,
    help="With a bounded run: leave windows that have not ended to the next run, instead of closing them.",
)
@click.option(
    "--repeat",
    "pause",
    metavar="DURATION",
    help="Run in this process again and again, each time until windows have closed, with this long between, e.g. 30s.",
)
@click.option("--quiet", "-q", is_flag=True, help="Print nothing but warnings and errors.")
@click.argument("beam_options", nargs=-1, type=click.UNPROCESSED)
def run(
    job_file: Path,
    overrides: tuple[str, ...],
    until: str,
    runner: str,
    keep_open: bool,
    pause: str | None,
    quiet: bool,
    beam_options: tuple[str, ...],
) -> None:
    """Run a job. Resumes where it stopped.

    Records written again after a crash carry the same ids, so consumers can drop duplicates.

    `auto` takes the in-process runner for bounded runs. For continuous runs it takes Prism; where there is none, it
    repeats runs in this process, as `--repeat` does. `portable` hands the graph to any Beam job server; give its
    options after `--`, e.g. `-- --job_endpoint=localhost:8099`.

    Ctrl-C and SIGTERM end it, a second one at once.
    """
    with gracefully("sparsewatch: stopped; the next run resumes after the last committed window"):
        repeat_s = None if pause is None else duration_us("--repeat", pause) / 1e6
        from sparsewatch.pipelines.job.job_file import load_job

        job = load_job(job_file, overrides)
        # Beam is imported once the settings are sound: it takes seconds.
        from sparsewatch.pipelines.run.report import RunReport
        from sparsewatch.pipelines.run.run import run_job

        report = RunReport(str(job_file), quiet=quiet)
        summary = run_job(
            job,
            until,
            runner,
            close_at_end=not keep_open,
            repeat_s=repeat_s,
            extra=beam_options,
            job_file=str(job_file),
            report=report,
        )
    reasons = f" (rejected in this run: {report.reasons()})" if report.reasons() else ""
    report.say(f"stopped; {summary}{reasons}; the next run resumes there" if asked() else f"{summary}{reasons}")
    report.warn_of_rejects()
    report.warn_of_columns()


@cli.group(cls=lazy_group(_TRAIN))
def train() -> None:
    """Train what a job needs: wafer model, row model, reference."""


@cli.group(cls=lazy_group(_WAFERS))
def wafers() -> None:
    """Wafer files: import them, convert them for training, explain verdicts."""


#: Least level shown of loggers that speak to developers; Beam sets levels of its own, so the handler has the last word.
#: A broker's permanent fault reaches the user as an error of ours.
_QUIET = {
    "root": logging.CRITICAL,
    "PrismRunner": logging.ERROR,
    "apache_beam": logging.ERROR,
    "kafka": logging.CRITICAL,
    "librdkafka": logging.CRITICAL,
}


class _Redacting(logging.Formatter):
    """Second line of defence: whatever a library logs, passwords that this process knows do not show."""

    def format(self, record: logging.LogRecord) -> str:
        return redacted(super().format(record))


def _set_up_logging(verbose: int) -> None:
    level = (logging.WARNING, logging.INFO, logging.DEBUG)[min(verbose, 2)]
    handler = logging.StreamHandler()
    handler.setFormatter(_Redacting("%(asctime)s %(levelname)s %(name)s: %(message)s"))
    handler.addFilter(lambda record: verbose > 1 or record.levelno >= _QUIET.get(record.name.split(".")[0], level))
    logging.basicConfig(level=level, handlers=[handler], force=True)


def main() -> None:
    """Entry point of the console script."""
    _set_up_logging(0)
    install()
    try:
        # Named: `python -m sparsewatch` is the same command.
        cli.main(prog_name="sparsewatch", standalone_mode=False)
    except SparsewatchError as error:
        click.echo(redacted(f"sparsewatch: {error}"), err=True)
        sys.exit(error.exit_code)
    except click.ClickException as error:
        error.show()
        sys.exit(2)
    except click.Abort:
        sys.exit(130)
    except Exception as error:
        logging.getLogger(__name__).debug("failed", exc_info=True)
        failure = redacted(_last_line(error))
        click.echo(f"sparsewatch: failed while running: {failure} (-vv shows the traceback)", err=True)
        sys.exit(1)


def _last_line(error: Exception) -> str:
    lines = [line for line in str(error).strip().splitlines() if line.strip()]
    return f"{type(error).__name__}: {lines[-1].strip()}" if lines else type(error).__name__
