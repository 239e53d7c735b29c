"""What is fitted to all features at once is what a slow formula finds of each, one after the other."""

from typing import Any

import msgspec
import numpy as np
import polars as pl
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sparsewatch.detectors.clicks import feature_fit
from sparsewatch.detectors.clicks.feature_fit import Fitted, fit_features
from sparsewatch.detectors.clicks.profile import WindowFigures
from sparsewatch.detectors.clicks.reference import fit_stretch
from sparsewatch.detectors.clicks.stretch import Stretch
from sparsewatch.detectors.clicks.value_shares import ValueShares
from sparsewatch.detectors.counts.feature_counts import FeatureCounts
from sparsewatch.detectors.counts.window_values import WindowValues
from sparsewatch.detectors.outrank.ranking import rank_features
from tests.oracles.click_features import slow_feature, slow_shares

WINDOW_US = 300_000_000
FEATURES = ("few", "many", "numbers", "rare", "none", "time", "halved")


def window(seed: int, at: int, odd: bool) -> WindowValues:
    """Features of few and of many values, with gaps, without any, that follow the time, and with odd windows."""
    random = np.random.default_rng([seed, at])
    rows = int(random.poisson(400)) + 1
    many = (random.random(rows) ** 2 * 400).astype(np.int64) + 8 * at
    missing = random.random(rows) < (0.5 if odd else 0.02)
    columns = {
        "few": pa.array([f"v{one}" for one in random.integers(0, 5, rows)], mask=missing),
        "many": pa.array([f"w{one}" for one in many]),
        "numbers": pa.array((random.random(rows) ** 3 * (90 if odd else 900)).astype(np.int64), mask=missing),
        "rare": pa.array(many / 8, mask=np.full(rows, at % 3 == 0)),
        "none": pa.nulls(rows, pa.int64()),
        "time": pa.array(np.full(rows, at // 2)),
        "halved": pa.array(["late" if one < 40 * (at > 12) else "early" for one in many]),
        "click": pa.array((random.random(rows) < 0.1 + (0.6 if odd else 0.1) * (many < 50)).astype(np.int64)),
    }
    counts = FeatureCounts(FEATURES, "click")
    counts.update(pa.RecordBatch.from_pydict(columns))
    return WindowValues(counts.thinned(64 * 7 if random.random() < 0.5 else 10_000))


def stretch(seed: int, number: int, odd: set[int], *, timed: bool = True) -> Stretch:
    windows = [window(seed, at, at in odd) for at in range(number)]
    figures = [WindowFigures.of(one, rank_features(one.counts)) for one in windows]
    return Stretch(windows, figures, [at * WINDOW_US for at in range(number)] if timed else None)


def shares_told(shares: ValueShares | None) -> Any:
    if shares is None:
        return None
    return shares.values.to_list(), shares.figures.ravel().tolist(), msgspec.to_builtins(shares.over)


def told(one: Fitted) -> Any:
    """All of it, as plain values."""
    return [
        msgspec.to_builtins(one.figures),
        one.values.to_list(),
        one.limit,
        one.abundances.sizes.tolist(),
        one.abundances.times.tolist(),
        one.abundances.all_rows,
        shares_told(one.shares),
    ]


def slowly(name: str, of: Stretch, own: np.ndarray) -> Any:
    figures, values = slow_feature(name, of.at(np.flatnonzero(own).tolist()), len(of.windows))
    return [
        msgspec.to_builtins(figures),
        values.values.to_list(),
        values.limit,
        values.abundances.sizes.tolist(),
        values.abundances.times.tolist(),
        values.abundances.all_rows,
        None if figures.follows_time else shares_told(slow_shares(values)),
    ]


def flat(told_of_it: Any) -> list[Any]:
    if isinstance(told_of_it, dict):
        return [one for key, value in told_of_it.items() for one in (key, *flat(value))]
    return (
        [one for value in told_of_it for one in flat(value)] if isinstance(told_of_it, list | tuple) else [told_of_it]
    )


def assert_same(found: Any, expected: Any) -> None:
    found, expected = flat(found), flat(expected)
    is_number = np.array([isinstance(one, float | int) for one in expected])
    found, expected = np.array(found, object), np.array(expected, object)
    assert found[~is_number].tolist() == expected[~is_number].tolist()
    assert found[is_number].tolist() == pytest.approx(expected[is_number].tolist(), rel=1e-9, abs=1e-12)


@settings(max_examples=25, deadline=None)
@given(
    seed=st.integers(0, 1 << 30),
    number=st.integers(1, 26),
    odd=st.sets(st.integers(0, 25), max_size=3),
    timed=st.booleans(),
    data=st.data(),
)
def test_all_features_are_fitted_as_each_of_them_is(
    seed: int, number: int, odd: set[int], timed: bool, data: st.DataObject
) -> None:
    of = stretch(seed, number, odd, timed=timed)
    own = np.ones((len(FEATURES), number), np.bool_)
    for feature in range(len(FEATURES)):
        own[feature, sorted(data.draw(st.sets(st.integers(0, number - 1), max_size=4)))] = False
    fitted = fit_features(of, own, number)
    assert list(fitted) == [name for name, some in zip(FEATURES, own, strict=True) if some.any()]
    for name, one in fitted.items():
        assert_same(told(one), slowly(name, of, own[FEATURES.index(name)]))


def test_windows_unlike_the_others_are_left_out_and_features_may_follow_the_time() -> None:
    fitted = fit_features(stretch(3, 24, {5}), np.ones((len(FEATURES), 24), np.bool_), 24)
    assert {name for name, one in fitted.items() if 5 not in one.windows} >= {"few", "numbers"}
    assert [name for name, one in fitted.items() if one.figures.follows_time] == ["time"]
    assert fitted["few"].figures.left_out == 1


def test_features_that_are_taken_together_are_fitted_as_apart(monkeypatch: pytest.MonkeyPatch) -> None:
    of, own = stretch(4, 15, {2}), np.ones((len(FEATURES), 15), np.bool_)
    together = {name: told(one) for name, one in fit_features(of, own, 15).items()}
    monkeypatch.setattr(feature_fit, "_CELLS", 1 << 9)
    assert {name: told(one) for name, one in fit_features(of, own, 15).items()} == together


def test_windows_with_values_of_another_type_than_now_are_not_a_features_own() -> None:
    windows = []
    for at in range(14):
        counts = FeatureCounts(["x", "y"], "click")
        values = np.random.default_rng(at).integers(0, 9, 300)
        x = pa.array(values) if at < 6 else pa.array([f"v{one}" for one in values])
        counts.update(pa.record_batch({"x": x, "y": values, "click": values % 2}))
        windows.append(WindowValues(counts))
    figures = [WindowFigures.of(one, rank_features(one.counts)) for one in windows]
    reference = fit_stretch(Stretch(windows, figures), None)
    assert reference.known_values["x"].dtype == pl.String
    assert (reference.features["x"].left_out, reference.features["y"].left_out) == (6, 0)
