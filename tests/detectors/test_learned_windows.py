"""The baseline that a stream learns of itself: which windows are in it, which are let go, and what orders change."""

from collections.abc import Sequence

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sparsewatch.detectors.learned_windows import (
    KEPT_NEWEST,
    RENEWAL,
    STREAM,
    YOUNG,
    Marked,
    Renewed,
    Size,
    chosen,
    good_windows,
    ordered,
    spare,
    suspects,
)
from sparsewatch.schemas.alerts import Finding
from sparsewatch.schemas.orders import Order, Verb

MOST, LEAST = 10, 5
NOW = 1_000


def windows(count: int, **wrong: Sequence[int]) -> list[Marked]:
    """Windows 0, 1, 2 …, of which some are suspect of a subject."""
    return [
        Marked(start, frozenset(name for name, starts in wrong.items() if start in starts)) for start in range(count)
    ]


def of(marked: Sequence[Marked], subject: str, boundary: int = NOW, whole: int | None = None) -> tuple[int, ...]:
    renewed = Renewed(boundary, boundary if whole is None else whole)
    return chosen(marked, ("a", "b"), Size(LEAST, MOST), renewed)[subject]


def order(
    verb: Verb, *subjects: str, from_us: int = 20, since_us: int | None = None, until_us: int | None = None
) -> Order:
    return Order(
        job="j", verb=verb, by="me", at_us=0, from_us=from_us, subjects=subjects, since_us=since_us, until_us=until_us
    )


def test_the_last_windows_are_the_baseline() -> None:
    assert of(windows(30), "a") == tuple(range(20, 30))
    assert of(windows(4), "a") == (0, 1, 2, 3)


def test_a_whole_baseline_is_as_it_was_when_it_was_renewed() -> None:
    assert of(windows(30), "a", boundary=27) == tuple(range(17, 27))
    assert of(windows(8), "a", boundary=6) == tuple(range(6))
    assert Renewed.at(10 * (5 * RENEWAL + YOUNG) + 13, 10) == (10 * (5 * RENEWAL + YOUNG), 10 * 5 * RENEWAL)


def test_a_whole_baseline_is_renewed_more_rarely_than_one_that_is_not() -> None:
    found = [of(windows(count), "a", *Renewed.at(count, 1)) for count in range(LEAST, 5 * RENEWAL)]
    assert [len(one) for one in found[:RENEWAL]] == [5, *[6] * 6, *[10] * 5]
    ends = [one[-1] + 1 for one in found]
    assert ends == [5, *[6] * 6, *[end for end in range(RENEWAL, 5 * RENEWAL, RENEWAL) for _ in range(RENEWAL)]]
    # Of windows of which some are barred a baseline is young again, whatever its age.
    barred = [Marked(one.start_us, frozenset(), frozenset("a" if one.start_us < 21 else "")) for one in windows(31)]
    assert of(barred, "a", *Renewed.at(31, 1)) == tuple(range(21, 30))
    assert of(barred, "b", *Renewed.at(31, 1)) == tuple(range(14, 24))


def test_the_first_baseline_comes_as_soon_as_it_can_and_stays_until_it_is_renewed() -> None:
    found = [of(windows(count), "a", boundary=count // YOUNG * YOUNG) for count in range(4, 14)]
    assert [len(one) for one in found] == [4, 5, 6, 6, 6, 6, 6, 6, 10, 10]
    found = [of(windows(count), "a", boundary=(count + 2) // YOUNG * YOUNG - 2) for count in range(4, 14)]
    assert [len(one) for one in found] == [4, 5, 5, 5, 5, 5, 10, 10, 10, 10]


def test_a_window_is_left_out_of_the_subjects_concerned() -> None:
    marked = windows(30, a=range(25, 30))
    assert of(marked, "a") == tuple(range(15, 25))
    assert of(marked, "b") == of(marked, STREAM) == tuple(range(20, 30))


def test_what_is_wrong_on_the_stream_concerns_all() -> None:
    marked = windows(30, stream=[28])
    assert of(marked, "a") == of(marked, STREAM) == (*range(19, 28), 29)


def test_a_fault_that_lasts_is_not_learned() -> None:
    marked = windows(60, a=range(30, 60))
    assert of(marked, "a") == tuple(range(20, 30))


def test_a_bad_beginning_heals_once_what_followed_outlasts_it() -> None:
    assert of(windows(5 + 11, a=range(5, 60)), "a") == (0, 1, 2, 3, 4)
    assert of(windows(5 + 12, a=range(5, 60)), "a") == tuple(range(7, 17))
    # As long as fewer than a whole baseline were learned.
    assert of(windows(60, a=range(10, 60)), "a") == tuple(range(10))


def test_what_healed_stays_healed_when_later_windows_are_good() -> None:
    marked = windows(5 + 12 + 4, a=range(5, 19))
    assert of(marked, "a") == (*range(9, 17), 19, 20)
    # The bad beginning is let go before what took its place, also while a later fault fills what is kept.
    kept = windows(80, a=[*range(5, 19), *range(22, 80)])
    gone = []
    while len(kept) > 42:
        gone.append(spare(kept, ("a", "b"), MOST))
        kept = [one for one in kept if one.start_us != gone[-1]]
        assert not set(of(kept, "a")) & set(range(5))
    assert gone[:5] == list(range(5))


def test_new_values_are_learned_unless_they_are_most_of_the_rows() -> None:
    def finding(rule: str, subject: str, value: float) -> Finding:
        return Finding(
            rule=rule, subject=subject, severity="info", value=value, threshold=0.0, baseline=0.0, message="m"
        )

    wrong = [
        finding("feature_unseen_values", "campaign", 0.2),
        finding("feature_unseen_values", "user", 0.98),
        finding("feature_nulls", "site", 0.2),
    ]
    assert suspects(wrong) == {"user", "site"}


@pytest.mark.parametrize(
    ("given_order", "chosen_of_a"),
    [
        (order("accept", "a", since_us=12), tuple(range(12, 20))),
        (order("reset", "a"), ()),
        (order("exclude", "a", since_us=2, until_us=5), (0, 1, *range(5, 10))),
        (order("exclude", "b", since_us=2, until_us=5), tuple(range(10))),
        (order("ack"), tuple(range(10))),
    ],
)
def test_orders_say_what_is_learned(given_order: Order, chosen_of_a: tuple[int, ...]) -> None:
    marked = windows(20, a=range(10, 20))
    assert of(ordered(marked, [given_order]), "a") == chosen_of_a


def test_what_is_accepted_for_all_begins_anew_for_all() -> None:
    accepted = ordered(windows(20, a=range(10, 20)), [order("accept", since_us=12)])
    assert of(accepted, "a") == of(accepted, "b") == of(accepted, STREAM) == tuple(range(12, 20))
    # The order says nothing of windows that came after it.
    later = ordered(windows(22, a=[21]), [order("accept", since_us=12)])
    assert of(later, "a")[-1] == 20


@settings(max_examples=200, deadline=None)
@given(
    count=st.integers(1, 60),
    a=st.sets(st.integers(0, 59)),
    b=st.sets(st.integers(0, 59)),
    stream=st.sets(st.integers(0, 59), max_size=10),
)
def test_what_is_let_go_is_in_no_baseline_if_any_window_is_not(
    count: int, a: set[int], b: set[int], stream: set[int]
) -> None:
    marked = windows(count, a=list(a), b=list(b), stream=list(stream))
    gone = spare(marked, ("a", "b"), MOST)
    assert gone in range(count)
    needed = {
        start
        for boundary in (count, count - YOUNG)
        for whole in (count, count - RENEWAL)
        for name in (STREAM, "a", "b")
        for start in of(marked, name, boundary, whole)
    }
    newest = set(range(max(0, count - KEPT_NEWEST), count))
    if set(range(count)) - needed - newest and gone != 0:
        assert gone not in newest
        assert gone not in of(marked, "a", count)
        assert gone not in of(marked, "b", count)


def test_what_two_subjects_have_in_common_is_learned_of_windows_good_for_both() -> None:
    marked = [
        Marked(0, frozenset()),
        Marked(1, frozenset({"site"})),
        Marked(2, frozenset({"ad"})),
        Marked(3, frozenset({"site"})),
        Marked(4, frozenset({"user"})),
    ]
    # The change of window 3 outlasted what was before it and is learned; window 4 is chosen for none.
    of = {STREAM: (0, 1, 2, 3), "site": (0, 2, 3), "ad": (0, 1, 3), "user": (0, 1, 2, 3)}
    assert good_windows(marked, of, (0, 1, 2, 3)) == {"site": (0, 2, 3), "ad": (0, 1, 3)}
