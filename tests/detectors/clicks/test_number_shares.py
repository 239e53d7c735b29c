"""Numbers that move: against shares counted row by row, on clean streams, and on shifts of every kind."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sparsewatch.detectors.clicks.number_shares import NumberShares, fit_numbers, numbers_now
from sparsewatch.detectors.clicks.reference import Reference, fit_reference
from sparsewatch.detectors.counts.feature_counts import FeatureCounts
from sparsewatch.detectors.counts.number_bins import BITS, bins_of
from sparsewatch.schemas.alerts import Finding
from tests.kit import click_streams

ROWS, WINDOWS = 2_000, 24
Numbers = list[float | None]
NUMBERS: st.SearchStrategy[Numbers] = st.lists(st.none() | st.floats(-100, 100), max_size=40)


def counted(values: Any) -> FeatureCounts:
    counts = FeatureCounts(["price"], "click", numbers=["price"])
    click = np.arange(len(values)) % 5 == 0
    counts.update(pa.record_batch({"price": pa.array(values, pa.float64()), "click": click.astype(np.int8)}))
    return counts


def prices(seed: int, rows: int = ROWS, level: float = 0.0) -> Any:
    return 10 * np.exp(level + np.random.default_rng(seed).normal(size=rows))


def fitted(windows: list[FeatureCounts]) -> NumberShares:
    found = fit_numbers(windows, "price")
    assert found is not None
    return found


def findings(reference: Reference, values: Any) -> list[Finding]:
    return click_streams.findings(counted(values), reference, start_us=0)


@pytest.fixture(scope="module")
def reference() -> Reference:
    return fit_reference([counted(prices(seed)) for seed in range(WINDOWS)])


@given(NUMBERS, NUMBERS, NUMBERS)
def test_shares_are_those_of_the_rows(first: Numbers, second: Numbers, now: Numbers) -> None:
    held = [window for window in (first, second) if any(value is not None for value in window)]
    shares = fit_numbers([counted(first), counted(second)], "price")
    assert (shares is None) == (not held)
    if shares is None:
        return

    def below(window: Numbers) -> list[float]:
        bins = bins_of(np.array([value for value in window if value is not None]), BITS)
        return [float((bins <= border).mean()) for border in shares.borders]

    assert shares.figures[0] == pytest.approx(np.mean([below(window) for window in held], axis=0))
    assert shares.figures[0][-1] == 1
    movement = numbers_now(shares, counted(now), "price")
    if all(value is None for value in now):
        assert movement is None
    else:
        assert movement is not None
        assert movement.now == pytest.approx(below(now))
        assert movement.listed == sum(value is not None for value in now)
        ordered = np.sort(bins_of(np.array([value for value in now if value is not None]), BITS))
        assert movement.median == ordered[(ordered.size - 1) // 2]


@pytest.mark.parametrize(
    ("fault", "direction"),
    [
        (lambda x: 1.5 * x, "up"),
        (lambda x: x / 1.5, "down"),
        (lambda x: np.minimum(x, np.quantile(x, 0.8)), "down"),
        (lambda x: np.where(np.arange(x.size) % 2, 2 * x, x), "up"),
    ],
    ids=["x1.5", "x0.67", "cut off", "half of it x2"],
)
def test_a_shift_is_found(reference: Reference, fault: Callable[[Any], Any], direction: str) -> None:
    for seed in range(100, 105):
        (found,) = findings(reference, fault(prices(seed)))
        assert (found.rule, found.subject) == ("feature_numbers_moved", "price")
        assert f" of values moved {direction} across " in found.message
        assert found.value >= found.threshold == 0.05
        evidence = found.evidence
        assert abs(evidence["below"] - evidence["below_before"]) == pytest.approx(found.value)
        assert found.p_value is not None
        assert 0 < found.p_value < 1e-5


def test_a_finding_says_where_and_how_far(reference: Reference) -> None:
    (found,) = findings(reference, 2 * prices(100))
    assert found.message == (
        "price: 28.5% of values moved up across 14.75; the median is [20, 20.5), [9.75, 10) in the reference"
    )
    assert (found.evidence["border"], found.evidence["median"]) == (14.75, "[20, 20.5)")


def test_ordinary_windows_raise_nothing(reference: Reference) -> None:
    assert [found for seed in range(100, 200) for found in findings(reference, prices(seed))] == []


def level_of(kind: str, windows: int, seed: int) -> Any:
    """Levels of windows: a day's rhythm, one drawn for each, or one that wanders."""
    rng = np.random.default_rng(seed)
    if kind == "day":
        return 0.3 * np.sin(np.arange(windows) * 2 * np.pi / 24)
    if kind == "drawn":
        return rng.normal(0, 0.15, windows)
    level = [rng.normal(0, 0.3)]
    while len(level) < windows:
        level.append(0.95 * level[-1] + rng.normal(0, 0.3 * np.sqrt(1 - 0.95**2)))
    return np.array(level)


@pytest.mark.parametrize("kind", ["day", "drawn", "wandering"])
def test_numbers_whose_level_varies_raise_nothing(kind: str) -> None:
    learned, told = 72, 0
    for seed in range(3):
        level = level_of(kind, learned + 48, seed)
        windows = [counted(prices(1_000 * seed + at, 500, level[at])) for at in range(level.size)]
        shares = fitted(windows[:learned])
        for window in windows[learned:]:
            movement = numbers_now(shares, window, "price")
            assert movement is not None
            told += movement.distance(5.0) >= 0.05
    assert told == 0


def test_a_bad_window_of_the_reference_hides_nothing() -> None:
    windows = [counted(prices(seed)) for seed in range(WINDOWS)]
    windows[7] = counted(3 * prices(7))
    shares = fitted(windows)
    assert shares.over.windows == WINDOWS - 1
    movement = numbers_now(shares, counted(1.5 * prices(100)), "price")
    assert movement is not None
    assert movement.distance(5.0) > 0.1


def test_a_constant_that_rises_has_moved() -> None:
    shares = fitted([counted([7.0] * 300) for _ in range(6)])
    assert shares.borders.tolist() == [7.0]
    for values, distance in (([7.0] * 300, 0.0), ([8.0] * 300, 1.0)):
        movement = numbers_now(shares, counted(values), "price")
        assert movement is not None
        assert movement.distance(5.0) == distance


def test_more_bins_than_are_counted_exactly_tell_nothing() -> None:
    rng = np.random.default_rng(0)
    counts = FeatureCounts(["price"], "click", max_values=1_024, numbers=["price"])
    wide = np.exp(rng.uniform(-300, 300, 5_000))
    counts.update(pa.record_batch({"price": wide, "click": np.zeros(5_000, np.int8)}))
    assert fit_numbers([counts], "price") is None
    assert numbers_now(fitted([counted(prices(0))]), counts, "price") is None


def test_a_saved_reference_finds_the_same(reference: Reference, tmp_path: Path) -> None:
    loaded = Reference.load(reference.save(tmp_path))
    assert findings(loaded, 1.5 * prices(100)) == findings(reference, 1.5 * prices(100))


def test_features_by_value_have_no_such_shares() -> None:
    counts = FeatureCounts(["price"], "click")
    counts.update(pa.record_batch({"price": prices(0), "click": np.zeros(ROWS, np.int8)}))
    assert fit_reference([counts]).numbers == {}
