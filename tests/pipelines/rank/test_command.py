"""`sparsewatch rank` as a user types it, and the pass beneath it."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pyarrow as pa
import pytest
from click.testing import CliRunner, Result

from sparsewatch.detectors.counts.feature_counts import FeatureCounts
from sparsewatch.detectors.outrank.heuristics import HEURISTICS
from sparsewatch.detectors.outrank.ranking import rank_features
from sparsewatch.pipelines.rank.command import rank
from sparsewatch.pipelines.rank.inputs import InputSettings, open_input
from sparsewatch.pipelines.rank.one_pass import RankSettings
from sparsewatch.pipelines.rank.run import rank_input
from sparsewatch.pipelines.rank.scores import Combinations
from sparsewatch.schemas.errors import ConfigError, SparsewatchError

N = 4_000


def clicks(seed: int = 0, n: int = N) -> pl.DataFrame:
    """A needle, two halves of an XOR, noise of many values, a column with gaps; a label of 0 and 1."""
    rng = np.random.default_rng(seed)
    left, right, label = rng.integers(0, 2, n), rng.integers(0, 2, n), rng.integers(0, 2, n)
    xor = rng.random(n) < 0.5
    label = np.where(xor, left ^ right, label)
    return pl.DataFrame(
        {
            "needle": np.where(rng.random(n) < 0.7, label, 2),
            "left": left,
            "right": right,
            "noise": [f"v{i}" for i in rng.integers(0, 500, n)],
            "gaps": [None if u < 0.3 else "x" for u in rng.random(n)],
            "label": label,
        }
    )


def run(*arguments: object) -> Result:
    result = CliRunner().invoke(rank, [str(argument) for argument in arguments])
    if isinstance(result.exception, SparsewatchError):
        return result
    assert result.exit_code == 0, result.output
    return result


def ranked(path: Path, *options: object) -> dict[str, Any]:
    parsed: dict[str, Any] = json.loads(run(path, "--label", "label", "--format", "json", *options).stdout)
    return parsed


def names(report: dict[str, Any]) -> list[str]:
    return [one["feature"] for one in report["ranking"]]


@pytest.fixture
def parquet(tmp_path: Path) -> Path:
    path = tmp_path / "clicks.parquet"
    clicks().write_parquet(path, row_group_size=700)
    return path


def test_the_ranking_is_that_of_the_counts(parquet: Path) -> None:
    frame = clicks()
    counts = FeatureCounts([name for name in frame.columns if name != "label"], "label")
    counts.update(frame.to_arrow(compat_level=pl.CompatLevel.oldest()).combine_chunks().to_batches()[0])
    report = ranked(parquet)
    assert [(one["feature"], one["score"]) for one in report["ranking"]] == [
        (one.feature, pytest.approx(one.score)) for one in rank_features(counts)
    ]
    assert (report["rows"], report["rejected"], report["sampled_rows"]) == (N, {}, None)


@pytest.mark.parametrize("ending", ["csv", "csv.gz", "csv.zst"])
def test_text_and_numbers_rank_alike(parquet: Path, tmp_path: Path, ending: str) -> None:
    path = tmp_path / f"clicks.{ending}"
    data = clicks().write_csv().encode()
    codec = {"csv": None, "csv.gz": "gzip", "csv.zst": "zstd"}[ending]
    with pa.CompressedOutputStream(str(path), codec) if codec else path.open("wb") as file:
        file.write(data)
    binary, text = ranked(parquet), ranked(path)
    assert [one["score"] for one in text["ranking"]] == pytest.approx([one["score"] for one in binary["ranking"]])


def test_an_interaction_is_found_that_neither_half_tells_of(parquet: Path) -> None:
    report = ranked(parquet, "--interactions", 2)
    assert names(report)[:2] == ["needle", "left AND needle"] or "left AND right" in names(report)[:8]
    score = {one["feature"]: one["score"] for one in report["ranking"]}
    assert score["left AND right"] > 0.05 > 10 * max(abs(score["left"]), abs(score["right"]))


def test_a_third_label_value_after_the_first_block_is_ranked_too(tmp_path: Path) -> None:
    frame = clicks().with_columns(pl.when(pl.int_range(pl.len()) > 3_000).then(7).otherwise("label").alias("label"))
    frame.write_csv(path := tmp_path / "late.csv")
    whole = ranked(path)
    source = open_input(path, InputSettings(block_rows=256))
    blocks = rank_input(source, RankSettings(label="label"), "late", lambda: None).result
    assert blocks.label_values == whole["label_values"] == 3
    assert [one.score for one in blocks.ranking] == pytest.approx([one["score"] for one in whole["ranking"]])


def test_blocks_do_not_matter(parquet: Path) -> None:
    settings = RankSettings(label="label", combinations=Combinations(orders=(2,)), pairs=True)
    small, large = (
        rank_input(open_input(parquet, InputSettings(block_rows=rows)), settings, "x", lambda: None).result
        for rows in (97, 65_536)
    )
    assert small.ranking == large.ranking
    assert small.pairs is not None
    assert large.pairs is not None
    np.testing.assert_allclose(small.pairs.matrix, large.pairs.matrix)


@pytest.mark.long
@pytest.mark.parametrize("name", [name for name, known in HEURISTICS.items() if known.reference != "must"])
def test_every_heuristic_finds_the_needle(tmp_path: Path, name: str) -> None:
    frame = clicks(n=2_000).with_columns(pl.col("gaps").fill_null("y")).drop("noise")
    frame.write_csv(path := tmp_path / "clicks.csv")
    report = ranked(path, "--heuristic", name)
    assert sorted(names(report)) == ["gaps", "left", "needle", "right"]
    if name not in ("Constant", "max-value-coverage", "correlation-Pearson"):
        assert names(report)[0] == "needle"


def test_a_reference_model_gives_the_features_a_surrogate_builds_on(tmp_path: Path) -> None:
    clicks(n=1_500).drop("noise").write_csv(path := tmp_path / "clicks.csv")
    (model := tmp_path / "model.json").write_text('{"desc": {"features": ["left", "left,right"]}}')
    with_left = ranked(path, "--heuristic", "surrogate-SGD-prior", "--reference-model", model)
    score = {one["feature"]: one["score"] for one in with_left["ranking"]}
    assert "left AND right" in score
    assert score["right"] > 0


def test_made_columns_are_ranked_and_controls_keep_their_places(tmp_path: Path) -> None:
    rng, n = np.random.default_rng(0), 3_000
    label = rng.integers(0, 2, n)
    tokens = np.array(["a,b", "b", "c,a", "c"])[2 * label + rng.integers(0, 2, n)]
    frame = pl.DataFrame(
        {"tokens": tokens, "size": label + rng.random(n), "kind": rng.integers(0, 3, n), "label": label}
    )
    frame.write_parquet(path := tmp_path / "made.parquet")
    made = ["--noise-controls", "--transformers", "minimal", "--explode", "tokens", "--sub-features", "tokens->kind"]
    report = ranked(path, *made)
    score = {one["feature"]: one["score"] for one in report["ranking"]}
    assert names(report)[0] == "CONTROL-target"
    assert score["CONTROL-constant0"] == 0
    assert score["MULTIEX-tokens-b"] > 0.5 > score["MULTIEX-tokens-a"]
    assert {"SUBFEATURE-tokens&0", "SUBFEATURE-tokens&1", "SUBFEATURE-tokens&2"} < set(score)
    assert sum(name.startswith("size") for name in score) > 2


def test_what_changed_against_another_file_is_named(parquet: Path, tmp_path: Path) -> None:
    rng = np.random.default_rng(1)
    changed = clicks(seed=1).with_columns(pl.Series("needle", rng.integers(0, 3, N)))
    changed.write_parquet(path := tmp_path / "changed.parquet")
    drift = ranked(path, "--against", parquet)["drift"]
    assert [one["feature"] for one in drift["features"] if one["significant"]] == ["needle"]
    clicks(seed=2).write_parquet(same := tmp_path / "same.parquet")
    assert not any(one["significant"] for one in ranked(same, "--against", parquet)["drift"]["features"])


def test_volume_alone_changes_nothing(tmp_path: Path) -> None:
    rng = np.random.default_rng(3)

    def write(name: str, n: int) -> Path:
        site = rng.integers(0, 2_000, n)
        label = (rng.random(n) < 0.05 + 0.3 * (site % 5 == 0)).astype(int)
        pl.DataFrame({"site": site, "other": rng.integers(0, 9, n), "label": label}).write_csv(path := tmp_path / name)
        return path

    drift = ranked(write("small.csv", 5_000), "--against", write("large.csv", 100_000))["drift"]
    assert [one["significant"] for one in drift["features"]] == [False, False]


def test_a_feature_of_the_next_second_is_suspected(tmp_path: Path) -> None:
    rng, n = np.random.default_rng(0), 20_000
    seconds = np.sort(rng.integers(0, 2_000, n))
    rate = rng.uniform(0.0, 0.5, 2_002)
    label = (rng.random(n) < rate[seconds]).astype(int)
    frame = pl.DataFrame(
        {
            "time": seconds + 1_700_000_000,
            "future": np.round(rate[seconds + 1], 1),
            "honest": np.where(rng.random(n) < 0.2, label, rng.integers(0, 2, n)),
            "label": label,
        }
    )
    frame.write_csv(path := tmp_path / "leak.csv")
    report = ranked(path, "--time-column", "time")
    assert report["untold"] is None
    assert [(one["feature"], one["kind"]) for one in report["leaks"]] == [("future", "future")]


@pytest.mark.parametrize(
    ("columns", "options", "expected"),
    [
        ({"x": [1, 2]}, [], "expected a column 'label'"),
        ({"x": [1, 2], "label": [1, 1]}, [], "expected at least two values, got '1' in all rows"),
        ({"x": [1, 2], "label": [None, None]}, [], "got no row with a label"),
        ({"label": [0, 1]}, [], "at least one column besides the label"),
        ({"x": [1, 2], "label": [0, 1]}, ["--heuristic", "MI2"], "expected one of MI-EMI, MI"),
        ({"x": [1, 2], "label": [0, 1]}, ["--features", "y"], "expected a column 'y'"),
        ({"x": [1, 2], "label": [0, 1]}, ["--format", "html"], "needs --out"),
        ({"x": [1, 2], "label": [0, 1]}, ["--heuristic", "surrogate-SGD-prior"], "--reference-model"),
        ({"x": [1, 2], "label": [0, 1]}, ["--transformers", "minimal"], "no numeric columns"),
        ({"x": [1, 2], "label": [0, 1]}, ["--numeric", "y"], "expected a column 'y'"),
        ({"x": [1, 2], "label": [0, 1]}, ["--interactions", "4"], "expected 2, 3 or 2,3, got '4'"),
        ({"x": [1, 2], "y": [1, 2], "x AND y": [0, 0], "label": [0, 1]}, ["--interactions", "2"], "rename it"),
    ],
)
def test_bad_input_is_named(tmp_path: Path, columns: dict[str, Any], options: list[str], expected: str) -> None:
    pl.DataFrame(columns).write_csv(path := tmp_path / "bad.csv")
    result = run(path, "--label", "label", *options)
    assert isinstance(result.exception, ConfigError)
    assert expected in str(result.exception)


def test_what_is_read_is_not_written_over(parquet: Path, tmp_path: Path) -> None:
    before = parquet.read_bytes()
    for target in (parquet, tmp_path / "x" / ".." / parquet.name):
        result = run(parquet, "--label", "label", "--format", "json", "--out", target)
        assert "expected a file that is not an input" in str(result.exception)
    assert parquet.read_bytes() == before
    (tmp_path / "file").touch()
    assert "expected a folder" in str(run(parquet, "--label", "label", "--pictures", tmp_path / "file").exception)


def test_the_table_goes_where_out_says(parquet: Path, tmp_path: Path) -> None:
    run(parquet, "--label", "label", "--out", path := tmp_path / "table.txt")
    assert "needle" in path.read_text()


def test_the_order_of_rows_changes_no_digit(tmp_path: Path) -> None:
    frame = clicks()
    frame.write_csv(path := tmp_path / "rows.csv")
    before = ranked(path)["ranking"]
    frame.sample(fraction=1.0, shuffle=True, seed=1).write_csv(path)
    assert ranked(path)["ranking"] == before


def test_a_column_of_nulls_scores_nothing_and_ragged_lines_are_rejected(tmp_path: Path) -> None:
    rows = ["empty,needle,label", *(f",{i % 2},{i % 2}" for i in range(500)), "1,2", "1,2,3,4", "a,b,"]
    (path := tmp_path / "ragged.csv").write_text("\n".join(rows))
    report = ranked(path)
    assert report["rows"] == 500
    assert sum(report["rejected"].values()) == 3
    assert report["rejected"]["no label"] == 1
    assert {one["feature"]: one["score"] for one in report["ranking"]}["empty"] == 0


def test_the_command_ends_with_one_message_and_code_2(tmp_path: Path) -> None:
    done = subprocess.run(
        [Path(sys.executable).parent / "sparsewatch", "rank", tmp_path / "none.csv", "--label", "x"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 2
    assert done.stderr.count("\n") == 1
    assert "no such file" in done.stderr


def test_starting_imports_nothing_heavy() -> None:
    code = "import sys, sparsewatch.pipelines.rank.command; print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert not {"sklearn", "torch", "apache_beam", "matplotlib"} & set(done.stdout.split())
