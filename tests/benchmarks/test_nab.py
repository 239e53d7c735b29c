"""The scoring rule of NAB against worked examples and a slow oracle, and what the detectors learn from."""

import math
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from benchmarks.nab import PUBLISHED, figures, read_corpus, scored
from benchmarks.nab_detectors import Scorer, by_deviations, by_moving_normal, by_p_value, by_row_score
from benchmarks.nab_score import (
    PROFILES,
    Judged,
    Profile,
    judged,
    nab_score,
    normalised,
    pooled,
    probation,
    sigmoid,
    sums_by_threshold,
)
from benchmarks.nab_windows import by_incidents

_STANDARD = PROFILES["standard"]


def in_windows(rows: int, *windows: tuple[int, int]) -> NDArray[np.bool_]:
    """Whether each row is in a window of first and last row."""
    at = np.arange(rows)
    inside = np.zeros(rows, np.bool_)
    for first, last in windows:
        inside |= (at >= first) & (at <= last)
    return inside


def odd_at(rows: int, *odd: int) -> NDArray[np.float64]:
    scores = np.zeros(rows)
    scores[list(odd)] = 1
    return scores


def total(rows: Judged, profile: Profile) -> float:
    """The sum where rows of score 1 are called odd."""
    thresholds, sums = sums_by_threshold(rows, profile)
    return float(sums[thresholds == 1][0])


def by_hand(odd: list[int], rows: int, windows: list[tuple[int, int]], profile: Profile) -> float:
    """The rule row by row, by its definition."""

    def curve(position: float) -> float:
        return -1.0 if position >= 3 else 2 / (1 + math.exp(5 * position)) - 1

    best = [-profile.missed] * len(windows)
    false = 0.0
    for row in odd:
        if row < min(math.floor(0.15 * rows), 750):
            continue
        own = [at for at, (first, last) in enumerate(windows) if first <= row <= last]
        before = [(first, last) for first, last in windows if last < row]
        if own:
            first, last = windows[own[0]]
            hit = curve(-(last - row + 1) / (last - first + 1)) / curve(-1)
            best[own[0]] = max(best[own[0]], profile.found * hit)
        elif before:
            first, last = before[-1]
            false += profile.false * curve((row - last) / (last - first))
        else:
            false -= profile.false
    return sum(best) + false


@pytest.mark.parametrize(("rows", "first"), [(0, 0), (6, 0), (7, 1), (1_000, 150), (5_000, 750), (22_695, 750)])
def test_the_first_rows_are_for_learning(rows: int, first: int) -> None:
    assert probation(rows) == first


def test_the_curve_has_the_published_values() -> None:
    assert sigmoid(np.array([-1.0, -0.5, 0, 1, 3, 1e9])).round(5).tolist() == [0.98661, 0.84828, 0, -0.98661, -1, -1]


@pytest.mark.parametrize("profile", PROFILES.values(), ids=PROFILES)
def test_null_is_0_and_perfect_is_100(profile: Profile) -> None:
    inside = in_windows(100, (40, 49), (70, 79))
    nothing, perfect = judged(np.zeros(100), inside), judged(odd_at(100, 40, 70), inside)
    assert nab_score(nothing, profile) == (0, np.inf)
    assert nab_score(perfect, profile)[0] == pytest.approx(100)


def test_one_of_two_windows_found_at_once_is_half_of_all() -> None:
    rows = judged(odd_at(100, 40), in_windows(100, (40, 49), (70, 79)))
    assert nab_score(rows, _STANDARD)[0] == pytest.approx(50)
    # A miss costs 2 where it counts twice: 1 - 2 between -4 and 2.
    assert nab_score(rows, PROFILES["reward_low_FN_rate"])[0] == pytest.approx(50)


def test_a_false_alarm_costs_what_the_profile_says() -> None:
    rows = judged(odd_at(100, 20, 40), in_windows(100, (40, 49)))
    assert total(rows, _STANDARD) == pytest.approx(0.89)
    assert total(rows, PROFILES["reward_low_FP_rate"]) == pytest.approx(0.78)


def test_a_later_row_of_a_window_is_worth_less_and_the_first_counts_alone() -> None:
    inside = in_windows(100, (40, 49))
    late = total(judged(odd_at(100, 45), inside), _STANDARD)
    assert late == pytest.approx((2 / (1 + math.exp(-2.5)) - 1) / (2 / (1 + math.exp(-5)) - 1))
    assert total(judged(odd_at(100, 45, 46, 49), inside), _STANDARD) == pytest.approx(late)


def test_rows_for_learning_do_not_count() -> None:
    inside = in_windows(100, (40, 49))
    assert total(judged(odd_at(100, 0, 14, 40), inside), _STANDARD) == pytest.approx(1)


@pytest.mark.parametrize("seed", range(20))
def test_every_threshold_has_the_sum_of_the_definition(seed: int) -> None:
    rng = np.random.default_rng(seed)
    rows = int(rng.integers(60, 200))
    windows = [(first, first + int(rng.integers(1, 9))) for first in range(rows // 4, rows - 10, 25)]
    scores = rng.integers(0, 12, rows) / 12
    profile = list(PROFILES.values())[seed % 3]
    thresholds, sums = sums_by_threshold(judged(scores, in_windows(rows, *windows)), profile)
    assert set(thresholds[1:]) == set(scores[probation(rows) :])
    for threshold, found in zip(thresholds, sums, strict=True):
        odd = np.flatnonzero(scores >= threshold).tolist()
        assert found == pytest.approx(by_hand(odd, rows, windows, profile))


def test_a_corpus_adds_its_series_up_at_one_threshold() -> None:
    rng = np.random.default_rng(0)
    parts = [judged(rng.integers(0, 5, n) / 5, in_windows(n, (n // 2, n // 2 + 5))) for n in (60, 80, 100)]
    thresholds, sums = sums_by_threshold(pooled([*parts, judged(rng.random(50) / 9, in_windows(50))]), _STANDARD)
    least = sum(float(sums_by_threshold(part, _STANDARD)[1][-1]) for part in parts)
    assert sums[thresholds == 0.2][0] > least - 50 * 0.11
    for threshold in (0.8, 0.6, 0.4, 0.2):
        alone = [dict(zip(*sums_by_threshold(part, _STANDARD), strict=True))[threshold] for part in parts]
        assert sums[thresholds == threshold][0] == pytest.approx(sum(alone))


def test_a_change_of_scale_changes_no_score() -> None:
    rng = np.random.default_rng(3)
    scores, inside = rng.random(500), in_windows(500, (200, 240), (400, 440))
    as_logarithm = nab_score(judged(-np.log1p(-scores), inside), _STANDARD)[0]
    assert as_logarithm == pytest.approx(nab_score(judged(scores, inside), _STANDARD)[0])


def test_halfway_is_fifty() -> None:
    assert normalised(0.0, 7, _STANDARD) == 50


@pytest.mark.parametrize("score", [by_p_value, by_row_score, by_deviations, by_moving_normal])
def test_a_jump_is_odder_than_all_before_it(score: Scorer) -> None:
    values = np.random.default_rng(0).normal(size=400)
    values[300] = 40
    scores = score(values)
    assert scores[300] == scores.max() > np.median(scores[60:300])


@pytest.mark.parametrize("score", [by_p_value, by_row_score, by_deviations])
def test_only_the_rows_for_learning_are_learned(score: Scorer) -> None:
    values = np.random.default_rng(0).normal(size=400)
    changed = np.concatenate([values[:300], values[300:] * 9 + 5])
    np.testing.assert_array_equal(score(values)[:300], score(changed)[:300])


def test_the_moving_normal_looks_back_alone() -> None:
    values = np.array([1.0, 3.0, 2.0, 4.0])
    expected = [0.5 * math.erfc(-abs(v - m) / d / math.sqrt(2)) for v, m, d in [(2, 2, 1), (4, 2, math.sqrt(2 / 3))]]
    assert by_moving_normal(values)[2:] == pytest.approx(expected)


def test_the_windowed_gaussian_scores_as_published(data_dir: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SPARSEWATCH_DATA", str(data_dir))
    corpus = read_corpus()
    assert len(corpus) == 58
    assert sum(series.is_real for series in corpus) == 47
    assert pooled([judged(s.values, s.inside) for s in corpus]).n_windows == 116
    assert figures(scored(by_moving_normal, corpus), corpus)["all series"][0] == pytest.approx(
        PUBLISHED["windowed Gaussian"][0], abs=1
    )


def test_an_incident_opens_at_the_last_row_of_the_first_window_that_has_moved() -> None:
    values = np.random.default_rng(0).normal(size=2_000)
    assert not by_incidents(values, 100).any()
    values[1_200:] += 8
    assert np.flatnonzero(by_incidents(values, 100)).tolist() == [1_299]
