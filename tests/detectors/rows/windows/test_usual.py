"""What a row model finds at the level that it came to have is usual; what goes further is not."""

import statistics
from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from sparsewatch.detectors.rows.windows.thresholds import RowCheck
from sparsewatch.detectors.rows.windows.usual import Level, highest_usual, levels_of, usual_findings
from sparsewatch.schemas.alerts import Finding

CHECK, NEEDED = RowCheck(), 12
SHARES = st.lists(st.floats(0, 1), min_size=2, max_size=30)


def finding(rule: str, subject: str, value: float) -> Finding:
    return Finding(
        rule=rule, subject=subject, severity="warning", value=value, threshold=0.05, baseline=0.0, message=""
    )


def usual(found: Sequence[Finding], *before: Finding, windows: int = NEEDED) -> list[Finding]:
    """Of those found, the usual ones behind so many windows in which the others were found."""
    learned = [levels_of(before)] * windows
    return usual_findings(found, dict.fromkeys(("rows", "flow", "speed"), learned), NEEDED, CHECK)


@given(SHARES, st.floats(0, 0.2), st.sampled_from([1e-6, 1e-4, 1e-2]))
def test_the_highest_usual_value_is_that_of_the_formula(before: list[float], least: float, level: float) -> None:
    middle = statistics.median(before)
    spread = 1.4826 * statistics.median([abs(value - middle) for value in before])
    factor = stats.t(len(before) - 1).isf(level) * (1 + 1 / len(before)) ** 0.5
    assert highest_usual(before, least, level) == pytest.approx(middle + max(least, factor * spread), abs=1e-9)


@given(st.lists(st.floats(0.29, 0.31), min_size=12, max_size=24), st.floats(0, 1))
def test_one_window_unlike_the_others_lets_hardly_more_pass(before: list[float], odd: float) -> None:
    assert highest_usual([*before, odd], 0.05, 1e-4) <= 0.31 + 0.02 * 1.4826 * 8


def test_values_that_go_on_as_they_were_are_seldom_beyond() -> None:
    drawn = stats.norm(0.4, 0.03).rvs((4_000, 24), random_state=0)
    later = stats.norm(0.4, 0.03).rvs(4_000, random_state=1)
    beyond = sum(value > highest_usual(before, 0.01, 0.01) for before, value in zip(drawn, later, strict=True))
    assert beyond < 0.025 * len(later)


def test_a_finding_is_usual_at_its_level_and_not_beyond_it() -> None:
    before = finding("columns_moved", "flow", 0.3)
    assert usual([finding("columns_moved", "flow", 0.34)], before)
    assert usual([finding("columns_moved", "flow", 0.1)], before)
    assert not usual([finding("columns_moved", "flow", 0.36)], before)
    assert not usual([finding("columns_moved", "speed", 0.3)], before)
    assert not usual([finding("column_link_lost", "flow", 0.3)], before)


def test_it_is_not_usual_before_it_was_found_in_as_many_windows_as_are_needed() -> None:
    before = finding("columns_moved", "flow", 0.3)
    assert not usual([before], before, windows=NEEDED - 1)


def test_outliers_have_one_level_whatever_column_most_are_laid_to() -> None:
    before = finding("rows_unlike_training", "flow", 0.4)
    assert levels_of([before]) == (Level("rows_unlike_training", "rows", 0.4),)
    assert usual([finding("rows_unlike_training", "rows", 0.45)], before)
    assert not usual([finding("rows_unlike_training", "flow", 0.6)], before)


def test_where_outliers_are_usual_rows_that_are_less_odd_are_too() -> None:
    drift = finding("row_scores_drift", "rows", 0.3)
    assert usual([drift], finding("rows_unlike_training", "rows", 0.4))
    assert not usual([drift], finding("columns_moved", "flow", 0.4))


@pytest.mark.parametrize(("share", "told"), [(0.4, False), (0.2, True)])
def test_numbers_beyond_the_training_data_say_nothing_where_it_does_not_describe_the_stream(
    share: float, told: bool
) -> None:
    unlike, beyond = finding("rows_unlike_training", "rows", share), finding("column_out_of_range", "speed", 9.0)
    assert (beyond not in usual([unlike, beyond], unlike)) == told
    assert usual([beyond], unlike) == []
