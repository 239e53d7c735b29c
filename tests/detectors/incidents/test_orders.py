"""What people order about incidents: followed once, from their window on, and the same when windows are read again."""

from typing import Any

import msgspec

from sparsewatch.detectors.incidents.lifecycle import Changed, Seen, advance
from sparsewatch.detectors.incidents.settings import IncidentSettings
from sparsewatch.schemas.alerts import Finding
from sparsewatch.schemas.incidents import Incidents, incident_record
from sparsewatch.schemas.orders import Order, Verb, identified, in_force, in_turn

MINUTE_US = 60_000_000
SETTINGS = IncidentSettings()


def finding(rule: str, subject: str) -> Finding:
    return Finding(
        rule=rule, subject=subject, severity="warning", value=1.0, threshold=0.5, baseline=0.0, message="odd"
    )


NULLS, LOST = finding("feature_nulls", "site"), finding("feature_signal_lost", "site")


class Job:
    """Windows of a minute, one after the other, and the orders to the job."""

    def __init__(self) -> None:
        self.minute = 0
        self.state = Incidents()
        self.orders: list[Order] = []
        self.changed: list[Changed] = []

    def order(self, verb: Verb, number: int | None = 1, **more: Any) -> Order:
        """Give an order that acts from the next window on."""
        given = Order(
            job="j",
            verb=verb,
            by="ada",
            at_us=len(self.orders),
            from_us=self.minute * MINUTE_US,
            incident=None if number is None else f"j-{number}",
            **more,
        )
        self.orders.append(identified(given))
        return self.orders[-1]

    def see(self, *findings: Finding, is_judged: bool = True) -> list[tuple[int, str]]:
        """A window; gives what it changed, by number."""
        stored = msgspec.json.decode(msgspec.json.encode(self.state), type=Incidents)
        start_us = self.minute * MINUTE_US
        window = Seen(start_us, start_us + MINUTE_US, is_judged)
        advanced = advance(stored, window, findings, SETTINGS, in_force(in_turn(self.orders), start_us))
        self.minute += 1
        self.state, self.changed = advanced.incidents, advanced.changed
        return [(one.incident.number, one.change) for one in advanced.changed]

    def record(self) -> dict[str, Any]:
        """The last record that the last window told, as others read it."""
        [*_, one] = self.changed
        record = incident_record(one.incident, one.change, "j", 0, 1)
        found: dict[str, Any] = msgspec.json.decode(msgspec.json.encode(record))
        return found


def test_an_incident_that_somebody_looks_after_says_so_until_it_comes_back() -> None:
    job = Job()
    job.see(NULLS)
    job.order("ack", why="feed is down")
    assert job.see(NULLS) == [(1, "acked")]
    assert {key: job.record()[key] for key in ("acked_by", "acked_us", "acked_why", "state")} == {
        "acked_by": "ada",
        "acked_us": 0,
        "acked_why": "feed is down",
        "state": "firing",
    }
    assert [job.see() for _ in range(2)] == [[], [(1, "resolved")]]
    assert job.record()["acked_by"] == "ada"
    assert job.see(NULLS) == [(1, "reopened")]
    assert (job.record()["acked_by"], job.record()["acked_us"]) == ("", None)
    # Ordered before it came back.
    assert "acked" not in [change for _ in range(3) for _, change in job.see(NULLS)]


def test_an_order_about_another_incident_or_one_that_is_over_changes_nothing() -> None:
    job = Job()
    job.see(NULLS)
    job.order("ack", 2)
    assert job.see(NULLS) == []
    job.see()
    job.see()
    job.order("ack")
    assert job.see() == []
