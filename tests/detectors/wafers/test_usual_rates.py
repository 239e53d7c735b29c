"""Shares of wafers with a pattern are compared with those of the windows before, overall, by tool and by step."""

from collections.abc import Mapping, Sequence

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import binom

from sparsewatch.detectors.wafers.lots import UNKNOWN, LotCounts
from sparsewatch.detectors.wafers.thresholds import WaferCheck
from sparsewatch.detectors.wafers.usual_rates import (
    MOST_GROUPS,
    Groups,
    SharesBefore,
    Shown,
    shown_of,
    unusual,
    unusual_finding,
)
from sparsewatch.detectors.wafers.window_counts import WaferCounts

CHECK, LEAST = WaferCheck(), 12


def all_of(wafers: int, **patterns: int) -> Shown:
    return Shown("", "", wafers, patterns)


def before(windows: Sequence[Sequence[Shown]]) -> Mapping[int, Groups]:
    return {number: {one.group: one for one in window} for number, window in enumerate(windows)}


def steady(count: int = 24, wafers: int = 100, scratch: int = 3) -> Mapping[int, Groups]:
    return before([[all_of(wafers, scratch=scratch, normal=wafers - scratch)]] * count)


def test_a_share_is_found_where_it_is_far_above_that_of_the_windows_before() -> None:
    past = steady()
    assert not unusual([all_of(100, scratch=8)], lambda _: past, LEAST, CHECK, "normal")
    found = unusual([all_of(100, scratch=30, normal=70)], lambda _: past, LEAST, CHECK, "normal")
    assert list(found) == ["scratch"]
    told = unusual_finding(found["scratch"], None)
    assert (told.rule, told.subject, told.value, told.baseline) == ("pattern_rate_high", "scratch", 0.3, 0.03)
    assert told.message == "30 of 100 wafers show 'scratch' (3.00% usual over 24 windows)"
    assert told.evidence["baseline"] == {"kind": "learned", "windows": 24}
    assert told.p_value is not None
    assert told.p_value <= CHECK.of_test
    assert 0.08 < told.threshold < 0.3


def test_of_few_windows_nothing_is_known() -> None:
    past = steady(LEAST - 1)
    assert not unusual([all_of(100, scratch=90)], lambda _: past, LEAST, CHECK, "normal")
    # Windows without wafers say nothing.
    empty = before([[all_of(0)]] * 20)
    assert not unusual([all_of(100, scratch=90)], lambda _: empty, LEAST, CHECK, "normal")


def test_where_lots_differ_the_same_share_is_usual() -> None:
    swinging = before([[all_of(100, scratch=2 + 18 * (number % 3 == 0))] for number in range(24)])
    assert unusual([all_of(100, scratch=30)], lambda _: steady(), LEAST, CHECK, "normal")
    assert not unusual([all_of(100, scratch=30)], lambda _: swinging, LEAST, CHECK, "normal")


def test_one_window_among_them_that_is_unlike_the_others_hides_nothing() -> None:
    marred = dict(steady()) | {7: {("", ""): all_of(100, scratch=80)}}
    found = unusual([all_of(100, scratch=30)], lambda _: marred, LEAST, CHECK, "normal")
    assert found["scratch"].before.rate == pytest.approx(0.03)


def test_a_tool_is_compared_with_itself_where_all_wafers_show_nothing() -> None:
    def shown(of_t1: int) -> list[Shown]:
        of_each = [Shown("tool", f"T{n}", 50, {"scratch": of_t1 if n == 1 else 1}) for n in range(20)]
        return [all_of(1_000, scratch=19 + of_t1), *of_each]

    past = before([shown(1)] * 24)
    found = unusual(shown(16), lambda _: past, LEAST, CHECK, "normal")
    assert [(one.of, one.value, one.number, one.wafers) for one in found.values()] == [("tool", "T1", 16, 50)]
    told = unusual_finding(found["scratch"], None)
    assert told.message == "16 of 50 wafers of tool 'T1' show 'scratch' (2.00% usual over 24 windows)"
    assert told.evidence["slice"] == {"attribute": "tool", "value": "T1", "where": "tool = T1"}
    # What all wafers show is told of them alone.
    much = [all_of(1_000, scratch=300), *shown(50)[1:]]
    assert unusual(much, lambda _: past, LEAST, CHECK, "normal")["scratch"].of == ""


def test_novel_wafers_are_told_as_such() -> None:
    past = before([[Shown("", "", 100, {UNKNOWN: 2})]] * 24)
    found = unusual([Shown("", "", 100, {UNKNOWN: 25})], lambda _: past, LEAST, CHECK, "normal")
    told = unusual_finding(found[UNKNOWN], None)
    assert (told.rule, told.subject, told.severity) == ("novel_pattern", "wafers", "critical")
    assert told.message.startswith("25 of 100 wafers show an unknown pattern")


def test_normal_wafers_are_never_found() -> None:
    past = before([[all_of(100, normal=2)]] * 24)
    assert not unusual([all_of(100, normal=98)], lambda _: past, LEAST, CHECK, "normal")


def test_windows_of_chance_alone_are_not_found() -> None:
    rng, alerts = np.random.default_rng(3), 0
    for _ in range(300):
        past = before([[all_of(50, scratch=int(n))] for n in rng.binomial(50, 0.04, 24)])
        alerts += len(unusual([all_of(50, scratch=int(rng.binomial(50, 0.04)))], lambda _: past, LEAST, CHECK, ""))  # noqa: B023
    assert alerts == 0


@settings(max_examples=50, deadline=None)
@given(
    st.lists(st.integers(0, 40), min_size=12, max_size=24), st.integers(20, 400), st.floats(2.0, 5.5), st.floats(0, 0.4)
)
def test_the_limit_holds_chance_and_grows_with_strictness_and_fewer_wafers(
    numbers: list[int], wafers: int, z: float, more: float
) -> None:
    past = SharesBefore(numbers, [40] * len(numbers), list(range(len(numbers))))
    limit = past.limit(wafers, z)
    assert limit >= past.rate
    assert past.limit(wafers, z + more) >= limit
    assert past.limit(max(wafers // 2, 1), z) >= limit
    # Never stricter than the exact test of a rate that is known.
    known = binom.isf(np.exp(-z * z / 2), wafers, past.rate) / wafers
    assert limit >= known - 1 / wafers


def test_what_wafers_show_is_of_all_and_of_each_tool_and_step() -> None:
    lots = [
        LotCounts("A", "etch", "T1", 3, {"scratch": 1, "normal": 2}),
        LotCounts("B", "etch", "T2", 2, {UNKNOWN: 2}),
        LotCounts("C", "etch", "", 1, {"normal": 1}),
    ]
    counts = WaferCounts(wafers=6, verdicts={"novel": 2}, patterns={"normal": 3, "scratch": 1}, lots=lots)
    assert shown_of(counts) == (
        Shown("", "", 6, {"normal": 3, "scratch": 1, UNKNOWN: 2}),
        Shown("tool", "T1", 3, {"normal": 2, "scratch": 1}),
        Shown("tool", "T2", 2, {UNKNOWN: 2}),
    )


def test_of_many_tools_those_of_most_wafers_are_kept() -> None:
    lots = [LotCounts(f"L{n}", "", f"T{n:03d}", n + 1, {"normal": n + 1}) for n in range(MOST_GROUPS + 20)]
    shown = shown_of(WaferCounts(wafers=1, patterns={"normal": 1}, lots=lots))
    assert [one.value for one in shown[1:]] == [f"T{n:03d}" for n in range(20, MOST_GROUPS + 20)]
