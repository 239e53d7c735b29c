import msgspec
import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sparsewatch.detectors.counts.feature_counts import FeatureCounts
from sparsewatch.detectors.outrank.columns.codes import encode
from sparsewatch.detectors.outrank.information.mutual_information import (
    entropy,
    expected_mutual_information,
    mutual_information,
    permutation_chance,
    values_information,
)
from sparsewatch.detectors.outrank.ranking import chance_of_score, rank_codes, rank_features


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


@pytest.mark.long
@pytest.mark.parametrize(
    "rows",
    [np.array([300, 700]), np.full(200, 20), np.full(2_000, 2), np.array([1] * 900 + [20] * 10)],
)
def test_p_values_of_features_that_say_nothing_are_uniform(rows: np.ndarray) -> None:
    clicks, n = int(rows.sum() * 0.1), int(rows.sum())
    draws = np.random.default_rng(0).multivariate_hypergeometric(rows, clicks, size=2_000, method="marginals")
    chance = permutation_chance(rows, clicks)
    p = np.array(
        [
            chance_of_score(values_information(rows, k, clicks / n).sum() / n, chance.mean, chance.variance)
            for k in draws
        ]
    )
    for level in (0.01, 0.05, 0.5):
        assert np.mean(p <= level) == pytest.approx(level, abs=5 * np.sqrt(level / p.size))


def test_p_value_of_a_signal_is_small_and_of_unique_ids_one() -> None:
    rng = np.random.default_rng(1)
    click = rng.integers(0, 2, 2_000)
    x = np.where(rng.random(2_000) < 0.2, click, rng.integers(0, 2, 2_000))
    ranking = rank_features(count(x=x, id=np.arange(2_000), click=click))
    assert ranking[0].p_value < 1e-6
    assert ranking[1].p_value == 1


@pytest.mark.parametrize(("values", "effect"), [(2, 1.5), (8, 0.5), (200, 0.7), (2_000, 1.0)])
def test_standard_error_is_the_spread_over_samples(values: int, effect: float) -> None:
    rng = np.random.default_rng(2)
    rates = 1 / (1 + np.exp(1 - effect * rng.standard_normal(values)))
    found = []
    for _ in range(80):
        x = rng.integers(0, values, 4_000)
        found.append(rank_features(count(x=x, click=(rng.random(x.size) < rates[x]).astype(np.int64)))[0])
    spread = np.std([feature.score for feature in found])
    assert np.mean([feature.standard_error for feature in found]) == pytest.approx(spread, rel=0.3)


def test_codes_rank_as_counts_do() -> None:
    rng = np.random.default_rng(3)
    click = rng.integers(0, 2, 3_000)
    columns = {
        "few": np.where(rng.random(3_000) < 0.3, click, rng.integers(0, 2, 3_000)),
        "many": rng.integers(0, 900, 3_000),
    }
    gaps = pa.array(rng.integers(0, 9, 3_000), mask=rng.random(3_000) < 0.2)
    by_counts = rank_features(count(**columns, gaps=gaps, click=click))
    codes = {name: encode(values) for name, values in (columns | {"gaps": gaps}).items()}
    by_codes = rank_codes(codes, encode(click), missing={"gaps": gaps.null_count})
    for one, other in zip(by_counts, by_codes, strict=True):
        assert (one.feature, one.rank, one.cardinality) == (other.feature, other.rank, other.cardinality)
        for field in ("score", "expected", "noise", "normalised", "p_value", "standard_error", "coverage"):
            assert getattr(one, field) == pytest.approx(getattr(other, field), rel=1e-6, abs=1e-12)


def test_a_label_of_many_values_is_ranked() -> None:
    rng = np.random.default_rng(4)
    label = rng.integers(0, 5, 4_000)
    near = np.where(rng.random(4_000) < 0.5, label, rng.integers(0, 5, 4_000))
    columns = {"near": near, "noise": rng.integers(0, 500, 4_000), "id": np.arange(4_000)}
    ranking = rank_codes({name: encode(values) for name, values in columns.items()}, encode(label))
    assert ranking[0].feature == "near"
    assert ranking[0].p_value < 1e-9
    by_name = {feature.feature: feature for feature in ranking}
    assert abs(by_name["noise"].score) < 4 * by_name["noise"].noise
    assert by_name["id"].score == pytest.approx(0, abs=1e-9)


def test_one_label_among_codes_scores_nothing() -> None:
    (ranked,) = rank_codes({"x": encode([1, 2, 3])}, encode([7, 7, 7]))
    assert (ranked.score, ranked.p_value, ranked.cardinality, ranked.coverage) == (0, 1, 3, 1)


@given(st.integers(0, 2**32), st.lists(st.integers(1, 400), min_size=2, max_size=6))
@settings(max_examples=40)
def test_a_feature_has_the_same_figures_alone_and_beside_others(seed: int, values: list[int]) -> None:
    rng = np.random.default_rng(seed)
    rows = int(rng.integers(2, 600))
    click = rng.integers(0, 2, rows)
    columns = {f"x{place}": rng.integers(0, number, rows) for place, number in enumerate(values)}
    alone = [rank_features(count(**{name: column}, click=click))[0] for name, column in columns.items()]
    together = rank_features(count(**columns, click=click))
    assert {one.feature: msgspec.structs.replace(one, rank=1) for one in together} == {
        one.feature: one for one in alone
    }
