from collections.abc import Sequence
from pathlib import Path

import numpy as np
import polars as pl
import pyarrow as pa
import pytest
from click.testing import CliRunner

from sparsewatch.detectors.clicks.reference import Reference
from sparsewatch.detectors.counts.number_bins import NumberBins
from sparsewatch.detectors.counts.row_sample import DEFAULT_SAMPLE_ROWS
from sparsewatch.pipelines.train.reference import train_reference
from sparsewatch.pipelines.train.windowed_counts import WindowedCounts
from sparsewatch.schemas.errors import ConfigError, SchemaError

WINDOW_US = 60_000_000
JOB = """
kind = "ctr"
name = "clicks"
label = "click"
columns = { click = "int", word = "str", number = "int" }
kafka.bootstrap_servers = ["localhost:9092"]
source = { topic = "clicks", time_column = "time", time_format = "FORMAT" }
windows.length = "1m"
"""


def fit_reference_from_table(
    table: pa.Table,
    time_column_us: str,
    window_us: int,
    features: Sequence[str],
    label: str,
    sample_rows: int = DEFAULT_SAMPLE_ROWS,
) -> Reference:
    """A reference of a table, without a file and a job."""
    counts = WindowedCounts(window_us, features, label, sample_rows)
    for rows in table.to_batches():
        counts.add(rows, rows.column(time_column_us).to_numpy())
    return counts.reference()


def rows(n: int = 6_000) -> pl.DataFrame:
    rng = np.random.default_rng(0)
    return pl.DataFrame(
        {
            "time": rng.permutation(n) * 100_000 + 1_700_000_000_000_000,
            "word": rng.integers(0, 40, n).astype(str),
            "number": rng.integers(0, 4, n),
            "click": rng.integers(0, 2, n),
        }
    )


def write_job(folder: Path, time_format: str) -> Path:
    job = folder / "job.toml"
    job.write_text(JOB.replace("FORMAT", time_format))
    return job


def expected_volumes(frame: pl.DataFrame) -> list[int]:
    by_window = frame.group_by(pl.col("time") // WINDOW_US).len().sort("time")["len"].to_list()
    return by_window[1:-1]


def run(job: Path, *files: Path | str) -> tuple[Reference, str]:
    out = job.parent / "reference"
    command = [str(job), *map(str, files), "--out", str(out)]
    result = CliRunner().invoke(train_reference, command, catch_exceptions=False)
    assert result.exit_code == 0, result.output
    return Reference.load(out), result.output


def test_table_is_cut_into_windows_and_the_outer_ones_are_left_out() -> None:
    frame = rows()
    reference = fit_reference_from_table(frame.to_arrow(), "time", WINDOW_US, ["word", "number"], "click")
    volumes = expected_volumes(frame)
    assert reference.windows == len(volumes) == 9
    assert reference.volume.mean == pytest.approx(np.mean(volumes))
    assert set(reference.features) == {"word", "number"}


def test_bad_windows_are_left_out_and_said_so(tmp_path: Path) -> None:
    frame = rows(24_000)
    window = pl.col("time") // WINDOW_US - pl.col("time").min() // WINDOW_US
    lost = frame.filter((window != 5) | (pl.col("time") % 1_000_000 == 0))
    lost = lost.with_columns(word=pl.when(window == 9).then(pl.lit("gone")).otherwise("word"))
    file = tmp_path / "clicks.parquet"
    lost.write_parquet(file)
    reference, output = run(write_job(tmp_path, "epoch_us"), file)
    assert (reference.windows, reference.left_out) == (38, 1)
    assert {name: feature.left_out for name, feature in reference.features.items()} == {"word": 1, "number": 0}
    assert "gone" not in reference.known_values["word"]
    assert (
        "1 window left out of the reference, since the volume or the click rate is unlike that of the others" in output
    )
    assert "left out of 1 feature, where it is unlike itself: word (1 window)" in output


def test_few_windows_are_all_kept() -> None:
    frame = rows(1_500)
    reference = fit_reference_from_table(frame.to_arrow(), "time", WINDOW_US, ["word"], "click")
    assert reference.windows == frame.select((pl.col("time") // WINDOW_US).n_unique()).item() < 4


@pytest.mark.parametrize(
    ("time_format", "time"),
    [
        ("epoch_us", pl.col("time")),
        ("epoch_ms", pl.col("time") // 1_000),
        ("iso8601", pl.from_epoch("time", "us").dt.strftime("%Y-%m-%dT%H:%M:%S%.6fZ")),
        ("epoch_s", pl.from_epoch("time", "us")),
    ],
)
@pytest.mark.parametrize("suffix", [".parquet", ".csv"])
def test_files_of_any_time_format_give_the_reference_of_their_rows(
    tmp_path: Path, time_format: str, time: pl.Expr, suffix: str
) -> None:
    frame = rows()
    file = tmp_path / f"clicks{suffix}"
    written = frame.with_columns(time.alias("time"))
    written.write_csv(file) if suffix == ".csv" else written.write_parquet(file)
    reference, output = run(write_job(tmp_path, time_format), file)
    direct = fit_reference_from_table(frame.to_arrow(), "time", WINDOW_US, ["word", "number"], "click")
    assert reference.features == direct.features
    assert reference.volume == direct.volume
    assert reference.known_values["word"].equals(direct.known_values["word"])
    assert "9 windows" in output


def test_several_files_are_one_stretch(tmp_path: Path) -> None:
    frame = rows()
    files = [tmp_path / "a.parquet", tmp_path / "b.parquet"]
    frame[:2_500].write_parquet(files[0])
    frame[2_500:].write_parquet(files[1])
    reference, _ = run(write_job(tmp_path, "epoch_us"), *files)
    assert reference.volume.mean == pytest.approx(np.mean(expected_volumes(frame)))


def test_rows_the_stream_would_reject_are_left_out_and_counted(tmp_path: Path) -> None:
    frame = rows()
    bad = pl.DataFrame({"time": [None, frame["time"][0], frame["time"][0]], "click": [1, None, 7]})
    file = tmp_path / "clicks.parquet"
    pl.concat([frame, bad], how="diagonal").write_parquet(file)
    reference, output = run(write_job(tmp_path, "epoch_us"), file)
    assert reference.volume.mean == pytest.approx(np.mean(expected_volumes(frame)))
    assert "3 rows without a usable time or label" in output


def test_times_in_a_unit_that_cannot_be_theirs_are_told(tmp_path: Path) -> None:
    file = tmp_path / "clicks.parquet"
    rows().with_columns(time=pl.col("time") % 1_000_000 + 14_102_100).write_parquet(file)
    arguments = [str(write_job(tmp_path, "epoch_ms")), str(file), "--out", str(tmp_path / "reference")]
    told = CliRunner().invoke(train_reference, arguments, catch_exceptions=False).stderr
    assert "column 'time': event times lie in 1970: is the column written as epoch_ms?" in told


def test_text_of_a_csv_is_a_value_unless_it_is_named_as_missing(tmp_path: Path) -> None:
    file = tmp_path / "clicks.csv"
    word = pl.when(pl.int_range(pl.len()) % 3 == 0).then(pl.lit("NA")).otherwise(pl.col("word"))
    rows().with_columns(word=word).write_csv(file)
    job = write_job(tmp_path, "epoch_us")
    kept, _ = run(job, file)
    assert kept.features["word"].null_share.mean == 0
    missing, _ = run(job, file, "--missing", "NA")
    assert missing.features["word"].null_share.mean == pytest.approx(1 / 3, abs=0.05)


def test_wrong_input_ends_with_what_is_wrong(tmp_path: Path) -> None:
    file = tmp_path / "clicks.parquet"
    job = write_job(tmp_path, "epoch_us")
    rows().with_columns(time=pl.lit("yesterday")).write_parquet(file)
    with pytest.raises(
        SchemaError, match="expected event times as numbers, ISO 8601 or dates of one order, got 'yesterday'"
    ):
        run(job, file)
    rows().drop("word").write_parquet(file)
    with pytest.raises(ConfigError, match="word"):
        run(job, file)


def test_one_window_of_empty_tables_is_refused() -> None:
    with pytest.raises(ConfigError, match="at least one window"):
        fit_reference_from_table(
            pa.table({"time": pa.array([], pa.int64()), "x": [], "click": []}), "time", WINDOW_US, ["x"], "click"
        )


def refused(job: Path, file: Path) -> str:
    out = job.parent / "reference"
    result = CliRunner().invoke(train_reference, [str(job), str(file), "--out", str(out)])
    assert isinstance(result.exception, ConfigError)
    assert not out.exists()
    return str(result.exception)


def test_a_reference_of_a_single_window_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "clicks.parquet"
    rows().filter(pl.col("time") // WINDOW_US == pl.col("time").min() // WINDOW_US).write_parquet(file)
    assert "expected files that span at least 4 windows of 1m" in refused(write_job(tmp_path, "epoch_us"), file)


def test_a_reference_of_windows_too_small_to_find_anything_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "clicks.parquet"
    rows().gather_every(150).write_parquet(file)
    assert "not even a window without rows would be found" in refused(write_job(tmp_path, "epoch_us"), file)


def test_small_windows_and_few_windows_are_remarked_on(tmp_path: Path) -> None:
    file, job = tmp_path / "clicks.parquet", write_job(tmp_path, "epoch_us")
    rows().gather_every(10).write_parquet(file)
    _, output = run(job, file)
    assert "windows of 1m have 61 rows on average" in output
    assert "Windows 4 times as long would do" in output
    assert "9 windows: how much figures vary between windows is uncertain" in output
    assert "volume at or below 6 rows (-90%); no fall of the click rate; no missing values" in output
    rows(60_000).write_parquet(file)
    _, output = run(job, file)
    assert "uncertain" not in output


def test_numbers_that_few_bins_tell_apart_are_remarked_on(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    numbers = {"kelvin": rng.normal(290, 5, 6_000), "price": rng.lognormal(size=6_000), "flag": np.ones(6_000)}
    file, job = tmp_path / "clicks.parquet", tmp_path / "job.toml"
    rows().with_columns(**numbers).write_parquet(file)
    columns = JOB.replace("FORMAT", "epoch_us").replace(
        "number = ", 'kelvin = "float", price = "float", flag = "float", n = '
    )
    job.write_text(columns.replace(', n = "int"', ""))
    reference, output = run(job, file)
    assert reference.bins == NumberBins(("kelvin", "price", "flag"), 5)
    assert "few bins tell them apart: kelvin (" in output
    assert "price (" not in output
    job.write_text(job.read_text() + "ranking.number_bits = 12\n")
    reference, output = run(job, file)
    assert reference.known_values["kelvin"].len() > 100


def test_the_losses_that_a_reference_can_see_are_shown(tmp_path: Path) -> None:
    file = tmp_path / "clicks.parquet"
    rows(60_000).write_parquet(file)
    reference, output = run(write_job(tmp_path, "epoch_us"), file)
    assert "found in a window of 600 rows: volume at or below 499 rows (-17%); a click rate " in output
    assert "no loss of signal, since no feature has much" in output
    assert reference.window_us == WINDOW_US


def test_some_rows_are_kept_whatever_the_pieces_they_come_in(tmp_path: Path) -> None:
    frame = rows(12_000)
    whole = fit_reference_from_table(frame.to_arrow(), "time", WINDOW_US, ["word", "number"], "click", 500)
    small = frame.to_arrow().combine_chunks()
    pieces = pa.Table.from_batches(
        [batch for at in range(0, 12_000, 700) for batch in small[at : at + 700].to_batches()]
    )
    parts = fit_reference_from_table(pieces, "time", WINDOW_US, ["word", "number"], "click", 500)
    assert whole.sample is not None
    assert parts.sample is not None
    assert whole.sample.equals(parts.sample)
    # Rows of the first and the last window go with them.
    assert 400 < whole.sample.num_rows < 500
    assert whole.sample.schema.names == ["word", "number", "click"]
    loaded = Reference.load(whole.save(tmp_path)).sample
    assert loaded is not None
    assert loaded.equals(whole.sample)


def test_rows_of_windows_that_are_left_out_are_not_kept() -> None:
    frame = rows(24_000)
    window = pl.col("time") // WINDOW_US - pl.col("time").min() // WINDOW_US
    lost = frame.filter((window != 5) | (pl.col("time") % 1_000_000 == 0))
    lost = lost.with_columns(word=pl.when(window == 5).then(pl.lit("of the bad window")).otherwise("word"))
    reference = fit_reference_from_table(lost.to_arrow(), "time", WINDOW_US, ["word"], "click", 24_000)
    assert reference.left_out == 1
    assert reference.sample is not None
    assert "of the bad window" not in reference.sample.column("word").to_pylist()


def test_no_row_is_kept_where_that_is_asked_for(tmp_path: Path) -> None:
    file = tmp_path / "clicks.parquet"
    rows().write_parquet(file)
    job = write_job(tmp_path, "epoch_us")
    assert run(job, file)[0].sample is not None
    assert run(job, file, "--no-sample")[0].sample is None
