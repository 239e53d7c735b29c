import math

import numpy as np
import pytest
from scipy.stats import binom

from sparsewatch.detectors.sequential.evidence import (
    STEPS,
    Evidence,
    Floats,
    Seen,
    alternatives,
    log_evidence,
    log_ratio,
    nothing,
    with_window,
)

ALPHA = 1e-4


def seen(
    count: Floats | float,
    rows: float,
    expected: float,
    *,
    step: float | None = None,
    spread: float = 0.0,
    level: float = 0.0,
    windows: float = 1e6,
) -> Seen:
    """Shares of one window, all alike but for their counts; steps of 3 % if absent."""
    counts = np.atleast_1d(np.asarray(count, dtype=np.float64))
    ones = np.ones(counts.size)
    return Seen(
        count=counts,
        rows=ones * rows,
        expected=ones * expected,
        step=ones * (0.03 * expected if step is None else step),
        spread=ones * spread,
        level=ones * level,
        windows=ones * windows,
        alpha=ones * ALPHA,
    )


def after(windows: list[Seen], *, two_sided: bool = True) -> Evidence:
    steps = alternatives(two_sided=two_sided)
    evidence = nothing(windows[0].count.size, steps.size)
    for window in windows:
        evidence = with_window(evidence, window, steps)
    return evidence


def test_the_ratio_is_that_of_binomial_probabilities() -> None:
    count, rows, expected = 17, 300, 0.1
    found = log_ratio(seen(count, rows, expected), np.array([-8.0, 4.0]))[0]
    for steps, value in zip((-8, 4), found.tolist(), strict=True):
        moved = expected * (1 + 0.03 * steps)
        assert value == pytest.approx(binom.logpmf(count, rows, moved) - binom.logpmf(count, rows, expected))


def test_the_ratio_is_less_by_as_much_as_windows_vary_more_than_by_chance() -> None:
    rows, expected = 400, 0.2
    chance = math.sqrt(expected * (1 - expected) / rows)
    steps = alternatives(two_sided=True)
    plain = log_ratio(seen(70, rows, expected), steps)
    assert log_ratio(seen(70, rows, expected, spread=2 * chance), steps) == pytest.approx(plain / 5)


def test_the_statistic_adds_up_the_ratio_of_every_window_in_which_the_change_may_have_begun() -> None:
    rng = np.random.default_rng(3)
    rows, expected = 500, 0.05
    counts = rng.binomial(rows, 0.047, 6)
    found = after([seen(float(count), rows, expected) for count in counts])
    steps = alternatives(two_sided=True)
    ratios = np.array([log_ratio(seen(float(count), rows, expected), steps)[0] for count in counts])
    begun = np.array([ratios[first:].sum(axis=0) for first in range(6)])
    assert found.log_r[0, :5] == pytest.approx(np.log(np.exp(begun).sum(axis=0))[:5])
    weights = np.exp(begun) / np.exp(begun).sum(axis=0)
    ages = np.arange(6, 0, -1)[:, None]
    assert found.age[0, :5] == pytest.approx((weights * ages).sum(axis=0)[:5])
    deviations = (counts / rows - expected) / (0.03 * expected)
    precision = float(seen(0, rows, expected).precision[0])
    leans = np.array([precision * deviations[first:].sum() for first in range(6)])[:, None]
    assert found.precision[0, :5] == pytest.approx((weights * precision * ages).sum(axis=0)[:5])
    assert found.lean[0, :5] == pytest.approx((weights * leans).sum(axis=0)[:5])


def test_the_statistic_less_the_number_of_windows_is_a_martingale_without_a_change() -> None:
    rng = np.random.default_rng(4)
    rows, expected, runs = 40, 0.3, 40_000
    counts = rng.binomial(rows, expected, (5, runs)).astype(np.float64)
    found = after([seen(of_window, rows, expected) for of_window in counts])
    # Of larger changes the mean is made of ratios that so few runs do not meet.
    assert np.exp(found.log_r).mean(axis=0)[[0, 1, 2, 3, 6, 7, 8, 9]] == pytest.approx(np.full(8, 5.0), rel=0.06)


@pytest.mark.parametrize("moved", [0.0, 1.0])
def test_one_window_alone_is_never_enough_and_two_are(moved: float) -> None:
    rows, expected = 100_000, 0.33
    window = seen(moved * rows, rows, expected, level=1e-4)
    assert log_evidence(after([window]), window) < -math.log(ALPHA)
    assert log_evidence(after([window, window]), window) > -math.log(ALPHA)


@pytest.mark.parametrize("level_steps", [0.0, 0.3, 1.0])
def test_what_may_be_an_error_of_the_baseline_is_never_told_however_long_it_lasts(level_steps: float) -> None:
    rows, expected = 20_000, 0.2
    step = 0.03 * expected
    error = math.hypot(level_steps, 1 / 12)
    window = seen(rows * (expected - 4 * error * step), rows, expected, level=level_steps * step)
    assert log_evidence(after([window] * 3_000), window) < -math.log(ALPHA)
    further = seen(rows * (expected - max(5 * error, 1) * step), rows, expected, level=level_steps * step)
    assert log_evidence(after([further] * 3_000), further) > -math.log(ALPHA)


def test_a_deviation_known_from_few_windows_needs_more_evidence() -> None:
    rows, expected = 2_000, 0.2
    windows = [seen(rows * expected * 0.9, rows, expected, windows=of) for of in (12, 50, 1e6)]
    few, some, many = (log_evidence(after([window] * 6), window)[0] for window in windows)
    assert few < some < many


def test_shares_do_not_touch_each_other() -> None:
    rng = np.random.default_rng(5)
    counts = rng.binomial(900, 0.1, (4, 3)).astype(np.float64)
    together = after([seen(of_window, 900, 0.1) for of_window in counts])
    for place in range(3):
        alone = after([seen(of_window[place], 900, 0.1) for of_window in counts])
        for part, own in zip(together, alone, strict=True):
            assert part[place].tolist() == own[0].tolist()


def test_alternatives_are_as_far_down_as_up() -> None:
    assert sorted(alternatives(two_sided=True)) == sorted([*-STEPS, *STEPS])
    assert alternatives(two_sided=False).tolist() == STEPS.tolist()


@pytest.mark.parametrize("count", [0, 10])
@pytest.mark.parametrize("expected", [1e-9, 0.5, 1 - 1e-9])
def test_shares_of_none_and_of_all_rows_have_a_ratio(count: int, expected: float) -> None:
    found = log_ratio(seen(count, 10, expected, step=0.02), alternatives(two_sided=True))
    assert np.isfinite(found).all()
