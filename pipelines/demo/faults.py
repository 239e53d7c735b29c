"""What the demo plants, and which alerts each fault explains."""

from collections.abc import Sequence
from dataclasses import dataclass

from sparsewatch.schemas.alerts import Alert
from sparsewatch.schemas.incidents import IncidentRecord


@dataclass(frozen=True, slots=True, kw_only=True)
class Fault:
    """Something wrong, from `start_us` up to `end_us` of event time."""

    name: str
    stream: str
    #: Rules it explains; the first is expected.
    rules: tuple[str, ...]
    #: None where the subject is an id that the job gives.
    subject: str | None
    start_us: int
    end_us: int
    #: Rules of alerts that follow from it, whatever their subject is; they do not find it.
    also: tuple[str, ...] = ()

    def explains(self, alert: Alert) -> bool:
        """Whether the alert is about this fault: job, subject, rule, and a window that overlaps it."""
        return self._is_near(alert) and alert.rule in self.rules and self.subject in (None, alert.subject)

    def entails(self, alert: Alert) -> bool:
        """Whether the alert follows from this fault without being about it."""
        return self._is_near(alert) and alert.rule in self.also

    def is_in(self, incident: IncidentRecord) -> bool:
        """Whether the incident is about this fault: one of its findings is."""
        return incident.job == self.stream and any(
            found.rule in self.rules
            and self.subject in (None, found.subject)
            and found.since_us < self.end_us
            and found.until_us > self.start_us
            for found in incident.findings
        )

    def _is_near(self, alert: Alert) -> bool:
        return alert.job == self.stream and alert.window_start_us < self.end_us and alert.window_end_us > self.start_us


@dataclass(frozen=True, slots=True)
class Verdict:
    """How the alerts match what was planted."""

    found: tuple[Fault, ...]
    missed: tuple[Fault, ...]
    #: Alerts that no fault explains.
    false_alarms: tuple[Alert, ...]
    #: Alerts that follow from a fault which is found by another rule.
    consequences: tuple[Alert, ...] = ()

    @property
    def passed(self) -> bool:
        """Whether every fault was found and nothing else was raised."""
        return not self.missed and not self.false_alarms


def judge(faults: Sequence[Fault], alerts: Sequence[Alert]) -> Verdict:
    """Match alerts with faults."""
    found = tuple(f for f in faults if any(f.explains(a) for a in alerts))
    return Verdict(
        found=found,
        missed=tuple(f for f in faults if f not in found),
        false_alarms=tuple(a for a in alerts if not any(f.explains(a) or f.entails(a) for f in faults)),
        consequences=tuple(
            a for a in alerts if any(f.entails(a) for f in faults) and not any(f.explains(a) for f in faults)
        ),
    )


def first_delay_s(fault: Fault, alerts: Sequence[tuple[Alert, float | None]]) -> float | None:
    """Delay of the first window's alert on a fault; None if there is none or it is not known.

    Args:
        fault: The fault.
        alerts: All alerts, with the seconds each came after its window's last event.
    """
    explained = [(alert.window_start_us, delay) for alert, delay in alerts if fault.explains(alert)]
    return min(explained, key=lambda pair: pair[0])[1] if explained else None
