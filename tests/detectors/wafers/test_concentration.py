"""Which tool a pattern comes from: the chance by hand, lots that are alike, and streams without a cause."""

import itertools
from collections.abc import Sequence
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sparsewatch.detectors.wafers import lots as lots_module
from sparsewatch.detectors.wafers.concentration import concentration_findings, concentrations, least_lots
from sparsewatch.detectors.wafers.lots import UNKNOWN, LotCounts, merged
from sparsewatch.detectors.wafers.thresholds import WaferCheck
from sparsewatch.detectors.wafers.window_counts import WaferCounts, check_wafers

LEVEL = 1e-4


def lot(number: int, tool: str, *, pattern: str | None = None, wafers: int = 25, step: str = "litho") -> LotCounts:
    """A lot of which a fifth shows the pattern, and the others nothing."""
    shown = {"normal": wafers} if pattern is None else {"normal": wafers - wafers // 5, pattern: wafers // 5}
    return LotCounts(f"L{number:04d}", step, tool, wafers, shown)


def fab(tools: int, lots: int, showing: Sequence[int], pattern: str = "scratch") -> list[LotCounts]:
    """Lots over tools in turn; those of the given numbers show the pattern."""
    return [lot(i, f"T{i % tools}", pattern=pattern if i in showing else None) for i in range(lots)]


def test_the_chance_is_that_of_all_ways_to_deal_the_lots() -> None:
    lots = fab(3, 9, [0, 3, 6, 1])
    (found,) = concentrations(lots, "tool", "normal").values()
    ways = [len(set(chosen) & {0, 1, 2}) >= 3 for chosen in itertools.combinations(range(9), 4)]
    assert (found.where, found.lots, found.showing, found.other_lots, found.others_showing) == ("tool = T0", 3, 3, 6, 1)
    assert found.looks == 3
    assert found.p_value == pytest.approx(float(Fraction(sum(ways), len(ways)) * found.looks))


def test_a_tool_that_scratches_is_named_with_its_lots_although_no_rate_is_known() -> None:
    lots = fab(4, 60, [0, 4, 8, 12, 16, 20, 24, 28, 32, 5])
    (finding,) = concentration_findings(concentrations(lots, "tool", "normal"), LEVEL)
    assert (finding.rule, finding.subject) == ("pattern_concentrated", "scratch")
    assert finding.message == "'scratch' on one tool: 9 of 15 lots of tool 'T0' show it, 1 of 45 others"
    assert finding.evidence["slice"]["where"] == "tool = T0"
    assert finding.evidence["slice"]["names"][:2] == ["L0000", "L0004"]
    assert 0 < (finding.p_value or 0) < LEVEL
    assert finding.baseline < finding.threshold <= finding.value


def test_what_rises_on_all_tools_is_concentrated_on_none() -> None:
    assert not list(concentration_findings(concentrations(fab(4, 60, range(40)), "tool", "normal"), LEVEL))


def test_one_bad_lot_of_many_wafers_is_no_tool() -> None:
    lots = [*fab(4, 60, []), lot(100, "T0", pattern="scratch", wafers=5_000)]
    assert not concentrations(lots, "tool", "normal")


def test_tools_are_compared_within_their_step_and_steps_explain_what_is_found_otherwise() -> None:
    etch = [lot(i, f"E{i % 2}", pattern="ring", step="etch") for i in range(20)]
    litho = [lot(i, f"T{i % 2}", step="litho") for i in range(20)]
    assert not concentrations([*etch, *litho], "tool", "normal")
    (step,) = concentrations([*etch, *litho], "step", "normal").values()
    assert step.text == "20 of 20 lots of step 'etch' show it, 0 of 20 others"


def test_no_tool_no_comparison_and_no_lots_none() -> None:
    assert not concentrations([], "tool", "normal")
    assert not concentrations([lot(i, "", pattern="ring" if i < 9 else None) for i in range(40)], "tool", "normal")


@pytest.mark.parametrize("share", [0.05, 0.3])
def test_without_a_cause_windows_tell_of_no_tool_more_often_than_the_level_says(share: float) -> None:
    random, level, windows = np.random.default_rng(0), 0.05, 400
    told = 0
    for _ in range(windows):
        lots = [
            lot(i, f"T{random.integers(5)}", pattern=["ring", "scratch"][i % 2] if random.random() < share else None)
            for i in range(60)
        ]
        told += bool(list(concentration_findings(concentrations(lots, "tool", "normal"), level)))
    # Of 400 windows at 5 %: 31 or more has a chance below 1 %.
    assert told < 31


some_lots = st.lists(
    st.builds(
        LotCounts,
        st.sampled_from("abcdefgh"),
        st.sampled_from("st"),
        st.sampled_from("TU"),
        st.integers(1, 9),
        st.dictionaries(st.sampled_from([UNKNOWN, "ring"]), st.integers(1, 9)),
    ),
    max_size=30,
)


@given(some_lots, st.integers(0, 30))
def test_a_bounded_number_of_lots_is_the_same_however_they_were_merged(lots: list[LotCounts], cut: int) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(lots_module, "MOST_LOTS", 5)
        whole = merged(lots)
        assert merged([*merged(lots[:cut]), *merged(lots[cut:])]) == whole
        assert len(whole) <= 5
        totals = {one.lot + one.step + one.tool: 0 for one in lots}
        for one in lots:
            totals[one.lot + one.step + one.tool] += one.wafers
        assert all(one.wafers == totals[one.lot + one.step + one.tool] for one in whole)


def test_a_rule_that_fires_names_the_tool_itself_and_the_other_rule_is_silent() -> None:
    counts = WaferCounts(wafers=1_500, patterns={"scratch": 45}, lots=fab(4, 60, range(0, 36, 4)))
    check = WaferCheck(false_novel_rate=0.02, expected_rates={"scratch": 0.005}, concentrated=LEVEL)
    (finding,) = check_wafers(counts, check, "normal")
    assert finding.rule == "pattern_rate_high"
    assert finding.message.endswith("; 9 of 15 lots of tool 'T0' show it, 0 of 45 others")
    assert finding.evidence["slice"]["where"] == "tool = T0"
    (other,) = check_wafers(counts, WaferCheck(false_novel_rate=0.02, concentrated=LEVEL), "normal")
    assert other.rule == "pattern_concentrated"


def test_unknown_patterns_of_one_tool_are_told_too() -> None:
    counts = WaferCounts(wafers=1_500, lots=fab(4, 60, range(0, 36, 4), UNKNOWN))
    (finding,) = check_wafers(counts, WaferCheck(false_novel_rate=0.02, concentrated=LEVEL), "normal")
    assert (finding.rule, finding.subject) == ("pattern_concentrated", "wafers")
    assert finding.message.startswith("unknown patterns on one tool: 9 of 15 lots")


@pytest.mark.parametrize("lots", [20, 40, 100])
def test_the_fewest_lots_that_are_said_to_be_found_are_found(lots: int) -> None:
    least = least_lots(lots, 4, LEVEL)
    if least is None:
        least = lots // 4 + 1
    numbers = range(0, 4 * least, 4)
    assert not list(concentration_findings(concentrations(fab(4, lots, numbers[:-1]), "tool", "normal"), LEVEL))
    if least <= lots // 4:
        assert list(concentration_findings(concentrations(fab(4, lots, numbers), "tool", "normal"), LEVEL))
