"""What incidents made of stretches that are labelled as faults: found or missed, how late, and what was raised besides.

A stretch is found in the first window meeting it in which an incident is opened, comes back, grows or gets worse. What
is opened or comes back in a window that meets no stretch is a false incident.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import polars as pl

from sparsewatch.pipelines.backtest.outcome import Outcome, Span, a_day
from sparsewatch.schemas.errors import ConfigError
from sparsewatch.schemas.incidents import Change, IncidentRecord
from sparsewatch.schemas.units import DAY_US, parse_moment_us

_FINDS: tuple[Change, ...] = ("opened", "reopened", "grew", "worse")
_BEGINS: tuple[Change, ...] = ("opened", "reopened")
_KEYS = ("start", "end", "subject", "kind")


@dataclass(frozen=True, slots=True)
class Label:
    """A stretch that is known to be faulty."""

    span: Span
    #: What is wrong there, as alerts name it; unknown if empty.
    subject: str = ""
    kind: str = ""


@dataclass(frozen=True, slots=True)
class LabelFound:
    """What was made of a stretch."""

    label: Label
    #: Windows from the first that meets it to the one that finds it; None if it is missed.
    delay: int | None
    #: Ids of the incidents that were opened in it or came back.
    incidents: tuple[str, ...]
    #: Whether the first root suspect is its subject; None where either is unknown.
    is_right: bool | None

    def record(self) -> dict[str, Any]:
        """JSON types only."""
        label = self.label
        return {
            "start_us": label.span.start_us,
            "end_us": label.span.end_us,
            "subject": label.subject,
            "kind": label.kind,
            "found": self.delay is not None,
            "delay_windows": self.delay,
            "incidents": list(self.incidents),
            "root_is_right": self.is_right,
        }


@dataclass(frozen=True, slots=True)
class Scored:
    """What incidents made of all stretches."""

    labels: tuple[LabelFound, ...]
    #: Ids of incidents, once for each time that they began outside of all stretches.
    false: tuple[str, ...]
    #: Days of windows that meet no stretch.
    clean_days: float

    @property
    def found(self) -> list[LabelFound]:
        """Those that were found."""
        return [one for one in self.labels if one.delay is not None]

    @property
    def incidents_per_fault(self) -> float:
        """Incidents that began in a stretch, by stretch that was found; 0 where none was."""
        return sum(len(one.incidents) for one in self.found) / len(self.found) if self.found else 0.0

    def record(self) -> dict[str, Any]:
        """JSON types only."""
        return {
            "stretches": [one.record() for one in self.labels],
            "found": len(self.found),
            "missed": len(self.labels) - len(self.found),
            "incidents_per_fault": self.incidents_per_fault,
            "false_incidents": list(self.false),
            "clean_days": self.clean_days,
            "false_incidents_per_day": a_day(len(self.false), self.clean_days),
        }


def score(outcome: Outcome, labels: Sequence[Label]) -> Scored:
    """What incidents made of labelled stretches.

    Raises:
        ConfigError: If none of the stretches meets a window.
    """
    met = [label for label in labels if label.span.meets(*outcome.span)]
    if not met:
        raise ConfigError("--labels: none of the stretches lies within the events: are the times theirs?")
    clean = [w for w in outcome.windows if not any(label.span.meets(w.start_us, w.end_us) for label in met)]
    false = [
        change.id
        for change in outcome.changes
        if change.change in _BEGINS and not any(_in(change, label) for label in met)
    ]
    return Scored(
        tuple(_found(outcome, label) for label in met),
        tuple(false),
        sum(window.end_us - window.start_us for window in clean) / DAY_US,
    )


def _found(outcome: Outcome, label: Label) -> LabelFound:
    inside = [change for change in outcome.changes if _in(change, label)]
    first = next((change for change in inside if change.change in _FINDS), None)
    delay = None
    if first is not None:
        own = [w for w in outcome.windows if label.span.meets(w.start_us, w.end_us)]
        delay = sum(window.start_us < first.window_start_us for window in own)
    began = dict.fromkeys(change.id for change in inside if change.change in _BEGINS)
    is_right = None if first is None or not label.subject else first.subject == label.subject
    return LabelFound(label, delay, tuple(began), is_right)


def _in(change: IncidentRecord, label: Label) -> bool:
    return label.span.meets(change.window_start_us, change.window_end_us)


def read_labels(path: Path) -> list[Label]:
    """Stretches of a CSV with a header, or of JSON: `start`, `end`, and `subject` and `kind` where they are known.

    Times are ISO-8601; without an offset they are UTC.

    Raises:
        ConfigError: If the file is missing, or holds something else.
    """
    rows = _rows(path)
    if not rows:
        raise ConfigError(f"{path}: expected labelled stretches, got none")
    return [_label(row, f"{path}, stretch {number}") for number, row in enumerate(rows, 1)]


def _rows(path: Path) -> list[dict[str, Any]]:
    try:
        text = path.read_text(encoding="utf-8-sig")
        if text.lstrip().startswith("["):
            return [dict(row) for row in json.loads(text)]
        if text.lstrip().startswith("{"):
            return [json.loads(line) for line in text.splitlines() if line.strip()]
        return pl.read_csv(text.encode(), infer_schema=False).to_dicts() if text.strip() else []
    except OSError as error:
        raise ConfigError(f"{path}: expected labelled stretches, got {error}") from error
    except (ValueError, TypeError, pl.exceptions.PolarsError) as error:
        raise ConfigError(f"{path}: expected CSV with a header, or JSON, of {', '.join(_KEYS)}: {error}") from error


def _label(row: Mapping[str, Any], where: str) -> Label:
    if missing := [name for name in ("start", "end") if not row.get(name)]:
        raise ConfigError(f"{where}: expected {' and '.join(missing)}, got only {', '.join(row) or 'nothing'}")
    try:
        span = Span(parse_moment_us(str(row["start"])), parse_moment_us(str(row["end"])))
    except ConfigError as error:
        raise ConfigError(f"{where}: {error}") from error
    if span.start_us >= span.end_us:
        raise ConfigError(f"{where}: expected an end behind its start {row['start']}, got {row['end']}")
    return Label(span, str(row.get("subject") or ""), str(row.get("kind") or ""))
