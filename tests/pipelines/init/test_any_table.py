"""Any table, written as records, becomes a job that loads and counts every one of them."""

import json
import math
import tempfile
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sparsewatch.pipelines.ctr.settings import CtrJob
from sparsewatch.pipelines.job.job_file import load_job
from sparsewatch.pipelines.job.ready import ready
from sparsewatch.testing import FakeBroker
from sparsewatch.transforms.codecs.arrow import encode_arrow
from sparsewatch.transforms.codecs.decode import decode
from tests.pipelines.init.topics import START_MS, drafted, write

_SCALARS: dict[str, st.SearchStrategy[Any]] = {
    "int": st.integers(-(1 << 63), (1 << 63) - 1),
    "float": st.floats(allow_nan=False, allow_infinity=False).filter(lambda x: not (math.isfinite(x) and x % 1 == 0)),
    "str": st.text(st.characters(codec="utf-8"), max_size=5),
    "bool": st.booleans(),
}
_NAMES = st.text(
    st.characters(codec="utf-8", exclude_characters='"\\', exclude_categories=["Cc"]), min_size=1, max_size=6
)


@st.composite
def tables(draw: st.DrawFn) -> tuple[dict[str, str], list[dict[str, Any]]]:
    """Types by column, and rows; each column has a value somewhere, a time and a label."""
    rows = draw(st.integers(2, 12))
    names = draw(
        st.lists(_NAMES.filter(lambda n: n[0] != "_" and n not in ("ts", "click")), min_size=1, max_size=5, unique=True)
    )
    kinds = {name: draw(st.sampled_from(list(_SCALARS))) for name in names}
    columns = {
        name: [draw(_SCALARS[kind]), *draw(st.lists(st.none() | _SCALARS[kind], min_size=rows - 1, max_size=rows - 1))]
        for name, kind in kinds.items()
    }
    made = [
        {"ts": START_MS + i * 1_000, "click": i % 2, **{name: values[i] for name, values in columns.items()}}
        for i in range(rows)
    ]
    return kinds, made


@given(tables(), st.booleans())
@settings(max_examples=60)
def test_any_table_becomes_a_job_that_counts_every_event(
    table: tuple[dict[str, str], list[dict[str, Any]]], as_arrow: bool
) -> None:
    kinds, rows = table
    with FakeBroker() as broker, tempfile.TemporaryDirectory() as folder:
        broker.create("events", 2)
        write(broker, "events", [encode_arrow(pa.Table.from_pylist(rows))] if as_arrow else rows)
        out = Path(folder) / "job.toml"
        drafted(broker, "events", out, "--kind", "ctr", "--label", "click", "--time-column", "ts")
        job = load_job(out)
        assert isinstance(job, CtrJob)
        assert {name: kind for name, kind in job.columns.items() if name != "click"} == {
            name: kind for name, kind in kinds.items() if name in job.columns
        }
        reader = broker.reader("events")
        reader.assign({0: 0, 1: 0})
        decoded = decode("events", reader.fetch(0.1, 1_000), ready(job).events)
    assert decoded.rejects == []
    assert decoded.rows.num_rows == len(rows)
    assert not decoded.wrong
    held = {json.dumps(row) for row in decoded.rows.select(list(job.columns)).to_pylist()}
    assert held == {json.dumps({name: row.get(name) for name in job.columns}) for row in rows}


def test_a_name_cannot_end_its_comment(tmp_path: Path) -> None:
    with FakeBroker() as broker:
        broker.create("events")
        evil = 'x\nkind = "rows"'
        write(broker, "events", [{"ts": START_MS + i, "click": i % 2, "a": i, evil: i, "b": evil} for i in range(9)])
        drafted(broker, "events", tmp_path / "job.toml")
    assert isinstance(load_job(tmp_path / "job.toml"), CtrJob)


@pytest.mark.parametrize("name", ["a b", "a.b", "é", "a'b", "\x7f", "#", "="])
def test_odd_names_are_quoted(name: str, tmp_path: Path) -> None:
    with FakeBroker() as broker:
        broker.create("events")
        write(broker, "events", [{"ts": START_MS + i, "click": i % 2, name: i} for i in range(9)])
        drafted(broker, "events", tmp_path / "job.toml")
    job = load_job(tmp_path / "job.toml")
    assert isinstance(job, CtrJob)
    assert list(job.columns) == ["click", name]
