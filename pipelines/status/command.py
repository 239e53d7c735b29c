"""`sparsewatch status`: one screen about a job."""

import time
from collections.abc import Iterator
from pathlib import Path

import click
import msgspec

from sparsewatch.pipelines.console.printable import printable
from sparsewatch.pipelines.console.spans import span
from sparsewatch.pipelines.console.tables import output, table
from sparsewatch.pipelines.job.job_file import load_job
from sparsewatch.pipelines.job.ready import ready
from sparsewatch.pipelines.status.status import Firing, Muted, Status, status_of
from sparsewatch.schemas.alerts import counted, number
from sparsewatch.schemas.units import moment_text

_COLUMNS = ("id", "since", "windows", "severity", "suspect", "message", "acked by")
#: Partitions that are named, the furthest behind first.
_NAMED = 3
_EXAMPLES = """
\b
Examples:
  sparsewatch status clicks.toml
  sparsewatch status clicks.toml --json | jq '.lag | add'
"""


@click.command(epilog=_EXAMPLES)
@click.argument("job_file", metavar="JOB.toml", type=click.Path(path_type=Path, dir_okay=False))
@click.option("--json", "as_json", is_flag=True, help="All of it as one JSON object.")
def status(job_file: Path, as_json: bool) -> None:
    """Show what is wrong and since when, how far the job is, and whether its numbers add up.

    Reads the job's progress and asks where its topic ends; it works whether the job runs or not.
    """
    found = status_of(ready(load_job(job_file)))
    if as_json:
        click.echo(msgspec.json.encode(found).decode())
        return
    for line in status_lines(found, time.time()):
        click.echo(printable(line))
    if found.firing:
        output().print(
            table(_COLUMNS, map(_cells, found.firing), title="Incidents that fire (UTC)", right=("windows",))
        )


def status_lines(found: Status, now_s: float) -> Iterator[str]:
    """All but the incidents, a line a subject.

    Args:
        found: The job.
        now_s: By the clock, seconds since the epoch.
    """
    yield f"job        {found.job}, reads {found.topic!r}"
    yield f"run by     {found.instance or 'nobody yet'}"
    yield f"windows    {_windows(found, now_s)}"
    read = found.counted + found.rejected + found.late
    yield (
        f"records    {number(read)} read = {number(found.counted)} counted + {number(found.rejected)} rejected + "
        f"{number(found.late)} late"
        + (f"; up to {number(found.lost)} lost before they were read" if found.lost else "")
    )
    yield f"behind     {_lag(found.lag)}"
    yield f"compares   {_learned(found.learned, found.baseline)}"
    if found.usual:
        yield f"usual      {', '.join(found.usual)}: found in the last window as in those before, and not told"
    if found.silent_us:
        yield f"silent     no event for {span(found.silent_us / 1e6)}"
    for muted in found.muted:
        yield f"muted      {_muted(muted)}"
    yield f"incidents  {counted(len(found.firing), 'incident')} firing" if found.firing else "incidents  none fires"


def _windows(found: Status, now_s: float) -> str:
    if not found.windows or found.closed_end_us is None:
        return "none closed yet"
    ago = span(now_s - found.closed_end_us / 1e6)
    return f"{number(found.windows)} closed, the last ended {moment_text(found.closed_end_us)} UTC, {ago} ago"


def _lag(lag: dict[int, int]) -> str:
    behind = sorted(((n, p) for p, n in lag.items() if n), key=lambda one: (-one[0], one[1]))
    if not behind:
        return "nothing is unread"
    named = ", ".join(f"{number(n)} in partition {p}" for n, p in behind[:_NAMED])
    more = f" and {counted(len(behind) - _NAMED, 'other partition')}" if len(behind) > _NAMED else ""
    total = f"{counted(sum(lag.values()), 'record')} at most"
    return f"{total}: {named}{more}" if len(behind) > 1 else f"{total}, in partition {behind[0][1]}"


def _learned(learned: dict[str, str], baseline: tuple[int, int] | None) -> str:
    named = ", ".join(f"{key} {path!r}" for key, path in learned.items())
    if baseline is not None:
        windows, needed = baseline
        named += ", " if named else ""
        if not needed or windows < needed:
            so_far = f", {windows} of {needed} windows so far" if needed else ""
            return f"with {named}nothing of its own yet: it is learning{so_far}"
        return f"with {named}its last {counted(windows, 'window')} in which nothing was wrong"
    return f"with {named}" if named else "only with its own earlier windows: it names no reference and no model"


def _muted(muted: Muted) -> str:
    named = ", ".join(f"{one.rule} {one.subject}" for one in muted.findings[:_NAMED])
    more = f" and {counted(len(muted.findings) - _NAMED, 'other finding')}" if len(muted.findings) > _NAMED else ""
    until = f" {muted.until}" if muted.until else ""
    return f"{named}{more} ({muted.incident}), by {muted.by}{until}{f': {muted.why}' if muted.why else ''}"


def _cells(incident: Firing) -> tuple[str, ...]:
    others = incident.findings - 1
    return (
        incident.id,
        moment_text(incident.started_us),
        number(incident.windows),
        incident.severity,
        f"{incident.rule} {incident.subject}",
        f"{incident.message}{f'; {others} more' if others else ''}",
        incident.acked_by,
    )
