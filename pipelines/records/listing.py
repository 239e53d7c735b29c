"""Records of a job as rows of a table. What stands in them came from outside and is shown harmlessly."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from sparsewatch.pipelines.records.reading import Record
from sparsewatch.schemas.units import moment_text

#: Features, columns and labels that a cell names.
_NAMED = 3


@dataclass(frozen=True, slots=True)
class View:
    """How records of one kind are shown."""

    title: str
    columns: Sequence[str]
    cells: Callable[[Record], tuple[str, ...]]
    right: Sequence[str] = ()

    def line(self, record: Record) -> str:
        """The record in a line, for following."""
        return "  ".join(cell for cell in self.cells(record) if cell)


def window_cells(record: Record) -> tuple[str, ...]:
    """A window: when, how many rows, whether whole, alerts, and what its kind of job found."""
    return (
        moment_text(record["window_start_us"]),
        moment_text(record["window_end_us"]),
        str(record["rows"]),
        "yes" if record["complete"] else "no",
        str(len(record["alerts"])),
        "; ".join(gist for make in _GISTS if (gist := make(record))),
    )


def _ranking(record: Record) -> str:
    best = [f"{one['feature']} {one['normalised']:.1%}" for one in record.get("ranking") or ()][:_NAMED]
    return f"best features {', '.join(best)}" if best else ""


def _row_scores(record: Record) -> str:
    scores = record.get("row_scores")
    return f"{scores['above']} rows above the threshold" if scores and "above" in scores else ""


def _wafers(record: Record) -> str:
    verdicts = record.get("verdicts")
    return ", ".join(f"{number} {verdict}" for verdict, number in verdicts.items()) if verdicts else ""


_GISTS = (_ranking, _row_scores, _wafers)


def alert_cells(record: Record) -> tuple[str, ...]:
    """An alert: its window, severity, rule, subject and message."""
    return (
        moment_text(record["window_start_us"]),
        record["severity"],
        record["rule"],
        record["subject"],
        record["message"],
    )


def incident_cells(record: Record) -> tuple[str, ...]:
    """An incident: id, state, since and until when, severity, root suspect and how much else was found.

    The state names what people decided about it as it stands.
    """
    others = len(record["findings"]) - 1 + record["left_out"]
    return (
        record["id"],
        incident_state(record),
        moment_text(record["started_us"]),
        "" if record["ended_us"] is None else moment_text(record["ended_us"]),
        record["severity"],
        f"{record['rule']} {record['subject']}",
        f"{record['message']}{f'; {others} more' if others else ''}",
    )


def incident_state(record: Record) -> str:
    """Whether it fires, and what people decided about it; `silenced` is what an Alertmanager was told of it.

    >>> incident_state({"state": "firing", "acked": {"by": "ada"}, "muted": None})
    'firing, acked by ada'
    """
    decided = ("closed",) if record["state"] == "resolved" else ("acked", "muted", "silenced")
    said = [f"{decision(record, what)} by {by['by']}" for what in decided if (by := record.get(what))]
    return ", ".join([record["state"], *said])


def decision(record: Record, what: str) -> str:
    """What people did of whom an incident tells in one of its fields: those who closed one may have accepted it.

    Args:
        record: The incident.
        what: `acked`, `muted`, `closed` or `silenced`.

    >>> decision({"change": "accepted", "closed": {"by": "ada"}}, "closed")
    'accepted'
    """
    # What resolved it is the last that is told of it, until it comes back: then nobody closed it.
    return "accepted" if what == "closed" and record.get("change") == "accepted" else what


def finding_cells(found: Record) -> tuple[str, ...]:
    """A finding of an incident: the windows that show it, and as of the last of them what it says."""
    return (
        moment_text(found["since_us"]),
        moment_text(found["until_us"]),
        found["severity"],
        found["rule"],
        found["subject"],
        "" if (p_value := found.get("p_value")) is None else f"{p_value:.2g}",
        found["message"],
    )


def row_cells(record: Record) -> tuple[str, ...]:
    """An outlier among rows: id, time, score, p-value and the columns that make it one."""
    columns = sorted(record["columns"].items(), key=lambda named: -named[1])[:_NAMED]
    return (
        record["id"],
        moment_text(record["event_time_us"]),
        f"{record['score']:.3g}",
        f"{record['p_value']:.2g}",
        ", ".join(f"{name} {share:.2g}" for name, share in columns),
        _pairs(record.get("identity", {})),
    )


def wafer_cells(record: Record) -> tuple[str, ...]:
    """The verdict on a wafer."""
    return (
        record["lot"],
        record["wafer_id"],
        moment_text(record["event_time_us"]),
        str(record["defects"]),
        record["verdict"],
        record["pattern"],
        f"{record['p_value']:.2g}",
        record["tool"],
    )


def _pairs(named: dict[str, Any]) -> str:
    return ", ".join(f"{name}={value}" for name, value in named.items())


WINDOWS = View(
    "Windows, newest last (UTC)", ("from", "to", "rows", "whole", "alerts", "found"), window_cells, ("rows", "alerts")
)
ALERTS = View("Alerts, newest last (UTC)", ("window", "severity", "rule", "subject", "message"), alert_cells)
INCIDENTS = View(
    "Incidents, last changed last (UTC)",
    ("id", "state", "since", "until", "severity", "suspect", "message"),
    incident_cells,
)
FINDINGS = View(
    "Findings, the root suspect first (UTC)",
    ("since", "until", "severity", "rule", "subject", "p", "message"),
    finding_cells,
    ("p",),
)
ROWS = View(
    "Rows above the threshold, newest last (UTC)",
    ("id", "time", "score", "p", "columns", "identity"),
    row_cells,
    ("score", "p"),
)
WAFERS = View(
    "Wafers, newest last (UTC)",
    ("lot", "wafer", "time", "defects", "verdict", "pattern", "p", "tool"),
    wafer_cells,
    ("defects", "p"),
)
#: Results by the ending of their topic's name.
RESULTS = {"rows": ROWS, "wafers": WAFERS}
