"""Rows of many columns, taken in C and by Arrow, packed, and written."""

import types
from collections.abc import Iterator
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from sparsewatch.detectors.counts import gathered
from sparsewatch.detectors.counts.gathered import gather
from sparsewatch.detectors.counts.packed_rows import Packed, rows_from_bytes, rows_to_bytes
from sparsewatch.detectors.counts.value_hashes import ARROW_TYPES
from sparsewatch.schemas.errors import StateError
from sparsewatch.schemas.stored import Format, table_to_bytes

FORMAT = Format("rows of a test")
TEXTS = st.sampled_from(["", "a", "ab", "abcde", "ü" * 4, "b" * 8, "c" * 15, "d" * 16, "e" * 17, "f" * 40])
#: Type a column comes in, its kind, and its values.
COLUMNS: list[tuple[Any, str | None, st.SearchStrategy[Any]]] = [
    (pa.string(), "str", TEXTS),
    (pa.large_string(), "str", TEXTS),
    (pa.dictionary(pa.int32(), pa.string()), "str", TEXTS),
    (pa.int64(), "int", st.integers(-(2**63), 2**63 - 1)),
    (pa.int8(), "int", st.integers(-128, 127)),
    (pa.bool_(), "int", st.booleans()),
    (pa.float64(), "float", st.floats(allow_nan=False)),
    (pa.float32(), "float", st.floats(allow_nan=False, width=32)),
    (pa.null(), None, st.none()),
]
few = settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])


@pytest.fixture(params=["in C", "by Arrow", "by Arrow beside another part in C"])
def way(request: pytest.FixtureRequest) -> Iterator[None]:
    """One of both ways."""
    if request.param == "in C" and not gathered.is_built():
        pytest.skip("the part in C is not built: make native")
    with pytest.MonkeyPatch.context() as patch:
        if request.param != "in C":
            other = types.SimpleNamespace(gather=None, INTERFACE=0)
            patch.setattr(gathered, "_gather", None if request.param == "by Arrow" else other)
        yield


def slowly(rows: pa.RecordBatch, kinds: list[str | None], places: list[int]) -> list[list[Any]]:
    """Row by row."""
    typed = [
        column if kind is None else column.cast(ARROW_TYPES[kind])
        for column, kind in zip(rows.columns, kinds, strict=True)
    ]
    return [[column[place].as_py() for place in places] for column in typed]


@pytest.mark.usefixtures("way")
@few
@given(st.data(), st.lists(st.sampled_from(COLUMNS), min_size=1, max_size=7), st.integers(0, 3))
def test_rows_are_taken_as_row_by_row(data: Any, columns: list[Any], cut: int) -> None:
    n = data.draw(st.integers(cut, 24))
    drawn = [data.draw(st.lists(st.none() | values, min_size=n, max_size=n)) for *_, values in columns]
    arrays = [pa.array(cells, arrow_type) for cells, (arrow_type, *_) in zip(drawn, columns, strict=True)]
    rows = pa.RecordBatch.from_arrays(arrays, names=[f"x{i}" for i in range(len(arrays))]).slice(cut)
    places = data.draw(st.permutations(range(n - cut)))[: data.draw(st.integers(0, n))]
    kinds = [kind for _, kind, _ in columns]
    found = gather(rows, kinds, np.array(places, np.int64))
    for column in found.columns():
        column.validate(full=True)
    assert [column.to_pylist() for column in found.columns()] == slowly(rows, kinds, places)
    assert [column.type for column in found.columns()] == [ARROW_TYPES.get(kind or "", pa.null()) for kind in kinds]
    named = pa.RecordBatch.from_arrays(found.columns(), names=rows.schema.names)
    assert rows_from_bytes(rows_to_bytes(named), FORMAT).to_pylist() == named.to_pylist()
    some = data.draw(st.permutations(rows.schema.names))[: data.draw(st.integers(1, len(arrays)))]
    assert rows_from_bytes(rows_to_bytes(named), FORMAT, some).equals(pa.Table.from_batches([named]).select(some))
    assert Packed.of_batch(found.batch(), kinds, len(places)) == found


def test_rows_that_an_earlier_release_wrote_are_read() -> None:
    rows = pa.record_batch({"site": pa.array(["a", None], pa.large_string()), "n": [1, 2]})
    assert rows_from_bytes(table_to_bytes(rows, compression="lz4"), FORMAT).to_pylist() == rows.to_pylist()
    assert rows_from_bytes(table_to_bytes(rows, compression="lz4"), FORMAT, ["n"]).to_pydict() == {"n": [1, 2]}


def test_damaged_rows_are_refused() -> None:
    rows = pa.record_batch({"site": pa.array(["a", None], pa.large_string()), "n": [1, 2]})
    data = rows_to_bytes(rows)
    for damaged in (b"", data[: len(data) // 2], data.replace(b'"rows":2', b'"rows":3')):
        with pytest.raises(StateError, match="rows of a test"):
            rows_from_bytes(damaged, FORMAT)


@pytest.mark.parametrize(
    ("kinds", "rows", "to"),
    [
        (b"n", [2], [0]),
        (b"n", [-1], [0]),
        (b"n", [0, 1], [0, 2]),
        (b"n", [0, 1], [-1, 0]),
        (b"n", [0, 1], [1, 1]),
        (b"n", [0, 1], [0]),
        (b"nn", [0], [0]),
        (b"x", [0], [0]),
    ],
)
def test_the_part_in_c_reads_nothing_outside_of_its_columns(kinds: bytes, rows: list[int], to: list[int]) -> None:
    part_in_c = pytest.importorskip("sparsewatch.detectors.counts._gather", reason="not built: make native")
    columns = pa.record_batch({"n": [1, 2]}).__arrow_c_array__()[1]
    with pytest.raises(ValueError, match="expected rows of these columns"):
        part_in_c.gather(columns, kinds, np.array(rows, np.int64), np.array(to, np.int64))
