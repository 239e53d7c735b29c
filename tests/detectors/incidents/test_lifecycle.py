"""The life of incidents: one cause is one incident, told when something changes, over when it is over."""

import random

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sparsewatch.detectors.incidents.causes import RULES
from sparsewatch.detectors.incidents.lifecycle import MOST_KNOWN, MOST_LISTED, MOST_MEMBERS, Changed, Seen, advance
from sparsewatch.detectors.incidents.settings import IncidentSettings
from sparsewatch.schemas.alerts import Finding, Severity
from sparsewatch.schemas.incidents import Incidents, incident_record

MINUTE_US = 60_000_000
SETTINGS = IncidentSettings()


def finding(rule: str, subject: str, severity: Severity = "warning") -> Finding:
    return Finding(
        rule=rule,
        subject=subject,
        severity=severity,
        value=1.0,
        threshold=0.5,
        baseline=0.0,
        message=f"{subject} {rule}",
    )


def at(minute: int, *, is_judged: bool = True) -> Seen:
    return Seen(minute * MINUTE_US, (minute + 1) * MINUTE_US, is_judged)


class Stream:
    """Windows of a minute, one after the other."""

    def __init__(self, settings: IncidentSettings = SETTINGS) -> None:
        self.settings = settings
        self.minute = 0
        self.state = Incidents()
        #: Numbers of the incidents of the last window's findings.
        self.numbers: list[int | None] = []

    def see(self, *findings: Finding, is_judged: bool = True) -> list[Changed]:
        # Between two windows the state is stored.
        stored = msgspec.json.decode(msgspec.json.encode(self.state), type=Incidents)
        advanced = advance(stored, at(self.minute, is_judged=is_judged), findings, self.settings)
        self.minute += 1
        self.state, self.numbers = advanced.incidents, advanced.numbers
        return advanced.changed

    def told(self, *findings: Finding, is_judged: bool = True) -> list[tuple[int, str]]:
        return [(one.incident.number, one.change) for one in self.see(*findings, is_judged=is_judged)]


NULLS, LOST = finding("feature_nulls", "site"), finding("feature_signal_lost", "site")


def test_a_fault_of_many_windows_is_one_incident_that_ends_with_it() -> None:
    stream = Stream()
    assert stream.told() == []
    assert stream.told(NULLS, LOST) == [(1, "opened")]
    assert [stream.told(NULLS) for _ in range(6)] == [[], [], [(1, "lasts")], [], [], []]
    assert stream.told() == []
    [resolved] = stream.see()
    assert (resolved.change, resolved.incident.started_us, resolved.incident.until_us) == (
        "resolved",
        1 * MINUTE_US,
        8 * MINUTE_US,
    )
    assert resolved.incident.windows == 7
    assert [m.rule for m in resolved.incident.members] == ["feature_nulls", "feature_signal_lost"]


def test_what_begins_in_one_window_or_at_its_edge_has_one_cause_and_the_strongest_explanation_leads() -> None:
    stream = Stream()
    [opened] = stream.see(finding("click_rate_shift", "stream"), LOST, finding("feature_vanished", "ad", "critical"))
    assert [(m.rule, m.subject) for m in opened.incident.members] == [
        ("feature_vanished", "ad"),
        ("feature_signal_lost", "site"),
        ("click_rate_shift", "stream"),
    ]
    assert opened.incident.severity == "critical"
    [grew] = stream.see(LOST, finding("feature_cardinality", "device"))
    assert (grew.incident.number, grew.change) == (1, "grew")
    assert grew.incident.members[0].rule == "feature_vanished"


def test_what_begins_later_on_another_subject_is_an_incident_of_its_own() -> None:
    stream = Stream()
    stream.see(NULLS)
    stream.see(NULLS)
    assert stream.told(NULLS, finding("feature_nulls", "device")) == [(2, "opened")]
    assert stream.numbers == [1, 2]


def test_what_rows_show_while_the_stream_is_at_fault_follows_from_it() -> None:
    stream = Stream()
    low = finding("volume_low", "stream", "critical")
    for _ in range(3):
        stream.see(low)
    assert stream.told(low, finding("feature_cardinality", "device")) == [(1, "grew")]
    # The stream is well again: what begins now is something else.
    assert stream.told(finding("feature_nulls", "site")) == [(2, "opened")]


@pytest.mark.parametrize(("share", "number"), [(0.25, 1), (0.24, 2)])
def test_what_columns_show_while_the_model_describes_few_rows_follows_from_that(share: float, number: int) -> None:
    stream = Stream()
    moved, unlike = finding("columns_moved", "pressure"), finding("rows_unlike_training", "rows")
    for _ in range(3):
        stream.see(moved, msgspec.structs.replace(unlike, value=0.1))
    spike = finding("column_out_of_range", "price")
    [(told, change), *_] = reversed(stream.told(moved, msgspec.structs.replace(unlike, value=share), spike))
    assert (told, change) == (number, "grew" if number == 1 else "opened")


def test_row_scores_that_drift_while_a_column_is_wrong_follow_from_it() -> None:
    stream, drift = Stream(), finding("row_scores_drift", "rows")
    moved = finding("columns_moved", "pressure")
    for _ in range(3):
        stream.see(moved)
    assert stream.told(moved, drift) == [(1, "grew")]
    alone = Stream()
    for _ in range(3):
        alone.see(finding("volume_low", "stream"))
    # Nothing is wrong with a column, nor with the stream any more.
    assert alone.told(drift) == [(2, "opened")]


def test_each_pattern_is_an_incident_of_its_own_and_the_source_and_the_books_are() -> None:
    stream = Stream()
    first, second = finding("emerging_pattern", "p1"), finding("emerging_pattern", "p2")
    found = [finding("novel_pattern", "wafers"), first, second, finding("books_unbalanced", "stream")]
    found += [finding("commits_behind", "stream"), finding("records_lost", "stream")]
    assert stream.told(*found) == [(number, "opened") for number in (1, 2, 3, 4, 5)]
    assert len(set(stream.numbers)) == 5
    assert stream.numbers[3] == stream.numbers[4]


def test_it_is_worse_when_a_finding_is_more_severe_than_all_before() -> None:
    stream = Stream()
    stream.see(NULLS)
    assert stream.told(finding("feature_vanished", "site", "critical")) == [(1, "worse")]
    assert stream.told(NULLS) == []
    assert stream.state.known[0].severity == "critical"


def test_an_incident_that_comes_back_soon_is_reopened_and_later_is_a_new_one() -> None:
    stream = Stream(IncidentSettings(resolve_after=1, reopen_within=2))
    stream.see(NULLS)
    assert stream.told() == [(1, "resolved")]
    assert stream.told(NULLS) == [(1, "reopened")]
    assert stream.state.known[0].reopened == 1
    assert stream.told() == [(1, "resolved")]
    assert stream.told() == []
    assert [stream.told(), stream.told(NULLS)] == [[], [(2, "opened")]]


def test_a_window_that_could_not_show_it_does_not_resolve_it() -> None:
    stream = Stream()
    stream.see(NULLS)
    assert [stream.told(is_judged=False) for _ in range(5)] == [[]] * 5
    assert [stream.told(), stream.told()] == [[], [(1, "resolved")]]


def test_an_unbalanced_account_is_not_over_because_a_window_says_nothing() -> None:
    stream = Stream()
    stream.see(finding("commits_behind", "stream", "critical"))
    assert [stream.told() for _ in range(20)] == [[]] * 20


def test_what_is_remembered_stays_small() -> None:
    stream = Stream()
    stream.see(*(finding("feature_nulls", f"f{i}") for i in range(MOST_MEMBERS + 30)))
    [incident] = stream.state.known
    assert (len(incident.members), incident.left_out) == (MOST_MEMBERS, 30)
    told = stream.told(*(finding("emerging_pattern", f"p{i}") for i in range(MOST_KNOWN + 5)))
    assert len(stream.state.known) == MOST_KNOWN
    # Nothing fires for ever because it was forgotten.
    known = {one.number for one in stream.state.known}
    assert {number for number, change in told if change == "resolved"} == set(range(1, MOST_KNOWN + 7)) - known


def test_incidents_fit_into_a_record_however_much_is_found() -> None:
    stream = Stream()
    for i in range(MOST_KNOWN):
        long = [
            msgspec.structs.replace(finding("feature_nulls", f"f{i}-{j}"), message="m" * 5_000)
            for j in range(MOST_MEMBERS)
        ]
        stream.see(*long)
        stream.see()
        stream.see()
    members = [incident.members for incident in stream.state.known]
    assert sum(map(len, members)) <= MOST_LISTED
    assert min(map(len, members)) >= 1
    assert len(members[-1]) == MOST_MEMBERS
    assert {len(own) + incident.left_out for own, incident in zip(members, stream.state.known, strict=True)} == {
        MOST_MEMBERS
    }
    assert len(msgspec.json.encode(stream.state)) < 600_000


def test_a_record_says_what_fires_since_when_and_until_when() -> None:
    stream = Stream()
    [opened] = stream.see(NULLS, LOST)
    record = incident_record(*opened, "clicks", 0, MINUTE_US)
    assert (record.id, record.state, record.rule, record.subject) == ("clicks-1", "firing", "feature_nulls", "site")
    assert (record.started_us, record.ended_us, record.message) == (0, None, "site feature_nulls")
    stream.see()
    [resolved] = stream.see()
    record = incident_record(*resolved, "clicks", 2 * MINUTE_US, 3 * MINUTE_US)
    assert (record.state, record.change, record.ended_us) == ("resolved", "resolved", MINUTE_US)


WINDOWS = st.lists(
    st.tuples(
        st.lists(
            st.builds(finding, st.sampled_from(sorted(RULES)), st.sampled_from(["stream", "rows", "a", "b", "c"])),
            max_size=5,
            unique_by=lambda found: (found.rule, found.subject),
        ),
        st.booleans(),
    ),
    max_size=20,
)


@given(WINDOWS, st.integers(1, 3), st.integers(0, 3), st.randoms(use_true_random=False))
def test_whatever_comes_findings_are_told_in_any_order_and_every_incident_ends(
    windows: list[tuple[list[Finding], bool]], resolve_after: int, reopen_within: int, chance: random.Random
) -> None:
    settings = IncidentSettings(resolve_after=resolve_after, reopen_within=reopen_within)
    stream, other = Stream(settings), Stream(settings)
    firing: set[int] = set()
    for found, is_judged in windows:
        shuffled = chance.sample(found, len(found))
        changed = stream.see(*found, is_judged=is_judged)
        assert changed == other.see(*shuffled, is_judged=is_judged)
        assert stream.state == other.state
        assert dict(zip(map(repr, found), stream.numbers, strict=True)) == dict(
            zip(map(repr, shuffled), other.numbers, strict=True)
        )
        for incident, change in changed:
            # Opened before all else, and told once that it is over.
            assert (change in ("opened", "reopened")) == (incident.number not in firing)
            firing ^= {incident.number} if change in ("opened", "reopened", "resolved") else set()
        assert firing == {one.number for one in stream.state.known if not one.is_resolved}
        # What was found now fires.
        assert set(stream.numbers) <= firing
    books = {one.number for one in stream.state.known if RULES[one.members[0].rule] == "books"}
    for _ in range(resolve_after + reopen_within):
        for incident, _ in stream.see():
            firing.discard(incident.number)
    assert firing == books


@pytest.mark.parametrize("rule", sorted(RULES))
def test_a_finding_that_stays_stays_in_its_incident(rule: str) -> None:
    stream = Stream()
    stream.see(finding(rule, "one"))
    for _ in range(5):
        stream.see(finding(rule, "one"), finding(rule, "one else"))
        assert stream.numbers[0] == 1


def test_new_fields_that_come_one_after_the_other_are_one_incident_and_new_values_another() -> None:
    values = msgspec.structs.replace(finding("feature_unseen_values", "campaign"), value=0.1)
    stream = Stream()
    stream.see(values)
    stream.see()
    assert stream.told(finding("new_field", "price_eur", "info")) == [(1, "resolved"), (2, "opened")]
    stream.see()
    assert stream.told(finding("new_field", "session", "info")) == [(2, "grew")]
    assert stream.told(values) == [(1, "reopened")]
