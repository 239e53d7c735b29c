"""What people order about incidents: followed once, from their window on, and the same when windows are read again."""

from collections.abc import Sequence
from typing import Any

import msgspec
from hypothesis import given
from hypothesis import strategies as st

from sparsewatch.detectors.incidents.follow_orders import name_of
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
        #: Numbers of the incidents of the last window's findings.
        self.numbers: list[int | None] = []
        #: Versions that it compares with.
        self.compares: tuple[str, ...] = ()

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

    def mute(self, findings: Sequence[Finding], until: int | None = None) -> Order:
        """Mute what the first incident found, until a minute."""
        until_us = None if until is None else until * MINUTE_US
        return self.order("mute", findings=tuple(map(name_of, findings)), until_us=until_us)

    def see(self, *findings: Finding, is_judged: bool = True) -> list[tuple[int, str]]:
        """A window; gives what it changed, by number."""
        stored = msgspec.json.decode(msgspec.json.encode(self.state), type=Incidents)
        start_us = self.minute * MINUTE_US
        window = Seen(start_us, start_us + MINUTE_US, is_judged)
        advanced = advance(stored, window, findings, SETTINGS, in_force(in_turn(self.orders), start_us, self.compares))
        self.minute += 1
        self.state, self.changed, self.numbers = advanced.incidents, advanced.changed, advanced.numbers
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
    assert job.record()["acked"] == {"by": "ada", "at_us": 0, "why": "feed is down", "until_us": None}
    assert job.record()["state"] == "firing"
    assert [job.see() for _ in range(2)] == [[], [(1, "resolved")]]
    assert job.record()["acked"]["by"] == "ada"
    assert job.see(NULLS) == [(1, "reopened")]
    assert job.record()["acked"] is None
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


def test_what_is_muted_is_silent_until_its_time_is_over_and_its_incident_goes_on() -> None:
    job = Job()
    assert job.see(NULLS, LOST) == [(1, "opened")]
    job.mute([NULLS, LOST], until=5)
    assert job.see(NULLS, LOST) == [(1, "muted")]
    assert job.record()["muted"] == {"by": "ada", "at_us": 0, "why": "", "until_us": 5 * MINUTE_US}
    assert [job.see(NULLS) for _ in range(3)] == [[], [], []]
    assert job.numbers == [None]
    # Its fourth window with a finding passed in silence, and it fires still: its time is over.
    assert job.see(NULLS) == [(1, "unmuted")]
    assert (job.numbers, job.record()["muted"], job.record()["windows"]) == ([1], None, 6)


def test_what_is_muted_opens_nothing_brings_nothing_back_and_keeps_nothing_open() -> None:
    job = Job()
    job.see(NULLS)
    job.mute([NULLS])
    job.see()
    assert job.see() == [(1, "resolved")]
    assert [job.see(NULLS) for _ in range(9)] == [[]] * 9
    assert (job.state.known, job.state.number) == ((), 1)
    # Something else that begins meanwhile is told, and over when it is over.
    assert job.see(NULLS, finding("click_rate_shift", "stream")) == [(2, "opened")]
    assert job.numbers == [None, 2]
    assert [job.see(NULLS) for _ in range(2)] == [[], [(2, "resolved")]]


def test_another_rule_on_a_muted_subject_is_told() -> None:
    job = Job()
    job.see(NULLS)
    job.mute([NULLS])
    job.see(NULLS)
    assert job.see(finding("feature_vanished", "site"), NULLS) == [(1, "grew")]
    assert job.numbers == [1, None]


def test_unmuted_findings_are_told_again() -> None:
    job = Job()
    job.see(NULLS)
    mute = job.mute([NULLS])
    job.see(NULLS)
    job.order("unmute", cancels=(mute.id,))
    assert job.see(NULLS) == [(1, "unmuted")]
    assert job.numbers == [1]


def test_a_closed_incident_may_be_let_go_on() -> None:
    job = Job()
    job.see(NULLS)
    job.order("close")
    job.see(NULLS)
    job.order("unmute")
    assert job.see(NULLS) == [(1, "reopened")]


def test_a_closed_incident_is_silent_until_it_was_gone_and_then_comes_back_like_any_other() -> None:
    job = Job()
    job.see(NULLS)
    job.order("close", why="a holiday")
    assert job.see(NULLS) == [(1, "closed")]
    assert {key: job.record()[key] for key in ("state", "closed", "ended_us")} == {
        "state": "resolved",
        "closed": {"by": "ada", "at_us": 0, "why": "a holiday", "until_us": None},
        "ended_us": MINUTE_US,
    }
    # However long it goes on, also with a quiet window now and then.
    assert [job.see(NULLS) for _ in range(20)] + [job.see()] + [job.see(NULLS)] == [[]] * 22
    assert job.numbers == [None]
    assert [job.see(), job.see()] == [[], []]
    assert job.see(NULLS) == [(1, "reopened")]
    assert (job.record()["closed"], job.numbers) == (None, [1])
    # The order of before is not followed again.
    assert "closed" not in [change for _ in range(2) for _, change in job.see(NULLS)]
    assert job.numbers == [1]


def test_another_rule_on_a_subject_of_a_closed_incident_opens_it_again() -> None:
    job = Job()
    job.see(NULLS)
    job.order("close")
    job.see(NULLS)
    assert job.see(finding("feature_vanished", "site")) == [(1, "reopened")]


def test_accounts_that_do_not_balance_are_never_silent() -> None:
    job = Job()
    books = finding("books_unbalanced", "stream")
    job.see(books)
    job.mute([books])
    job.order("close")
    assert [change for _, change in job.see(books)] == ["reopened"]
    assert job.numbers == [1]


def test_what_is_accepted_is_silent_as_long_as_the_job_compares_with_the_same() -> None:
    job = Job()
    job.compares = ("checks.reference reference/0001",)
    job.see(NULLS)
    job.order("accept", findings=(name_of(NULLS),), compares=job.compares)
    assert job.see(NULLS) == [(1, "accepted")]
    assert job.record()["state"] == "resolved"
    for found in ([NULLS], [], [], [NULLS], []):
        assert job.see(*found) == []
    job.compares = ("checks.reference reference/0002",)
    assert [change for _, change in job.see(NULLS)] == ["reopened"]


def test_what_a_job_learns_is_silent_until_it_is_learned() -> None:
    job = Job()
    job.see(NULLS)
    job.order("accept", findings=(name_of(NULLS),))
    assert job.see(NULLS) == [(1, "accepted")]
    assert job.see(NULLS) == []
    assert [job.see(), job.see()] == [[], []]
    assert job.see(NULLS) == [(1, "reopened")]


FINDINGS = st.lists(st.sampled_from([NULLS, LOST, finding("click_rate_shift", "stream")]), unique_by=name_of)
VERBS: st.SearchStrategy[Verb] = st.sampled_from(["ack", "mute", "unmute", "close", "accept"])


@given(
    st.lists(st.tuples(FINDINGS, st.booleans()), min_size=1, max_size=16),
    st.lists(st.tuples(st.integers(0, 15), VERBS, st.integers(1, 3), FINDINGS), max_size=6),
    st.integers(0, 15),
)
def test_windows_that_are_read_again_with_the_same_orders_give_the_same(
    windows: list[tuple[list[Finding], bool]],
    orders: list[tuple[int, Verb, int, list[Finding]]],
    killed_at: int,
) -> None:
    job = Job()
    for place, (minute, verb, number, found) in enumerate(orders):
        job.minute = minute
        names = tuple(map(name_of, found)) if verb in ("mute", "accept") else ()
        cancels = tuple(one.id for one in job.orders) if verb == "unmute" else ()
        job.order(verb, number, findings=names, cancels=cancels, why=str(place))
    job.minute = 0
    told, committed = [], (0, job.state)
    for found, is_judged in windows:
        before = (job.minute, job.state)
        told.append((job.see(*found, is_judged=is_judged), job.numbers, job.state))
        silent = {name_of(one) for one, number in zip(found, job.numbers, strict=True) if number is None}
        firing = {one.number for one in job.state.known if not one.is_resolved}
        # What is told belongs to an incident that fires, and what is silent was so by order.
        assert {number for number in job.numbers if number is not None} <= firing
        assert not silent or job.orders
        committed = before if before[0] == killed_at else committed
    job.minute, job.state = committed
    for again in range(committed[0], len(windows)):
        found, is_judged = windows[again]
        assert (job.see(*found, is_judged=is_judged), job.numbers, job.state) == told[again]
