"""A baseline fitted again: what is known of its windows from before gives what fitting it from scratch gives."""

from typing import Any

import msgspec
import numpy as np
import pyarrow as pa
from hypothesis import given, settings
from hypothesis import strategies as st

from sparsewatch.detectors.clicks.learned import LearnedWindow, fit_learned
from sparsewatch.detectors.clicks.profile import WindowFigures
from sparsewatch.detectors.clicks.reference import Reference
from sparsewatch.detectors.counts.feature_counts import FeatureCounts
from sparsewatch.detectors.counts.window_values import WindowValues
from sparsewatch.detectors.learned_windows import STREAM
from sparsewatch.detectors.outrank.ranking import rank_features

WINDOW_US = 300_000_000
FEATURES = ("few", "many", "numbers", "none")


def counted(seed: int, *, odd: bool) -> FeatureCounts:
    """A window with features of few and of many values, of which a bad one lacks half; more are dropped if thinned."""
    random = np.random.default_rng(seed)
    rows = int(random.poisson(400))
    many = (random.random(rows) ** 2 * 400).astype(np.int64)
    missing = random.random(rows) < (0.5 if odd else 0.02)
    columns = {
        "few": pa.array([f"v{one}" for one in random.integers(0, 5, rows)], mask=missing),
        "many": pa.array([f"w{one}" for one in many]),
        "numbers": pa.array((random.random(rows) ** 3 * 900).astype(np.int64), mask=missing),
        "none": pa.nulls(rows, pa.int64()),
        "click": pa.array((random.random(rows) < 0.1 + 0.1 * (many < 50)).astype(np.int64)),
    }
    counts = FeatureCounts(FEATURES, "click", max_values=64 << int(random.integers(0, 3)))
    counts.update(pa.RecordBatch.from_pydict(columns))
    return counts


def learned(windows: dict[int, FeatureCounts]) -> dict[int, LearnedWindow]:
    return {
        start: LearnedWindow(start, values, WindowFigures.of(values, rank_features(values.counts)))
        for start, values in ((start, WindowValues(counts)) for start, counts in windows.items())
    }


def told(reference: Reference) -> list[Any]:
    """All of it, as plain values."""
    return [
        msgspec.to_builtins(reference.features),
        {name: values.to_list() for name, values in reference.known_values.items()},
        reference.hash_limits,
        {name: (one.sizes.tolist(), one.times.tolist(), one.scale) for name, one in reference.abundances.items()},
        {
            name: (one.values.to_list(), one.figures.tolist(), msgspec.to_builtins(one.over))
            for name, one in reference.shares.items()
        },
        msgspec.to_builtins([reference.volume, reference.click_rate]),
        (reference.windows, reference.left_out),
    ]


@settings(max_examples=8, deadline=None)
@given(
    seed=st.integers(0, 1 << 30),
    odd=st.sets(st.integers(0, 19), max_size=2),
    without=st.sets(st.integers(0, 19), max_size=4),
    steps=st.lists(st.integers(0, 9), min_size=1, max_size=3),
)
def test_a_baseline_fitted_again_is_the_one_fitted_from_scratch(
    seed: int, odd: set[int], without: set[int], steps: list[int]
) -> None:
    windows = {at * WINDOW_US: counted(seed + at, odd=at in odd) for at in range(20)}
    known = learned(windows)
    for first in steps:
        starts = [at * WINDOW_US for at in range(first, first + 11)]
        of = {name: tuple(starts) for name in (STREAM, *FEATURES)}
        of["many"] = tuple(start for start in starts if start // WINDOW_US not in without)
        fresh = learned({start: windows[start] for start in starts})
        again = fit_learned([known[start] for start in starts], of, WINDOW_US, 4)
        assert told(again) == told(fit_learned([fresh[start] for start in starts], of, WINDOW_US, 4))
