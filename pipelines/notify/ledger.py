"""What one receiver took of the incidents of one job, and what it is to be told: nothing is read or sent here.

An incident is told as it stands. A receiver that was away is told of each incident once, not of each step that it
missed; one that opened and was resolved meanwhile is told, too.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from sparsewatch.pipelines.notify.update import digest_of
from sparsewatch.pipelines.records.reading import Record
from sparsewatch.schemas.notified import BEGUN, Mark


@dataclass(frozen=True, slots=True)
class Due:
    """An update that is to be told."""

    incident: Record
    digest: str
    #: Digest of the update that was taken before; empty if there is none.
    before: str


class Ledger:
    """Of one receiver and one job; nothing is due before marks and incidents were read and it has begun."""

    def __init__(self) -> None:
        #: By id of the incident: what was taken or refused last; None before it was read.
        self._taken: dict[str, Mark] | None = None
        #: What was read of incidents before it began, and whether that is all that stood.
        self._early: list[Record] = []
        self._stands_read = False
        #: What is to be told, due for longest first.
        self._due: dict[str, Record] = {}
        self._has_begun = False

    @property
    def may_begin(self) -> bool:
        """Whether it can begin now."""
        return self._taken is not None and self._stands_read and not self._has_begun

    @property
    def waiting(self) -> int:
        """Updates that are due."""
        return len(self._due)

    def marks(self, marks: Mapping[str, Mark]) -> None:
        """Take what was taken, by id: all there is at first, then what follows, one's own among it."""
        taken = self._taken = self._taken or {}
        for id_, mark in marks.items():
            if id_ not in taken or taken[id_].at_us < mark.at_us:
                taken[id_] = mark
                if id_ in self._due:
                    self.take(self._due[id_])

    def stands(self, incidents: Iterable[Record]) -> None:
        """Take the incidents of the job as they stand."""
        self._stands_read = True
        for incident in incidents:
            self.take(incident)

    def begin(self, at_us: int) -> dict[str, Mark]:
        """Find out what is due.

        Args:
            at_us: Now, microseconds since the epoch.

        Returns:
            Marks to write, by id. To a new receiver what is over is no news; `BEGUN` says that it is new no longer.
        """
        early, self._early = self._early, []
        new = {}
        if self._mark_of(BEGUN) is None:
            newest = {one["id"]: one for one in early}
            over = {id_: digest_of(one) for id_, one in newest.items() if one["state"] != "firing"}
            new = {id_: Mark(digest=digest, at_us=at_us) for id_, digest in {**over, BEGUN: ""}.items()}
        self.marks(new)
        self._has_begun = True
        self.stands(early)
        return new

    def take(self, incident: Record) -> None:
        """Take an incident that changed."""
        if not self._has_begun:
            self._early.append(incident)
        elif self._is_news(incident):
            # It keeps its place: one that changes often is not put off.
            self._due[incident["id"]] = incident
        else:
            self._due.pop(incident["id"], None)

    def next(self) -> Due | None:
        """What is due for longest; it stays due."""
        for id_, incident in self._due.items():
            taken = self._mark_of(id_)
            return Due(incident, digest_of(incident), "" if taken is None else taken.digest)
        return None

    def put_off(self, due: Due) -> None:
        """It could not be told: all else comes before it, so that one that is never taken holds up no other."""
        if (incident := self._due.pop(due.incident["id"], None)) is not None:
            self._due[due.incident["id"]] = incident

    def settled(self, due: Due, at_us: int) -> dict[str, Mark]:
        """The receiver took it, or refused it for good; gives its mark."""
        id_ = due.incident["id"]
        before = self._mark_of(id_)
        # Whatever the clock says, it is newer than what it took before.
        mark = Mark(digest=due.digest, at_us=at_us if before is None else max(at_us, before.at_us + 1))
        self.marks({id_: mark})
        return {id_: mark}

    def _mark_of(self, id_: str) -> Mark | None:
        return (self._taken or {}).get(id_)

    def _is_news(self, incident: Record) -> bool:
        taken = self._mark_of(incident["id"])
        if taken is None:
            return incident.get("muted") is None
        return taken.digest != digest_of(incident)
