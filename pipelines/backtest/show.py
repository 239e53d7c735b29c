"""The outcome of a backtest as tables and sentences."""

from collections.abc import Iterator, Sequence
from statistics import median_low
from typing import Any, NamedTuple

import msgspec
from rich.table import Table

from sparsewatch.pipelines.backtest.labels import LabelFound, Scored
from sparsewatch.pipelines.backtest.outcome import Outcome, a_day
from sparsewatch.pipelines.console.spans import span
from sparsewatch.pipelines.console.tables import table
from sparsewatch.pipelines.records.listing import INCIDENTS
from sparsewatch.schemas.alerts import counted, number
from sparsewatch.schemas.units import moment_text

#: Of more incidents the newest are shown; `--json` has all.
_SHOWN = 50


def tables(outcome: Outcome, scored: Scored | None) -> Iterator[Table]:
    """Incidents as `sparsewatch incidents list` shows them, rules, labelled stretches; what is empty is left out."""
    if outcome.incidents:
        records = [msgspec.to_builtins(incident) for incident in outcome.incidents.values()][-_SHOWN:]
        yield table(INCIDENTS.columns, map(INCIDENTS.cells, records), title=INCIDENTS.title)
        rules = [(rule, number(outcome.roots[rule]), number(alerts)) for rule, alerts in outcome.alerts.most_common()]
        title = "Rules; incidents by their root suspect"
        yield table(("rule", "incidents", "alerts"), rules, title=title, right=("incidents", "alerts"))
    if scored is not None:
        columns = ("from", "to", "kind", "subject", "found", "delay", "incidents", "suspects")
        labelled = [label_cells(one, outcome) for one in scored.labels]
        yield table(columns, labelled, title="Labelled stretches (UTC); delay in windows", right=("delay",))


class Tried(NamedTuple):
    """The outcome with a budget of false incidents a day."""

    budget: float
    outcome: Outcome
    scored: Scored | None

    def record(self) -> dict[str, Any]:
        """JSON types only; its figures without its incidents."""
        figures = self.outcome.record()
        told = {name: figures[name] for name in ("incidents_per_day", "rules")}
        labels = {} if self.scored is None else {"labels": self.scored.record()}
        return {"false_incidents_per_day": self.budget, "incidents": len(self.outcome.incidents), **told, **labels}


def scan_tables(scan: Sequence[Tried]) -> Iterator[Table]:
    """Budgets beside what each tells; nothing if none was tried."""
    if not scan:
        return
    columns = ["budget", "incidents", "a day", "alerts"]
    scored = scan[0].scored is not None
    yield table(
        [*columns, *(("found", "missed", "false a day") if scored else ())],
        [_scan_cells(one) for one in scan],
        title="Budgets of false incidents a day",
        right=columns,
    )


def _scan_cells(one: Tried) -> tuple[str, ...]:
    outcome, scored = one.outcome, one.scored
    incidents = len(outcome.incidents)
    cells = (f"{one.budget:g}", number(incidents), f"{a_day(incidents, outcome.days):.3g}")
    told = (*cells, number(outcome.alerts.total()))
    if scored is None:
        return told
    missed = len(scored.labels) - len(scored.found)
    return (*told, number(len(scored.found)), number(missed), f"{a_day(len(scored.false), scored.clean_days):.3g}")


def label_cells(one: LabelFound, outcome: Outcome) -> tuple[str, ...]:
    """A labelled stretch as a row of a table."""
    found = [outcome.incidents[id_] for id_ in one.incidents]
    return (
        moment_text(one.label.span.start_us),
        moment_text(one.label.span.end_us),
        one.label.kind,
        one.label.subject,
        "no" if one.delay is None else "yes",
        "" if one.delay is None else number(one.delay),
        ", ".join(one.incidents),
        ", ".join(dict.fromkeys(f"{incident.rule} {incident.subject}" for incident in found)),
    )


def sentences(job: str, outcome: Outcome, disorder: str, scored: Scored | None) -> Iterator[str]:
    """What a person should know, a line each."""
    totals = outcome.totals
    reasons = ", ".join(f"{n} {reason}" for reason, n in sorted(outcome.reasons.items()))
    yield (
        f"{job}: {counted(len(outcome.windows), 'window')} from {moment_text(outcome.span.start_us)} to "
        f"{moment_text(outcome.span.end_us)} ({span(86_400 * outcome.days)}); {number(totals.read)} read = "
        f"{number(totals.counted)} counted + {number(totals.rejected)} rejected{f' ({reasons})' if reasons else ''} + "
        f"{number(totals.late)} late"
    )
    if totals.late:
        yield (
            f"{counted(totals.late, 'event')} came behind the end of their windows: the files are not in order of "
            f"time. Sort them, or set windows.disorder, which is {disorder}; the job would set such events aside, too"
        )
    incidents, alerts = len(outcome.incidents), outcome.alerts.total()
    left_out = f", the newest {_SHOWN} shown" if incidents > _SHOWN else ""
    yield (
        f"{counted(incidents, 'incident')}{left_out}, {a_day(incidents, outcome.days):.3g} a day; "
        f"{counted(alerts, 'alert')}"
    )
    if scored is not None:
        yield _of_labels(scored)


def _of_labels(scored: Scored) -> str:
    found = scored.found
    delays = [one.delay or 0 for one in found]
    told = [one.is_right for one in scored.labels if one.is_right is not None]
    parts = [f"{len(found)} of the labelled stretches found, {len(scored.labels) - len(found)} missed"]
    if found:
        parts.append(f"median delay {counted(median_low(delays), 'window')}")
        parts.append(f"{scored.incidents_per_fault:.2g} incidents a stretch")
    if told:
        parts.append(f"the root suspect is the labelled subject in {sum(told)} of {len(told)}")
    rate = a_day(len(scored.false), scored.clean_days)
    outside = f"{counted(len(scored.false), 'incident')} in {span(86_400 * scored.clean_days)}, {rate:.3g} a day"
    return f"{', '.join(parts)}; outside of them {outside}"
