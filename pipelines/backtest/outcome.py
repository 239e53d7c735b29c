"""What a job tells over a stretch of history, gathered window by window: a few numbers a window, and its incidents."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, NamedTuple

import msgspec

from sparsewatch.schemas.accounts import Account
from sparsewatch.schemas.alerts import Alert
from sparsewatch.schemas.incidents import IncidentRecord
from sparsewatch.schemas.units import DAY_US

if TYPE_CHECKING:
    from sparsewatch.pipelines.backtest.replay import Told


class Span(NamedTuple):
    """A stretch of event time, microseconds since the epoch; the end is exclusive."""

    start_us: int
    end_us: int

    def meets(self, start_us: int, end_us: int) -> bool:
        """Whether another stretch has a moment of it."""
        return start_us < self.end_us and self.start_us < end_us


@dataclass(frozen=True, slots=True)
class WindowTold:
    """A window, in numbers."""

    start_us: int
    end_us: int
    account: Account
    complete: bool
    alerts: int
    #: Share of clicks; None where the job counts none.
    click_rate: float | None


@dataclass
class Outcome:
    """All that was told."""

    windows: list[WindowTold] = field(default_factory=list)
    #: As they stand, by id, in the order in which they were opened.
    incidents: dict[str, IncidentRecord] = field(default_factory=dict)
    #: Alerts and incidents by rule; of an incident the rule of its root suspect.
    alerts: Counter[str] = field(default_factory=Counter)
    #: What windows did to incidents, in order.
    changes: list[IncidentRecord] = field(default_factory=list)
    #: What was read in all.
    totals: Account = field(default_factory=Account)
    #: Rejects by reason.
    reasons: Counter[str] = field(default_factory=Counter)

    def add(self, told: "Told") -> None:
        """The window that follows."""
        closed, raised = told.closed, told.decided.raised
        self.totals += told.account
        self.reasons.update(closed.acks.reasons)
        self.alerts.update(alert.rule for alert in raised.alerts)
        self.incidents.update((record.id, record) for record in raised.incidents)
        self.changes += raised.incidents
        if not closed.is_preface:
            self.windows.append(_window(told, raised.alerts))

    @property
    def roots(self) -> Counter[str]:
        """Incidents by the rule of their root suspect."""
        return Counter(incident.rule for incident in self.incidents.values())

    @property
    def span(self) -> Span:
        """From the first window to the end of the last."""
        starts, ends = ([getattr(w, name) for w in self.windows] for name in ("start_us", "end_us"))
        return Span(min(starts, default=0), max(ends, default=0))

    @property
    def days(self) -> float:
        """Days that the windows cover, those without a row among them."""
        return (self.span.end_us - self.span.start_us) / DAY_US

    def record(self) -> dict[str, Any]:
        """All of it but the windows, JSON types only; incidents as the job writes them."""
        totals = self.totals
        return {
            "windows": len(self.windows),
            "start_us": self.span.start_us,
            "end_us": self.span.end_us,
            "days": self.days,
            "rows": totals.counted,
            "late": totals.late,
            "rejected": totals.rejected,
            "reasons": dict(sorted(self.reasons.items())),
            "incidents_per_day": a_day(len(self.incidents), self.days),
            "rules": {
                rule: {"incidents": self.roots[rule], "alerts": self.alerts[rule]} for rule in sorted(self.alerts)
            },
            "incidents": [msgspec.to_builtins(incident) for incident in self.incidents.values()],
        }


def a_day(number: int, days: float) -> float:
    """So many a day; 0 where there is no day."""
    return number / days if days else 0.0


def _window(told: "Told", alerts: Sequence[Alert]) -> WindowTold:
    window = told.closed.window
    rate = told.decided.whole.summary.get("profile", {}).get("click_rate")
    return WindowTold(window.start_us, window.end_us, told.account, window.complete, len(alerts), rate)
