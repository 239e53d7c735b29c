"""What a webhook is to be told, without a webhook and without a broker."""

from collections.abc import Iterable
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from sparsewatch.pipelines.notify.ledger import Ledger
from sparsewatch.pipelines.notify.update import digest_of
from sparsewatch.schemas.incidents import DecidedRecord
from sparsewatch.schemas.notified import BEGUN, Mark
from tests.pipelines.notify.incident_records import START_US, record

MUTE = DecidedRecord(by="ann", at_us=START_US, why="known", until_us=None)
OLD = {BEGUN: Mark(digest="", at_us=1)}


def begun(marks: dict[str, Mark] = OLD, standing: Iterable[dict[str, Any]] = ()) -> tuple[Ledger, dict[str, Mark]]:
    ledger = Ledger()
    ledger.marks(marks)
    ledger.stands(standing)
    assert ledger.may_begin
    return ledger, ledger.begin(2)


def told(ledger: Ledger, at_us: int = 3) -> list[tuple[str, str]]:
    """Id and state of all that is due, which the receiver takes."""
    all_due = []
    while (due := ledger.next()) is not None:
        all_due.append((due.incident["id"], due.incident["change"]))
        ledger.settled(due, at_us)
    return all_due


def test_nothing_is_due_before_marks_and_incidents_were_read() -> None:
    ledger = Ledger()
    ledger.stands([record(1)])
    assert not ledger.may_begin
    assert ledger.next() is None
    ledger.marks({})
    assert ledger.may_begin
    ledger.begin(2)
    assert told(ledger) == [("clicks-1", "opened")]


def test_a_new_receiver_is_told_what_fires_and_not_what_was_over_before() -> None:
    over, fires = record(1, "resolved", "resolved"), record(2)
    ledger, new = begun({}, [over, fires])
    assert new == {"clicks-1": Mark(digest=digest_of(over), at_us=2), BEGUN: Mark(digest="", at_us=2)}
    assert told(ledger) == [("clicks-2", "opened")]


def test_a_restart_tells_only_what_changed_and_also_what_came_and_went_meanwhile() -> None:
    same, other = record(1), record(2)
    marks = OLD | {one["id"]: Mark(digest=digest_of(one), at_us=1) for one in (same, other)}
    ledger, new = begun(marks, [same, record(2, "resolved", "resolved"), record(3, "resolved", "resolved")])
    assert new == {}
    assert told(ledger) == [("clicks-2", "resolved"), ("clicks-3", "resolved")]


def test_an_incident_that_lasts_is_no_update_and_one_that_grows_is() -> None:
    ledger, _ = begun()
    ledger.take(record())
    assert told(ledger) == [("clicks-1", "opened")]
    ledger.take(record(change="lasts", weight=3.5) | {"windows": 9, "value": 0.9, "message": "most of it is gone"})
    assert told(ledger) == []
    grown = record(change="grew")
    grown["findings"].append({"rule": "volume_low", "subject": "rows", "severity": "info", "message": "few"})
    ledger.take(grown)
    assert told(ledger) == [("clicks-1", "grew")]


def test_a_muted_incident_says_so_once_and_again_when_it_no_longer_is() -> None:
    ledger, _ = begun()
    ledger.take(record())
    told(ledger)
    ledger.take(record(change="muted", muted=MUTE))
    ledger.take(record(change="worse", severity="critical", muted=MUTE))
    assert told(ledger) == [("clicks-1", "worse")]
    ledger.take(record(change="grew", severity="critical", muted=MUTE) | {"subject": "ad"})
    assert told(ledger) == []
    ledger.take(record(change="unmuted"))
    assert told(ledger) == [("clicks-1", "unmuted")]


def test_a_muted_incident_that_was_never_told_is_not_told() -> None:
    ledger, _ = begun()
    ledger.take(record(change="muted", muted=MUTE))
    assert told(ledger) == []


def test_what_another_process_told_is_not_due_any_more() -> None:
    ledger, _ = begun()
    ledger.take(record())
    ledger.marks({"clicks-1": Mark(digest=digest_of(record()), at_us=9)})
    assert ledger.next() is None


def test_an_echo_of_an_older_mark_takes_nothing_back() -> None:
    ledger, _ = begun()
    ledger.take(record())
    first = ledger.next()
    assert first is not None
    echo = ledger.settled(first, 5)
    resolved = record(1, "resolved", "resolved")
    ledger.take(resolved)
    second = ledger.next()
    assert second is not None
    # The clock was set back.
    ledger.settled(second, 4)
    ledger.marks(echo)
    ledger.take(resolved)
    assert ledger.next() is None


FATES = st.sampled_from(["taken", "killed before its mark", "killed", "away"])


@given(st.lists(st.tuples(st.integers(1, 3), st.booleans(), FATES), max_size=25))
def test_over_any_crashes_nothing_is_lost_and_what_doubles_has_its_key(steps: list[tuple[int, bool, str]]) -> None:
    """Incidents that change or last, and a receiver that passes over keys that it has seen."""
    standing: dict[str, dict[str, Any]] = {}
    marks, times = dict(OLD), 0
    received: dict[str, list[tuple[str, str]]] = {}
    ledger, _ = begun(marks)
    for number, is_update, fate in [*steps, (4, True, "taken")]:
        before = standing.pop(f"clicks-{number}", None)
        times += is_update or before is None
        changed = record(number, change="reopened") | {"reopened": times}
        incident = changed if before is None or is_update else before | {"change": "lasts", "windows": times}
        standing[incident["id"]] = incident
        ledger.take(incident)
        while fate != "away" and (due := ledger.next()) is not None:
            seen = received.setdefault(due.incident["id"], [])
            key = (due.before, due.digest)
            assert key not in seen[:-1]
            if key not in seen:
                seen.append(key)
            if fate == "killed before its mark":
                break
            marks |= ledger.settled(due, times)
        if fate.startswith("killed"):
            ledger, _ = begun(marks, standing.values())
    for id_, incident in standing.items():
        digests = [digest for _, digest in received[id_]]
        assert digests[-1] == digest_of(incident)
        assert len(set(digests)) == len(digests)


def test_one_that_is_never_taken_holds_up_no_other() -> None:
    ledger, _ = begun(OLD, [record(1), record(2), record(3)])
    tried = []
    for _ in range(4):
        due = ledger.next()
        assert due is not None
        tried.append(due.incident["id"])
        if due.incident["id"] == "clicks-1":
            ledger.put_off(due)
        else:
            ledger.settled(due, 3)
    assert tried == ["clicks-1", "clicks-2", "clicks-3", "clicks-1"]


def test_findings_in_another_order_are_the_same_update() -> None:
    one, other = record(), record()
    other["findings"] = other["findings"][::-1]
    assert digest_of(one) == digest_of(other)
