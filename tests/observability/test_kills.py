"""An incident of half an hour is one notification, whatever is killed meanwhile; a job that is gone is missed."""

import time
from collections.abc import Callable
from pathlib import Path

import pytest

from sparsewatch.testing import EmbeddedBroker
from tests.kit.alertmanager import Receiver
from tests.kit.observed_job import Observed, observed_job
from tests.kit.waiting import wait_for

pytestmark = [pytest.mark.observability, pytest.mark.slow, pytest.mark.timeout(900)]

#: Minutes of events: without a fault, with one, and without one again.
BEFORE, FAULT, AFTER = 4, 30, 4
#: A minute of the rules is so much of ours.
TIMES = 20
#: Least seconds between two minutes of events.
PACE_S = 2.0


def of_incidents(receiver: Receiver) -> list[tuple[str, str]]:
    """Incident and status of each notification about an incident."""
    told = [(body["groupLabels"].get("incident"), body["status"]) for body in receiver.bodies]
    return [(incident, status) for incident, status in told if incident]


def of_rules(receiver: Receiver) -> set[tuple[str, str]]:
    """Rules of Prometheus that were told of, and their status."""
    alerts = [alert for body in receiver.bodies for alert in body["alerts"]]
    return {(one["labels"]["alertname"], one["status"]) for one in alerts if "incident" not in one["labels"]}


class Stream:
    """Minutes of events, one after the other."""

    def __init__(self, observed: Observed) -> None:
        self._observed = observed
        self.minute = 0

    def goes_on(self, *, is_broken: bool = False, until: Callable[[], object] = lambda: True, what: str = "") -> None:
        """A minute more, and others until something is so."""
        for _ in range(120):
            self._observed.clicks(self.minute, is_broken=is_broken)
            self.minute += 1
            time.sleep(PACE_S)
            if until():
                return
        raise AssertionError(f"two hours of events in vain for: {what}")


def test_half_an_hour_of_a_fault_is_one_notification_over_kills_of_everything(
    embedded_broker: EmbeddedBroker, tmp_path: Path
) -> None:
    with observed_job(embedded_broker.bootstrap, "kills", tmp_path, TIMES) as observed:
        stream, on_call, tickets = Stream(observed), observed.on_call, observed.tickets
        closed = "sparsewatch_windows_closed_total"
        stream.goes_on(until=lambda: (observed.prometheus.value(closed) or 0) >= BEFORE, what="windows without a fault")
        broken_from = stream.minute
        stream.goes_on(is_broken=True, until=lambda: of_incidents(on_call), what="the notification")
        firing = "sum(sparsewatch_incidents_firing)"
        wait_for(lambda: observed.prometheus.value(firing) == 1, 60, "the incident is scraped")
        for name, process in observed.processes.items():
            before = observed.prometheus.value(closed) or 0
            process.kill()
            stream.goes_on(is_broken=True)
            process.start()
            stream.goes_on(
                is_broken=True,
                until=lambda before=before: (observed.prometheus.value(closed) or 0) > before + 1,  # type: ignore[misc]
                what=f"windows after a kill of {name}",
            )
            assert len(of_incidents(on_call)) == len({body["key"] for body in tickets.bodies}) == 1, name
        while stream.minute < broken_from + FAULT:
            stream.goes_on(is_broken=True)
        assert of_incidents(on_call) == [("kills-1", "firing")]
        stream.goes_on(until=lambda: len(of_incidents(on_call)) == 2, what="the end")
        wait_for(lambda: tickets.bodies[-1]["state"] == "resolved", 60, "the end in the ticket")

        assert of_incidents(on_call) == [("kills-1", "firing"), ("kills-1", "resolved")]
        assert [body["state"] for body in tickets.bodies] == ["firing", "resolved"]
        opened, resolved = tickets.bodies
        assert len(opened["findings"]) > 1
        assert resolved["windows"] >= FAULT
        assert ("SparsewatchNoWindowClosed", "firing") not in of_rules(on_call)

        observed.processes["the job"].kill()
        wait_for(lambda: ("SparsewatchNoWindowClosed", "firing") in of_rules(on_call), 240, "the job is missed")
        observed.processes["the job"].start()
        stream.goes_on(until=lambda: ("SparsewatchNoWindowClosed", "resolved") in of_rules(on_call), what="it is back")
        assert of_incidents(on_call) == [("kills-1", "firing"), ("kills-1", "resolved")]
