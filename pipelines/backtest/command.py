"""`sparsewatch backtest`: what a job would have told, had it read these files as they came."""

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import click
import msgspec

from sparsewatch.pipelines.backtest.history import History, open_history, time_rule
from sparsewatch.pipelines.backtest.labels import read_labels, score
from sparsewatch.pipelines.backtest.outcome import Outcome
from sparsewatch.pipelines.backtest.page import page
from sparsewatch.pipelines.backtest.show import sentences, tables
from sparsewatch.pipelines.console.printable import printable
from sparsewatch.pipelines.console.progress import BYTES, progress_bar
from sparsewatch.pipelines.console.tables import output
from sparsewatch.pipelines.job.job_file import load_job
from sparsewatch.pipelines.job.kind import Job
from sparsewatch.pipelines.report.files import save
from sparsewatch.pipelines.tables.options import INPUT_TIME_FORMAT_OPTION, reading_options
from sparsewatch.pipelines.tables.settings import Reading
from sparsewatch.schemas.settings import parse_duration_us
from sparsewatch.schemas.units import parse_moment_us
from sparsewatch.transforms.codecs.stretch import Stretch

if TYPE_CHECKING:
    from sparsewatch.pipelines.backtest.replay import Told

#: Seconds between two lines of progress where there is no terminal.
_LINE_S = 5.0

_EXAMPLES = """\b
Examples:
  sparsewatch backtest clicks.toml january.parquet
  sparsewatch backtest clicks.toml days/ --since 2026-01-05 --html january.html
  sparsewatch backtest clicks.toml days/ --set stream.volume_low=0.5
  sparsewatch backtest clicks.toml days/ --labels outages.csv --json | jq .labels
"""


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
    many windows late, and how many incidents a day were none.
    """
    job = load_job(job_file, overrides)
    known = None if labels is None else read_labels(labels)
    stretch = Stretch.parse(since, until)
    rule = time_rule(
        job, input_time_format, None if start is None else parse_moment_us(start), parse_duration_us(interval)
    )
    with progress_bar("scanning", unit=BYTES, lines_s=_LINE_S) as bar:
        history = open_history(job, files, rule, reading, bar.move)
    outcome, alerts, remarks = Outcome(), bytearray(), list[str]()
    for told in _replayed(job, history, stretch, remarks):
        outcome.add(told)
        if alerts_file is not None:
            alerts += b"".join(msgspec.json.encode(alert) + b"\n" for alert in told.decided.raised.alerts)
    scored = None if known is None else score(outcome, known)
    for remark in [*remarks, *history.remarks()]:
        click.echo(remark, err=True)
    if alerts_file is not None:
        save(alerts_file, bytes(alerts))
    said = list(sentences(job.name, outcome, job.windows.disorder, scored))
    if html is not None:
        save(html, page(job.name, history.name, outcome, scored, said))
    if as_json:
        record = outcome.record() | ({} if scored is None else {"labels": scored.record()})
        click.echo(msgspec.json.encode(record).decode())
        return
    for one in tables(outcome, scored):
        output().print(one)
    for sentence in said:
        click.echo(printable(sentence))


def _replayed(job: Job, history: History, stretch: Stretch, remarks: list[str]) -> Iterator["Told"]:
    """What the job tells, window by window; `remarks` gets those on what it names."""
    # Beam is imported once the settings and files are sound: it takes seconds.
    from sparsewatch.pipelines.backtest.run import replay
    from sparsewatch.pipelines.job.ready import prepare, ready

    made = ready(job)
    prepared = prepare(made)
    remarks += prepared.remarks
    with progress_bar(history.name, unit=BYTES, lines_s=_LINE_S) as bar:
        yield from replay(made, prepared, history, stretch, bar.move)
