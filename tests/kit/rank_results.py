"""A small, whole result of a ranking, with all that a report can show."""

from typing import Any

import numpy as np

from sparsewatch.detectors.outrank.column_report import REPETITIONS, ColumnReport, NumberSummary, RareValues, ValueCount
from sparsewatch.detectors.outrank.leakage import Suspicion
from sparsewatch.detectors.outrank.pairs.pairwise import PairScores
from sparsewatch.detectors.outrank.pairs.twins import Twins
from sparsewatch.detectors.outrank.rank_drift import compare_rankings
from sparsewatch.detectors.outrank.ranking import RankedFeature, ScoredFeature
from sparsewatch.pipelines.rank.result import RankResult


def ranked_feature(rank: int, feature: str, score: float, **other: Any) -> RankedFeature:
    fields: dict[str, Any] = {
        "cardinality": 10 * rank,
        "coverage": 1.0,
        "mutual_information": score + 0.001,
        "expected": 0.001,
        "noise": 0.0001,
        "normalised": score / 0.5,
        "p_value": 1e-120 if score > 0.001 else 0.6,
        "standard_error": 0.002,
        "score_error": 0.0,
    }
    return RankedFeature(feature=feature, rank=rank, score=score, **(fields | other))


def column_report(feature: str, **other: Any) -> ColumnReport:
    fields: dict[str, Any] = {
        "kind": "str",
        "rows": 2_000,
        "nulls": 0,
        "null_share": 0.0,
        "cardinality": 22,
        "estimated": False,
        "bytes_a_value": 1.5,
        "bytes_in_all": 3_000,
        "repetitions": dict(zip(REPETITIONS, (22, 21, 20, 2, 0, 0, 0), strict=True)),
        "rare": RareValues(bound=1, values=1, share=1 / 22, examples=[]),
        "top": [],
        "numbers": None,
    }
    return ColumnReport(feature=feature, **(fields | other))


def rank_result(**other: Any) -> RankResult:
    """Four features and a combination; `other` replaces fields."""
    ranking = [
        ranked_feature(1, "site", 0.125),
        ranked_feature(2, "ad", 0.0625, coverage=0.805),
        ranked_feature(3, "ad AND site", 0.03),
        ranked_feature(4, "hour", 0.00004),
        ranked_feature(5, "noise", -0.0000125),
    ]
    names = ("site", "ad", "hour", "noise")
    matrix = np.array([[1, 0.95, 0.2, 0], [0.95, 1, 0.1, 0], [0.2, 0.1, 1, -0.01], [0, 0, -0.01, 1]])
    numbers = NumberSummary(minimum=0.0, maximum=23.0, mean=11.25, median=11.5)
    fields: dict[str, Any] = {
        "source": "clicks.csv",
        "label": "click",
        "heuristic": "MI-EMI",
        "rows": 2_000,
        "rejected": {"ragged": 3, "no label": 1},
        "sampled_rows": 1_500,
        "label_entropy": 0.5,
        "label_values": 2,
        "rarest_label_rows": 400,
        "ranking": ranking,
        "columns": [
            column_report("site", rare=RareValues(bound=1, values=2, share=0.5, examples=[ValueCount("x", 1)])),
            column_report("hour", kind="int", numbers=numbers, top=[ValueCount(7, 90)]),
        ],
        "pairs": PairScores(names, "redundancy", matrix),
        "twins": [Twins(keep="site", drop=["ad"], redundancy=0.95)],
        "leaks": [
            Suspicion(feature="site", kind="too_good", value=0.95, threshold=0.9, z=9.0, evidence={"next_best": 0.1})
        ],
        "drift": compare_rankings(ranking, [ranked_feature(1, "ad", 0.2), ranked_feature(2, "gone", 0.1)], alpha=0.01),
        "seconds": {"read_and_count": 0.25, "rank": 0.5},
        "arguments": {"heuristic": "MI-EMI", "top": "30"},
    }
    return RankResult(**(fields | other))


def scored_result(heuristic: str = "AMI", **other: Any) -> RankResult:
    """A result of a heuristic that knows no chance, and nothing else."""
    nothing: dict[str, Any] = {"columns": [], "pairs": None, "twins": [], "leaks": [], "drift": None, "rejected": {}}
    ranking = [
        ScoredFeature(feature=name, rank=rank, score=score, cardinality=5, coverage=1.0)
        for rank, (name, score) in enumerate([("site", 0.75), ("ad", 0.25)], start=1)
    ]
    return rank_result(**({"heuristic": heuristic, "ranking": ranking, "sampled_rows": None, **nothing} | other))
