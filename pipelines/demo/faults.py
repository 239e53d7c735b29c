"""What the demo plants, and which incidents each fault explains."""

from collections.abc import Sequence
from dataclasses import dataclass

from sparsewatch.schemas.incidents import IncidentRecord


@dataclass(frozen=True, slots=True, kw_only=True)
class Fault:
    """Something wrong, from `start_us` up to `end_us` of event time."""

    name: str
    stream: str
    #: Rules that may tell it; the first is expected.
    rules: tuple[str, ...]
    #: None where the subject is an id that the job gives.
    subject: str | None
    start_us: int
    end_us: int
    #: Rules of incidents that follow from it, whatever their subject is; they do not find it.
    also: tuple[str, ...] = ()
    #: The slice of rows that has it, empty if all have.
    where: str = ""

    def is_in(self, incident: IncidentRecord) -> bool:
        """Whether the incident is about this fault: one of its findings is."""
        return incident.job == self.stream and any(
            found.rule in self.rules
            and self.subject in (None, found.subject)
            and found.since_us < self.end_us
            and found.until_us > self.start_us
            for found in incident.findings
        )

    def is_cause_of(self, incident: IncidentRecord) -> bool:
        """Whether the incident names it as the cause: by its root suspect, and in its slice."""
        return (
            self.is_in(incident)
            and incident.rule in self.rules
            and self.subject in (None, incident.subject)
            and self.where in ("", incident.where)
        )

    def entails(self, incident: IncidentRecord) -> bool:
        """Whether the incident follows from this fault without being about it."""
        end_us = incident.window_end_us if incident.ended_us is None else incident.ended_us
        is_near = incident.job == self.stream and incident.started_us < self.end_us and end_us > self.start_us
        return is_near and incident.rule in self.also


@dataclass(frozen=True, slots=True)
class Verdict:
    """How the incidents match what was planted."""

    found: tuple[Fault, ...]
    missed: tuple[Fault, ...]
    #: Found, but by more than one incident.
    scattered: tuple[Fault, ...]
    #: Incidents that fire, though what was planted is over.
    firing: tuple[IncidentRecord, ...]
    #: Incidents that no fault explains.
    false: tuple[IncidentRecord, ...]
    #: Incidents that follow from a fault which is found by another rule.
    consequences: tuple[IncidentRecord, ...] = ()

    @property
    def passed(self) -> bool:
        """Whether each fault is one incident that names its cause and is resolved, and there is no other."""
        return not (self.missed or self.scattered or self.firing or self.false)


def judge(faults: Sequence[Fault], incidents: Sequence[IncidentRecord]) -> Verdict:
    """Match incidents, as they stand in the end, with faults."""
    about = [any(fault.is_in(one) for fault in faults) for one in incidents]
    follows = [any(fault.entails(one) for fault in faults) for one in incidents]
    found = tuple(f for f in faults if any(f.is_cause_of(one) for one in incidents))
    return Verdict(
        found=found,
        missed=tuple(f for f in faults if f not in found),
        # An id that the job gives may be given to parts of a fault.
        scattered=tuple(f for f in found if f.subject is not None and sum(map(f.is_in, incidents)) > 1),
        firing=tuple(one for one in incidents if one.state == "firing"),
        false=tuple(one for one, a, b in zip(incidents, about, follows, strict=True) if not a and not b),
        consequences=tuple(one for one, a, b in zip(incidents, about, follows, strict=True) if b and not a),
    )
