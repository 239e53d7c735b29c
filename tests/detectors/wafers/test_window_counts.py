"""Counts of wafers merge in any order; the two rules fire on what they should, and not by chance."""

from collections.abc import Iterable
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sparsewatch.detectors.wafers.thresholds import WaferCheck
from sparsewatch.detectors.wafers.window_counts import MOST_LOOKING_NOVEL, WaferCounts, check_wafers
from sparsewatch.schemas.errors import ConfigError
from sparsewatch.schemas.patterns import NovelLooking
from sparsewatch.schemas.wafers import Verdict, WaferResult
from tests.kit.novel_wafers import DIAGONAL


def result(
    number: int,
    verdict: Verdict,
    pattern: str = "donut",
    p_value: float = 0.5,
    model: str = "m/1",
    rate: float = 0.02,
    outside: int = 0,
) -> WaferResult:
    return WaferResult(
        id=f"t/0/{number}/0",
        wafer_id=f"W{number}",
        lot=f"L{number // 5}",
        step="s",
        tool=f"T{number // 5 % 3}",
        event_time_us=number,
        defects=100,
        outside=outside,
        verdict=verdict,
        pattern=pattern,
        probability=0.9,
        novelty=1.0,
        p_value=p_value,
        model=model,
        false_novel_rate=rate,
    )


def looking_novel(results: Iterable[WaferResult]) -> list[NovelLooking]:
    """Those of a low p-value, with an embedding of nothing."""
    return [
        NovelLooking(
            r.p_value, r.id, r.wafer_id, r.lot, r.tool, r.event_time_us, r.novelty, r.pattern, "s", b"", DIAGONAL
        )
        for r in results
        if r.p_value < 0.3
    ]


results = st.lists(
    st.builds(
        result,
        st.integers(0, 10_000),
        st.sampled_from(["known", "normal", "novel", "model_does_not_fit"]),
        st.sampled_from(["donut", "ring"]),
        st.floats(0.001, 1),
        st.sampled_from(["m/1", "m/2"]),
        st.sampled_from([0.01, 0.02]),
        st.sampled_from([0, 0, 1, 2, 3, 50]),
    ),
    max_size=60,
    unique_by=lambda r: r.id,
)


@given(results, st.randoms(use_true_random=False), st.integers(0, 60))
def test_any_split_and_order_gives_the_same_bytes(wafers: list[WaferResult], rng: object, cut: int) -> None:
    whole = WaferCounts()
    whole.add(wafers, looking_novel(wafers))
    shuffled = list(wafers)
    rng.shuffle(shuffled)  # type: ignore[attr-defined]
    left, right = WaferCounts(), WaferCounts()
    left.add(shuffled[:cut], looking_novel(shuffled[:cut]))
    right.add(shuffled[cut:], looking_novel(shuffled[cut:]))
    right.merge(WaferCounts.from_bytes(left.to_bytes()))
    assert right.to_bytes() == whole.to_bytes()


def test_the_wafers_that_look_most_novel_are_stored_and_the_record_holds_none_of_them() -> None:
    wafers = [result(i, "known", p_value=0.29 - i / 10_000) for i in range(2 * MOST_LOOKING_NOVEL)]
    found = WaferCounts()
    found.add(wafers, looking_novel(wafers))
    assert [w.id for w in found.looking_novel] == [r.id for r in wafers[: -MOST_LOOKING_NOVEL - 1 : -1]]
    assert found.summary()["wafers"] == len(wafers)
    assert "looking_novel" not in found.summary()


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


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"false_novel_rate": 1.0}, r"^false_novel_rate: expected a number above 0 and below 1, got 1\.0"),
        ({"alpha": 0.0}, r"^alpha: expected a number above 0 and below 1, got 0\.0"),
        ({"expected_rates": {"donut": 1.5}}, r"^expected_rates\.donut: expected a number from 0 to 1, got 1\.5"),
    ],
)
def test_thresholds_out_of_range_are_refused(wrong: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        WaferCheck(**wrong)


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


def test_after_an_exchange_of_the_model_each_wafer_counts_by_the_rate_of_its_own() -> None:
    found = counts(100, novel=8)
    assert found.false_novel_rate == 0.02
    found.add(result(1_000 + i, "normal", "normal", model="m/2", rate=0.06) for i in range(300))
    assert found.models == {"m/1": 100, "m/2": 300}
    assert found.false_novel_rate == pytest.approx(0.05)
    assert check_wafers(found, WaferCheck(), "normal") == []
    [stated] = check_wafers(found, WaferCheck(false_novel_rate=0.001), "normal")
    assert stated.baseline == 0.001


def test_defects_outside_of_their_wafers_are_told_of_whatever_else_the_window_holds() -> None:
    counts = WaferCounts()
    counts.add([result(n, "normal", "normal") for n in range(200)])
    counts.add([result(200, "normal", "normal", outside=2), result(201, "known", outside=4)])
    assert check_wafers(counts, WaferCheck(), "normal") == []
    counts.add([result(202, "known", outside=50), result(203, "normal", "normal", outside=25)])
    (finding,) = check_wafers(counts, WaferCheck(), "normal")
    assert (finding.rule, finding.subject, finding.value) == ("defects_outside", "wafers", 50 / 150)
    assert finding.message.startswith(
        "81 of 20,481 defects lie outside of their wafers, on 4 of 204 wafers; wafer 'W202' of lot 'L40' has 33%"
    )
    assert [wafer["wafer_id"] for wafer in finding.evidence["wafers"]] == ["W202", "W203"]
    assert (finding.evidence["outside"], finding.evidence["share"]) == (81, 81 / 20_481)
    assert check_wafers(counts, WaferCheck(outside=0.5), "normal") == []
    record = counts.summary()
    assert (record["outside"], record["outside_wafers"], len(record["most_outside"])) == (81, 4, 4)


def test_wafers_that_the_model_cannot_judge_are_no_pattern_and_not_novel() -> None:
    counts = WaferCounts()
    counts.add([result(n, "model_does_not_fit", p_value=1.0) for n in range(30)])
    counts.add([result(n, "known") for n in range(30, 40)])
    assert (counts.patterns, counts.novel) == ({"donut": 10}, [])
    (finding,) = check_wafers(counts, WaferCheck(), "normal")
    assert (finding.rule, finding.value) == ("model_does_not_fit", 0.75)
    assert "30 of 40 wafers cannot be judged: m/1 knows lists" in finding.message
