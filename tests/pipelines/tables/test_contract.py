"""The same rows in any format give the same table at the door of every command that reads tables."""

import gzip
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import polars as pl
import pyarrow as pa
import pytest
from click.testing import CliRunner

from sparsewatch.detectors.clicks.reference import Reference
from sparsewatch.pipelines.job.job_file import load_job
from sparsewatch.pipelines.publish.event_files import TimeRule, open_events, read_events
from sparsewatch.pipelines.rank.command import rank
from sparsewatch.pipelines.retrain.collect import collect_files
from sparsewatch.pipelines.tables.settings import Reading, TableSettings
from sparsewatch.pipelines.train.file_sample import read_sample
from sparsewatch.pipelines.train.reference import train_reference
from sparsewatch.pipelines.train.rows import train_rows

START = 1_767_225_600_000
ROWS = 3_000
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
site = "str"
zip = "str"
price = "float"
ad = "int"
click = "int"
"""
SITES = ["NA", "null", "-", "d'or", "a,b", "ü", None]


def expected() -> pl.DataFrame:
    return pl.DataFrame(
        {
            "time": [START + 100 * i for i in range(ROWS)],
            "site": [SITES[i * i % 7] for i in range(ROWS)],
            "zip": [f"{i * 7 % 90:05}" for i in range(ROWS)],
            "price": [None if i % 11 == 0 else i % 13 / 4 for i in range(ROWS)],
            "ad": [None if i % 17 == 0 else i % 5 for i in range(ROWS)],
            "click": [int(i % 7 == 0 or i % 5 == 2) for i in range(ROWS)],
        }
    )


def _csv(folder: Path, name: str, separator: str = ",") -> None:
    expected().write_csv(folder / name, separator=separator)


def _marked_csv(folder: Path, name: str) -> None:
    _csv(folder, name)
    (folder / name).write_bytes(b"\xef\xbb\xbf" + (folder / name).read_bytes())


def _json(folder: Path, name: str) -> None:
    lines = [{key: value for key, value in row.items() if value is not None} for row in expected().to_dicts()]
    (folder / name).write_text("\n".join(map(json.dumps, lines)))


def _halves(folder: Path, name: str) -> None:
    (folder / name).mkdir()
    expected()[: ROWS // 2].write_csv(folder / name / "1.csv")
    expected()[ROWS // 2 :].select(reversed(expected().columns)).write_csv(folder / name / "2.csv")
    (folder / name / "_SUCCESS").touch()


WRITERS: dict[str, Callable[[Path, str], Any]] = {
    "rows.parquet": lambda folder, name: expected().write_parquet(folder / name, row_group_size=700),
    "rows.csv": _csv,
    "rows.tsv": lambda folder, name: _csv(folder, name, "\t"),
    "rows.jsonl": _json,
    "rows.ndjson": _json,
}
#: File by name, and what writes it.
FORMATS = {
    **{name: (name, "", writer) for name, writer in WRITERS.items()},
    **{
        f"{name}{pack}": (name, pack, WRITERS[name])
        for name in ("rows.parquet", "rows.csv", "rows.jsonl")
        for pack in (".gz", ".zst")
    },
    "with a byte order mark": ("rows.csv", "", _marked_csv),
    "Parquet named .csv": ("rows.csv", "", WRITERS["rows.parquet"]),
    "JSON lines named .csv": ("rows.csv", "", _json),
    "JSON lines named .parquet": ("rows.parquet", "", _json),
    "gzip named .csv": ("rows.csv", "hidden", _csv),
}


@pytest.fixture(params=[*FORMATS, "a folder"])
def written(tmp_path: Path, request: pytest.FixtureRequest) -> Path:
    """The rows of `expected` in some format."""
    if request.param == "a folder":
        _halves(tmp_path, "rows")
        return tmp_path / "rows"
    name, pack, writer = FORMATS[request.param]
    writer(tmp_path, name)
    path = tmp_path / name
    if not pack:
        return path
    data = path.read_bytes()
    path.unlink()
    packed = path if pack == "hidden" else path.with_name(name + pack)
    packed.write_bytes(pa.compress(data, "zstd", asbytes=True) if pack == ".zst" else gzip.compress(data))
    return packed


@pytest.fixture
def job(tmp_path: Path) -> Path:
    path = tmp_path / "job.toml"
    path.write_text(JOB)
    return path


@pytest.fixture
def plain(tmp_path: Path) -> Path:
    """The rows as Parquet, under the name that the other files have."""
    path = tmp_path / "plain" / "rows.parquet"
    path.parent.mkdir()
    expected().write_parquet(path)
    return path


def invoke(command: Any, *arguments: object) -> str:
    return CliRunner().invoke(command, [str(a) for a in arguments], catch_exceptions=False).stdout


def in_order(table: pa.Table) -> list[dict[str, Any]]:
    """Rows in an order of their own: samples know rows by file and place."""
    return pl.DataFrame(table).sort(pl.all()).to_dicts()


def test_rank_finds_the_same(written: Path, plain: Path) -> None:
    def ranking(path: Path) -> Any:
        found = json.loads(invoke(rank, path, "--label", "click", "--features", "site,zip,ad", "--format", "json"))
        assert (found["rows"], found["rejected"]) == (ROWS, {})
        return found["ranking"]

    assert ranking(written) == ranking(plain)


def test_rank_sees_a_table_as_a_job_does(written: Path, plain: Path, job: Path) -> None:
    found = [json.loads(invoke(rank, path, "--job", job, "--format", "json")) for path in (written, plain)]
    assert found[0]["ranking"] == found[1]["ranking"]
    assert {one["feature"]: one["cardinality"] for one in found[0]["ranking"]} == {
        "site": 4,
        "zip": 90,
        "price": 13,
        "ad": 5,
    }


@pytest.mark.parametrize("door", ["columns", "job"])
def test_train_rows_keeps_the_same(written: Path, job: Path, tmp_path: Path, door: str) -> None:
    columns = ["site", "price", "ad"] if door == "columns" else ["site", "zip", "price", "ad"]
    asked = ("--columns", ",".join(columns)) if door == "columns" else ("--job", job)
    invoke(train_rows, written, *asked, "--sample-out", tmp_path / "rows.sample", "--sample-rows", ROWS)
    kept = read_sample(tmp_path / "rows.sample").table()
    assert in_order(kept.select(columns)) == in_order(expected().select(columns).to_arrow())


def test_train_reference_learns_the_same(written: Path, plain: Path, job: Path, tmp_path: Path) -> None:
    references = []
    for path in (written, plain):
        output = invoke(train_reference, job, path, "--out", tmp_path / "reference")
        assert "0 rows without a usable time or label" in output
        references.append(Reference.load(tmp_path / "reference"))
    assert references[0].features == references[1].features
    assert references[0].volume == references[1].volume


def test_publish_sends_the_same(written: Path, job: Path) -> None:
    rule = TimeRule(column="time")
    events = open_events(written, job=load_job(job), rule=rule)
    assert pl.concat(read_events(events, rule)).select(expected().columns).equals(expected())


def test_retraining_from_files_takes_the_same(written: Path) -> None:
    types = {"site": pa.string(), "zip": pa.string(), "price": pa.float64()}
    settings = TableSettings(columns=tuple(types), types=types)
    found = collect_files([written], settings, ROWS, 0, hold_out=False)
    assert in_order(found.table) == in_order(expected().select(list(types)).to_arrow())


def test_retraining_counts_and_tells_what_it_leaves_out(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("a,b\n" + "1,-\n" * 50 + "1,inf\n1\n")
    settings = TableSettings(columns=("b",), types={"b": pa.float64()}, reading=Reading(missing=("-",)))
    found = collect_files([tmp_path / "a.csv"], settings, 100, 0, hold_out=False)
    left_out = "left out: 1 row, too few fields; column 'b': 1 infinite value read as missing"
    assert found.summary == f"51 rows of 51 in 1 file; {left_out}"
    assert found.table["b"].null_count == 51
