"""Columns of numbers in `sparsewatch rank`: in bins by default, and by value where that is asked for."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
from click.testing import CliRunner

from sparsewatch.pipelines.rank.command import rank
from tests.kit.job_files import write_click_job

ROWS = 6_000


@pytest.fixture
def parquet(tmp_path: Path) -> Path:
    """A price and a dwell time on which clicks depend, a number of noise, a site, and event times."""
    rng = np.random.default_rng(0)
    z = rng.normal(size=ROWS)
    clicks = rng.random(ROWS) < 1 / (1 + np.exp(1 - 1.5 * z))
    columns = {
        "price": 10 * np.exp(z),
        "noise": rng.normal(size=ROWS),
        "dwell_ms": (1e6 * np.exp(z)).astype(np.int64),
        "site": [f"s{i}" for i in rng.integers(0, 9, ROWS)],
        "time": np.arange(ROWS) / 10 + 1_700_000_000,
        "label": clicks.astype(np.int64),
    }
    path = tmp_path / "clicks.parquet"
    pl.DataFrame(columns).with_columns(
        price=pl.when(pl.col("site") == "s0").then(None).otherwise("price")
    ).write_parquet(path, row_group_size=700)
    return path


def ranked(path: Path, *options: object) -> dict[str, Any]:
    arguments = [str(path), "--label", "label", "--format", "json", "--features", "price,noise,dwell_ms,site"]
    result = CliRunner().invoke(rank, [*arguments, *map(str, options)], catch_exceptions=False)
    assert result.exit_code == 0, result.output
    parsed: dict[str, Any] = json.loads(result.stdout)
    return parsed


def scores(report: dict[str, Any]) -> dict[str, float]:
    return {one["feature"]: one["score"] for one in report["ranking"]}


def test_floats_are_ranked_as_numbers_and_integers_as_names(parquet: Path) -> None:
    found = scores(ranked(parquet))
    assert found["price"] > 0.1
    assert abs(found["noise"]) < 0.005
    assert abs(found["dwell_ms"]) < 0.005


def test_integers_that_are_named_numeric_are_numbers(parquet: Path) -> None:
    found = scores(ranked(parquet, "--numeric", "dwell_ms"))
    assert found["dwell_ms"] > found["price"] > 0.1


def test_by_value_numbers_are_names(parquet: Path) -> None:
    found = scores(ranked(parquet, "--numbers", "values", "--numeric", "dwell_ms"))
    assert max(abs(found[name]) for name in ("price", "noise", "dwell_ms")) < 0.03


def test_other_columns_rank_as_they_did_to_the_last_digit(parquet: Path) -> None:
    both = [ranked(parquet, "--numbers", numbers, "--interactions", 2, "--pairs") for numbers in ("bins", "values")]
    for name in ("site", "dwell_ms", "dwell_ms AND site"):
        first, second = (next(one for one in report["ranking"] if one["feature"] == name) for report in both)
        assert first | {"rank": 0} == second | {"rank": 0}


def test_reports_are_of_values_whatever_is_ranked(parquet: Path) -> None:
    in_bins, by_value = ranked(parquet), ranked(parquet, "--numbers", "values")
    assert in_bins["columns"] == by_value["columns"]
    of_price = next(one for one in in_bins["columns"] if one["feature"] == "price")
    assert of_price["cardinality"] > 5_000
    assert next(one for one in in_bins["ranking"] if one["feature"] == "price")["cardinality"] < 300


@pytest.mark.parametrize("heuristic", ["MI", "AMI", "surrogate-SGD"])
def test_other_heuristics_see_numbers_too(parquet: Path, heuristic: str) -> None:
    found = scores(ranked(parquet, "--heuristic", heuristic))
    assert found["price"] > found["noise"]


def test_batches_are_scored_as_the_public_tool_scores_them(parquet: Path) -> None:
    first, second = (
        ranked(parquet, "--heuristic", "MI-numba-randomized", "--numbers", numbers)["ranking"]
        for numbers in ("bins", "values")
    )
    assert first == second


def test_combinations_and_leaks_see_bins(parquet: Path) -> None:
    report = ranked(parquet, "--interactions", 2, "--time-column", "time")
    assert scores(report)["price AND noise"] > 0.05
    assert report["leaks"] == []


def test_a_job_says_how_its_numbers_are_ranked(parquet: Path, tmp_path: Path) -> None:
    columns = {"price": "float", "noise": "float", "dwell_ms": "int", "site": "str", "label": "int"}
    job = write_click_job(tmp_path, "broker:9092", "clicks", columns)
    job.write_text(job.read_text() + '[ranking]\nnumber_columns = ["dwell_ms"]\n')
    assert scores(ranked(parquet, "--job", job))["dwell_ms"] > 0.1
    job.write_text(job.read_text().replace('number_columns = ["dwell_ms"]', 'numbers = "values"'))
    assert abs(scores(ranked(parquet, "--job", job))["price"]) < 0.05
    assert scores(ranked(parquet, "--job", job, "--numbers", "bins"))["price"] > 0.1
