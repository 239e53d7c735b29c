"""Records become columns: types by the rule of files, formats by their bytes, what no job can have with a reason."""

import json
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from sparsewatch.pipelines.init.records import sample_of_records
from sparsewatch.pipelines.init.sample import words_of
from sparsewatch.schemas.errors import SchemaError
from sparsewatch.transforms.codecs.arrow import encode_arrow
from sparsewatch.transforms.records import Fetched, Headers
from tests.pipelines.init.topics import sampled


def run(values: list[bytes | None], headers: list[Headers] | None = None) -> Fetched:
    n = len(values)
    return Fetched(0, np.arange(n), np.arange(n), values, headers or (), lambda _: None, n)


def test_types_hold_all_values_and_else_most() -> None:
    rows: list[dict[str, Any]] = [
        {"i": 1, "f": 1, "s": "a", "b": True, "mixed": 3, "big": 1 << 63},
        {"i": 2, "f": 2.5, "s": "b", "b": False, "mixed": "n/a", "big": 1},
        {"i": None, "f": 3, "s": None, "b": True, "mixed": 4.0, "big": 2},
    ]
    sample = sampled(rows)
    assert {name: column.kind for name, column in sample.columns.items()} == {
        "i": "int",
        "f": "float",
        "s": "str",
        "b": "bool",
        "mixed": "float",
        "big": "float",
    }
    mixed = sample.columns["mixed"]
    assert (mixed.values.to_pylist(), mixed.mistyped, mixed.example) == ([3.0, None, 4.0], 1, "'n/a'")


def test_what_no_job_can_have_is_named_with_its_reason() -> None:
    rows = [{"a": 1, "o": {"x": i}, "l": [i], "n": None, "_x": 1, 'q"': 1, "e": []} for i in range(5)]
    why = {name: column.unfit for name, column in sampled(rows).columns.items() if column.unfit}
    assert why == {
        "o": "an object: a producer can write its fields beside the others",
        "l": "a list: a column holds one value",
        "e": "a list: a column holds one value",
        "n": "null in all events of the sample: its type is not known",
        "_x": "names that begin with '_' are reserved",
        'q"': "names are without quotes, backslashes, control characters and half surrogates",
    }


def test_ids_name_events_and_counts_and_measures_do_not() -> None:
    rng = np.random.default_rng(0)
    rows = [
        {
            "user": f"u{i}",
            "request_id": i,
            "hashed": int(rng.integers(1 << 62)),
            "position": i,
            "price": rng.random(),
            "site": f"s{i % 9}",
        }
        for i in range(500)
    ]
    ids = {name for name, column in sampled(rows).columns.items() if column.is_id}
    assert ids == {"user", "request_id", "hashed"}


def test_arrow_records_are_recognised_by_their_first_bytes() -> None:
    table = pa.table(
        {
            "t": pa.array([1, 2], pa.uint32()),
            "d": pa.array(["a", "b"]).dictionary_encode(),
            "x": pa.array([1.5, None], pa.float32()),
            "at": pa.array([0, 1], pa.timestamp("us")),
            "by": pa.array([b"x", b"y"]),
        }
    )
    sample = sample_of_records("t", [run([encode_arrow(table)] * 3)], 30)
    assert (sample.format, sample.coding, sample.undeclared) == ("arrow", "Arrow IPC", 3)
    assert (sample.events, sample.of_events) == (6, 60)
    assert sample.offsets.tolist() == [0, 0, 1, 1, 2, 2]
    kinds = {name: column.kind for name, column in sample.columns.items()}
    assert kinds == {"t": "int", "d": "str", "x": "float", "at": None, "by": None}
    assert "a producer can write whole numbers or ISO 8601" in sample.columns["at"].unfit


def test_a_header_takes_precedence_record_by_record() -> None:
    arrow = encode_arrow(pa.table({"a": [1], "b": [2.5]}))
    kind: Headers = [("content-type", b"application/vnd.apache.arrow.stream")]
    sample = sample_of_records("t", [run([b'{"a": 3}', arrow], [(), kind])], 2)
    assert (sample.format, sample.coding, sample.undeclared) == ("json", "JSON and Arrow IPC", 1)
    assert sample.columns["a"].values.to_pylist() == [3, 1]
    assert sample.columns["b"].values.to_pylist() == [None, 2.5]


@pytest.mark.parametrize(
    ("value", "says"),
    [
        (b"\x00\x00\x00\x00\x07\x02a", "Avro, Protobuf or JSON with the number of a schema"),
        (b"<event/>", "they seem to be XML"),
        (b"[1, 2]", "Expected `object`, got `array`"),
        (b"x,y", "expected one JSON object"),
        (None, "expected an event, got a record without a value"),
    ],
)
def test_where_nothing_can_be_read_the_first_fault_and_the_number_are_told(value: bytes | None, says: str) -> None:
    with pytest.raises(SchemaError, match=says) as refused:
        sample_of_records("t", [run([value] * 3)], 3)
    assert "none of 3 records looked at can be read, the first (partition 0, offset 0)" in str(refused.value)


def test_records_without_any_column_of_a_job_are_told_so() -> None:
    with pytest.raises(SchemaError, match=r"none of 2 records has a column that a job could read: 'a' .an object"):
        sample_of_records("t", [run([json.dumps({"a": {"b": 1}}).encode()] * 2)], 2)


def test_texts_for_missing_values_do_not_decide_a_type() -> None:
    values: list[bytes | None] = [b'{"a": "-"}', b'{"a": "-"}', b'{"a": 3}']
    assert sample_of_records("t", [run(values)], 3).columns["a"].kind == "str"
    column = sample_of_records("t", [run(values)], 3, ["-"]).columns["a"]
    assert (column.kind, column.values.to_pylist(), column.mistyped) == ("int", [None, None, 3], 0)


@pytest.mark.parametrize(
    ("name", "words"), [("clickTime", "click time"), ("user-ID_2", "user id 2"), ("HTTPStatus", "httpstatus"), ("", "")]
)
def test_words_of_names(name: str, words: str) -> None:
    assert " ".join(words_of(name)) == words
