import json
from pathlib import Path

import numpy as np
import pytest

from sparsewatch.detectors.outrank.pairs.pairwise import PairScores
from sparsewatch.detectors.outrank.pairs.three_mr import min_max
from sparsewatch.pipelines.rank.report.outrank_files import write_outrank_files
from sparsewatch.schemas.errors import ConfigError, SinkError
from tests.kit.rank_results import rank_result, ranked_feature, scored_result

#: First lines of the files that `outrank` 0.97.5 wrote of 2,000 rows, for `--interaction_order 2` where there are
#: combinations and for `ob-csv` with a column declared float where there are numbers.
HEADINGS = {
    "pairwise_ranks.tsv": "FeatureA\tFeatureB\tScore",
    "feature_singles.tsv": "Feature\tScore MI-numba-randomized",
    "feature_singles_transformers_only_imp.tsv": "Feature\tScore MI-numba-randomized",
    "feature_singles_aggregated.tsv": "Feature\tCombined score (order: 2, MI-numba-randomized)",
    "memory.tsv": "\t0",
    "numeric_feature_statistics.tsv": "Feature\tMinimum\tMaximum\tMedian\tNum avg. unique (batch)",
    "rare_values.tsv": "Namespace\tvalue\tCount",
    "feature_sparsity_summary.tsv": "rare_proportion\tfeature_type\tfeature_name",
}
OBJECTS = ("value_repetitions.json", "combination_estimation_counts.json", "timings.json", "arguments.json")


def _lines(path: Path) -> list[str]:
    return path.read_text(encoding="utf-8").splitlines()


def _rows(path: Path) -> list[list[str]]:
    return [line.split("\t") for line in _lines(path)[1:]]


def test_names_and_headings_are_those_of_the_public_tool(tmp_path: Path) -> None:
    written = write_outrank_files(rank_result(heuristic="MI-numba-randomized"), tmp_path / "new")
    assert {path.name for path in written} == {*HEADINGS, *OBJECTS}
    assert {name: _lines(tmp_path / "new" / name)[0] for name in HEADINGS} == HEADINGS


def test_singles_are_stretched_from_the_worst_feature_to_the_label(tmp_path: Path) -> None:
    write_outrank_files(rank_result(), tmp_path)
    rows = _rows(tmp_path / "feature_singles.tsv")
    names = ["click-(2; 100)", "site-(10; 100)", "ad-(20; 80)", "ad AND site-(30; 100)", "hour-(40; 100)"]
    assert [name for name, _ in rows] == [*names, "noise-(50; 100)"]
    scaled = min_max({"click": 0.5, "site": 0.125, "ad": 0.0625, "both": 0.03, "hour": 0.00004, "noise": -0.0000125})
    assert [float(score) for _, score in rows] == pytest.approx([*scaled.values()])
    assert (rows[0][1], rows[-1][1]) == ("1.0", "0.0")


def test_pairs_with_the_label_come_both_ways_by_ascending_score(tmp_path: Path) -> None:
    write_outrank_files(scored_result("MI"), tmp_path)
    assert _lines(tmp_path / "pairwise_ranks.tsv")[1:] == [
        "ad-(5; 100)\tclick-(2; 100)\t0.25",
        "click-(2; 100)\tad-(5; 100)\t0.25",
        "click-(2; 100)\tclick-(2; 100)\t0.5",
        "click-(2; 100)\tsite-(5; 100)\t0.75",
        "site-(5; 100)\tclick-(2; 100)\t0.75",
    ]


def test_names_are_bare_if_cardinalities_are_not_wanted(tmp_path: Path) -> None:
    write_outrank_files(scored_result("MI"), tmp_path, with_cardinality=False)
    assert [row[0] for row in _rows(tmp_path / "feature_singles.tsv")] == ["site", "click", "ad"]


def test_pairs_of_features_join_those_with_the_label(tmp_path: Path) -> None:
    pairs = PairScores(("site", "ad"), "score", np.array([[2.0, 0.125], [0.125, 3.0]]))
    write_outrank_files(scored_result("MI"), tmp_path, pairs=pairs, with_cardinality=False)
    rows = [(a, b) for a, b, _ in _rows(tmp_path / "pairwise_ranks.tsv")]
    assert rows[:2] == [("ad", "site"), ("site", "ad")]
    assert rows[-2:] == [("site", "site"), ("ad", "ad")]
    assert len(rows) == len({*rows}) == 9


def test_redundancies_are_refused_among_scores_in_nats(tmp_path: Path) -> None:
    result = rank_result()
    with pytest.raises(ConfigError, match="expected the measure 'score' or 'mutual_information', got 'redundancy'"):
        write_outrank_files(result, tmp_path, pairs=result.pairs)


def test_scores_without_information_are_left_as_they_are(tmp_path: Path) -> None:
    write_outrank_files(scored_result("surrogate-SGD"), tmp_path, with_cardinality=False)
    assert _lines(tmp_path / "feature_singles.tsv") == ["Feature\tScore surrogate-SGD", "site\t0.75", "ad\t0.25"]
    assert _rows(tmp_path / "pairwise_ranks.tsv")[0] == ["ad", "click", "0.25"]


def test_equal_scores_give_numbers(tmp_path: Path) -> None:
    ranking = [ranked_feature(1, "a", 0.0), ranked_feature(2, "b", 0.0)]
    write_outrank_files(rank_result(ranking=ranking, label_entropy=0.0), tmp_path, with_cardinality=False)
    assert _rows(tmp_path / "feature_singles.tsv") == [["a", "0.0"], ["b", "0.0"], ["click", "0.0"]]


def test_parts_of_combinations_have_the_median_of_their_scores_hyphens_or_not(tmp_path: Path) -> None:
    ranking = [
        ranked_feature(1, "a-1 AND b", 0.5),
        ranked_feature(2, "a-1 AND c", 0.25),
        ranked_feature(3, "b AND c", 0.0),
    ]
    write_outrank_files(rank_result(ranking=ranking), tmp_path)
    assert _rows(tmp_path / "feature_singles_aggregated.tsv") == [["a-1", "0.75"], ["b", "0.5"], ["c", "0.25"]]


def test_3mr_ranks_hold_every_feature(tmp_path: Path) -> None:
    write_outrank_files(scored_result("MI-numba-3mr"), tmp_path)
    assert _lines(tmp_path / "3mr_ranks.tsv") == ["Feature\t3MR_Ranking", "site\t1", "ad\t2"]


def test_statistics_of_columns_are_those_of_all_rows(tmp_path: Path) -> None:
    write_outrank_files(rank_result(), tmp_path)
    assert _rows(tmp_path / "memory.tsv") == [["site", "1.5"], ["hour", "1.5"]]
    assert _rows(tmp_path / "numeric_feature_statistics.tsv") == [["hour", "0.0", "23.0", "11.5", "22"]]
    assert _rows(tmp_path / "rare_values.tsv") == [["site", "x", "1"]]
    assert _rows(tmp_path / "feature_sparsity_summary.tsv") == [
        ["4.55", "numeric", "hour"],
        ["50.0", "nominal", "site"],
    ]


def test_objects_have_the_keys_of_the_public_tool(tmp_path: Path) -> None:
    write_outrank_files(rank_result(), tmp_path)
    found = {name: json.loads((tmp_path / name).read_text()) for name in OBJECTS}
    bounds = ["0", "1", "10", "100", "1000", "10000", "100000"]
    assert list(found["value_repetitions.json"]) == ["site", "hour"]
    assert list(found["value_repetitions.json"]["site"]) == bounds
    assert found["combination_estimation_counts.json"] == {
        "('ad AND site', 'click')": 1,
        "('ad', 'click')": 1,
        "('ad', 'site')": 1,
        "('click', 'click')": 1,
        "('hour', 'click')": 1,
        "('noise', 'click')": 1,
        "('site', 'click')": 1,
    }
    assert found["timings.json"] == {"read_and_count": {"0": 0.25}, "rank": {"0": 0.5}}
    assert found["arguments.json"] == {
        "task": "all",
        "data_path": "clicks.csv",
        "heuristic": "MI-EMI",
        "label_column": "click",
        "output_folder": str(tmp_path),
        "top": "30",
    }


def test_files_that_would_be_empty_are_left_out(tmp_path: Path) -> None:
    written = {path.name for path in write_outrank_files(scored_result("MI"), tmp_path)}
    left_out = {
        "feature_singles_aggregated.tsv",
        "3mr_ranks.tsv",
        "numeric_feature_statistics.tsv",
        "rare_values.tsv",
        "feature_sparsity_summary.tsv",
    }
    assert written == {*HEADINGS, *OBJECTS} - left_out


def test_a_folder_that_cannot_be_made_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(SinkError, match="expected to write reports there"):
        write_outrank_files(rank_result(), tmp_path / "file")
