"""`sparsewatch backtest`: what a job would have told, had it read these files as they came."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click
import msgspec

from sparsewatch.pipelines.backtest.history import History, open_history, time_rule
from sparsewatch.pipelines.backtest.labels import read_labels, score
from sparsewatch.pipelines.backtest.outcome import Outcome
from sparsewatch.pipelines.backtest.page import page
from sparsewatch.pipelines.backtest.show import Tried, scan_tables, sentences, tables
from sparsewatch.pipelines.console.printable import printable
from sparsewatch.pipelines.console.progress import BYTES, progress_bar
from sparsewatch.pipelines.console.tables import output
from sparsewatch.pipelines.job.job_file import load_job
from sparsewatch.pipelines.job.kind import Job
from sparsewatch.pipelines.report.files import save
from sparsewatch.pipelines.tables.options import INPUT_TIME_FORMAT_OPTION, reading_options
from sparsewatch.pipelines.tables.settings import Reading
from sparsewatch.schemas.errors import ConfigError
from sparsewatch.schemas.settings import parse_duration_us
from sparsewatch.schemas.units import parse_moment_us
from sparsewatch.transforms.codecs.stretch import Stretch

if TYPE_CHECKING:
    from sparsewatch.pipelines.backtest.replay import Told

#: The setting that `--budget` tries.
_BUDGET = "alerts.false_incidents_per_day"
#: Seconds between two lines of progress where there is no terminal.
_LINE_S = 5.0

_EXAMPLES = """\b
Examples:
  sparsewatch backtest clicks.toml january.parquet
  sparsewatch backtest clicks.toml days/ --since 2026-01-05 --html january.html
  sparsewatch backtest clicks.toml days/ --set stream.volume_low=0.5
  sparsewatch backtest clicks.toml days/ --labels outages.csv --json | jq .labels
  sparsewatch backtest clicks.toml days/ --labels outages.csv --budget 0.1,1,10
"""


def _numbers(_ctx: click.Context, _option: click.Parameter, text: str) -> tuple[float, ...]:
    try:
        return tuple(map(float, text.split(","))) if text else ()
    except ValueError as error:
        raise ConfigError(f"--budget: expected numbers such as 0.1,1,10, got {text!r}") from error


@click.command(epilog=_EXAMPLES)
@click.argument("job_file", metavar="JOB.toml", type=click.Path(path_type=Path, dir_okay=False))
@click.argument("files", metavar="FILE...", nargs=-1, required=True, type=click.Path(path_type=Path))
@click.option("--set", "overrides", multiple=True, metavar="KEY=VALUE", help="Try a setting, e.g. windows.length=10m.")
@click.option("--since", metavar="TIME", help="Only events of this time or later, e.g. 2026-01-31T08:00Z.")
@click.option("--until", metavar="TIME", help="Only events before this time.")
@click.option(
    "--labels",
    type=click.Path(path_type=Path, dir_okay=False),
    metavar="FILE",
    help="Stretches that are known to be faulty, CSV or JSON: start, end, and subject and kind where known.",
)
@click.option(
    "--html",
    type=click.Path(path_type=Path, dir_okay=False),
    metavar="OUT.html",
    help="Write a page with the timeline and the incidents; it needs no network.",
)
@click.option("--json", "as_json", is_flag=True, help="One JSON object: figures, rules, labels, incidents as written.")
@click.option(
    "--alerts",
    "alerts_file",
    type=click.Path(path_type=Path, dir_okay=False),
    metavar="OUT.jsonl",
    help="Write all alerts, a line each, as the job would to its topic.",
)
@click.option(
    "--budget",
    "budgets",
    default="",
    callback=_numbers,
    metavar="A,B",
    help="Also decide by these false incidents a day (alerts.false_incidents_per_day), and compare them.",
)
@click.option("--start", metavar="TIME", help="Generate event times: the first (ISO-8601).")
@click.option("--interval", default="1s", show_default=True, help="Generate event times: the step between events.")
@INPUT_TIME_FORMAT_OPTION
@reading_options
def backtest(
    job_file: Path,
    files: tuple[Path, ...],
    overrides: tuple[str, ...],
    since: str | None,
    until: str | None,
    labels: Path | None,
    html: Path | None,
    as_json: bool,
    alerts_file: Path | None,
    budgets: tuple[float, ...],
    start: str | None,
    interval: str,
    input_time_format: str | None,
    reading: Reading,
) -> None:
    """Tell what the job JOB.toml would have told of the events in FILEs, had it read them as they came.

    No broker is asked and nothing is written to one: the job's own code decodes the events, closes its windows, decides
    of each and keeps its incidents. The same events in a topic of one partition give the same alerts, byte for byte. A
    FILE is what `publish` takes: Parquet, CSV or JSON lines, plain or packed, a folder of them, or wafers as npz.

    Events are read in the order of the files, which should be that of time: what comes behind the end of its window is
    late, as it would be in the job. Memory does not depend on the size of the files.

    Settings can be tried with --set, faults that are known are given with --labels: then it says which were found, how
    many windows late, and how many incidents a day were none. With --budget a table says how much of that each budget
    of false incidents would find.
    """
    job = load_job(job_file, overrides)
    tried = [load_job(job_file, (*overrides, f"{_BUDGET}={budget}")) for budget in budgets]
    known = None if labels is None else read_labels(labels)
    stretch = Stretch.parse(since, until)
    rule = time_rule(
        job, input_time_format, None if start is None else parse_moment_us(start), parse_duration_us(interval)
    )
    with progress_bar("scanning", unit=BYTES, lines_s=_LINE_S) as bar:
        history = open_history(job, files, rule, reading, bar.move)
    outcomes, alerts, remarks = [Outcome() for _ in (job, *tried)], bytearray(), list[str]()
    for told in _replayed((job, *tried), history, stretch, remarks):
        for outcome, one in zip(outcomes, told, strict=True):
            outcome.add(one)
        if alerts_file is not None:
            alerts += b"".join(msgspec.json.encode(alert) + b"\n" for alert in told[0].decided.raised.alerts)
    outcome, *others = outcomes
    scored = None if known is None else score(outcome, known)
    scan = [
        Tried(budget, one, None if known is None else score(one, known))
        for budget, one in zip(budgets, others, strict=True)
    ]
    for remark in [*remarks, *history.remarks()]:
        click.echo(remark, err=True)
    if alerts_file is not None:
        save(alerts_file, bytes(alerts))
    said = list(sentences(job.name, outcome, job.windows.disorder, scored))
    if html is not None:
        save(html, page(job.name, history.name, outcome, scored, said))
    if as_json:
        record = outcome.record() | ({} if scored is None else {"labels": scored.record()})
        record |= {"budgets": [one.record() for one in scan]} if scan else {}
        click.echo(msgspec.json.encode(record).decode())
        return
    for shown in (*tables(outcome, scored), *scan_tables(scan)):
        output().print(shown)
    for sentence in said:
        click.echo(printable(sentence))


def _replayed(jobs: Sequence[Job], history: History, stretch: Stretch, remarks: list[str]) -> Iterator[list["Told"]]:
    """What the jobs tell, window by window; `remarks` gets those on what the first names."""
    # Beam is imported once the settings and files are sound: it takes seconds.
    from sparsewatch.pipelines.backtest.run import replay
    from sparsewatch.pipelines.job.ready import prepare, ready

    made = [(one, prepare(one)) for one in map(ready, jobs)]
    remarks += made[0][1].remarks
    with progress_bar(history.name, unit=BYTES, lines_s=_LINE_S) as bar:
        yield from replay(made, history, stretch, bar.move)
