"""What people ordered is shown at once, and not offered again."""

import re
from pathlib import Path
from typing import Any

import msgspec
import pytest

from sparsewatch.pipelines.web_console.asked import Asked
from sparsewatch.pipelines.web_console.ordered import Ordered, ordered
from sparsewatch.pipelines.web_console.rendering import page
from sparsewatch.pipelines.web_console.views.incident import incident_page
from sparsewatch.pipelines.web_console.views.now import incidents_page, now_page
from sparsewatch.schemas.orders import Order, Verb
from tests.pipelines.notify.incident_records import record
from tests.pipelines.web_console.filled import MINUTE_US, START_US, fill, watched_clicks, windows

ALL = {"ack", "accept", "close", "mute"}
NEXT_US = START_US + MINUTE_US
BY_BOB = {"by": "bob", "at_us": 1, "why": "", "until_us": None}


def order(verb: Verb, at_us: int = 1, **given: Any) -> Order:
    return Order(
        **{"id": str(at_us), "job": "clicks", "by": "ada", "from_us": NEXT_US, "incident": "clicks-1", **given},
        verb=verb,
        at_us=at_us,
    )


def now(*orders: Order, known_us: int = START_US, user: str = "ada", **given: Any) -> Ordered:
    return ordered({**record(1), **given}, orders, known_us, user)


def test_of_an_incident_of_which_nobody_ordered_anything_all_is_offered() -> None:
    assert now() == Ordered((), frozenset(ALL))


@pytest.mark.parametrize(
    ("given", "says", "offered"),
    [
        (order("ack"), "looked after by ada", ALL - {"ack"}),
        (order("mute"), "muted by ada until it is unmuted", ALL - {"mute"} | {"unmute"}),
        (order("mute", until_us=NEXT_US), "muted by ada until 2027-01-15 08:01:00 UTC", ALL - {"mute"} | {"unmute"}),
        (order("close"), "called a false alarm by ada", {"accept"}),
        (order("accept"), "accepted by ada", set()),
    ],
)
def test_an_order_is_told_until_the_job_follows_it_and_not_offered_again(
    given: Order, says: str, offered: set[str]
) -> None:
    assert now(given) == Ordered((f"{says}, from the job's next window on",), frozenset(offered))
    assert now(given, known_us=NEXT_US).ahead == ()
    assert now(given, window_start_us=NEXT_US).ahead == ()


def test_what_undoes_an_order_is_told_in_its_place() -> None:
    muted = order("mute", 1)
    unmuted = order("unmute", 2, by="bob", cancels=("1",))
    told = now(muted, unmuted)
    assert told == Ordered(("told again by order of bob, from the job's next window on",), frozenset(ALL))
    assert now(muted, unmuted, order("mute", 3)).ahead == (
        "muted by ada until it is unmuted, from the job's next window on",
    )


def test_what_the_job_told_is_not_offered_again() -> None:
    assert now(acked=BY_BOB).offered == ALL
    assert now(acked=BY_BOB, user="bob").offered == ALL - {"ack"}
    assert now(muted=BY_BOB).offered == ALL - {"mute"} | {"unmute"}
    assert now(order("unmute"), muted=BY_BOB).offered == ALL
    resolved: dict[str, Any] = {"state": "resolved", "closed": BY_BOB}
    assert now(change="closed", **resolved).offered == {"accept", "mute", "unmute"}
    assert now(change="accepted", **resolved).offered == {"mute", "unmute"}
    assert now(order("unmute", 2, from_us=0), change="closed", **resolved).offered == {"accept", "mute"}


def test_pages_say_at_once_what_was_ordered(tmp_path: Path) -> None:
    with watched_clicks(tmp_path) as watched:
        fill(watched, "windows", windows(range(1)))
        fill(watched, "incidents", {"clicks-1": record(1)})
        fill(watched, "orders", {"clicks/1": order("mute", until_us=NEXT_US + MINUTE_US)})
        asked = Asked({"clicks": watched}, {"job": "clicks", "incident": "clicks-1"}, user="ada")
        before = [page(view(asked), asked, "token") for view in (now_page, incidents_page, incident_page)]
        fill(watched, "windows", windows(range(1, 2)))
        fill(watched, "incidents", {"clicks-1": record(1, muted=None)})
        after = page(now_page(asked), asked, "token")
    for text in before:
        assert "muted by ada until 2027-01-15 08:02:00 UTC, from the job&#39;s next window on" in text
    assert "next window on" not in after
    assert 'value="mute"' not in before[2]
    assert ">tell again</button>" in before[2]


def test_an_accepted_incident_is_called_so(tmp_path: Path) -> None:
    with watched_clicks(tmp_path) as watched:
        given = {"state": "resolved", "ended_us": NEXT_US, "closed": BY_BOB}
        for change in ("accepted", "closed"):
            fill(watched, "incidents", {"clicks-1": {**record(1), **given, "change": change}})
            asked = Asked({"clicks": watched}, {"job": "clicks", "incident": "clicks-1"}, user="ada")
            for view in (incidents_page, incident_page):
                assert re.search(f"resolved, {change} by <bdi>bob</bdi>", page(view(asked), asked, "token"))


def test_an_order_that_no_console_can_read_is_left_out(tmp_path: Path) -> None:
    with watched_clicks(tmp_path) as watched:
        fill(watched, "incidents", {"clicks-1": record(1)})
        odd = {**msgspec.to_builtins(order("ack")), "verb": "of tomorrow"}
        fill(watched, "orders", {"clicks/1": odd})
        asked = Asked({"clicks": watched}, {"job": "clicks"}, user="ada")
        assert "1 incident known" in page(now_page(asked), asked, "token")
        assert [one.taking.bad for one in watched.followed if one.name.endswith(".orders")] == [1]
