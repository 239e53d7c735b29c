"""Any table, in any format, has the same cells for training, for ranking, and in the stream it is published to."""

import csv
import json
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sparsewatch.pipelines.job.job_file import load_job
from sparsewatch.pipelines.job.kind import Job
from sparsewatch.pipelines.publish.command import Plan, records_of
from sparsewatch.pipelines.publish.event_files import TimeRule, open_events, read_events
from sparsewatch.pipelines.rank.inputs import InputSettings, open_input
from sparsewatch.pipelines.tables.settings import Reading, TableSettings
from sparsewatch.pipelines.tables.table import open_table
from sparsewatch.pipelines.tables.values import as_type, finite_rows
from sparsewatch.schemas.jobs import SourceSettings
from sparsewatch.transforms.codecs.decode import decode
from sparsewatch.transforms.codecs.events import EventColumns, EventSchema, event_schema
from sparsewatch.transforms.records import Fetched

KINDS = {"s": "str", "i": "int", "f": "float", "b": "bool", "click": "int"}
TYPES = {"s": pa.string(), "i": pa.int64(), "f": pa.float64(), "b": pa.bool_(), "click": pa.int64()}
JOB = """
kind = "ctr"
name = "any"
label = "click"
[kafka]
bootstrap_servers = ["localhost:9092"]
[source]
topic = "any"
time_column = "time"
missing = {missing}
[windows]
length = "1m"
[columns]
"""
MISSING = ("NA", "-")
WORDS = [
    "NA",
    "-",
    "null",
    "nan",
    "inf",
    "007",
    "1.0",
    "+5",
    "1e3",
    "0x1F",
    "9" * 20,
    "true",
    "2026-01-02",
    "1,5",
    "{}",
]
TEXT = st.one_of(
    st.sampled_from(WORDS), st.text(st.characters(codec="utf-8", exclude_characters="\r\x00\ufeff"), max_size=5)
)
ROW = st.fixed_dictionaries(
    {
        "s": st.none() | TEXT,
        "i": st.none() | st.integers(-(2**63), 2**63 - 1),
        "f": st.none() | st.floats(allow_nan=False, allow_infinity=False),
        "b": st.none() | st.booleans(),
        "click": st.integers(0, 1),
    }
)
ROWS = st.lists(ROW.map(lambda row: {name: row[name] for name in KINDS}), min_size=1, max_size=12)


def write(path: Path, rows: list[dict[str, Any]]) -> None:
    timed = [{"time": 1_767_225_600_000 + i, **row} for i, row in enumerate(rows)]
    if path.suffix == ".parquet":
        pq.write_table(pa.Table.from_pylist(timed, pa.schema([("time", pa.int64()), *TYPES.items()])), path)
    elif path.suffix == ".jsonl":
        path.write_text("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in timed))
    else:
        with path.open("w", newline="") as file:
            writer = csv.writer(file)
            writer.writerow(timed[0])
            writer.writerows([csv_text(value) for value in row.values()] for row in timed)


def csv_text(value: Any) -> str:
    return "" if value is None else repr(value) if isinstance(value, float) else str(value)


def trained(path: Path, reading: Reading, types: dict[str, pa.DataType]) -> pa.Table:
    table = open_table([path], TableSettings(columns=tuple(TYPES), types=types, reading=reading))
    return pa.Table.from_batches(table.pieces(), table.schema)


def streamed(path: Path, reading: Reading, job: Job | None, schema: EventSchema, coding: Any) -> pa.Table:
    """What a job reads of what `publish` writes."""
    rule = TimeRule(column="time")
    batches = list(read_events(open_events(path, job=job, rule=rule, reading=reading), rule))
    plan = Plan(topic="any", partitions=1, format=coding, rows_per_record=5)
    records = [record for batch in batches for record in records_of(batch, plan, 0, 0)]
    n = len(records)
    values, headers = [value for _, _, value, _ in records], [headers for _, _, _, headers in records]
    fetched = Fetched(0, list(range(n)), [1_767_225_700_000] * n, [*values], headers, lambda _: None, n)
    decoded = decode("any", [fetched], schema)
    assert decoded.rejects == []
    return pa.table(decoded.rows).select(list(TYPES))


def ranked(path: Path, reading: Reading, types: dict[str, pa.DataType]) -> pa.Table:
    """What `rank` counts: texts of a CSV are brought to the types of the others."""
    rows = pa.Table.from_batches(open_input(path, InputSettings(reading=reading)).batches()).unify_dictionaries()
    columns = [as_type(rows[name].combine_chunks(), types[name]) for name in TYPES]
    # `rank` counts `nan` and `inf` of a CSV as the texts they are.
    return pa.table(
        finite_rows(pa.record_batch([pl.Series(column).to_arrow() for column in columns], list(TYPES))).rows
    )


def cells(table: pa.Table) -> list[list[Any]]:
    return [[row[name] for name in TYPES] for row in table.to_pylist()]


@pytest.mark.parametrize("coding", ["json", "arrow"])
@pytest.mark.parametrize("name", ["x.csv", "x.jsonl", "x.parquet"])
@settings(max_examples=20, deadline=None)
@given(ROWS, st.booleans())
def test_with_a_job_all_views_hold_the_cells_written(
    name: str, coding: str, rows: list[dict[str, Any]], named: bool
) -> None:
    missing = MISSING if named else ()
    expected = [list(row.values()) for row in rows]
    for row in expected:
        row[0] = None if row[0] in missing or (row[0] == "" and name == "x.csv") else row[0]
    with TemporaryDirectory() as folder:
        path, job_file = Path(folder) / name, Path(folder) / "job.toml"
        columns = "".join(f'{column} = "{kind}"\n' for column, kind in KINDS.items())
        job_file.write_text(JOB.format(missing=json.dumps(missing)) + columns)
        job = load_job(job_file)
        schema = event_schema(job.source, job.event_columns())
        write(path, rows)
        reading = Reading(missing=missing)
        assert cells(trained(path, reading, TYPES)) == expected
        assert cells(streamed(path, Reading(), job, schema, coding)) == expected
        assert cells(ranked(path, reading, TYPES)) == expected


@pytest.mark.parametrize("name", ["x.csv", "x.jsonl", "x.parquet"])
@settings(max_examples=20, deadline=None)
@given(ROWS)
def test_without_a_job_all_views_agree_on_the_types_found(name: str, rows: list[dict[str, Any]]) -> None:
    with TemporaryDirectory() as folder:
        path = Path(folder) / name
        write(path, rows)
        table = trained(path, Reading(), {})
        types = dict(zip(table.schema.names, table.schema.types, strict=True))
        fields = [pa.field(column, pa.string() if pa.types.is_null(kind) else kind) for column, kind in types.items()]
        schema = event_schema(SourceSettings(topic="any", time_column="time"), EventColumns(fields))
        assert cells(streamed(path, Reading(), None, schema, "json")) == cells(table)
        assert cells(ranked(path, Reading(), types)) == cells(table)
