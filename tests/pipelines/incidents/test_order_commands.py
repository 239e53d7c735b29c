"""`sparsewatch incidents ack|mute|unmute|close`: what people order is followed by the next run, and shown."""

import re
from pathlib import Path

import msgspec
import pytest

from sparsewatch.pipelines.incidents.command import incidents
from sparsewatch.pipelines.status.command import status
from sparsewatch.schemas.errors import ConfigError, SourceError
from sparsewatch.schemas.orders import MOST_ORDERS, Order, identified
from sparsewatch.testing import FakeBroker
from tests.kit.watched_jobs import MINUTE_US, START_US, FaultyJob, WatchedJob, faulty_job

__all__ = ["faulty_job"]


def ordered(job: WatchedJob, verb: str, *arguments: str) -> str:
    return job.asked(incidents, verb, str(job.file), *arguments, "--by", "ada")


def test_who_looks_after_an_incident_is_shown_from_the_next_window_on(job: FaultyJob) -> None:
    said = ordered(job, "ack", "clicks-1", "--why", "the \x1b[2Jfeed")
    assert said == "clicks-1 (feature_vanished ad) is yours, from the window that begins 2023-11-14 22:17:00 UTC\n"
    [order] = job.orders()
    assert (order.verb, order.incident, order.by, order.from_us) == ("ack", "clicks-1", "ada", START_US + 4 * MINUTE_US)
    assert job.goes_on(range(4, 5)) == [4]
    [*_, record] = job.incidents()
    assert (record["change"], record["acked"]["by"]) == ("acked", "ada")
    assert "firing, acked by ada" in job.asked(incidents, "list", str(job.file))
    shown = job.asked(incidents, "show", str(job.file), "clicks-1")
    assert "ack by ada at " in shown
    assert "\x1b" not in shown
    assert "acked by" in job.asked(status, str(job.file))
    assert msgspec.json.decode(job.asked(status, str(job.file), "--json"))["firing"][0]["acked_by"] == "ada"


def test_what_is_muted_is_counted_and_not_told_until_its_time_is_over(job: FaultyJob) -> None:
    said = ordered(job, "mute", "1", "--for", "2m", "--why", "known")
    assert "is muted until 2023-11-14 22:19:00 UTC, from the window that begins 2023-11-14 22:17:00 UTC" in said
    assert "clicks-1" in job.asked(incidents, "list", str(job.file), "--muted")
    assert job.goes_on(range(4, 6)) == []
    assert job.metric("sparsewatch_window_muted_findings") == len(job.orders()[0].findings)
    assert job.incidents()[-1]["change"] == "muted"
    # At its end, the next window may alert again.
    assert "muted  " not in job.asked(status, str(job.file))
    assert job.goes_on(range(6, 7)) == [6]
    assert "unmuted" in [one["change"] for one in job.incidents()[-2:]]
    assert job.metric("sparsewatch_window_muted_findings") == 0


def test_what_is_unmuted_is_told_again(job: FaultyJob) -> None:
    ordered(job, "mute", "clicks-1")
    assert re.search(r"^muted      feature_vanished ad.* \(clicks-1\), by ada$", job.asked(status, str(job.file)), re.M)
    assert job.goes_on(range(5, 6)) == []
    assert "is told again" in ordered(job, "unmute", "clicks-1")
    assert job.goes_on(range(6, 7)) == [6]
    with pytest.raises(ConfigError, match="nothing of clicks-1 is muted; muted are: none"):
        ordered(job, "unmute", "clicks-1")


def test_a_closed_incident_is_resolved_and_opens_again_when_it_comes_back(job: FaultyJob) -> None:
    ordered(job, "close", "clicks-1", "--why", "a load test")
    assert job.goes_on(range(4, 6)) == []
    [*_, record] = job.incidents()
    assert (record["change"], record["state"], record["closed"]["why"]) == ("closed", "resolved", "a load test")
    assert "resolved, closed by ada" in job.asked(incidents, "list", str(job.file))
    with pytest.raises(ConfigError, match="clicks-1 is resolved: what it found ended"):
        ordered(job, "close", "clicks-1")
    job.send(range(6, 9), rows=job.rows)
    assert job.goes_on(range(9, 10)) == [9]
    assert job.incidents()[-1]["change"] == "reopened"


def test_a_new_mute_takes_the_place_of_the_one_before(job: FaultyJob) -> None:
    ordered(job, "mute", "clicks-1")
    ordered(job, "mute", "clicks-1", "--for", "1m")
    assert job.asked(status, str(job.file)).count("muted      ") == 1
    assert job.goes_on(range(4, 6)) == [5]


def test_orders_are_given_for_all_incidents_or_for_none(job: FaultyJob) -> None:
    with pytest.raises(ConfigError, match=r"got 'clicks-11'; did you mean 'clicks-1'\?; firing: clicks-1 "):
        ordered(job, "ack", "clicks-1", "clicks-11")
    assert job.orders() == []
    ordered(job, "ack", "clicks-1", "1")
    assert len(job.orders()) == 1


def test_what_cannot_be_ordered_says_why(job: FaultyJob) -> None:
    with pytest.raises(ConfigError, match=r"--for: expected a duration such as"):
        ordered(job, "mute", "clicks-1", "--for", "long")
    with pytest.raises(ConfigError, match=r"--why: expected at most 300 characters, got 301"):
        ordered(job, "ack", "clicks-1", "--why", "x" * 301)
    job.broker.away = True
    with pytest.raises(SourceError):
        ordered(job, "ack", "clicks-1")


def test_a_job_that_never_ran_has_nothing_to_order(tmp_path: Path) -> None:
    with FakeBroker() as broker:
        job = WatchedJob(broker, tmp_path)
        with pytest.raises(ConfigError, match="job 'clicks' has not committed a window yet"):
            ordered(job, "ack", "clicks-1")


def test_the_oldest_orders_make_room(job: FaultyJob) -> None:
    writer = job.broker.writer()
    for number in range(MOST_ORDERS):
        old = identified(Order(job="clicks", verb="ack", by="bob", at_us=number, from_us=0, incident="clicks-9"))
        writer.send("clicks.orders", f"clicks/{old.id}".encode(), msgspec.json.encode(old))
    writer.flush()
    ordered(job, "ack", "clicks-1")
    found = job.orders()
    assert len(found) == MOST_ORDERS
    assert min(order.at_us for order in found) == 1
