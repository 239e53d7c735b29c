import numpy as np
import pyarrow as pa
import pytest

from detectors.feature_counts import FeatureCounts
from detectors.outrank.expected_mi import expected_mutual_information
from detectors.outrank.mutual_information import entropy, mutual_information
from detectors.outrank.ranking import rank_features


def count(**columns: object) -> FeatureCounts:
    features = [name for name in columns if name != "click"]
    counts = FeatureCounts(features, "click")
    counts.update(pa.record_batch({name: pa.array(values) for name, values in columns.items()}))
    return counts


def test_signal_ranks_above_noise_of_any_cardinality() -> None:
    rng = np.random.default_rng(0)
    n = 8_000
    click = rng.integers(0, 2, n)
    ranking = rank_features(
        count(
            noise_2=rng.integers(0, 2, n),
            noise_100k=rng.integers(0, 100_000, n),
            id=np.arange(n),
            strong=np.where(rng.random(n) < 0.8, click, rng.integers(0, 2, n)),
            weak=np.where(rng.random(n) < 0.3, click, rng.integers(0, 2, n)),
            click=click,
        )
    )
    assert [r.feature for r in ranking[:2]] == ["strong", "weak"]
    assert [r.rank for r in ranking] == [1, 2, 3, 4, 5]
    for ranked in ranking[2:]:
        assert abs(ranked.score) <= 4 * ranked.noise + 1e-9
    raw = {r.feature: r.mutual_information for r in ranking}
    assert raw["id"] > raw["noise_100k"] > raw["strong"]


def test_order_of_rows_does_not_matter() -> None:
    click = np.arange(1_000) % 2
    feature = 2 * click
    in_order = rank_features(count(x=feature, click=click))
    by_label = rank_features(count(x=np.sort(feature), click=np.sort(click)))
    assert in_order == by_label
    assert in_order[0].normalised > 0.99


def test_fields_follow_from_the_counts() -> None:
    x = ["a", "a", "b", None, None, "b", "a", "c"]
    click = [1, 1, 0, 0, 1, 0, 0, 1]
    (ranked,) = rank_features(count(x=x, click=click))
    joint = np.array([[1, 2], [2, 0], [0, 1], [1, 1]])
    expected = expected_mutual_information(joint.sum(axis=1), joint.sum(axis=0))
    assert ranked.mutual_information == pytest.approx(mutual_information(joint))
    assert ranked.expected == pytest.approx(expected)
    assert ranked.score == pytest.approx(ranked.mutual_information - ranked.expected)
    assert ranked.normalised == pytest.approx(ranked.score / entropy(np.array([4, 4])))
    assert (ranked.cardinality, ranked.coverage) == (3, 0.75)


def test_equal_scores_rank_by_name() -> None:
    x = [0, 0, 1, 1, 1]
    ranking = rank_features(count(b=x, c=x, a=x, click=[0, 0, 1, 1, 0]))
    assert [r.feature for r in ranking] == ["a", "b", "c"]


@pytest.mark.parametrize("label", [0, 1])
def test_one_label_scores_nothing(label: int) -> None:
    ranking = rank_features(count(x=[0, 1, 2], y=[None, "a", "a"], click=[label] * 3))
    assert all(r.score == r.normalised == r.noise == 0 for r in ranking)
    assert [r.feature for r in ranking] == ["x", "y"]


def test_no_rows_score_nothing() -> None:
    (ranked,) = rank_features(FeatureCounts(["x"], "click"))
    assert (ranked.score, ranked.normalised, ranked.coverage, ranked.cardinality) == (0, 0, 0, 0)
