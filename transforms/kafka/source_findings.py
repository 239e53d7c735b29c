"""What a reader found out about its topic (`Notice`), as sentences and as findings."""

from collections.abc import Sequence
from typing import Any

from sparsewatch.schemas.accounts import Notice
from sparsewatch.schemas.alerts import Finding, counted

#: Most partitions that a message or an alert names.
_MOST_NAMED = 20


def sentence(topic: str, notice: Notice) -> str:
    """One line for a person.

    >>> sentence("clicks", Notice("records_lost", 0, 300, 400, 100))
    'clicks/0: the broker deleted offsets 300 to 399 before they were read: up to 100 records are lost'
    """
    what = {
        "source_recreated": f"the topic was deleted and made again: it is read from its begin, offset {notice.resumed}",
        "source_truncated": f"the broker lost the newest records, up to offset {notice.expected - 1}: reading goes on "
        f"at offset {notice.resumed}",
        "records_lost": f"the broker deleted offsets {notice.expected} to {notice.resumed - 1} before they were read",
    }[notice.rule]
    lost = f": up to {counted(notice.lost, 'record')} are lost" if notice.rule == "records_lost" else ""
    if notice.lost and not lost:
        lost = f"; up to {counted(notice.lost, 'record')} of windows that had not closed are lost"
    return f"{topic}/{notice.partition}: {what}{lost}"


def findings_of(topic: str, notices: Sequence[Notice]) -> list[Finding]:
    """A finding for each rule, whatever the number of partitions."""
    by_rule: dict[str, list[Notice]] = {}
    for notice in notices:
        by_rule.setdefault(notice.rule, []).append(notice)
    make = {"source_recreated": _recreated, "source_truncated": _truncated, "records_lost": _lost}
    return [make[rule](topic, of_rule) for rule, of_rule in sorted(by_rule.items())]


def _recreated(topic: str, notices: Sequence[Notice]) -> Finding:
    return Finding(rule="source_recreated", value=_partitions(notices), **_shared(topic, notices))


def _truncated(topic: str, notices: Sequence[Notice]) -> Finding:
    return Finding(rule="source_truncated", value=_partitions(notices), **_shared(topic, notices))


def _lost(topic: str, notices: Sequence[Notice]) -> Finding:
    lost = sum(notice.lost for notice in notices)
    return Finding(rule="records_lost", value=float(lost), **_shared(topic, notices))


def _partitions(notices: Sequence[Notice]) -> float:
    return float(len({notice.partition for notice in notices}))


def _shared(topic: str, notices: Sequence[Notice]) -> dict[str, Any]:
    named = [
        {"partition": n.partition, "expected": n.expected, "resumed": n.resumed, "lost": n.lost}
        for n in notices[:_MOST_NAMED]
    ]
    more = f" (and {counted(len(notices) - 1, 'more such notice')})" if len(notices) > 1 else ""
    return {
        "subject": "stream",
        "severity": "critical",
        "threshold": 1.0,
        "baseline": 0.0,
        "message": sentence(topic, notices[0]) + more,
        "evidence": {"topic": topic, "lost": sum(notice.lost for notice in notices), "partitions": named},
    }
