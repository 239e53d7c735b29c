"""The demo's fab: one pattern withheld, rates as planted, wafers in order."""

from collections import Counter
from collections.abc import Sequence

import numpy as np
import polars as pl
import pytest

from sparsewatch.pipelines.demo import fab
from sparsewatch.pipelines.demo.fab import Fab, training_wafers

START_US = 1_760_000_400_000_000
WINDOWS, WAFERS = 24, 100


@pytest.fixture
def drawn(monkeypatch: pytest.MonkeyPatch) -> list[Sequence[str]]:
    """Patterns of each window that is made."""
    made: list[Sequence[str]] = []
    draw = fab.draw

    def noted(patterns: Sequence[str], rng: np.random.Generator, first: int = 0) -> pl.DataFrame:
        made.append(patterns)
        return draw(patterns, rng, first)

    monkeypatch.setattr(fab, "draw", noted)
    return made


def test_five_defect_patterns_are_known_and_the_withheld_one_is_not_trained() -> None:
    _, labels = training_wafers(3, each=2)
    assert len(set(labels) - {"normal"}) >= 5
    assert fab.WITHHELD not in labels


def test_patterns_come_at_their_rates_but_where_faults_are_planted(drawn: list[Sequence[str]]) -> None:
    stream = Fab(3, START_US, WINDOWS, WAFERS)
    for window in range(WINDOWS):
        stream.window(window)
    counts = [Counter(patterns) for patterns in drawn]
    novel, emerging, rising = (_windows(fault.start_us, fault.end_us) for fault in stream.faults)
    assert emerging == novel
    assert {w for w in range(WINDOWS) if counts[w][fab.WITHHELD]} == set(novel)
    usual = [counts[w][fab.RISING] for w in range(WINDOWS) if w not in rising]
    assert 0.5 * fab.SHARE < np.mean(usual) / WAFERS < 2 * fab.SHARE
    assert min(counts[w][fab.RISING] for w in rising) > max(usual)


def test_wafers_keep_their_order_inside_their_window() -> None:
    times = Fab(3, START_US, WINDOWS, WAFERS).window(5)[fab.TIME] * 1000
    assert times.is_sorted()
    assert times[0] >= START_US + 5 * fab.WINDOW_US
    assert times[-1] < START_US + 6 * fab.WINDOW_US


def test_wafer_ids_are_never_used_twice() -> None:
    stream = Fab(3, START_US, WINDOWS, WAFERS)
    ids = pl.concat([stream.window(window)["wafer_id"] for window in range(WINDOWS)])
    assert ids.n_unique() == WINDOWS * WAFERS


def _windows(start_us: int, end_us: int) -> list[int]:
    return list(range((start_us - START_US) // fab.WINDOW_US, (end_us - START_US) // fab.WINDOW_US))
