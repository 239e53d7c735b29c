"""Scores of fewer rows are those that samples of the rows have on average."""

import numpy as np
import pyarrow as pa
import pytest

from sparsewatch.detectors.counts.feature_counts import FeatureCounts
from sparsewatch.detectors.counts.value_estimates import Marginals
from sparsewatch.detectors.outrank.information.mutual_information import mutual_information, permutation_moments
from sparsewatch.detectors.outrank.information.rarefied_score import rarefied_ranking, rarefied_score
from sparsewatch.detectors.outrank.ranking import rank_features

Rows = np.ndarray


def stream(values: int, rows: int, effect: float, zipf: float, seed: int = 1) -> tuple[Rows, Rows]:
    rng = np.random.default_rng(seed)
    shares = np.arange(1, values + 1.0) ** -zipf
    drawn = rng.choice(values, rows, p=shares / shares.sum())
    odds = -1.3 + effect * rng.standard_normal(values)[drawn]
    return drawn, rng.random(rows) < 1 / (1 + np.exp(-odds))


def counted(values: Rows, clicked: Rows) -> Marginals:
    rows, clicks = (np.bincount(v, minlength=values.max() + 1) for v in (values, values[clicked]))
    return Marginals.exact(rows[rows > 0], clicks[rows > 0])


def plain_score(values: Rows, clicked: Rows) -> float:
    rows, clicks, _ = counted(values, clicked)[:3]
    joint = np.stack([rows - clicks, clicks], axis=1)
    return mutual_information(joint) - permutation_moments(rows, int(clicks.sum())).mean


@pytest.mark.parametrize(
    ("values", "rows", "drawn", "effect", "zipf"),
    [(2, 20_000, 1_000, 0.8, 0.0), (300, 20_000, 2_000, 0.5, 0.8), (5_000, 20_000, 4_000, 0.8, 0.3)],
)
def test_it_is_the_mean_score_of_samples(values: int, rows: int, drawn: int, effect: float, zipf: float) -> None:
    column, clicked = stream(values, rows, effect, zipf)
    rng = np.random.default_rng(2)
    samples = [rng.choice(rows, drawn, replace=False) for _ in range(150)]
    scores = [plain_score(column[sample], clicked[sample]) for sample in samples]
    ours = rarefied_score(counted(column, clicked), rows, int(clicked.sum()), drawn)
    assert abs(ours - np.mean(scores)) < 4 * np.std(scores) / np.sqrt(len(scores)) + 2e-4


def test_all_rows_have_the_plain_score() -> None:
    column, clicked = stream(2_000, 10_000, 0.6, 0.5)
    whole = rarefied_score(counted(column, clicked), 10_000, int(clicked.sum()), 10_000)
    assert whole == pytest.approx(plain_score(column, clicked), abs=1e-4)


def test_a_feature_of_many_values_tells_less_in_fewer_rows_and_one_of_few_as_much() -> None:
    for values, zipf, least, most in ((5_000, 0.0, 0.1, 0.5), (5, 0.0, 0.95, 1.05)):
        column, clicked = stream(values, 50_000, 0.8, zipf)
        marginals, clicks = counted(column, clicked), int(clicked.sum())
        few, many = (rarefied_score(marginals, 50_000, clicks, drawn) for drawn in (5_000, 50_000))
        assert least < few / many < most


def test_unique_values_and_single_labels_tell_nothing() -> None:
    unique, clicked = np.arange(10_000), np.arange(10_000) % 3 == 0
    assert abs(rarefied_score(counted(unique, clicked), 10_000, int(clicked.sum()), 1_000)) < 5e-4
    assert rarefied_score(counted(unique, clicked & False), 10_000, 0, 1_000) == 0
    assert rarefied_score(counted(unique * 0, clicked), 10_000, int(clicked.sum()), 1_000) == 0


def test_a_ranking_keeps_all_but_score_and_share_and_is_ranked_anew() -> None:
    many, clicked = stream(5_000, 20_000, 1.0, 0.0)
    few = (clicked ^ (np.random.default_rng(3).random(20_000) < 0.33)).astype(np.int64)
    counts = FeatureCounts(["many", "few"], "click")
    counts.update(pa.record_batch({"many": many, "few": few, "click": clicked.astype(np.int8)}))
    ranking = rank_features(counts)
    assert rarefied_ranking(counts, ranking, 20_000) == ranking
    rarefied = rarefied_ranking(counts, ranking, 2_000)
    assert [one.feature for one in ranking] == ["many", "few"]
    assert [(one.feature, one.rank) for one in rarefied] == [("few", 1), ("many", 2)]
    assert rarefied[1].cardinality == ranking[0].cardinality
    assert rarefied[1].normalised / rarefied[1].score == pytest.approx(ranking[0].normalised / ranking[0].score)
