"""Both ways to distinct values give what counting row by row gives: values in their order, rows and clicks."""

import types
from collections.abc import Iterator
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from sparsewatch.detectors.counts import distinct
from sparsewatch.detectors.counts.counts import Part
from sparsewatch.detectors.counts.distinct import count_distinct, join_parts
from sparsewatch.detectors.counts.value_hashes import ARROW_TYPES

TEXTS = st.one_of(
    st.sampled_from(["", "\0", "a", "a\0", "a" * 8, "a" * 8 + "\0", "a" * 9, "a" * 16 + "b", "a" * 16 + "c"]),
    st.text(max_size=30),
)
INTEGERS = st.one_of(st.integers(-(2**63), 2**63 - 1), st.integers(-3, 3))
FLOATS = st.floats(allow_nan=False).map(lambda number: number + 0.0)
#: Type a column comes in, its kind, and its values.
COLUMNS: list[tuple[Any, str, st.SearchStrategy[Any]]] = [
    (pa.string(), "str", TEXTS),
    (pa.large_string(), "str", TEXTS),
    (pa.int64(), "int", INTEGERS),
    (pa.int8(), "int", st.integers(-128, 127)),
    (pa.uint32(), "int", st.integers(0, 2**32 - 1)),
    (pa.float64(), "float", FLOATS),
]
few = settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])


@pytest.fixture(params=["in C", "by Arrow", "by Arrow beside an old part in C"])
def way(request: pytest.FixtureRequest) -> Iterator[None]:
    """One of both ways."""
    if request.param == "in C" and not distinct.is_built():
        pytest.skip("the part in C is not built: make native")
    with pytest.MonkeyPatch.context() as patch:
        if request.param != "in C":
            old = types.SimpleNamespace(count=None, INTERFACE=1)
            patch.setattr(distinct, "_distinct", None if request.param == "by Arrow" else old)
        yield


def row_by_row(values: list[Any], rows: list[int], clicks: list[int]) -> dict[Any, tuple[int, int]]:
    sums: dict[Any, tuple[int, int]] = {}
    for value, more, clicked in zip(values, rows, clicks, strict=True):
        before = sums.get(value, (0, 0))
        sums[value] = (before[0] + more, before[1] + clicked)
    return sums


def listed(part: Part) -> list[tuple[Any, tuple[int, int]]]:
    return list(zip(part.values.to_pylist(), zip(part.rows.tolist(), part.clicks.tolist(), strict=True), strict=True))


@pytest.mark.usefixtures("way")
@few
@given(st.data(), st.sampled_from(COLUMNS), st.integers(0, 9))
def test_rows_are_counted_as_row_by_row(data: Any, column: tuple[Any, str, st.SearchStrategy[Any]], cut: int) -> None:
    arrow_type, kind, of_values = column
    drawn = data.draw(st.lists(st.tuples(st.none() | of_values, st.integers(0, 1)), max_size=80))
    values = pa.array([value for value, _ in drawn], arrow_type).slice(cut)
    clicks = np.array([click for _, click in drawn], np.uint8)[cut:]
    expected = row_by_row(values.to_pylist(), [1] * len(values), clicks.tolist())
    part, missing = count_distinct(values, kind, clicks)
    assert tuple(missing) == expected.pop(None, (0, 0))
    assert listed(part) == list(expected.items())
    assert part.values.type == ARROW_TYPES[kind]
    assert [str(counts.dtype) for counts in part[1:]] == ["int64", "int64"]


@pytest.mark.usefixtures("way")
@few
@given(st.data(), st.sampled_from([("str", TEXTS), ("int", INTEGERS), ("float", FLOATS)]))
def test_parts_are_joined_as_row_by_row(data: Any, column: tuple[str, st.SearchStrategy[Any]]) -> None:
    kind, of_values = column
    count = st.integers(0, 2**40)
    drawn = data.draw(st.lists(st.dictionaries(of_values, st.tuples(count, count), max_size=20), min_size=1))
    parts = [
        Part(pa.array(list(one), ARROW_TYPES[kind]), *np.array(list(one.values()), np.int64).reshape(-1, 2).T.copy())
        for one in drawn
    ]
    flat = [(value, *counts) for one in drawn for value, counts in one.items()]
    expected = row_by_row(*([row[i] for row in flat] for i in range(3)))
    assert listed(join_parts(parts)) == list(expected.items())


@pytest.mark.usefixtures("way")
@pytest.mark.parametrize("template", ["{}", "{:x}", "a-name-that-all-share-{:09}"])
@pytest.mark.parametrize("values", [3, 1_000, 50_000])
def test_many_rows_are_counted_as_by_numpy(template: str, values: int) -> None:
    rng = np.random.default_rng(values)
    drawn = rng.integers(0, values, 100_000)
    clicks = (rng.random(drawn.size) < 0.2).astype(np.uint8)
    texts = pa.array([template.format(number) for number in range(values)]).take(pa.array(drawn))
    for column, kind in ((texts, "str"), (pa.array(drawn), "int")):
        part, _ = count_distinct(column, kind, clicks)
        first = np.sort(np.unique(drawn, return_index=True)[1])
        assert part.values.to_pylist() == column.take(pa.array(first)).to_pylist()
        assert part.rows.tolist() == np.bincount(drawn)[drawn[first]].tolist()
        assert part.clicks.tolist() == np.bincount(drawn, clicks)[drawn[first]].tolist()


@pytest.mark.parametrize(
    ("offsets", "text", "clicks"),
    [
        ([0, 1, 9], b"ab", [0, 0]),
        ([0, 2, 1], b"ab", [0, 0]),
        ([-1, 1, 2], b"ab", [0, 0]),
        ([0, 1], b"ab", [0, 0]),
        ([0, 1, 2], b"ab", [0]),
    ],
)
def test_the_part_in_c_reads_nothing_outside_of_its_buffers(offsets: list[int], text: bytes, clicks: list[int]) -> None:
    part_in_c = pytest.importorskip("sparsewatch.detectors.counts._distinct", reason="not built: make native")
    with pytest.raises(ValueError, match=r"expected (texts within their bytes|buffers of 2 rows)"):
        part_in_c.count(0, 8, 0, 2, np.array(offsets, np.int64), text, None, None, np.array(clicks, np.uint8))
