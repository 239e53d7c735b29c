"""Acknowledgements: numbers of events whose records are durable, with the reasons of those that were set aside."""

from collections.abc import Iterable
from operator import attrgetter

import msgspec

from sparsewatch.schemas.side_records import SideKind, SideRecord

#: Records shown of each reason, and in all; bytes shown of each.
_SHOWN_A_REASON = 3
_SHOWN = 12
_HEAD_BYTES = 120


class Shown(msgspec.Struct, frozen=True, array_like=True, order=True):
    """One record that was set aside, as an alert shows it; orders by kind, reason and place."""

    kind: SideKind
    #: In snake case: `broken_json`, `bad_time` … or `late`.
    reason: str
    topic: str
    partition: int
    offset: int
    message: str
    #: The first bytes in printable ASCII, others as `\\xNN`; empty without a value.
    head: str

    @classmethod
    def of(cls, record: SideRecord) -> "Shown":
        """A side record."""
        head = repr((record.value or b"")[:_HEAD_BYTES])[2:-1]
        return cls(record.kind, record.code, record.topic, record.partition, record.offset, record.message[:300], head)


class Ack(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """Numbers of events whose records are durable: set aside, or with a result of their own."""

    late: int = 0
    rejected: int = 0
    results: int = 0
    #: Rejects by reason.
    reasons: dict[str, int] = {}
    #: A few of the records that were set aside, of each reason those of the lowest offsets.
    shown: tuple[Shown, ...] = ()

    def __add__(self, other: "Ack") -> "Ack":
        """Sum, number by number; in any order the same."""
        reasons = {
            reason: self.reasons.get(reason, 0) + other.reasons.get(reason, 0)
            for reason in sorted(self.reasons.keys() | other.reasons.keys())
        }
        return Ack(
            late=self.late + other.late,
            rejected=self.rejected + other.rejected,
            results=self.results + other.results,
            reasons=reasons,
            shown=_few({*self.shown, *other.shown}),
        )


def ack_of(records: Iterable[SideRecord]) -> Ack:
    """The acknowledgement of side records."""
    aside = list(records)
    reasons: dict[str, int] = {}
    for record in aside:
        if record.kind == "reject":
            reasons[record.code] = reasons.get(record.code, 0) + record.events
    return Ack(
        late=sum(r.events for r in aside if r.kind == "late"),
        rejected=sum(reasons.values()),
        reasons=dict(sorted(reasons.items())),
        shown=_few(map(Shown.of, _first_of_each(aside))),
    )


def _first_of_each(records: list[SideRecord]) -> list[SideRecord]:
    """Few records of each reason, those of the lowest offsets: a batch may hold thousands."""
    by_reason: dict[tuple[str, str], list[SideRecord]] = {}
    for record in sorted(records, key=attrgetter("partition", "offset")):
        same = by_reason.setdefault((record.kind, record.code), [])
        if len(same) < _SHOWN_A_REASON:
            same.append(record)
    return [record for same in by_reason.values() for record in same]


def _few(shown: Iterable[Shown]) -> tuple[Shown, ...]:
    """Of each reason the first few; where there are many reasons, fewer of each."""
    by_reason: dict[tuple[str, str], list[Shown]] = {}
    for one in sorted(shown):
        by_reason.setdefault((one.kind, one.reason), []).append(one)
    turns = [same[turn] for turn in range(_SHOWN_A_REASON) for same in by_reason.values() if turn < len(same)]
    return tuple(sorted(turns[:_SHOWN]))
