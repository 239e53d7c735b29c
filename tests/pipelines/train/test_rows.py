import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet
import pytest
from click.testing import CliRunner, Result

from sparsewatch.detectors.rows.encoding.encode import one_batch
from sparsewatch.detectors.rows.methods.registry import DEFAULT, METHODS
from sparsewatch.detectors.rows.model import RowModel
from sparsewatch.pipelines.tables.settings import TableSettings
from sparsewatch.pipelines.tables.table import open_table
from sparsewatch.pipelines.train.rows import job_columns, train_rows
from sparsewatch.schemas.errors import ConfigError, SchemaError, StateError

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


def read_pieces(path: Path, columns: tuple[str, ...], types: dict[str, pa.DataType]) -> Iterator[pa.RecordBatch]:
    return open_table([path], TableSettings(columns=columns, types=types)).pieces()


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


def test_a_model_is_trained_from_parquet_and_its_rate_reported(parquet: Path, tmp_path: Path) -> None:
    out = tmp_path / "models" / "rows"
    result = run(
        *(parquet, "--columns", "ad,price,site", "--categorical", "ad"),
        *("--out", out, "--method", "apre", "--steps", 20, "--alarm-rate", 0.05),
    )
    assert result.exit_code == 0
    assert "apre: probabilistic autoencoder" in result.output
    assert "1,000 of 1,000, 200 of them for calibration" in result.output
    assert re.search(r"time +reading \d+\.\d s, fitting \d+\.\d s", result.output)
    assert re.search(r"speed +[\d,]+ rows/s scored", result.output)
    assert "exceeded by 5.00% of rows like these" in result.output
    assert str(out / "0001") in result.output
    model = RowModel.load(out)
    assert model.encoder.names == ("ad", "price", "site")
    rows = one_batch(events(1000))
    assert np.mean(model.score(rows) > model.threshold(0.05)) == pytest.approx(0.05, abs=0.05)


def test_csv_and_parquet_give_the_same_model(parquet: Path, tmp_path: Path) -> None:
    csv = tmp_path / "events.csv"
    pa.csv.write_csv(events(1000), csv)
    for file, name in ((parquet, "a"), (csv, "b")):
        run(file, "--columns", "price,site,ad", "--out", tmp_path / name / "rows", "--method", "apre", "--steps", 5)
    models = [RowModel.load(tmp_path / name / "rows") for name in "ab"]
    rows = one_batch(events(100, seed=1))
    np.testing.assert_array_equal(models[0].score(rows), models[1].score(rows))


def test_a_job_gives_features_and_types(parquet: Path, tmp_path: Path) -> None:
    job = tmp_path / "job.toml"
    job.write_text(JOB)
    assert job_columns(job) == {"ad": pa.string(), "price": pa.float64()}
    run(parquet, "--job", job, "--out", tmp_path / "rows", "--method", "apre", "--steps", 5)
    model = RowModel.load(tmp_path / "rows")
    assert model.encoder.names == ("ad", "price")
    model.encoder.check_schema(pa.schema([("ad", pa.string()), ("price", pa.float64())]))


def test_a_wafer_job_scores_no_rows(tmp_path: Path) -> None:
    job = tmp_path / "job.toml"
    ctr = JOB.replace('"ctr"', '"wafer"').replace('label = "click"\n', "")
    job.write_text(ctr[: ctr.index("[columns]")] + '[wafers]\nmodel = "models/wafer"\n')
    with pytest.raises(ConfigError, match="expected a job of kind 'ctr' or 'rows'"):
        job_columns(job)


def test_csv_names_may_be_quoted_and_hold_commas(tmp_path: Path) -> None:
    path = tmp_path / "odd.csv"
    path.write_text('"a,b",c\r\n1,x\r\n2,\r\n')
    read = pa.Table.from_batches(list(read_pieces(path, ("c", "a,b"), {"a,b": pa.float64()})))
    assert read.to_pydict() == {"c": ["x", None], "a,b": [1.0, 2.0]}


def test_numbers_with_a_few_other_texts_are_told_and_can_be_taken_for_missing(tmp_path: Path) -> None:
    path = tmp_path / "sensors.csv"
    path.write_text("temp\n" + "".join(f"{i % 90 / 8}\n" for i in range(500)) + "-\n" * 3)
    arguments = (path, "--columns", "temp", "--method", "hbos", "--out", tmp_path / "rows")
    told = run(*arguments).stderr
    assert "column 'temp' holds 500 numbers and '-' (3 times): it is read as text, a category; --missing" in told
    result = run(*arguments, "--missing", "-")
    assert "holds" not in result.stderr
    mean = np.mean([i % 90 / 8 for i in range(500)])
    assert RowModel.load(tmp_path / "rows").encoder.centre[0] == pytest.approx(mean, abs=0.3)


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
        (["--columns", "ad", "--alarm-rate", "0"], "--alarm-rate: expected a number above 0 and below 1, got 0"),
        (
            ["--columns", "ad", "--method", "apre", "--steps", "0"],
            "--steps: expected a whole number of at least 1",
        ),
        (["--columns", "ad", "--method", "hbos", "--trim", "0.1"], "settings of autoencoders, which 'hbos' is not"),
        (["--columns", "ad", "--method", "magic"], "--method: expected one of .*hbos.*, got 'magic'"),
        (["--columns", "ad", "--seed", "-1"], "--seed: expected a whole number of at least 0, got -1"),
        (["--columns", "ad", "--sample-out", "x.sample"], "either --out or --sample-out"),
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
    with pytest.raises(SchemaError, match="column 'site': expected int, got"):
        list(read_pieces(parquet, ("site",), {"site": pa.int64()}))


def test_the_method_and_its_scaling_can_be_chosen(parquet: Path, tmp_path: Path) -> None:
    for arguments in ((), ("--method", "hbos"), ("--scaling", "robust")):
        run(parquet, "--columns", "price", "--out", tmp_path / "rows", "--no-promote", *arguments)
    first, plain, robust = (RowModel.load(tmp_path / "rows" / f"000{i}") for i in (1, 2, 3))
    assert (first.method, plain.method, robust.method) == (DEFAULT, "hbos", DEFAULT)
    assert METHODS["hbos"].scaling == "plain"
    prices = events(1000)["price"].to_numpy()
    assert plain.encoder.centre[0] == pytest.approx(prices.mean(), abs=0.1)
    assert robust.encoder.centre[0] == pytest.approx(np.median(prices), abs=0.1)


def test_no_promote_leaves_the_latest_in_use(parquet: Path, tmp_path: Path) -> None:
    for promoted in ("--promote", "--no-promote"):
        run(parquet, "--columns", "price", "--method", "hbos", "--out", tmp_path / "rows", promoted)
    assert (tmp_path / "rows" / "0002").is_dir()
    assert RowModel.load(tmp_path / "rows").id.endswith("0001")


def test_the_report_names_constant_columns(tmp_path: Path) -> None:
    table = events(500)
    for i in range(7):
        table = table.append_column(f"still{i}", pa.array([i] * 500))
    pa.parquet.write_table(table, tmp_path / "e.parquet")
    result = run(
        *(tmp_path / "e.parquet", "--columns", ",".join(["price", *(f"still{i}" for i in range(7))])),
        *("--method", "hbos", "--out", tmp_path / "rows"),
    )
    assert "7, without effect until they change: still0, still1, still2, still3, still4, ..." in result.output
    assert (
        "constant columns    none"
        in run(tmp_path / "e.parquet", "--columns", "price", "--method", "hbos", "--out", tmp_path / "rows").output
    )


def test_samples_of_parts_train_the_model_of_all_files(tmp_path: Path) -> None:
    files, samples = [], []
    for i in range(3):
        files.append(tmp_path / f"day{i}.parquet")
        pa.parquet.write_table(events(2000, seed=i), files[-1])
        samples.append(tmp_path / f"part{i}.sample")
        told = run(files[-1], "--columns", "price,site", "--sample-rows", 500, "--sample-out", samples[-1])
        assert "500 of 2,000 rows of 1 file " in told.output
    fit = ("--method", "hbos", "--out")
    run(*files, "--columns", "price,site", "--sample-rows", 500, *fit, tmp_path / "a" / "rows")
    run(*reversed(samples), *fit, tmp_path / "b" / "rows")
    result = run(samples[0], *reversed(files[1:]), *fit, tmp_path / "c" / "rows")
    assert "500 of 6,000, 100 of them for calibration" in result.output
    models = [RowModel.load(tmp_path / name / "rows") for name in "abc"]
    rows = one_batch(events(100, seed=9))
    for model in models[1:]:
        np.testing.assert_array_equal(model.score(rows), models[0].score(rows))


def test_samples_that_do_not_go_together_are_named(parquet: Path, tmp_path: Path) -> None:
    sample, out = tmp_path / "a.sample", ("--out", tmp_path / "rows")
    run(parquet, "--columns", "price", "--sample-out", sample)
    run(parquet, "--columns", "ad", "--sample-out", tmp_path / "b.sample")
    with pytest.raises(ConfigError, match="the samples fix --columns"):
        run(sample, "--columns", "price", *out)
    with pytest.raises(StateError, match="to merge"):
        run(sample, tmp_path / "b.sample", *out)
    sample.write_bytes(sample.read_bytes()[:-9])
    with pytest.raises(StateError, match=r"a\.sample: expected"):
        run(sample, *out)
    with pytest.raises(ConfigError, match=r"cannot read .*c\.sample"):
        run(tmp_path / "c.sample", *out)
    with pytest.raises(ConfigError, match=r"ends in \.sample"):
        run(parquet, "--columns", "price", "--sample-out", tmp_path / "a.parquet")
    assert not (tmp_path / "rows").exists()


def test_a_file_given_twice_is_told(parquet: Path, tmp_path: Path) -> None:
    result = run(parquet, parquet, "--columns", "price", "--sample-out", tmp_path / "a.sample")
    assert "read twice: events.parquet" in result.output
    assert "2,000 of 2,000 rows of 2 files" in result.output


def test_a_sample_of_many_rows_trains_as_fast_as_few(tmp_path: Path) -> None:
    path = tmp_path / "many.parquet"
    pa.parquet.write_table(events(250_000), path, row_group_size=40_000)
    result = run(path, "--columns", "price,ad,site", "--sample-rows", 3_000, "--out", tmp_path / "rows")
    assert "3,000 of 250,000, 600 of them for calibration" in result.output
    model = RowModel.load(tmp_path / "rows")
    rows = one_batch(events(20_000, seed=5))
    assert np.mean(model.p_values(model.score(rows)) <= 0.1) == pytest.approx(0.1, abs=0.05)


def test_wide_files_are_read_in_fewer_rows_at_once(tmp_path: Path) -> None:
    wide = pa.table({f"s{i}": np.zeros(9000) for i in range(600)})
    pa.parquet.write_table(wide, tmp_path / "wide.parquet")
    sizes = [piece.num_rows for piece in read_pieces(tmp_path / "wide.parquet", tuple(wide.column_names), {})]
    assert sum(sizes) == 9000
    assert max(sizes) * 600 <= 1 << 22


def test_help_lists_every_method_and_importing_the_command_loads_no_torch() -> None:
    text = run("--help").output
    assert all(name in text for name in METHODS)
    assert "part1.sample part2.sample" in text
    code = "import sys, sparsewatch.pipelines.train.rows; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_a_job_of_rows_gives_all_columns_but_those_that_name_a_row(tmp_path: Path) -> None:
    job = tmp_path / "job.toml"
    rows = '[rows]\nmodel = "models/rows"\nid_columns = ["ad"]\n'
    job.write_text(JOB.replace('"ctr"', '"rows"').replace('label = "click"\n', "") + rows)
    assert job_columns(job) == {"click": pa.int64(), "price": pa.float64()}
