from dataclasses import dataclass
from typing import Any, NamedTuple

import apache_beam as beam
import msgspec
import numpy as np
import pyarrow as pa
import pytest
import torch
from apache_beam.ml.inference.base import PredictionResult

from sparsewatch.schemas.block import META, Block, Span
from sparsewatch.schemas.errors import SchemaError
from sparsewatch.transforms.inference import examples
from sparsewatch.transforms.inference.examples import grouped, rows_of_examples, rows_of_results


class Pair(NamedTuple):
    amount: float
    site: str


@dataclass
class Said:
    label: str
    score: float


class Struct(msgspec.Struct):
    amount: float
    site: str


def columns(found: pa.RecordBatch) -> dict[str, list[Any]]:
    return {name: column.to_pylist() for name, column in zip(found.schema.names, found.columns, strict=True)}


@pytest.mark.parametrize(
    "example",
    [
        beam.Row(amount=1.5, site="a"),
        {"amount": 1.5, "site": "a"},
        Pair(1.5, "a"),
        Struct(1.5, "a"),
        pa.scalar({"amount": 1.5, "site": "a"}).as_py(),
    ],
)
def test_structures_of_any_kind_give_a_column_a_field(example: Any) -> None:
    assert columns(rows_of_examples([example, example])) == {"amount": [1.5, 1.5], "site": ["a", "a"]}


@pytest.mark.parametrize("number", [3.0, np.float32(3), 3])
def test_numbers_texts_and_nulls_are_one_column(number: Any) -> None:
    assert columns(rows_of_examples([number, None])) == {"input": [3, None]}
    assert columns(rows_of_examples(["a", None])) == {"input": ["a", None]}


@pytest.mark.parametrize("vector", [np.array([1.0, 2.0]), torch.tensor([1.0, 2.0]), [1.0, 2.0], (1, 2)])
def test_arrays_give_a_column_a_number(vector: Any) -> None:
    assert columns(rows_of_examples([vector, vector])) == {"input.0": [1, 1], "input.1": [2, 2]}


def test_what_comes_out_stands_beside_what_went_in_under_its_path() -> None:
    results = [
        PredictionResult({"user": {"age": 3}}, Said("spam", 0.5)),
        PredictionResult({"user": {"age": 4}}, Said("ham", 0.1)),
    ]
    assert columns(rows_of_results(results)) == {
        "user.age": [3, 4],
        "output.label": ["spam", "ham"],
        "output.score": [0.5, 0.1],
    }
    torch_like = [PredictionResult(torch.zeros(1), torch.tensor(0.5)), PredictionResult(torch.ones(1), torch.tensor(1))]
    assert columns(rows_of_results(torch_like)) == {"input.0": [0, 1], "output": [0.5, 1]}
    logits = [PredictionResult("text", {"logits": np.array([[0.5, 2.0]])})]
    assert columns(rows_of_results(logits)) == {"input": ["text"], "output.logits.0": [0.5], "output.logits.1": [2.0]}


@pytest.mark.parametrize(
    ("inference", "expected"),
    [
        (np.array([0.5, 1.0]), {"output": [0.5, 1]}),
        ([0.5, 1.0], {"output": [0.5, 1]}),
        (pa.chunked_array([[0.5], [1.0]]), {"output": [0.5, 1]}),
        (pa.record_batch({"p": [0.5, 1.0]}), {"output.p": [0.5, 1]}),
        ({"p": np.array([[1, 2], [3, 4]])}, {"output.p.0": [1, 3], "output.p.1": [2, 4]}),
        ({"q": ["x", "y"]}, {"output.q": ["x", "y"]}),
    ],
)
def test_columnar_examples_have_an_entry_a_row(inference: Any, expected: dict[str, Any]) -> None:
    rows = pa.record_batch({"x": [7, 8]})
    assert columns(rows_of_results([PredictionResult(rows, inference)])) == {"x": [7, 8]} | expected
    twice = rows_of_results([PredictionResult(rows, inference)] * 2)
    assert twice.num_rows == 4
    meta = [pa.array([0, 0], field.type) for field in META]
    block = Block((Span("t", 0, 0, 2),), pa.record_batch([*rows.columns, *meta], names=["x", *(f.name for f in META)]))
    assert columns(rows_of_results([PredictionResult(block, inference)])) == {"x": [7, 8]} | expected


def test_only_the_columns_asked_for_are_made() -> None:
    example = {"a": 1, "b": object(), "user": {"age": 3, "name": object()}, "v": np.arange(5_000)}
    result = PredictionResult(example, {"label": "x", "why": ["long", "list"]})
    wanted = ["a", "user.age", "output.label", "absent"]
    assert columns(rows_of_results([result], wanted)) == {"a": [1], "user.age": [3], "output.label": ["x"]}
    rows = pa.record_batch({"x": [7], "y": [1]})
    assert columns(rows_of_results([PredictionResult(rows, {"p": [1], "q": 3})], ["x", "output.p"])) == {
        "x": [7],
        "output.p": [1],
    }


@pytest.mark.parametrize(
    ("results", "message"),
    [
        ([({"a": 1}, 0), ({"b": 1}, 0)], "expected a field 'a' in every example"),
        ([({"a": 1}, 0), ({"a": "x"}, 0)], "a: expected values of one type"),
        ([({"a": 1}, np.zeros(2)), ({"a": 1}, np.zeros(3))], "output: expected arrays of one shape"),
        ([({"a": 1}, ["x", "y"])], "output: expected arrays of numbers"),
        ([({"output": 1}, 0)], "expected distinct columns, got output"),
        ([(np.zeros(5_000), 0)], "input: expected at most 4096 numbers an example, got 5000"),
        ([(pa.record_batch({"a": [1, 2]}), [1])], "output: expected 2 entries, one for each row, got 1"),
        ([(pa.record_batch({"a": [1, 2]}), 1)], "output: expected an entry for each row of the example, got int"),
        ([(pa.record_batch({"a": [1]}), [1]), (pa.record_batch({"b": [1]}), [1])], "expected batches of the same"),
    ],
)
def test_what_cannot_be_columns_is_refused_by_name(results: list[Any], message: str) -> None:
    with pytest.raises(SchemaError, match=message):
        rows_of_results([PredictionResult(*result) for result in results])


def test_results_are_grouped_by_their_shapes() -> None:
    kinds = [{"a": 1}, {"b": 1}, np.zeros(2), np.zeros(3), "text", 1.0, pa.record_batch({"a": [1]}), [1, 2]]
    results = [PredictionResult(kind, 0) for kind in kinds * 2]
    assert [len(group) for group in grouped(results)] == [2, 2, 2, 2, 4, 2, 2]
    assert len(grouped([PredictionResult(1, 0), PredictionResult(1, {"p": 1})])) == 2


def test_an_array_may_have_as_many_numbers_as_stated() -> None:
    assert rows_of_examples([np.zeros(examples.MAX_COLUMNS)]).num_columns == examples.MAX_COLUMNS
