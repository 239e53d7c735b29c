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
        ({**MAP, "map": [0, 0, 0, 0, 0, 0]}, "no_dies"),
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


def disc(wafers: int, radius_um: float, defects: int = 4_000) -> list[tuple[list[float], list[float]]]:
    """Defects all over discs of a radius."""
    rng = np.random.default_rng(8)
    found = []
    for _ in range(wafers):
        radii, angles = radius_um * np.sqrt(rng.random(defects)), 2 * np.pi * rng.random(defects)
        found.append(((radii * np.cos(angles)).tolist(), (radii * np.sin(angles)).tolist()))
    return found


@pytest.mark.parametrize(
    ("scale", "shift", "radius_um", "cause"),
    [
        (1e3, 0.0, 150_000.0, "1,000 times too far out, as coordinates in nanometres or a radius in millimetres"),
        (1.0, 0.0, 150.0, "1,000 times too far out, as coordinates in nanometres or a radius in millimetres"),
        (1.0, 150_000.0, 150_000.0, "they fit about the point 150, 150 mm: is the centre wrong?"),
        (1.0, 0.0, 100_000.0, "they fit a wafer of 300 mm, not 200 mm: is its size wrong?"),
    ],
)
def test_a_wafer_that_lies_outside_of_itself_is_no_wafer(
    scale: float, shift: float, radius_um: float, cause: str
) -> None:
    ((x, y),) = disc(1, 150_000.0)
    moved = {axis: [scale * value + shift for value in values] for axis, values in (("x_um", x), ("y_um", y))}
    rows = batch(event(**POINTS), event(**moved, radius_um=radius_um), event(**MAP))
    ((row, code, message),) = validate_wafers(rows)
    assert (row, code) == (1, "outside_wafer")
    assert cause in message
    assert f"lie outside its radius of {radius_um / 1e3:g} mm" in message
    assert validate_wafers(batch(event(x_um=x, y_um=y, radius_um=150_000.0))) == []


def test_faults_of_both_kinds_are_in_order_and_strays_are_no_fault() -> None:
    far = event(x_um=[5_000.0], y_um=[1.0])
    half = event(x_um=[5_000.0, 1.0], y_um=[1.0, 1.0])
    rows = batch(far, event(radius_um=0.0, **POINTS), half, event(x_um=[], y_um=[]), far)
    assert codes(rows) == [(0, "outside_wafer"), (1, "bad_radius"), (4, "outside_wafer")]
    assert "1 of 1 defect (100%) lie outside" in validate_wafers(rows)[0][2]


def test_a_wafer_whose_defects_are_one_point_is_no_wafer() -> None:
    ((x, y),) = disc(1, 150_000.0, 20)
    small = {axis: [value / 1e3 for value in values] for axis, values in (("x_um", x), ("y_um", y))}
    few = {axis: values[:19] for axis, values in small.items()}
    rows = batch(event(**few, radius_um=150_000.0), event(**POINTS), event(**small, radius_um=150_000.0))
    ((row, code, message),) = validate_wafers(rows)
    assert (row, code) == (2, "collapsed_wafer")
    assert "all 20 defects lie within" in message
    assert "are coordinates in millimetres or in radii?" in message
