"""Files scored by models of rows and wafers, as a user calls it."""

from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from click.testing import CliRunner, Result

from sparsewatch.detectors.rows.encoding.encode import one_batch
from sparsewatch.detectors.rows.model import RowModel
from sparsewatch.pipelines.score.command import score
from sparsewatch.pipelines.train.rows import train_rows
from sparsewatch.schemas.errors import ConfigError, SchemaError
from tests.kit.wafer_models import fresh_wafers, tiny_model


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("rows")
    frame(4_000, 0).write_csv(folder / "train.csv")
    command = [str(folder / "train.csv"), "--columns", "s*,valve", "--out", str(folder / "fab")]
    assert CliRunner().invoke(train_rows, command, catch_exceptions=False).exit_code == 0
    return folder / "fab"


def frame(rows: int, seed: int) -> pl.DataFrame:
    rng = np.random.default_rng(seed)
    return pl.DataFrame(
        {
            "machine": [f"m{i % 3}" for i in range(rows)],
            "s1": rng.normal(size=rows),
            "s2": rng.normal(5, 2, rows),
            "valve": rng.choice(["open", "shut"], rows),
        }
    )


def with_outlier(rows: int) -> pl.DataFrame:
    return frame(rows, 1).with_columns(s2=pl.when(pl.int_range(pl.len()) == 6).then(pl.lit(900.0)).otherwise("s2"))


def write(data: pl.DataFrame, path: Path) -> None:
    if path.suffix == ".csv":
        data.write_csv(path)
    else:
        data.write_parquet(path)


def ask(*arguments: object) -> Result:
    return CliRunner().invoke(score, [str(a) for a in arguments], catch_exceptions=False)


@pytest.mark.parametrize("ending", ["csv", "parquet"])
def test_the_worst_row_is_named_with_its_columns(model: Path, tmp_path: Path, ending: str) -> None:
    data = with_outlier(1_000)
    write(data, tmp_path / f"day.{ending}")
    result = ask(tmp_path / f"day.{ending}", "--model", model, "--id-columns", "machine", "--worst", 3)
    rows = [[cell.strip() for cell in line.split("│")[1:-1]] for line in result.output.splitlines() if "│" in line]
    assert len(rows) == 3
    assert rows[0][:3] == [f"day.{ending}", "7", "m0"]
    assert rows[0][5].startswith("s2 ")
    assert "1,000 rows, " in result.output


@pytest.mark.parametrize("ending", ["csv", "parquet", "jsonl"])
def test_all_scores_are_written_and_are_those_of_the_model(model: Path, tmp_path: Path, ending: str) -> None:
    parts = [with_outlier(300), frame(200, 2)]
    for i, part in enumerate(parts):
        part.write_parquet(tmp_path / f"{i}.parquet")
    out = tmp_path / f"scored.{ending}"
    ask(tmp_path / "0.parquet", tmp_path / "1.parquet", "--model", model, "--id-columns", "machine", "--out", out)
    scan: Any = {"csv": pl.scan_csv, "parquet": pl.scan_parquet, "jsonl": pl.scan_ndjson}[ending]
    written = scan(out).collect()
    assert written["row"].to_list() == [*range(1, 301), *range(1, 201)]
    assert written["machine"].to_list() == pl.concat(parts)["machine"].to_list()
    loaded = RowModel.load(model)
    table = pl.concat(parts).select(loaded.encoder.names).to_arrow(compat_level=pl.CompatLevel.oldest())
    expected = loaded.score(one_batch(table))
    np.testing.assert_allclose(written["score"].to_numpy(), expected, rtol=1e-6)
    assert written["outlier"].to_list() == (expected > loaded.threshold(0.01)).tolist()
    assert list(tmp_path.glob(".*")) == []


def test_wafers_are_recognised(tmp_path: Path) -> None:
    tiny_model().save(tmp_path / "model", metrics={"macro_f1": 0.9}, training={"wafers": 700})
    wafers = fresh_wafers("scratch", 5)

    pq.write_table(pa.Table.from_batches([wafers]), tmp_path / "lot.parquet")
    result = ask(tmp_path / "lot.parquet", "--model", tmp_path / "model", "--out", tmp_path / "verdicts.csv")
    written = pl.read_csv(tmp_path / "verdicts.csv")
    assert written["wafer_id"].to_list() == wafers["wafer_id"].to_pylist()
    assert written["verdict"].to_list() == tiny_model().recognise(wafers)["verdict"].to_pylist()
    assert f"{wafers.num_rows} wafers: " in result.output


def test_what_cannot_be_scored_says_why(model: Path, tmp_path: Path) -> None:
    frame(50, 3).drop("s1").write_csv(tmp_path / "lacks.csv")
    with pytest.raises(ConfigError, match="lacks the columns \\['s1'\\]"):
        ask(tmp_path / "lacks.csv", "--model", model)
    frame(50, 3).with_columns(s1=pl.lit("warm")).write_csv(tmp_path / "text.csv")
    with pytest.raises(SchemaError, match="s1"):
        ask(tmp_path / "text.csv", "--model", model)
    with pytest.raises(ConfigError, match=r"--out: expected a name that ends in \.parquet"):
        ask(tmp_path / "lacks.csv", "--model", model, "--out", tmp_path / "scores.xlsx")
