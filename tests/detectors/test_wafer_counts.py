"""Counts of wafers merge in any order; the two rules fire on what they should, and not by chance."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from detectors.wafer_counts import WaferCheck, WaferCounts, check_wafers
from schemas.wafers import Verdict, WaferResult


def result(number: int, verdict: Verdict, pattern: str = "donut", p_value: float = 0.5) -> WaferResult:
    return WaferResult(
        id=f"t/0/{number}/0",
        wafer_id=f"W{number}",
        lot=f"L{number // 5}",
        step="s",
        tool="T",
        event_time_us=number,
        defects=100,
        verdict=verdict,
        pattern=pattern,
        probability=0.9,
        novelty=1.0,
        p_value=p_value,
        model="m/1",
    )


results = st.lists(
    st.builds(
        result,
        st.integers(0, 10_000),
        st.sampled_from(["known", "normal", "novel"]),
        st.sampled_from(["donut", "ring"]),
        st.floats(0.001, 1),
    ),
    max_size=60,
    unique_by=lambda r: r.id,
)


@given(results, st.randoms(use_true_random=False), st.integers(0, 60))
def test_any_split_and_order_gives_the_same_bytes(wafers: list[WaferResult], rng: object, cut: int) -> None:
    whole = WaferCounts()
    whole.add(wafers)
    shuffled = list(wafers)
    rng.shuffle(shuffled)  # type: ignore[attr-defined]
    left, right = WaferCounts(), WaferCounts()
    left.add(shuffled[:cut])
    right.add(shuffled[cut:])
    right.merge(WaferCounts.from_bytes(left.to_bytes()))
    assert right.to_bytes() == whole.to_bytes()


def counts(wafers: int, novel: int = 0, **patterns: int) -> WaferCounts:
    found = WaferCounts()
    found.add(result(i, "novel", p_value=0.001) for i in range(novel))
    number = novel
    for pattern, n in patterns.items():
        found.add(result(number + i, "known", pattern) for i in range(n))
        number += n
    found.add(result(number + i, "normal", "normal") for i in range(wafers - number))
    return found


CHECK = WaferCheck(false_novel_rate=0.02, expected_rates={"donut": 0.02, "ring": 0.1})


def test_a_handful_of_novel_wafers_is_raised_with_its_members() -> None:
    [finding] = check_wafers(counts(100, novel=14), CHECK, "normal")
    assert (finding.rule, finding.value, finding.baseline) == ("novel_pattern", 0.14, 0.02)
    assert finding.threshold <= finding.value
    assert len(finding.evidence["wafers"]) == 14


def test_a_known_pattern_that_rises_is_raised_by_its_name() -> None:
    [finding] = check_wafers(counts(100, donut=15, ring=10), CHECK, "normal")
    assert (finding.rule, finding.subject) == ("pattern_rate_high", "donut")


def test_one_stray_wafer_in_a_small_window_raises_nothing() -> None:
    assert check_wafers(counts(3, novel=1), CHECK, "normal") == []


def test_windows_at_the_stated_rates_raise_nothing_a_thousand_times() -> None:
    rng = np.random.default_rng(3)
    raised = 0
    for _ in range(1000):
        wafers = int(rng.integers(20, 400))
        drawn = counts(wafers, int(rng.binomial(wafers, 0.02)), donut=int(rng.binomial(wafers, 0.02)))
        raised += len(check_wafers(drawn, CHECK, "normal"))
    assert raised == 0


def test_the_normal_pattern_is_never_reported() -> None:
    check = WaferCheck(expected_rates={"normal": 0.01})
    assert check_wafers(counts(100), check, "normal") == []
