"""Examples and inferences, as any model takes and gives them, to columns.

Structures (`beam.Row`, mappings, named tuples, dataclasses, msgspec structs) give a column for each field, named by the
path: `site`, `user.age`. An array gives a column for each number: `input.0`, `input.1`, …; anything else gives one
column, `input`. The output of a model is named in the same way: `output`, `output.0`, `output.label`.
"""

import dataclasses
import itertools
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, TypeAlias

import msgspec
import numpy as np
import pyarrow as pa
from apache_beam.ml.inference.base import PredictionResult

from sparsewatch.schemas.block import META, Block
from sparsewatch.schemas.errors import SchemaError
from sparsewatch.transforms.inference.stored_model import joined, rows_of

#: Numbers of one array that may become columns.
MAX_COLUMNS = 4096
#: Names of what has no fields.
INPUT, OUTPUT = "input", "output"

_Columns: TypeAlias = Iterator[tuple[str, pa.Array]]
#: Columns to make, with all beginnings of their paths; None for all.
_Wanted: TypeAlias = frozenset[str] | None


def rows_of_examples(examples: Sequence[Any], columns: Iterable[str] | None = None) -> pa.RecordBatch:
    """Single examples of one shape as rows.

    Args:
        examples: At least one.
        columns: Columns to make, as far as there are any; all if None.

    Raises:
        SchemaError: If a field is missing in some, or values cannot be a column.
    """
    return _batch(_of_examples(examples, _paths(columns)))


def rows_of_results(results: Sequence[PredictionResult], columns: Iterable[str] | None = None) -> pa.RecordBatch:
    """Examples of one shape with their inferences, as rows.

    Args:
        results: At least one; all examples are columnar, or none is. The inference of a columnar example is a
            record batch, or arrays or lists with an entry for each row.
        columns: As for `rows_of_examples`.

    Raises:
        SchemaError: As for `rows_of_examples`, or if there are not as many inferences as rows.
    """
    wanted = _paths(columns)
    if is_columnar(results[0].example):
        return _of_one_schema([_batch(_of_columnar(result, wanted)) for result in results])
    made = _of_examples([result.example for result in results], wanted)
    return _batch(itertools.chain(made, _columns(OUTPUT, [result.inference for result in results], wanted)))


def grouped(results: Iterable[PredictionResult]) -> list[list[PredictionResult]]:
    """Results in groups whose examples have one shape, and whose inferences have one: mostly a single group."""
    groups: dict[Any, list[PredictionResult]] = {}
    for result in results:
        groups.setdefault((_shape(result.example), _shape(result.inference)), []).append(result)
    return list(groups.values())


def n_rows(example: Any) -> int:
    """Rows of an example."""
    return int(rows_of(example).num_rows) if is_columnar(example) else 1


def is_columnar(example: Any) -> bool:
    """Whether an example holds many rows as columns."""
    return isinstance(example, pa.RecordBatch | Block)


def _shape(value: Any) -> Any:
    """What values must share to become the same columns; hashable."""
    if is_columnar(value):
        return rows_of(value).schema
    if isinstance(value, str | int | float | None):
        return None
    if (fields := _fields(value)) is not None:
        return tuple(fields)
    return len(value) if isinstance(value, list | tuple) else getattr(value, "shape", None)


def _of_columnar(result: PredictionResult, wanted: _Wanted) -> _Columns:
    rows = rows_of(result.example)
    ours = {field.name for field in META} if isinstance(result.example, Block) else set()
    for name, column in zip(rows.schema.names, rows.columns, strict=True):
        if name not in ours and _is_wanted(name, wanted):
            yield name, column
    for name, column in _entries(OUTPUT, result.inference, wanted):
        if len(column) != rows.num_rows:
            raise SchemaError(f"{name}: expected {rows.num_rows} entries, one for each row, got {len(column)}")
        yield name, column


def _of_examples(examples: Sequence[Any], wanted: _Wanted) -> _Columns:
    return _columns("" if _fields(examples[0]) is not None else INPUT, examples, wanted)


def _columns(path: str, values: Sequence[Any], wanted: _Wanted) -> _Columns:
    """Columns of values, one a row."""
    if not _is_wanted(path, wanted):
        return
    first = values[0]
    if _fields(first) is not None:
        yield from _of_structures(path, [_fields(value) for value in values], wanted)
    elif isinstance(first, list | tuple) or (hasattr(first, "__array__") and not isinstance(first, np.generic)):
        yield from _matrix(path, _stacked(path, values), wanted)
    else:
        yield path, _array(path, values)


def _of_structures(path: str, rows: Sequence[Mapping[Any, Any] | None], wanted: _Wanted) -> _Columns:
    for field in rows[0] or {}:
        inner = f"{path}.{field}" if path else str(field)
        if not _is_wanted(inner, wanted):
            continue
        if not all(row is not None and field in row for row in rows):
            raise SchemaError(f"expected a field {inner!r} in every example, at least one lacks it")
        yield from _columns(inner, [row[field] for row in rows if row is not None], wanted)


def _entries(path: str, value: Any, wanted: _Wanted) -> _Columns:
    """Columns of what holds an entry for each row."""
    if not _is_wanted(path, wanted):
        return
    if (fields := _fields(value)) is not None:
        for name, inner in fields.items():
            yield from _entries(f"{path}.{name}", inner, wanted)
    elif isinstance(value, list | tuple):
        yield from _columns(path, value, wanted) if value else [(path, pa.nulls(0))]
    elif isinstance(value, pa.ChunkedArray):
        yield path, value.combine_chunks()
    elif isinstance(value, pa.Array):
        yield path, value
    elif hasattr(value, "__array__") and np.ndim(value):
        yield from _matrix(path, np.asarray(value), wanted)
    else:
        raise SchemaError(f"{path}: expected an entry for each row of the example, got {type(value).__name__}")


def _matrix(path: str, numbers: np.ndarray, wanted: _Wanted) -> _Columns:
    """Columns of an array, shape (n, ...)."""
    if numbers.dtype.kind not in "biuf":
        raise SchemaError(f"{path}: expected arrays of numbers, got {numbers.dtype}")
    flat = numbers.reshape(len(numbers), -1)
    if flat.shape[1] > MAX_COLUMNS:
        raise SchemaError(f"{path}: expected at most {MAX_COLUMNS} numbers an example, got {flat.shape[1]}")
    names = [path] if numbers.ndim == 1 else [f"{path}.{i}" for i in range(flat.shape[1])]
    for i, name in enumerate(names):
        if _is_wanted(name, wanted):
            yield name, pa.array(flat[:, i])


def _stacked(path: str, values: Sequence[Any]) -> np.ndarray:
    try:
        return np.stack([np.asarray(value) for value in values])
    except (ValueError, TypeError, RuntimeError) as error:
        raise SchemaError(f"{path}: expected arrays of one shape in CPU memory: {error}") from error


def _array(path: str, values: Sequence[Any]) -> pa.Array:
    try:
        return pa.array(values)
    except (pa.ArrowException, TypeError, ValueError, OverflowError) as error:
        raise SchemaError(f"{path}: expected values of one type: {error}") from error


def _of_one_schema(batches: Sequence[pa.RecordBatch]) -> pa.RecordBatch:
    try:
        return joined(batches)
    except pa.ArrowInvalid as error:
        raise SchemaError(f"expected batches of the same columns: {error}") from error


def _batch(columns: Iterable[tuple[str, pa.Array]]) -> pa.RecordBatch:
    made = list(columns)
    names = [name for name, _ in made]
    if len(set(names)) < len(names):
        raise SchemaError(f"expected distinct columns, got {', '.join(n for n in set(names) if names.count(n) > 1)}")
    return pa.record_batch([column for _, column in made], names=names)


def _fields(value: Any) -> Mapping[Any, Any] | None:
    """Fields of a structure; None for anything else."""
    if isinstance(value, Mapping):
        return value
    if hasattr(value, "_asdict"):
        fields: Mapping[Any, Any] = value._asdict()
        return fields
    if isinstance(value, pa.RecordBatch | pa.Table):
        return dict(zip(value.schema.names, value.columns, strict=True))
    if isinstance(value, msgspec.Struct):
        return msgspec.structs.asdict(value)
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {field.name: getattr(value, field.name) for field in dataclasses.fields(value)}
    return None


def _paths(columns: Iterable[str] | None) -> _Wanted:
    if columns is None:
        return None
    parts = [name.split(".") for name in columns]
    return frozenset(".".join(path[:depth]) for path in parts for depth in range(len(path) + 1))


def _is_wanted(path: str, wanted: _Wanted) -> bool:
    return wanted is None or path in wanted
