"""Fields that a job does not name: learned in silence at first, then each told once."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sparsewatch.detectors.stream.judge import StreamWindow, judge
from sparsewatch.detectors.stream.new_fields import LEARNED_ROWS, LEARNED_WINDOWS, ONE_IN, TOLD_AT, judge_fields
from sparsewatch.detectors.stream.thresholds import StreamThresholds
from sparsewatch.schemas.accounts import Account
from sparsewatch.schemas.other_fields import MOST, NO_OTHERS, KnownFields, OtherFields
from sparsewatch.schemas.set_aside import Ack
from sparsewatch.schemas.stream_history import StreamHistory

LEARNED = KnownFields(LEARNED_WINDOWS, LEARNED_ROWS, {"session": TOLD_AT})
ROWS = 1_920
#: Few enough names to meet, and enough to be too many.
FIELDS = st.dictionaries(st.integers(0, MOST + 20).map("f{}".format), st.integers(1, 3), max_size=MOST + 20).map(
    lambda records: sum((OtherFields({name: n}) for name, n in records.items()), NO_OTHERS)
)


def told(windows: list[OtherFields], known: KnownFields = LEARNED, rows: int = ROWS) -> list[list[str]]:
    """Subjects told in each window."""
    found = []
    for others in windows:
        findings, known = judge_fields(others, known, rows)
        found.append([finding.subject for finding in findings])
    return found


def test_a_new_field_is_told_once_and_those_that_were_there_never() -> None:
    both = OtherFields({"price_eur": 15, "session": 30})
    findings, known = judge_fields(both, LEARNED, ROWS)
    [found] = findings
    assert (found.rule, found.subject, found.severity, found.value) == ("new_field", "price_eur", "info", 0.5)
    assert found.message == "price_eur: a field that the job does not name, new in about 50% of 1,920 rows"
    assert found.evidence == {"rows": ROWS, "records": 15, "one_in": ONE_IN}
    assert told([both, NO_OTHERS, both], known) == [[], [], []]


def test_a_rare_field_is_told_when_it_was_seen_in_some_windows() -> None:
    once = OtherFields({"rare": 1})
    assert told([once, NO_OTHERS, once, once, once]) == [[], [], [], ["rare"], []]


def test_what_is_there_at_first_is_learned_whole_windows_and_enough_rows_long() -> None:
    few = OtherFields({"a": 1})
    known = KnownFields()
    for _ in range(LEARNED_WINDOWS - 1):
        _, known = judge_fields(NO_OTHERS, known, LEARNED_ROWS)
    assert judge_fields(few, known, 1)[0] == []
    assert told([few] * 3, judge_fields(few, known, 1)[1]) == [[], [], []]
    slow = KnownFields()
    for _ in range(2 * LEARNED_WINDOWS):
        _, slow = judge_fields(NO_OTHERS, slow, 100)
    assert told([OtherFields({"a": 100})], slow) == [[]]
    assert told([OtherFields({"a": 100})], KnownFields(LEARNED_WINDOWS, LEARNED_ROWS)) == [["a"]]


@pytest.mark.parametrize(("others", "rows"), [(OtherFields(is_beyond=True), ROWS), (OtherFields({"a": 9}), 0)])
def test_a_window_of_data_for_names_and_one_without_rows_change_nothing(others: OtherFields, rows: int) -> None:
    assert judge_fields(others, LEARNED, rows) == ([], LEARNED)


def test_names_are_bounded_and_none_is_told_twice() -> None:
    windows = [OtherFields({f"id {window} {place}": 3 for place in range(40)}) for window in range(20)]
    found = [name for names in told(windows) for name in names]
    assert len(found) == len(set(found)) == MOST - 1
    known = LEARNED
    for others in windows:
        _, known = judge_fields(others, known, ROWS)
    assert len(known.records) == MOST
    assert told(windows, known) == [[]] * 20


def test_slips_make_way_for_fields() -> None:
    slips = KnownFields(LEARNED_WINDOWS, LEARNED_ROWS, {f"slip {n}": 1 for n in range(MOST)})
    assert told([OtherFields({"field": 5})] * 2, slips) == [["field"], []]


@given(st.lists(FIELDS, max_size=4), st.randoms(use_true_random=False))
def test_fields_merge_to_the_same_bytes_in_any_order(parts: list[OtherFields], random: object) -> None:
    names = {name for part in parts for name in part.records}
    beyond = any(part.is_beyond for part in parts) or len(names) > MOST
    whole = {name: sum(part.records.get(name, 0) for part in parts) for name in sorted(names)}
    expected = OtherFields(is_beyond=True) if beyond else OtherFields(whole)
    shuffled = list(parts)
    random.shuffle(shuffled)  # type: ignore[attr-defined]
    for order in (parts, shuffled, parts[::-1]):
        assert sum(order, NO_OTHERS).to_bytes() == expected.to_bytes()
    assert OtherFields.from_bytes(expected.to_bytes()) == expected


@pytest.mark.parametrize("on", [True, False])
def test_the_judge_of_a_stream_remembers_them_in_its_history(on: bool) -> None:
    window = StreamWindow(
        start_us=0,
        end_us=60_000_000,
        complete=True,
        account=Account(counted=ROWS),
        events=ROWS,
        acks=Ack(),
        others=OtherFields({"new": 30}),
    )
    before = StreamHistory(fields=LEARNED)
    findings, after = judge(window, before, Account(), StreamThresholds(new_fields=on))
    assert [finding.rule for finding in findings] == ["new_field"] * on
    assert after.fields.records == LEARNED.records | ({"new": TOLD_AT} if on else {})
    assert judge(window, after, Account(), StreamThresholds())[0] == [] if on else True
