"""What a job wrote of a day: its windows in numbers, incidents, orders of people, and how it stood at both ends."""

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta, tzinfo
from typing import Any

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


@dataclass
class Day:
    """A day of a job."""

    span: Span
    #: Windows that begin in it, incidents that lasted in it, alerts of its windows.
    outcome: Outcome = field(default_factory=Outcome)
    #: The first and the last of its windows with rows, as the job wrote them.
    first: Record | None = None
    last: Record | None = None
    #: Of a job of wafers: by verdict, and by pattern those that are not novel.
    verdicts: Counter[str] = field(default_factory=Counter)
    patterns: Counter[str] = field(default_factory=Counter)
    #: Of a job with a row model.
    rows_above: int | None = None
    #: What people decided on the day, in turn.
    orders: tuple[Order, ...] = ()

    def add(self, record: Record) -> None:
        """The window that follows; one that was written again counts anew, see `read_day`."""
        account = Account(counted=record["rows"])
        rate = record.get("profile", {}).get("click_rate")
        self.outcome.windows.append(
            WindowTold(
                record["window_start_us"],
                record["window_end_us"],
                account,
                record["complete"],
                len(record["alerts"]),
                rate,
            )
        )
        self.outcome.totals += account
        if not record["rows"]:
            return
        self.first = self.first or record
        self.last = record
        self.verdicts.update(record.get("verdicts", {}))
        self.patterns.update(record.get("patterns", {}))
        if "above" in (scores := record.get("row_scores", {})):
            self.rows_above = (self.rows_above or 0) + scores["above"]

    def record(self) -> dict[str, Any]:
        """All of it but the windows, JSON types only."""
        return {
            **self.outcome.record(),
            "start_us": self.span.start_us,
            "end_us": self.span.end_us,
            "verdicts": dict(self.verdicts),
            "patterns": dict(self.patterns),
            "rows_above": self.rows_above,
            "ranking": [] if self.last is None else self.last.get("ranking", []),
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
    windows: dict[int, Record] = {}
    ends: list[Record] = []
    for record in _of_day(made, made.topics.windows, span):
        # A window that was written again takes the place of the one before.
        windows[record["window_start_us"]] = record
        ends = _forget_rankings(ends, record) if record["rows"] else ends
    for _, record in sorted(windows.items()):
        day.add(record)
    alerts = {alert["id"]: alert["rule"] for alert in _of_day(made, made.topics.alerts, span)}
    day.outcome.alerts.update(alerts.values())
    told = sorted(incidents_of(made).values(), key=lambda record: (record["started_us"], record["id"]))
    for record in told:
        if span.meets(record["started_us"], record["ended_us"] or span.end_us):
            day.outcome.incidents[record["id"]] = msgspec.convert(record, IncidentRecord)
    given = read_orders(made.identity)
    day.orders = tuple(order for order in given if span.start_us <= order.at_us < span.end_us)
    return day


def _forget_rankings(ends: list[Record], record: Record) -> list[Record]:
    """The first and the last of some windows and one more; rankings are long, and those between them lose theirs."""
    others = [one for one in ends if one["window_start_us"] != record["window_start_us"]]
    first, *between, last = sorted([*others, record, record], key=lambda one: one["window_start_us"])
    for one in between:
        if one is not first and one is not last:
            one.pop("ranking", None)
    return [first, last]


def _of_day(made: Ready, topic: str, span: Span) -> Iterator[Record]:
    """Records of windows that begin on a day, oldest first."""
    own = made.identity
    with Compacted(own.kafka, topic, MAX_BYTES) as records:
        yield from newest_records(
            records,
            None,
            lambda one: one.get("job") == own.job and span.start_us <= one.get("window_start_us", 0) < span.end_us,
        )
