from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet
import pytest
from click.testing import CliRunner, Result

from detectors.rows.encode import one_batch
from detectors.rows.model import RowModel
from pipelines.train_rows import job_columns, read_pieces, sample_rows, train_rows
from schemas.errors import ConfigError, SchemaError

JOB = """
kind = "ctr"
name = "clicks"
label = "click"
[kafka]
bootstrap_servers = ["localhost:9092"]
[source]
topic = "clicks"
time_column = "time"
[windows]
length = "1m"
[columns]
click = "int"
ad = "str"
price = "float"
"""


def events(n: int, seed: int = 0) -> pa.Table:
    rng = np.random.default_rng(seed)
    return pa.table(
        {
            "ad": rng.integers(0, 5, n),
            "price": rng.normal(10, 2, n),
            "site": rng.choice(["x", "y"], n),
            "click": rng.integers(0, 2, n),
        }
    )


@pytest.fixture
def parquet(tmp_path: Path) -> Path:
    path = tmp_path / "events.parquet"
    pa.parquet.write_table(events(1000), path)
    return path


def run(*arguments: object) -> Result:
    return CliRunner().invoke(train_rows, [str(a) for a in arguments], catch_exceptions=False)


def pieces(table: pa.Table, rows: int) -> Iterator[pa.RecordBatch]:
    return iter(table.combine_chunks().to_batches(max_chunksize=rows))


@pytest.mark.parametrize("limit", [1, 50, 999, 1000, 5000])
def test_the_sample_is_the_same_whatever_the_size_of_the_pieces(limit: int) -> None:
    table = events(1000)
    samples = [sample_rows(pieces(table, size), limit, 3) for size in (1, 7, 300, 1000)]
    assert all(sample.equals(samples[0]) for sample in samples)
    assert samples[0].num_rows == min(limit, 1000)


def test_the_sample_is_uniform_and_changes_with_the_seed() -> None:
    table = pa.table({"i": np.arange(2000)})
    chosen = [sample_rows(pieces(table, 64), 200, seed)["i"].to_numpy() for seed in range(200)]
    assert all(len(np.unique(i)) == 200 for i in chosen)
    tenths = np.bincount(np.concatenate(chosen) // 200, minlength=10) / (200 * 200)
    np.testing.assert_allclose(tenths, 0.1, atol=0.01)
    per_row = np.bincount(np.concatenate(chosen), minlength=2000)
    # Binomial(200, 0.1): mean 20, standard deviation 4.2.
    assert 3.9 < per_row.std() < 4.6


def test_reading_counts_rows_and_refuses_mixed_schemas() -> None:
    seen: list[int] = []
    sample_rows(pieces(events(100), 30), 10, 0, seen.append)
    assert seen == [30, 30, 30, 10]
    mixed = [*pieces(events(5), 5), *pieces(events(5).drop_columns(["ad"]), 5)]
    with pytest.raises(SchemaError, match="one schema"):
        sample_rows(mixed, 10, 0)


def test_a_model_is_trained_from_parquet_and_its_rate_reported(parquet: Path, tmp_path: Path) -> None:
    out = tmp_path / "models" / "rows"
    result = run(
        *(parquet, "--columns", "ad,price,site", "--categorical", "ad"),
        *("--out", out, "--steps", 20, "--alarm-rate", 0.05),
    )
    assert result.exit_code == 0
    assert "1,000, of which 200 calibrate" in result.output
    assert "passed by 5.00% of rows like these" in result.output
    assert str(out / "0001") in result.output
    model = RowModel.load(out)
    assert model.encoder.names == ("ad", "price", "site")
    rows = one_batch(events(1000))
    assert np.mean(model.score(rows) > model.threshold(0.05)) == pytest.approx(0.05, abs=0.05)


def test_csv_and_parquet_give_the_same_model(parquet: Path, tmp_path: Path) -> None:
    csv = tmp_path / "events.csv"
    pa.csv.write_csv(events(1000), csv)
    for file, name in ((parquet, "a"), (csv, "b")):
        run(file, "--columns", "price,site,ad", "--out", tmp_path / name / "rows", "--steps", 5)
    models = [RowModel.load(tmp_path / name / "rows") for name in "ab"]
    rows = one_batch(events(100, seed=1))
    np.testing.assert_array_equal(models[0].score(rows), models[1].score(rows))


def test_a_job_gives_features_and_types(parquet: Path, tmp_path: Path) -> None:
    job = tmp_path / "job.toml"
    job.write_text(JOB)
    assert job_columns(job) == {"ad": pa.string(), "price": pa.float64()}
    run(parquet, "--job", job, "--out", tmp_path / "rows", "--steps", 5)
    model = RowModel.load(tmp_path / "rows")
    assert model.encoder.names == ("ad", "price")
    model.encoder.check_schema(pa.schema([("ad", pa.string()), ("price", pa.float64())]))


def test_a_wafer_job_scores_no_rows(tmp_path: Path) -> None:
    job = tmp_path / "job.toml"
    ctr = JOB.replace('"ctr"', '"wafer"').replace('label = "click"\n', "")
    job.write_text(ctr[: ctr.index("[columns]")] + '[wafers]\nmodel = "models/wafer"\n')
    with pytest.raises(ConfigError, match="expected a job of kind 'ctr'"):
        job_columns(job)


def test_csv_names_may_be_quoted_and_hold_commas(tmp_path: Path) -> None:
    path = tmp_path / "odd.csv"
    path.write_text('"a,b",c\r\n1,x\r\n2,\r\n')
    read = pa.Table.from_batches(list(read_pieces(path, ("c", "a,b"), {"a,b": pa.float64()})))
    assert read.to_pydict() == {"c": ["x", None], "a,b": [1.0, 2.0]}


def test_several_files_are_read_as_one(tmp_path: Path) -> None:
    table, files = events(300), []
    for i in range(3):
        files.append(tmp_path / f"{i}.parquet")
        pa.parquet.write_table(table.slice(100 * i, 100), files[-1])
    columns = tuple(table.column_names)
    read = [piece for file in files for piece in read_pieces(file, columns, {})]
    assert pa.Table.from_batches(read).equals(table)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--columns", "ad,plane"], r"lacks the columns \['plane'\]; it has .*'price'"),
        (["--columns", "ad,ad"], "different names"),
        (["--columns", ","], "different names"),
        ([], "either --columns or --job"),
        (["--columns", "ad", "--job", "x.toml"], "either --columns or --job"),
        (["--job", "none.toml"], r"none\.toml: the job file cannot be read"),
        (["--columns", "ad", "--categorical", "price"], r"categorical: .*\['price'\]"),
        (["--columns", "ad", "--alarm-rate", "0.001"], "alarm rate: a rate of 0.001 needs 999"),
        (["--columns", "ad", "--steps", "0"], "steps: expected at least 1"),
        (["--columns", "ad", "--sample-rows", "0"], "--sample-rows"),
        (["--columns", "ad", "--sample-rows", "10"], "at least 20 rows to train on, got 10"),
    ],
)
def test_wrong_arguments_are_named(parquet: Path, tmp_path: Path, arguments: list[str], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        run(parquet, *arguments, "--out", tmp_path / "rows")
    assert not (tmp_path / "rows").exists()


def test_wrong_files_are_named(parquet: Path, tmp_path: Path) -> None:
    out = ("--columns", "ad", "--out", tmp_path / "rows")
    with pytest.raises(ConfigError, match=r"cannot read .*none\.parquet"):
        run(tmp_path / "none.parquet", *out)
    with pytest.raises(ConfigError, match=r"cannot read .*none\.csv"):
        run(tmp_path / "none.csv", *out)
    (tmp_path / "text.parquet").write_text("no parquet")
    with pytest.raises(SchemaError, match=r"text\.parquet"):
        run(tmp_path / "text.parquet", *out)
    pa.parquet.write_table(events(0), tmp_path / "empty.parquet")
    with pytest.raises(ConfigError, match="rows to train on, got none"):
        run(tmp_path / "empty.parquet", *out)
    (tmp_path / "empty.csv").write_text("")
    with pytest.raises(ConfigError, match=r"lacks the columns \['ad'\]"):
        run(tmp_path / "empty.csv", *out)
    with pytest.raises(SchemaError, match="column 'site' is no int64"):
        list(read_pieces(parquet, ("site",), {"site": pa.int64()}))
