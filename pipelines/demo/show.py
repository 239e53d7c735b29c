"""What the demo prints, and its report as JSON."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import msgspec
from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

from sparsewatch.pipelines.console.tables import output, table
from sparsewatch.pipelines.demo.faults import Fault, Verdict
from sparsewatch.pipelines.demo.ledger import Ledger
from sparsewatch.schemas.accounts import Account
from sparsewatch.schemas.alerts import Alert, counted
from sparsewatch.schemas.incidents import IncidentRecord, headline

_RANKS = 8
#: Values that moved most, of those that an alert names.
_MOVED = 2
_COLORS = {"critical": "red", "warning": "yellow", "info": "cyan"}


def clock(time_us: int) -> str:
    """Event time as hours and minutes.

    >>> clock(3_900_000_000)
    '01:05'
    """
    return datetime.fromtimestamp(time_us / 1e6, UTC).strftime("%H:%M")


def planted_table(faults: Sequence[Fault]) -> Table:
    """What was planted."""
    rows = (
        (f"{clock(f.start_us)} to {clock(f.end_us)}", f.name, f.rules[0], f.subject or "the pattern's id", f.where)
        for f in faults
    )
    return table(("event time", "fault", "cause expected", "about", "where"), rows, title="Planted", box=box.SIMPLE)


def incident_line(incident: IncidentRecord, delay_s: float | None) -> str:
    """What became of an incident, with the delay after the window's last event had been written."""
    delay = "" if delay_s is None else f" [dim](+{delay_s:.1f} s)[/dim]"
    color = "green" if incident.state == "resolved" else _COLORS[incident.severity]
    others = len(incident.findings) - 1 + incident.left_out
    more = f" [dim]and {counted(others, 'other finding')}[/dim]" if others else ""
    about = f"[bold]{incident.rule}[/bold] {headline(incident.subject, incident.message)}"
    where = "" if incident.where in ("", "everywhere") else f" [dim]where[/dim] {incident.where}"
    told = f"[{color}]{incident.id} {incident.change}[/{color}] {clock(incident.window_start_us)}"
    return f"{told} {about}{where}{more}{delay}"


def ranking_table(before: Mapping[str, Any], after: Mapping[str, Any]) -> Table:
    """The best features before a fault, during it, and in the sliding ranking, which moves more slowly."""
    names = [clock(record["window_start_us"]) for record in (before, after)]
    names.append(f"last {counted(after['sliding']['panes'], 'window')}")
    columns = ("rank", *(heading for name in names for heading in (f"{name} feature", "share")))
    rankings = (before["ranking"], after["ranking"], after["sliding"]["ranking"])
    rows = [
        (str(rank), *(cell for one in row for cell in (one["feature"], f"{one['normalised']:.3f}")))
        for rank, row in enumerate(zip(*(ranking[:_RANKS] for ranking in rankings), strict=True), start=1)
    ]
    title = "Ranking before and after ad_position lost its signal (share of the clicks' entropy explained)"
    return table(columns, rows, title=title, right=("rank", "share"), box=box.SIMPLE)


def drift_lines(record: Mapping[str, Any]) -> list[str]:
    """What moved in a window against those before it, one line a feature."""
    drift = record["drift"]
    if drift["untold"]:
        return [f"no drift: {drift['untold']}"]
    lines = [f"overlap with the {drift['panes']} earlier windows without a finding: {drift['overlap']:.2f}"]
    lines += [
        f"{one['feature']} drifted: share {one['normalised_before']:.3f} -> {one['normalised_now']:.3f}, "
        f"rank {one['rank_before']} -> {one['rank_now']}, p = {one['p_value']:.1e}"
        for one in drift["features"]
        if one["significant"]
    ]
    return lines


def accounts_table(books: Mapping[str, Ledger]) -> Table:
    """What was written, what the jobs account for, and what their exporters serve."""
    numbers = ("read", "counted", "rejected", "late", "lost")
    rows = (
        (stream, name, *(f"{getattr(getattr(ledger, name), number):,}" for number in numbers))
        for stream, ledger in books.items()
        for name in ("written", "accounted", "exported")
    )
    title = "Accounts (read = counted + rejected + late)"
    return table(("stream", "", *numbers), rows, title=title, right=numbers, box=box.SIMPLE)


@dataclass(frozen=True)
class Told:
    """What the jobs told."""

    #: As they stand in the end.
    incidents: Sequence[IncidentRecord]
    #: By id: how long after their first window's last event they were told; None where that is not known.
    delays_s: Mapping[str, float | None]
    alerts: Sequence[Alert]

    def moved(self, incident: IncidentRecord) -> list[str]:
        """The values whose shares changed most in the first alert on an incident's root suspect."""
        name = (incident.id, incident.rule, incident.subject)
        first = next((one for one in self.alerts if (one.incident, one.rule, one.subject) == name), None)
        values = () if first is None else first.evidence.get("moved", ())
        return [f"{one['value']} {one['before']:.1%} -> {one['now']:.1%}" for one in values[:_MOVED]]


def found_table(faults: Sequence[Fault], told: Told) -> Table:
    """What became of each fault."""
    rows: list[tuple[str | Text, ...]] = []
    for fault in faults:
        own = [one for one in told.incidents if fault.is_in(one)]
        rows += [(fault.name, *_told_cells(one, told)) for one in own]
        if not own:
            rows.append((fault.name, Text("none", style="red"), *[""] * 5))
    columns = ("fault", "incident", "from to", "cause", "where", "values that moved", "told after")
    return table(columns, rows, title="Found", right=("told after",), box=box.SIMPLE)


def _told_cells(incident: IncidentRecord, told: Told) -> tuple[str, ...]:
    end = "fires" if incident.ended_us is None else clock(incident.ended_us)
    delay = told.delays_s.get(incident.id)
    return (
        incident.id,
        f"{clock(incident.started_us)} {end}",
        f"{incident.rule} {incident.subject}",
        incident.where,
        ", ".join(told.moved(incident)),
        "" if delay is None else f"{delay:.1f} s",
    )


def verdict_lines(verdict: Verdict, balanced: bool) -> list[str]:
    """The verdict, one line a point."""
    planted, found = len(verdict.found) + len(verdict.missed), len(verdict.found)
    lines = [
        f"{found} of {counted(planted, 'planted fault')} found, each with its cause",
        f"{counted(len(verdict.consequences), 'incident')} that follow from a planted fault",
        counted(len(verdict.false), "false incident"),
        f"{counted(len(verdict.firing), 'incident')} not resolved",
        "the accounts balance" if balanced else "the accounts do NOT balance",
    ]
    lines += [f"missed: {fault.name}" for fault in verdict.missed]
    lines += [f"in more than one incident: {fault.name}" for fault in verdict.scattered]
    lines += [f"follows from a fault: {incident_line(one, None)}" for one in verdict.consequences]
    lines += [f"not planted: {incident_line(one, None)}" for one in verdict.false]
    lines += [f"not resolved: {incident_line(one, None)}" for one in verdict.firing]
    return lines


def report(
    faults: Sequence[Fault],
    verdict: Verdict,
    told: Told,
    books: Mapping[str, Ledger],
    rates: Mapping[str, float],
) -> dict[str, Any]:
    """The same as JSON."""
    return {
        "planted": [
            {
                "fault": f.name,
                "stream": f.stream,
                "rule": f.rules[0],
                "subject": f.subject,
                "where": f.where,
                "start_us": f.start_us,
                "end_us": f.end_us,
                "found": f in verdict.found,
                "incidents": [
                    {"id": one.id, "delay_s": told.delays_s.get(one.id), "moved": told.moved(one)}
                    for one in told.incidents
                    if f.is_in(one)
                ],
            }
            for f in faults
        ],
        "alerts": [msgspec.to_builtins(one) for one in told.alerts],
        "incidents": [msgspec.to_builtins(one) for one in told.incidents],
        "accounts": {name: _numbers(ledger.accounted) for name, ledger in books.items()},
        "written": {name: _numbers(ledger.written) for name, ledger in books.items()},
        "exported": {name: _numbers(ledger.exported) for name, ledger in books.items()},
        "rates": dict(rates),
    }


def _numbers(account: Account) -> dict[str, int]:
    return {"read": account.read, **msgspec.to_builtins(account)}


def console(quiet: bool) -> Console:
    """Where the demo prints."""
    return output(quiet=quiet, highlight=False, soft_wrap=True)
