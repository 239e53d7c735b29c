"""Rules on what is set aside of a stream: the share of the events read that are rejects, or late."""

from typing import Any

import msgspec

from sparsewatch.detectors.stream.thresholds import StreamThresholds
from sparsewatch.schemas.accounts import Account
from sparsewatch.schemas.alerts import Finding, counted, number
from sparsewatch.schemas.set_aside import Ack

#: Share from which on an alert is critical.
_MOST = 0.5
#: Reasons that a message names; the evidence has all.
_NAMED = 3


def check_set_aside(
    events: int, account: Account, acks: Ack, before: Account, thresholds: StreamThresholds
) -> list[Finding]:
    """Rules `rejects_high` and `late_high`.

    Args:
        events: Events read while the window was the next to close, whatever became of them.
        account: Its numbers of late events and rejects.
        acks: Reasons, and a few of the records.
        before: Sums of the job before the window.
        thresholds: Shares from which on the rules fire.
    """
    findings = []
    if _high(account.rejected, events, thresholds.rejects_high, thresholds):
        findings.append(_rejects_finding(events, account, acks, before, thresholds))
    if _high(account.late, events, thresholds.late_high, thresholds):
        findings.append(_late_finding(events, account, acks, before, thresholds))
    return findings


def _high(number_: int, events: int, threshold: float, thresholds: StreamThresholds) -> bool:
    return number_ >= thresholds.min_set_aside and number_ >= threshold * events


def _rejects_finding(
    events: int, account: Account, acks: Ack, before: Account, thresholds: StreamThresholds
) -> Finding:
    share = account.rejected / max(events, account.rejected)
    reasons = sorted(acks.reasons.items(), key=lambda item: (-item[1], item[0]))
    named = ", ".join(f"{reason} {number(n)}" for reason, n in reasons[:_NAMED])
    more = f" and {counted(len(reasons) - _NAMED, 'other reason')}" if len(reasons) > _NAMED else ""
    return Finding(
        rule="rejects_high",
        subject="stream",
        severity="critical" if share >= _MOST else "warning",
        value=share,
        threshold=thresholds.rejects_high,
        baseline=before.rejected / max(before.read, 1),
        message=f"{number(account.rejected)} of {counted(events, 'event')} are rejects ({share:.1%}): {named}{more}",
        evidence={
            "events": events,
            "rejected": account.rejected,
            "reasons": dict(reasons),
            "sample": _sample(acks, "reject"),
        },
    )


def _late_finding(events: int, account: Account, acks: Ack, before: Account, thresholds: StreamThresholds) -> Finding:
    share = account.late / max(events, account.late)
    return Finding(
        rule="late_high",
        subject="stream",
        severity="critical" if share >= _MOST else "warning",
        value=share,
        threshold=thresholds.late_high,
        baseline=before.late / max(before.read, 1),
        message=f"{number(account.late)} of {counted(events, 'event')} came when their window had closed ({share:.1%})",
        evidence={"events": events, "late": account.late, "sample": _sample(acks, "late")},
    )


def _sample(acks: Ack, kind: str) -> list[dict[str, Any]]:
    shown = [msgspec.structs.asdict(one) for one in acks.shown if one.kind == kind]
    return [{name: value for name, value in one.items() if name != "kind"} for one in shown]
