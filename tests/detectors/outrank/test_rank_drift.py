from collections.abc import Sequence

import msgspec
import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sparsewatch.detectors.counts.feature_counts import FeatureCounts
from sparsewatch.detectors.outrank.many_tests import holm
from sparsewatch.detectors.outrank.rank_drift import RankDrift, compare_rankings, rank_biased_overlap
from sparsewatch.detectors.outrank.ranking import RankedFeature, rank_features
from sparsewatch.schemas.errors import ConfigError

RANKINGS = st.lists(st.integers(0, 12), unique=True, min_size=1, max_size=9)


def overlap_by_the_book(a: Sequence[object], b: Sequence[object], p: float) -> float:
    """Equation 32, term by term."""
    short, long = sorted((a, b), key=len)
    s, n = len(short), len(long)

    def common(d: int) -> int:
        return len(set(short[:d]) & set(long[:d]))

    sums = sum(common(d) / d * p**d for d in range(1, n + 1))
    sums += sum(common(s) * (d - s) / (s * d) * p**d for d in range(s + 1, n + 1))
    return (1 - p) / p * sums + ((common(n) - common(s)) / n + common(s) / s) * p**n


@given(RANKINGS, RANKINGS, st.floats(0.05, 0.99))
def test_overlap_is_that_of_the_book_and_symmetric(a: list[int], b: list[int], p: float) -> None:
    overlap = rank_biased_overlap(a, b, p)
    assert overlap == pytest.approx(min(overlap_by_the_book(a, b, p), 1.0), abs=1e-12)
    assert overlap == pytest.approx(rank_biased_overlap(b, a, p), abs=1e-12)
    assert -1e-12 <= overlap <= 1


@given(RANKINGS)
def test_a_ranking_overlaps_itself_wholly_and_strangers_not_at_all(a: list[int]) -> None:
    assert rank_biased_overlap(a, a) == pytest.approx(1)
    assert rank_biased_overlap(a, [100 + x for x in a]) == 0


def test_the_top_weighs_most() -> None:
    assert rank_biased_overlap("bacdefgh", "abcdefgh") < rank_biased_overlap("abcdefhg", "abcdefgh")
    # With two ranks: agreement 0 at the first and 1 from the second on.
    assert rank_biased_overlap("ab", "ba", 0.9) == pytest.approx(0.9)


def test_empty_rankings_are_equal_and_like_no_other() -> None:
    assert rank_biased_overlap([], []) == 1
    assert rank_biased_overlap([], ["a"]) == 0


@pytest.mark.parametrize("p", [0.0, 1.0, -1.0])
def test_persistence_outside_its_range_is_refused(p: float) -> None:
    with pytest.raises(ConfigError, match="p: expected a number above 0 and below 1"):
        rank_biased_overlap("a", "a", p)


def test_a_member_twice_is_refused() -> None:
    with pytest.raises(ConfigError, match="distinct members, got 2 and 1"):
        rank_biased_overlap("aa", "b")


def holm_by_the_book(p: list[float], alpha: float) -> list[bool]:
    found = [False] * len(p)
    for step, i in enumerate(sorted(range(len(p)), key=lambda i: p[i])):
        if p[i] > alpha / (len(p) - step):
            break
        found[i] = True
    return found


@given(st.lists(st.floats(0, 1), max_size=8), st.floats(0.01, 0.5))
def test_holm_is_that_of_the_book(p: list[float], alpha: float) -> None:
    assert holm(p, alpha).tolist() == holm_by_the_book(p, alpha)


def window(rng: np.random.Generator, rows: int, strength: float = 0.3, click_rate: float = 0.2) -> list[RankedFeature]:
    """A ranking of features of known strength, on noise of several cardinalities."""
    click = (rng.random(rows) < click_rate).astype(np.int64)
    columns: dict[str, np.ndarray] = {}
    for i, known in enumerate((strength, 0.4, 0.2, 0.1, 0.05)):
        for k in (2, 300):
            columns[f"signal_{i}_{k}"] = np.where(rng.random(rows) < known, click, rng.integers(0, k, rows))
    for k in (2, 5, 40, 3_000):
        columns[f"noise_{k}"] = rng.integers(0, k, rows)
    counts = FeatureCounts(list(columns), "click")
    counts.update(pa.record_batch({**columns, "click": click}))
    return rank_features(counts)


def found(drift: RankDrift) -> set[str]:
    return {one.feature for one in drift.features if one.significant}


@pytest.mark.long
def test_two_windows_of_one_stream_seldom_differ() -> None:
    rng = np.random.default_rng(0)
    alarms = 0
    for _ in range(100):
        now, before = window(rng, 3_000), window(rng, int(rng.integers(1_500, 6_000)))
        alarms += bool(found(compare_rankings(now, before, alpha=0.1)))
    # 10 % at most are expected: 18 or more of 100 have probability 1 %.
    assert alarms <= 17


def test_a_feature_whose_signal_halves_is_found_and_no_other() -> None:
    rng = np.random.default_rng(1)
    before, now = window(rng, 10_000, strength=0.4), window(rng, 10_000, strength=0.2)
    drift = compare_rankings(now, before, alpha=0.01)
    assert found(drift) == {"signal_0_2", "signal_0_300"}
    assert all(one.z < -4 for one in drift.features if one.significant)
    assert 0 < drift.overlap < 1


def test_estimated_scores_change_only_by_more_than_their_error() -> None:
    rng = np.random.default_rng(1)
    before, now = window(rng, 10_000, strength=0.4), window(rng, 10_000, strength=0.2)
    sketched = [msgspec.structs.replace(one, score_error=0.1) for one in now]
    assert not found(compare_rankings(sketched, before, alpha=0.01))


def test_a_window_with_one_label_says_nothing() -> None:
    rng = np.random.default_rng(2)
    drift = compare_rankings(window(rng, 2_000, click_rate=0.0), window(rng, 2_000), alpha=0.05)
    assert not found(drift)
    assert all(one.p_value == 1 for one in drift.features)


def test_features_that_came_and_went_are_named() -> None:
    ranking = window(np.random.default_rng(3), 2_000)
    drift = compare_rankings(ranking[:-2], ranking[1:], alpha=0.05)
    assert drift.appeared == [ranking[0].feature]
    assert drift.vanished == [one.feature for one in ranking[-2:]]
    assert [one.feature for one in drift.features] == [one.feature for one in ranking[1:-2]]
    assert all(one.z == 0 and one.rank_now == one.rank_before for one in drift.features)


def test_it_goes_through_json() -> None:
    rng = np.random.default_rng(4)
    drift = compare_rankings(window(rng, 2_000), window(rng, 2_000), alpha=0.05)
    assert msgspec.json.decode(msgspec.json.encode(drift), type=RankDrift) == drift


@pytest.mark.parametrize("alpha", [0.0, 1.0])
def test_alpha_outside_its_range_is_refused(alpha: float) -> None:
    with pytest.raises(ConfigError, match="alpha: expected a number above 0 and below 1"):
        compare_rankings([], [], alpha=alpha)
