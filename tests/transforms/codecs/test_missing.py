"""Texts that stand for a missing value, in the records of a stream as in files."""

import json
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import settings as examples
from hypothesis import strategies as st

from sparsewatch.pipelines.tables.settings import Reading, TableSettings
from sparsewatch.pipelines.tables.table import open_table
from sparsewatch.schemas.jobs import SourceSettings
from sparsewatch.transforms.codecs.arrow import encode_arrow
from sparsewatch.transforms.codecs.decode import ARROW_TYPE, decode
from sparsewatch.transforms.codecs.events import EventColumns, event_schema, named_fields
from sparsewatch.transforms.codecs.missing import nulls_for_missing
from sparsewatch.transforms.records import Fetched

pytestmark = pytest.mark.usefixtures("json_reader")

SYMBOLS = ("NA", "-", "caf\xe9", 'a"b', "\\N", "")
TEXT = st.one_of(st.sampled_from([*SYMBOLS, ": ", ', "x": "-"', '"', "\\", '\\"-"', ":"]), st.text(max_size=6))
VALUE = st.one_of(TEXT, st.integers(), st.none(), st.booleans(), st.lists(TEXT, max_size=3))


@examples(max_examples=400)
@given(st.dictionaries(TEXT, VALUE, max_size=5), st.booleans(), st.sampled_from([None, 1]))
def test_only_whole_values_of_fields_become_null(event: dict[str, Any], coded: bool, indent: int | None) -> None:
    text = json.dumps(event, ensure_ascii=coded, indent=indent).encode()
    expected = {key: None if isinstance(value, str) and value in SYMBOLS else value for key, value in event.items()}
    assert json.loads(nulls_for_missing(text, SYMBOLS)) == expected


def test_texts_that_look_like_structure_change_nothing() -> None:
    text = b'{"a": ",", "b": "x: ","c": "}"}'
    assert nulls_for_missing(text, (",", "}", ":", "]", " ,")) == text
    assert nulls_for_missing(text, ()) == text


def decoded(values: list[bytes], **source: Any) -> Any:
    schema = event_schema(
        SourceSettings(topic="t", time_column="t", **source),
        EventColumns(named_fields({"site": "str", "temp": "float", "flag": "bool"}), lenient=("site", "temp", "flag")),
    )
    n = len(values)
    headers = [[] if value.startswith(b"{") else [("content-type", ARROW_TYPE)] for value in values]
    return decode("t", [Fetched(0, list(range(n)), [5] * n, [*values], [*headers], lambda _: None, n)], schema)


@pytest.mark.parametrize("missing", [[], ["NA", "-"]])
def test_a_jobs_missing_texts_are_missing_in_its_stream_and_in_its_files(tmp_path: Path, missing: list[str]) -> None:
    events: list[dict[str, Any]] = [
        {"t": 1, "site": "NA", "temp": 1.5, "flag": None},
        {"t": 2, "site": "x", "temp": "-", "flag": "NA"},
        {"t": 3, "site": "", "temp": 2.5, "flag": True},
    ]
    stream = decoded([json.dumps(event).encode() for event in events], missing=missing)
    sites = dict(zip(stream.rows["t"].to_pylist(), stream.rows["site"].to_pylist(), strict=True))
    assert (sites[1], sites[3]) == (None if missing else "NA", "")
    if not missing:
        return
    assert (stream.rejects, stream.rows["temp"].to_pylist()) == ([], [1.5, None, 2.5])
    (tmp_path / "x.jsonl").write_text("\n".join(map(json.dumps, events)))
    table = open_table([tmp_path / "x.jsonl"], TableSettings(reading=Reading(missing=tuple(missing))))
    rows = pa.Table.from_batches(table.pieces(), table.schema)
    assert rows.to_pydict() == stream.rows.select(rows.column_names).to_pydict()


def test_texts_of_arrow_records_are_missing_whatever_the_type_of_their_column() -> None:
    texts = pa.table({"t": [1, 2, 3], "site": ["x"] * 3, "temp": ["-", "1.5", None], "flag": [True, None, False]})
    found = decoded([encode_arrow(texts)], missing=["NA", "-"])
    assert (found.rejects, found.rows["temp"].to_pylist()) == ([], [None] * 3)
    assert found.wrong["temp"].rows.tolist() == [1]


@pytest.mark.parametrize(("missing", "wrong"), [([], [1, 2, 3]), (["NaN"], [2, 3])])
def test_nan_is_a_value_of_no_type_unless_it_is_the_jobs_word_for_missing(missing: list[str], wrong: list[int]) -> None:
    temps = [1.5, float("nan"), float("inf"), float("-inf")]
    events = [json.dumps({"t": i, "site": "x", "temp": temp, "flag": None}).encode() for i, temp in enumerate(temps)]
    rows = pa.table({"t": range(4), "site": ["x"] * 4, "temp": temps, "flag": pa.nulls(4, pa.bool_())})
    for records in (events, [encode_arrow(rows)]):
        found = decoded(records, missing=missing)
        assert (found.rejects, found.rows["temp"].to_pylist()) == ([], [1.5, None, None, None])
        assert found.wrong["temp"].rows.tolist() == wrong
    only = decoded(events[:2], missing=["nan"])
    assert (only.rows["temp"].to_pylist(), only.wrong) == ([1.5, None], {})


def test_texts_of_arrow_records_are_missing_as_well() -> None:
    rows = pa.table({"t": [1, 2], "site": ["NA", "x"], "temp": [1.5, None], "flag": [True, None]})
    assert decoded([encode_arrow(rows)], missing=["NA"]).rows["site"].to_pylist() == [None, "x"]
