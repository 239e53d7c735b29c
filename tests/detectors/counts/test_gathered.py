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
from sparsewatch.detectors.counts.gathered import Gathering
from sparsewatch.detectors.counts.packed_rows import Packed, rows_from_bytes, rows_to_bytes
from sparsewatch.detectors.counts.row_sample import RowSample, row_identities
from sparsewatch.detectors.counts.value_hashes import ARROW_TYPES
from sparsewatch.schemas.errors import StateError
from sparsewatch.schemas.stored import Format, table_from_bytes, table_to_bytes

FORMAT = Format("rows of a test")
TEXTS = st.sampled_from(["", "a", "ab", "abcde", "ü" * 4, "b" * 8, "c" * 15, "d" * 16, "e" * 17, "f" * 40])
#: Type a column comes in, its kind, and its values.
COLUMNS: list[tuple[Any, str | None, st.SearchStrategy[Any]]] = [
    (pa.string(), "str", TEXTS),
    (pa.large_string(), "str", TEXTS),
    (pa.dictionary(pa.int32(), pa.string()), "str", TEXTS),
    (pa.int64(), "int", st.integers(-(2**63), 2**63 - 1)),
    (pa.int32(), "int", st.integers(-(2**31), 2**31 - 1)),
    (pa.int64(), "int", st.sampled_from([-129, -128, 0, 127, 128, 32_767, 32_768, 2**31 - 1, 2**31])),
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
    found = Gathering.of(rows.schema, rows.schema.names, kinds)(rows, np.array(places, np.int64))
    for column in found.columns():
        column.validate(full=True)
    assert [column.to_pylist() for column in found.columns()] == slowly(rows, kinds, places)
    assert [column.type for column in found.columns()] == [ARROW_TYPES.get(kind or "", pa.null()) for kind in kinds]
    names = rows.schema.names
    named = pa.Table.from_arrays(found.columns(), names=names)
    assert rows_from_bytes(rows_to_bytes(found, names), FORMAT).equals(named)
    some = data.draw(st.permutations(names))[: data.draw(st.integers(1, len(arrays)))]
    assert rows_from_bytes(rows_to_bytes(found, names), FORMAT, some).equals(named.select(some))
    assert Packed.of_batch(found.batch(), kinds, len(places)) == found
    whole = Packed.of_batch(Packed.of(rows.columns, kinds).batch(), kinds, rows.num_rows)
    assert [column.to_pylist() for column in whole.columns()] == slowly(rows, kinds, list(range(rows.num_rows)))
    chosen = [names.index(name) for name in some]
    picked = whole.picked(chosen, np.array(places, np.int64))
    assert picked.columns() == [found.columns()[place] for place in chosen]
    # The first half of them in one part, the others in another.
    half = [place % 2 for place in range(len(places))]
    of_part = [[place for place, part in zip(places, half, strict=True) if part == own] for own in (0, 1)]
    parts = [whole.picked(range(len(kinds)), np.array(own, np.int64)) for own in of_part]
    at = np.array([half[:i].count(h) + h * half.count(0) for i, h in enumerate(half)], np.int64)
    assert Packed.joined(parts, at).columns() == found.columns()


def test_rows_that_an_earlier_release_wrote_are_read() -> None:
    rows = pa.record_batch({"site": pa.array(["a", None], pa.large_string()), "n": [1, 2]})
    assert rows_from_bytes(table_to_bytes(rows, compression="lz4"), FORMAT).to_pylist() == rows.to_pylist()
    assert rows_from_bytes(table_to_bytes(rows, compression="lz4"), FORMAT, ["n"]).to_pydict() == {"n": [1, 2]}


def as_an_earlier_release_packed(packed: Packed) -> pa.RecordBatch:
    """The cells as they are, without a thought for how many bytes they take."""
    lists = [pa.LargeListArray.from_arrays([0, len(cells)], cells) for cells in packed.lists.values()]
    return pa.RecordBatch.from_arrays(lists, names=list(packed.lists))


def test_rows_that_an_earlier_release_packed_are_read() -> None:
    kinds = ("str", None, "int", "float")
    columns = [pa.array(["a", None], pa.large_string()), pa.nulls(2), pa.array([1, 2]), pa.array([0.5, 1.5])]
    packed = Packed.of(columns, kinds)
    batch = as_an_earlier_release_packed(packed)
    assert Packed.of_batch(batch, kinds, 2) == packed
    assert Packed.of_batch(batch, kinds, 2, [2, 0]).columns() == [columns[2], columns[0]]
    sample = RowSample(["word", "nothing", "n", "half"], 5)
    rows = pa.RecordBatch.from_arrays(columns, names=list(sample.columns))
    sample.update(rows, row_identities(np.arange(2)))
    now = table_from_bytes(sample.to_bytes(small=False))
    identities = pa.LargeListArray.from_arrays([0, 2], pa.array(sample.identities()))
    found = Packed.of(sample.rows().columns, kinds)
    before = as_an_earlier_release_packed(found).append_column("identity", identities)
    read = RowSample.from_bytes(table_to_bytes(before.replace_schema_metadata(now.schema.metadata)))
    assert read.to_bytes() == sample.to_bytes()


def test_cells_that_do_not_fit_together_are_refused() -> None:
    packed = Packed.of([pa.array(["a", "ü"], pa.large_string()), pa.array([1, 300])], ["str", "int"])
    batch = packed.batch()
    for name, values in [
        ("lengths", pa.array([1, 3], pa.int8())),
        ("lengths", pa.array([1, 2**62], pa.int64())),
        ("text", pa.array([97, 195, 40], pa.uint8())),
        ("text", pa.array([97, 15, 40], pa.int8())),
        ("int16", pa.array([1], pa.int16())),
        ("widths", pa.array([7], pa.uint8())),
        ("widths", pa.array([0], pa.uint8())),
    ]:
        place = batch.schema.get_field_index(name)
        cells = pa.LargeListArray.from_arrays([0, len(values)], values)
        with pytest.raises((ValueError, pa.ArrowException)):
            Packed.of_batch(batch.set_column(place, name, cells), ["str", "int"], 2)


def test_damaged_rows_are_refused() -> None:
    rows = pa.record_batch({"site": pa.array(["a", None], pa.large_string()), "n": [1, 2]})
    data = rows_to_bytes(Packed.of(rows.columns, ["str", "int"]), rows.schema.names)
    for damaged in (b"", data[: len(data) // 2], data.replace(b'"rows":2', b'"rows":3')):
        with pytest.raises(StateError, match="rows of a test"):
            rows_from_bytes(damaged, FORMAT)


@pytest.mark.parametrize(
    ("letters", "columns", "rows", "to"),
    [
        (b"n", [0], [2], [0]),
        (b"n", [0], [-1], [0]),
        (b"n", [0], [0, 1], [0, 2]),
        (b"n", [0], [0, 1], [-1, 0]),
        (b"n", [0], [0, 1], [1, 1]),
        (b"n", [0], [0, 1], [0]),
        (b"nn", [0], [0], [0]),
        (b"n", [1], [0], [0]),
        (b"n", [-1], [0], [0]),
        (b"x", [0], [0], [0]),
        (b"\0", [0], [0], [0]),
    ],
)
def test_the_part_in_c_reads_nothing_outside_of_its_columns(
    letters: bytes, columns: list[int], rows: list[int], to: list[int]
) -> None:
    part_in_c = pytest.importorskip("sparsewatch.detectors.counts._gather", reason="not built: make native")
    batch = pa.record_batch({"n": [1, 2]}).__arrow_c_array__()[1]
    places = np.array(rows, np.int64), np.array(to, np.int64)
    with pytest.raises(ValueError, match="expected rows of these columns"):
        part_in_c.gather(batch, letters, np.array(columns, np.int32), *places)
