"""What a job wrote of a day: its windows in numbers, incidents, orders of people, and how it stood at both ends."""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta, tzinfo
from typing import Any, NamedTuple, Self

import msgspec

from sparsewatch.pipelines.backtest.outcome import Outcome, Span, WindowTold
from sparsewatch.pipelines.job.ready import Ready
from sparsewatch.pipelines.orders.desk import incidents_of
from sparsewatch.pipelines.records.reading import MAX_BYTES, Record, newest_records
from sparsewatch.schemas.accounts import Account
from sparsewatch.schemas.incidents import IncidentRecord
from sparsewatch.schemas.orders import Order
from sparsewatch.transforms.kafka.compacted import Compacted
from sparsewatch.transforms.kafka.orders import read_orders

Ranking = Sequence[Mapping[str, Any]]


class _Window(NamedTuple):
    """What is kept of a window's record: a few numbers."""

    told: WindowTold
    verdicts: Mapping[str, int]
    patterns: Mapping[str, int]
    rows_above: int | None

    @classmethod
    def of(cls, record: Record) -> Self:
        told = WindowTold(
            record["window_start_us"],
            record["window_end_us"],
            Account(counted=record["rows"]),
            record["complete"],
            len(record["alerts"]),
            record.get("profile", {}).get("click_rate"),
        )
        above = record.get("row_scores", {}).get("above")
        return cls(told, record.get("verdicts", {}), record.get("patterns", {}), above)


@dataclass
class Day:
    """A day of a job."""

    span: Span
    #: Windows that begin in it, incidents that lasted in it, alerts of its windows.
    outcome: Outcome = field(default_factory=Outcome)
    #: The first ranking of the day, and the last.
    first: Ranking = ()
    last: Ranking = ()
    #: Of a job of wafers: by verdict, and by pattern those that are not novel.
    verdicts: Counter[str] = field(default_factory=Counter)
    patterns: Counter[str] = field(default_factory=Counter)
    #: Of a job with a row model.
    rows_above: int | None = None
    #: What people decided on the day, in turn.
    orders: tuple[Order, ...] = ()

    def add(self, window: "_Window") -> None:
        """The window that follows."""
        self.outcome.windows.append(window.told)
        self.outcome.totals += window.told.account
        self.verdicts.update(window.verdicts)
        self.patterns.update(window.patterns)
        if window.rows_above is not None:
            self.rows_above = (self.rows_above or 0) + window.rows_above

    def record(self) -> dict[str, Any]:
        """All of it but the windows, JSON types only."""
        return {
            **self.outcome.record(),
            "start_us": self.span.start_us,
            "end_us": self.span.end_us,
            "verdicts": dict(self.verdicts),
            "patterns": dict(self.patterns),
            "rows_above": self.rows_above,
            "ranking": list(self.last),
            "orders": [msgspec.to_builtins(order) for order in self.orders],
        }


def span_of(day: date, zone: tzinfo) -> Span:
    """The moments of a day, from midnight to midnight: 23 to 25 hours where clocks are put forward or back.

    >>> span_of(date(1970, 1, 2), UTC)
    Span(start_us=86400000000, end_us=172800000000)
    """
    ends = (datetime.combine(one, datetime.min.time(), zone).astimezone(UTC) for one in (day, day + timedelta(days=1)))
    return Span(*(int(end.timestamp()) * 1_000_000 for end in ends))


def read_day(made: Ready, span: Span) -> Day:
    """What a job wrote of a day. Windows and alerts are read one after the other, and a few numbers of each are kept.

    Args:
        made: The job.
        span: The day.

    Raises:
        ConfigError: If the job has not run yet.
        SourceError: If the broker does not answer.
    """
    day = Day(span)
    windows: dict[int, _Window] = {}
    rankings: dict[int, Ranking] = {}
    for record in _of_day(made, made.topics.windows, span):
        # A window that was written again takes the place of the one before.
        windows[start_us := record["window_start_us"]] = _Window.of(record)
        if ranking := record.get("ranking"):
            rankings[start_us] = ranking
            # Of thousands of features they are long.
            for between in sorted(rankings)[1:-1]:
                del rankings[between]
    for _, window in sorted(windows.items()):
        day.add(window)
    if rankings:
        day.first, day.last = rankings[min(rankings)], rankings[max(rankings)]
    alerts = {alert["id"]: alert["rule"] for alert in _of_day(made, made.topics.alerts, span)}
    day.outcome.alerts.update(alerts.values())
    told = sorted(incidents_of(made).values(), key=lambda record: (record["started_us"], record["id"]))
    for record in told:
        if span.meets(record["started_us"], record["ended_us"] or span.end_us):
            day.outcome.incidents[record["id"]] = msgspec.convert(record, IncidentRecord)
    given = read_orders(made.identity)
    day.orders = tuple(order for order in given if span.start_us <= order.at_us < span.end_us)
    return day


def _of_day(made: Ready, topic: str, span: Span) -> Iterator[Record]:
    """Records of windows that begin on a day, oldest first."""
    own = made.identity
    with Compacted(own.kafka, topic, MAX_BYTES) as records:
        yield from newest_records(
            records,
            None,
            lambda one: one.get("job") == own.job and span.start_us <= one.get("window_start_us", 0) < span.end_us,
        )
