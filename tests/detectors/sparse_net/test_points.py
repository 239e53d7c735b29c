import numpy as np
import pyarrow as pa
import pytest

from sparsewatch.detectors.sparse_net.points import WaferPoints, read_points, validate_wafers
from sparsewatch.schemas.wafers import WAFER_COLUMNS

POINTS: dict[str, object] = {"x_um": [0.0, 50.0, -50.0], "y_um": [0.0, 0.0, 50.0]}
MAP: dict[str, object] = {"map_rows": 2, "map_columns": 3, "map": [0, 2, 1, 2, 1, 0]}


def event(**changes: object) -> dict[str, object]:
    plain = {"wafer_id": "W1", "lot": "L", "step": "s", "tool": "t", "radius_um": 100.0}
    missing = dict.fromkeys(("x_um", "y_um", "map_rows", "map_columns", "map"))
    return {**plain, **missing, **changes}


def batch(*events: dict[str, object]) -> pa.RecordBatch:
    return pa.RecordBatch.from_pylist(list(events), schema=WAFER_COLUMNS)


def codes(rows: pa.RecordBatch) -> list[tuple[int, str]]:
    return [(row, code) for row, code, _ in validate_wafers(rows)]


def points_of(points: WaferPoints, wafer: int) -> list[tuple[float, float]]:
    run = slice(points.offsets[wafer], points.offsets[wafer + 1])
    return list(zip(points.x[run].tolist(), points.y[run].tolist(), strict=True))


def test_good_wafers_have_no_failures() -> None:
    empty = event(x_um=[], y_um=[])
    assert validate_wafers(batch(event(**POINTS), event(**MAP), empty)) == []
    assert validate_wafers(batch()) == []


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({**POINTS, "radius_um": 0.0}, "bad_radius"),
        ({**POINTS, "radius_um": float("nan")}, "bad_radius"),
        ({**POINTS, "radius_um": float("inf")}, "bad_radius"),
        ({}, "no_defects_given"),
        ({"x_um": [1.0], "y_um": [1.0, 2.0]}, "length_mismatch"),
        ({"x_um": [1.0]}, "length_mismatch"),
        ({"x_um": [1.0, float("nan")], "y_um": [1.0, 2.0]}, "not_finite"),
        ({"x_um": [1.0], "y_um": [float("inf")]}, "not_finite"),
        ({"x_um": [1.0, None], "y_um": [1.0, 2.0]}, "not_finite"),
        ({**MAP, "map_rows": 3}, "bad_map_shape"),
        ({**MAP, "map_rows": None}, "bad_map_shape"),
        ({**MAP, "map_rows": -2, "map_columns": -3}, "bad_map_shape"),
        ({"map_rows": 0, "map_columns": 0, "map": []}, "bad_map_shape"),
        ({**MAP, "map": [0, 3, 1, 2, 1, 0]}, "bad_map_value"),
        ({**MAP, "map": [0, -1, 1, 2, 1, 0]}, "bad_map_value"),
        ({**MAP, "map": [0, None, 1, 2, 1, 0]}, "bad_map_value"),
    ],
)
def test_a_bad_wafer_is_named_among_good_ones(changes: dict[str, object], code: str) -> None:
    rows = batch(event(**MAP), event(**POINTS), event(**changes), event(**POINTS))
    assert codes(rows) == [(2, code)]
    assert codes(rows.slice(2)) == [(0, code)]
    assert codes(rows.slice(3)) == []


def test_a_message_says_what_was_expected_and_what_came() -> None:
    ((_, _, message),) = validate_wafers(batch(event(x_um=[1.0], y_um=[1.0, 2.0])))
    assert message.startswith("expected as many x_um as y_um, wafer 'W1': x_um has 1, y_um has 2")


def test_points_are_in_radii_and_those_outside_the_disc_are_counted() -> None:
    rows = batch(event(**POINTS), event(x_um=[100.0, 80.0], y_um=[0.0, 80.0]))
    points = read_points(rows)
    assert points_of(points, 0) == [(0.0, 0.0), (0.5, 0.0), (-0.5, 0.5)]
    assert points_of(points, 1) == [(1.0, 0.0)]
    assert points.outside.tolist() == [0, 1]
    assert points.own_grid.tolist() == [[0, 0], [0, 0]]


def test_each_failing_die_becomes_one_point_at_its_centre() -> None:
    points = read_points(batch(event(**MAP)))
    assert points_of(points, 0) == [(0.0, -0.5), (pytest.approx(-2 / 3), 0.5)]
    assert points.own_grid.tolist() == [[2, 3]]


def test_maps_and_lists_of_one_batch_keep_their_order() -> None:
    rows = batch(event(**MAP), event(**POINTS), event(x_um=[], y_um=[]), event(**MAP))
    points = read_points(rows)
    assert points.defects.tolist() == [2, 3, 0, 2]
    for i in range(4):
        assert points_of(points, i) == points_of(read_points(rows.slice(i, 1)), 0)


def test_a_wafer_with_both_counts_its_points_once() -> None:
    points = read_points(batch(event(**POINTS, **MAP)))
    assert points.defects.tolist() == [3]
    assert points.own_grid.tolist() == [[0, 0]]


def test_a_slice_reads_as_its_own_rows() -> None:
    rows = batch(event(**POINTS), event(**MAP), event(x_um=[10.0], y_um=[20.0]), event(**MAP))
    whole, part = read_points(rows), read_points(rows.slice(1, 2))
    assert [points_of(part, i) for i in range(2)] == [points_of(whole, i) for i in (1, 2)]


def test_taken_wafers_keep_their_points() -> None:
    points = read_points(batch(event(**POINTS), event(x_um=[], y_um=[]), event(**MAP)))
    taken = points.take(np.array([2, 0, 2, 1]))
    assert [points_of(taken, i) for i in range(4)] == [points_of(points, i) for i in (2, 0, 2, 1)]
    assert taken.own_grid.tolist() == [[2, 3], [0, 0], [2, 3], [0, 0]]
