"""What Alertmanager is told, and when, on a clock that the test moves."""

from datetime import datetime
from typing import Any

import pytest

from sparsewatch.pipelines.notify.alert import Leads, alert_of
from sparsewatch.pipelines.notify.outbox import Outbox
from sparsewatch.schemas.incidents import DecidedRecord
from tests.pipelines.notify.incident_records import START_US, record

NOW = START_US / 1e6 + 600
RESEND = 60.0


def ends(alert: dict[str, Any]) -> float:
    return datetime.fromisoformat(alert["endsAt"]).timestamp()


def told(alerts: list[dict[str, Any]], now_s: float) -> set[tuple[str, str, bool]]:
    """Incident and severity, and whether it fires."""
    return {(one["labels"]["incident"], one["labels"]["severity"], ends(one) > now_s) for one in alerts}


def test_labels_are_the_same_over_the_life_of_an_incident_and_annotations_tell_the_rest() -> None:
    opened, later = record(), record(change="lasts")
    assert alert_of(opened, NOW)["labels"] == alert_of(later, NOW)["labels"]
    alert = alert_of(opened, NOW, Leads("https://example.org/sparsewatch/", files={"clicks": "clicks.toml"}))
    assert alert["annotations"] == {
        "summary": "feature_nulls site: half of it is gone",
        "where": "sdk = 3.2",
        "also": "feature_signal_lost site and 2 more",
        "since": "2027-01-15 08:00:00 UTC, still firing",
        "runbook_url": "https://example.org/sparsewatch/docs/runbook.md#feature_nulls",
        "show": "sparsewatch incidents show clicks.toml clicks-1",
    }
    assert alert["startsAt"] == "2027-01-15T08:00:00.000+00:00"
    over = alert_of(record(state="resolved", change="resolved"), NOW)["annotations"]["since"]
    assert over == "2027-01-15 08:00:00 UTC, until 2027-01-15 08:01:00 UTC, 3 windows"


def test_an_alert_leads_to_its_page_of_a_console_and_to_the_command_however_things_are_named() -> None:
    leads = Leads(console="https://example.org/watch/", files={"fab 1/ä": "jobs of fab.toml"})
    alert = alert_of(record(job="fab 1/ä"), NOW, leads)
    page = "https://example.org/watch/jobs/fab%201%2F%C3%A4/incidents/fab%201%2F%C3%A4-1"
    assert (alert["generatorURL"], alert["annotations"]["console"]) == (page, page)
    assert alert["annotations"]["show"] == "sparsewatch incidents show 'jobs of fab.toml' 'fab 1/ä-1'"


def test_what_fires_is_sent_at_once_and_again_long_before_it_ends() -> None:
    outbox = Outbox(RESEND)
    outbox.take(record(), NOW)
    (alert,) = outbox.due(NOW)
    assert ends(alert) - NOW >= 3 * RESEND
    assert outbox.due(NOW + RESEND - 1) == []
    (again,) = outbox.due(NOW + RESEND)
    assert again["labels"] == alert["labels"]
    assert ends(again) == ends(alert) + RESEND


def test_what_is_over_is_ended_and_told_for_five_minutes() -> None:
    outbox = Outbox(RESEND)
    outbox.take(record(), NOW)
    outbox.due(NOW)
    outbox.take(record(state="resolved", change="resolved"), NOW + 10)
    sends = [outbox.due(NOW + 10 + second) for second in range(900)]
    alerts = [alert for alerts in sends for alert in alerts]
    assert len(alerts) == 300 // RESEND + 1
    assert {ends(alert) for alert in alerts} == {NOW + 10}
    assert outbox.firing == 0


def test_an_incident_that_gets_worse_is_one_alert_at_a_time() -> None:
    outbox = Outbox(RESEND)
    outbox.take(record(), NOW)
    outbox.due(NOW)
    outbox.take(record(change="worse", severity="critical"), NOW + 1)
    assert told(outbox.due(NOW + 1), NOW + 1) == {("clicks-1", "warning", False), ("clicks-1", "critical", True)}
    outbox.take(record(state="resolved", change="resolved", severity="critical"), NOW + 2)
    assert {ends(one) <= NOW + 2 for one in outbox.due(NOW + RESEND + 2)} == {True}


def test_a_muted_incident_is_silent_until_it_is_unmuted() -> None:
    mute = DecidedRecord(by="ann", at_us=START_US, why="known", until_us=None)
    outbox = Outbox(RESEND)
    outbox.take(record(), NOW)
    outbox.due(NOW)
    outbox.take(record(change="muted", muted=mute), NOW + 1)
    assert told(outbox.due(NOW + 1), NOW + 1) == {("clicks-1", "warning", False)}
    outbox.take(record(change="unmuted"), NOW + 2)
    assert told(outbox.due(NOW + 2), NOW + 2) == {("clicks-1", "warning", True)}


def test_a_muted_incident_that_was_never_told_is_not_told() -> None:
    mute = DecidedRecord(by="ann", at_us=START_US, why="known", until_us=None)
    outbox = Outbox(RESEND)
    outbox.take(record(change="muted", muted=mute), NOW)
    assert outbox.due(NOW) == []


def test_a_restart_tells_what_fires_and_ends_what_ended_meanwhile() -> None:
    outbox = Outbox(RESEND)
    standing = [record(number, "resolved", "resolved") for number in range(1, 100)] + [record(100), record(101)]
    outbox.begin(standing, NOW)
    found = told(outbox.due(NOW), NOW)
    assert {one for one in found if one[2]} == {("clicks-100", "warning", True), ("clicks-101", "warning", True)}
    assert ("clicks-99", "warning", False) in found
    # Not all that ever was.
    assert len(found) == 52


def test_jobs_do_not_end_the_alerts_of_each_other() -> None:
    outbox = Outbox(RESEND)
    outbox.take(record(1), NOW)
    outbox.take(record(1, job="wafers", severity="critical"), NOW)
    outbox.take(record(2), NOW)
    assert told(outbox.due(NOW), NOW) == {
        ("clicks-1", "warning", True),
        ("clicks-2", "warning", True),
        ("wafers-1", "critical", True),
    }


@pytest.mark.parametrize("after", [0.0, 5.0])
def test_what_could_not_be_sent_is_due_again_and_nothing_is_lost(after: float) -> None:
    outbox = Outbox(RESEND)
    outbox.take(record(), NOW)
    alerts = outbox.due(NOW)
    outbox.again([one["labels"] for one in alerts], NOW + after)
    assert [one["labels"] for one in outbox.due(NOW + after)] == [one["labels"] for one in alerts]


def test_thirty_minutes_of_an_incident_that_lasts_never_end_it_between() -> None:
    outbox = Outbox(RESEND)
    outbox.take(record(), NOW)
    until = NOW
    for second in range(1_800):
        # Windows change it now and then.
        if second % 300 == 0:
            outbox.take(record(change="lasts"), NOW + second)
        # Two of three sends are lost.
        alerts = outbox.due(NOW + second)
        if alerts and (second // RESEND) % 3 == 0:
            until = max(until, *(ends(one) for one in alerts))
        assert until > NOW + second
