import numpy as np
import polars as pl
import pyarrow as pa
import pytest

from sparsewatch.detectors.clicks.known_values import KnownValues
from sparsewatch.detectors.clicks.profile import WindowProfile, profile_window, unseen_values
from sparsewatch.detectors.counts.feature_counts import FeatureCounts
from sparsewatch.detectors.outrank.ranking import rank_features


def count(max_values: int = 1_000) -> FeatureCounts:
    counts = FeatureCounts(["word", "number"], "click", max_values=max_values)
    words = ["a", "a", "b", None, "new", "new", "newer", None]
    rows = {"word": words, "number": [1, 2, 3, 4, 5, 6, 7, 8], "click": [1, 0, 0, 1, 1, 0, 0, 0]}
    counts.update(pa.record_batch({name: pa.array(values) for name, values in rows.items()}))
    return counts


def profile_of(
    counts: FeatureCounts, values: dict[str, pl.Series], limits: dict[str, int] | None = None
) -> WindowProfile:
    known = KnownValues(values, limits)
    return profile_window(counts, rank_features(counts), known.unseen_shares(counts, known.match(counts)))


def test_figures_follow_from_the_counts() -> None:
    counts = count()
    ranking = rank_features(counts)
    profile = profile_of(counts, {"word": pl.Series(["a", "b", "c"])})
    assert (profile.rows, profile.clicks, profile.click_rate) == (8, 3, 0.375)
    word = profile.features["word"]
    assert (word.null_share, word.cardinality, word.unseen_share) == (0.25, 4, 0.5)
    for ranked in ranking:
        figures = profile.features[ranked.feature]
        assert (figures.score, figures.noise, figures.rank) == (ranked.score, ranked.noise, ranked.rank)
    assert profile.features["number"].unseen_share is None


def test_without_a_reference_nothing_is_unseen() -> None:
    counts = count()
    profile = profile_window(counts, rank_features(counts))
    assert [figures.unseen_share for figures in profile.features.values()] == [None, None]


def test_unseen_values_come_with_their_counts() -> None:
    unseen = unseen_values(count(), "word", pl.Series(["a", "b"]))
    assert unseen.rows() == [("new", 2, 1, 1.0), ("newer", 1, 0, 1.0)]


def test_values_of_another_type_are_all_unseen() -> None:
    assert unseen_values(count(), "number", pl.Series(["1", "2"])).height == 8


def test_above_the_cap_the_unseen_share_is_of_the_sampled_values() -> None:
    rng = np.random.default_rng(0)
    counts = FeatureCounts(["x"], "click", max_values=500)
    values = rng.integers(0, 10_000, 50_000)
    counts.update(pa.record_batch({"x": values, "click": rng.integers(0, 2, values.size)}))
    profile = profile_of(counts, {"x": pl.Series(np.arange(7_000))})
    assert profile.features["x"].unseen_share == pytest.approx(0.3, abs=0.1)


def test_no_rows_give_zeros() -> None:
    counts = FeatureCounts(["x"], "click")
    profile = profile_of(counts, {"x": pl.Series([1])})
    assert (profile.rows, profile.click_rate) == (0, 0)
    assert (profile.features["x"].null_share, profile.features["x"].unseen_share) == (0, None)


def test_unseen_share_is_right_where_both_sides_hold_samples() -> None:
    rng = np.random.default_rng(1)
    counts, known = (FeatureCounts(["x"], "click", max_values=cap) for cap in (2_000, 1_500))
    values, before = rng.integers(0, 20_000, 60_000), rng.integers(0, 14_000, 300_000)
    counts.update(pa.record_batch({"x": values, "click": rng.integers(0, 2, values.size)}))
    known.update(pa.record_batch({"x": before, "click": np.zeros(before.size, np.int8)}))
    limit = known.hash_limit("x")
    sample = known.sampled_values("x").table["value"]
    profile = profile_of(counts, {"x": sample}, {"x": limit})
    assert profile.features["x"].unseen_share == pytest.approx(0.3, abs=0.05)
    unseen = unseen_values(counts, "x", sample, limit)
    assert (unseen["value"] >= 14_000).all()
    assert unseen["weight"].sum() == pytest.approx(6_000, rel=0.15)


@pytest.mark.parametrize(("heavy", "heavy_is_unseen"), [(5, False), (10**9, True)])
def test_a_heavy_value_without_a_name_is_unseen_if_no_known_value_can_be_it(heavy: int, heavy_is_unseen: bool) -> None:
    rng = np.random.default_rng(2)
    counts = FeatureCounts(["x"], "click", max_values=2_000)
    values = np.concatenate([rng.integers(100, 8_000, 40_000), np.full(20_000, heavy)])
    counts.update(pa.record_batch({"x": values, "click": rng.integers(0, 2, values.size)}))
    assert heavy not in counts.table("x")["value"]
    known = pl.Series([5, *range(100, 900)])
    true = (np.count_nonzero(values[:40_000] >= 900) + 20_000 * heavy_is_unseen) / values.size
    found = profile_of(counts, {"x": known}).features["x"].unseen_share
    assert found == pytest.approx(true, abs=0.03)
