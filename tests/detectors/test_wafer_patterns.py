import numpy as np
import pyarrow as pa
import pytest

from detectors.sparse_net.events import WaferPoints, read_points, validate_wafers
from detectors.wafer_patterns import PATTERNS, make_wafers
from schemas.errors import ConfigError
from schemas.wafers import WAFER_COLUMNS

CLEAN = (0.0, 0.0)


def points_of(pattern: str, wafers: int = 30) -> WaferPoints:
    rng = np.random.default_rng(0)
    return read_points(make_wafers([pattern] * wafers, rng, defects=400, background=CLEAN))


def radii(points: WaferPoints) -> np.ndarray:
    return np.hypot(points.x, points.y)


@pytest.mark.parametrize("pattern", PATTERNS)
def test_every_pattern_makes_valid_wafers_inside_the_disc(pattern: str) -> None:
    rows = make_wafers([pattern] * 5, np.random.default_rng(0), defects=(0, 300))
    assert rows.schema == WAFER_COLUMNS
    assert validate_wafers(rows) == []
    points = read_points(rows)
    assert points.outside.sum() == 0
    assert points.defects.tolist() == pa.compute.list_value_length(rows["x_um"]).to_pylist()


def test_defects_are_as_many_as_asked_for() -> None:
    rng = np.random.default_rng(0)
    assert set(read_points(make_wafers(["grid"] * 20, rng, defects=70)).defects) == {70}
    spread = read_points(make_wafers(["grid"] * 200, rng, defects=(10, 20))).defects
    assert (spread.min(), spread.max()) == (10, 20)


def test_normal_defects_are_even_over_the_disc() -> None:
    inner = (radii(points_of("normal")) < np.sqrt(0.5)).mean()
    assert inner == pytest.approx(0.5, abs=0.02)


def test_patterns_lie_where_their_names_say() -> None:
    assert np.median(radii(points_of("center"))) < 0.3
    donut = radii(points_of("donut"))
    assert 0.3 < np.median(donut) < 0.6
    assert (donut < 0.1).mean() < 0.02
    assert radii(points_of("edge_ring")).min() > 0.89
    assert radii(points_of("edge_local")).min() > 0.84


@pytest.mark.parametrize(
    ("pattern", "lowest", "highest"),
    [("edge_ring", 0.0, 0.1), ("edge_local", 0.8, 1.0), ("half_moon", 0.5, 1.0)],
)
def test_a_ring_is_closed_and_a_part_of_the_edge_is_not(pattern: str, lowest: float, highest: float) -> None:
    points = points_of(pattern)
    unit = np.exp(1j * np.arctan2(points.y, points.x)).reshape(30, 400)
    resultant = np.abs(unit.mean(axis=1))
    assert lowest <= resultant.min()
    assert resultant.max() <= highest


def test_a_scratch_is_long_and_thin() -> None:
    points = points_of("scratch")
    for x, y in zip(points.x.reshape(30, 400), points.y.reshape(30, 400), strict=True):
        # Points of a thin curve have close neighbours although the curve is long.
        gap = np.abs(np.subtract.outer(x, x)) + np.abs(np.subtract.outer(y, y))
        np.fill_diagonal(gap, np.inf)
        assert np.median(gap.min(axis=1)) < 0.01
        assert max(np.ptp(x), np.ptp(y)) > 0.25


def test_a_grid_repeats_at_one_pitch() -> None:
    points = points_of("grid", wafers=5)
    for x in points.x.reshape(5, 400):
        columns = np.sort(x)
        jumps = np.flatnonzero(np.diff(columns) > 0.05)
        centres = [run.mean() for run in np.split(columns, jumps + 1)]
        pitch = np.diff(centres)
        # Nodes beyond the rim are drawn in, so the outermost columns lie closer.
        assert np.ptp(pitch[1:-1]) < 0.02


def test_background_is_strewn_over_the_wafer() -> None:
    rng = np.random.default_rng(0)
    rows = make_wafers(["edge_ring"] * 50, rng, defects=200, background=(0.5, 0.5))
    # Half the points are even over the disc, four fifths of those nearer than 0.89.
    assert (radii(read_points(rows)) < 0.89).mean() == pytest.approx(0.5 * 0.89**2, abs=0.03)


def test_wafers_are_numbered_and_25_make_a_lot() -> None:
    rows = make_wafers(["normal"] * 60, np.random.default_rng(0), defects=1, first=10)
    assert rows["wafer_id"][0].as_py() == "W000010"
    assert rows["lot"].value_counts().field("counts").to_pylist() == [15, 25, 20]


def test_a_seed_repeats_and_another_differs() -> None:
    names = list(PATTERNS)
    a, b, c = (make_wafers(names, np.random.default_rng(seed)) for seed in (1, 1, 2))
    assert a.equals(b)
    assert not a.equals(c)


def test_wrong_requests_are_refused() -> None:
    rng = np.random.default_rng(0)
    with pytest.raises(ConfigError, match="no pattern spiral: expected normal, center"):
        make_wafers(["spiral"], rng)
    with pytest.raises(ConfigError, match="expected rising ranges"):
        make_wafers(["grid"], rng, defects=(5, 2))
    with pytest.raises(ConfigError, match="expected rising ranges"):
        make_wafers(["grid"], rng, background=(0.5, 1.5))


def test_no_wafers_make_an_empty_batch() -> None:
    assert make_wafers([], np.random.default_rng(0)).num_rows == 0
